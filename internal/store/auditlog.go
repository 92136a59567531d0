package store

import (
	"context"
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

// AuditLog lists entries, newest first.
func (s *Store) AuditLog(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	var c conditions
	if f.AppIDs != nil {
		c.where = append(c.where, "app_id = ANY ("+c.arg(f.AppIDs)+")")
	}
	c.add(f.Actor != "", "actor = ", f.Actor)
	c.add(f.Action != "", "action = ", f.Action)
	c.add(f.Object != "", "object = ", f.Object)
	c.add(f.From != nil, "at >= ", f.From)
	c.add(f.To != nil, "at < ", f.To)
	if f.Before != nil {
		c.where = append(c.where, "(at, id) < ("+c.arg(f.Before.At)+", "+c.arg(f.Before.ID)+")")
	}
	sql := `SELECT ` + auditColumns + ` FROM audit_log` + c.sql() + ` ORDER BY at DESC, id DESC LIMIT ` + c.arg(f.Limit)
	rows, _ := s.db(ctx).Query(ctx, sql, c.args...)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditEntry])
	return entries, wrap(err, "list audit log")
}
