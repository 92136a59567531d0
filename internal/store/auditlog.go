package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// AuditEntry is one change: who made it, when, and what was changed.
type AuditEntry struct {
	ID int64
	At time.Time
	// Actor is the name that people read, ActorID tells actors apart for ever: "account:7"; empty for a command.
	Actor, ActorID string
	// Action is stable: "account.add", "task.pause".
	Action string
	// AppID is the app that it is about; nil where it is about none.
	AppID *int32
	// Object names what was changed, such as "task:98" or "account:ann".
	Object string
	// Detail says more; no secret and no personal data. Nil is nothing.
	Detail map[string]any
	// Address is where the request came from; empty for a command.
	Address string
}

const auditColumns = `id, at, actor, actor_id, action, app_id, object, detail, address`

// InsertAuditEntry writes an entry. It belongs into the transaction of the change.
func (s *Store) InsertAuditEntry(ctx context.Context, e AuditEntry) error {
	if e.Detail == nil {
		e.Detail = map[string]any{}
	}
	_, err := s.db(ctx).Exec(ctx, `INSERT INTO audit_log (actor, actor_id, action, app_id, object, detail, address) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.Actor, e.ActorID, e.Action, e.AppID, e.Object, e.Detail, e.Address)
	return wrap(err, "write audit log")
}

// AuditEntries lists entries, newest first: those with an id below before (0: from the newest).
func (s *Store) AuditEntries(ctx context.Context, before int64, limit int) ([]AuditEntry, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+auditColumns+` FROM audit_log
		 WHERE $1::bigint = 0 OR id < $1::bigint ORDER BY id DESC LIMIT $2`, before, limit)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditEntry])
	return entries, wrap(err, "list audit log")
}

// AuditFilter narrows the audit log. Zero values narrow nothing.
type AuditFilter struct {
	// AppIDs are the apps whose entries are shown; what is about no app is then left out. Nil is everything.
	AppIDs []int32
	// Actor, Action and Object are exact.
	Actor, Action, Object string
	// From is the first moment, To the first one after it.
	From, To *time.Time
	// Before is the entry after which the page begins.
	Before *AuditPlace
	Limit  int
}

// AuditPlace is where a page of the audit log ends.
type AuditPlace struct {
	At time.Time
	ID int64
}

// AuditLog lists entries, newest first. The conditions are only those that are asked for, so that each is planned with its index.
func (s *Store) AuditLog(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	var where []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	add := func(given bool, condition string, v any) {
		if given {
			where = append(where, condition+arg(v))
		}
	}
	if f.AppIDs != nil {
		where = append(where, "app_id = ANY ("+arg(f.AppIDs)+")")
	}
	add(f.Actor != "", "actor = ", f.Actor)
	add(f.Action != "", "action = ", f.Action)
	add(f.Object != "", "object = ", f.Object)
	add(f.From != nil, "at >= ", f.From)
	add(f.To != nil, "at < ", f.To)
	if f.Before != nil {
		where = append(where, "(at, id) < ("+arg(f.Before.At)+", "+arg(f.Before.ID)+")")
	}
	sql := `SELECT ` + auditColumns + ` FROM audit_log`
	if len(where) > 0 {
		sql += ` WHERE ` + strings.Join(where, " AND ")
	}
	rows, _ := s.db(ctx).Query(ctx, sql+` ORDER BY at DESC, id DESC LIMIT `+arg(f.Limit), args...)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditEntry])
	return entries, wrap(err, "list audit log")
}
