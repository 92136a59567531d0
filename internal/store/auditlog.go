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
}

// InsertAuditEntry writes an entry. It belongs into the transaction of the change.
func (s *Store) InsertAuditEntry(ctx context.Context, e AuditEntry) error {
	if e.Detail == nil {
		e.Detail = map[string]any{}
	}
	_, err := s.db(ctx).Exec(ctx, `INSERT INTO audit_log (actor, actor_id, action, app_id, object, detail) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.Actor, e.ActorID, e.Action, e.AppID, e.Object, e.Detail)
	return wrap(err, "write audit log")
}

// AuditEntries lists entries, newest first: those with an id below before (0: from the newest).
func (s *Store) AuditEntries(ctx context.Context, before int64, limit int) ([]AuditEntry, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT id, at, actor, actor_id, action, app_id, object, detail FROM audit_log
		 WHERE $1::bigint = 0 OR id < $1::bigint ORDER BY id DESC LIMIT $2`, before, limit)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditEntry])
	return entries, wrap(err, "list audit log")
}
