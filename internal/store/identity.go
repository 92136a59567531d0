package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Identity is what tells a database from a copy of it: a restored one has another cluster, timeline or database. A snapshot of a
// volume has the same.
type Identity struct {
	SystemID   int64
	TimelineID int32
	DatabaseID int64
}

// ServerIdentity reads the identity of the database that is connected to. ok is false where the server does not let this role see it.
func (s *Store) ServerIdentity(ctx context.Context) (i Identity, ok bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT (SELECT system_identifier FROM pg_control_system()),
		       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int,
		       (SELECT oid::bigint FROM pg_database WHERE datname = current_database())`).Scan(&i.SystemID, &i.TimelineID, &i.DatabaseID)
	if pg, found := errors.AsType[*pgconn.PgError](err); found && pg.Code == "42501" {
		return Identity{}, false, nil
	}
	return i, err == nil, wrap(err, "identity of the database")
}

// LockIdentity reads the identity under which the rows were last used and locks it; push.ErrNotFound before the first use.
func (s *Store) LockIdentity(ctx context.Context) (Identity, error) {
	var i Identity
	err := s.db(ctx).QueryRow(ctx, `SELECT system_id, timeline_id, database_id FROM database_identity FOR UPDATE`).
		Scan(&i.SystemID, &i.TimelineID, &i.DatabaseID)
	return i, wrap(err, "identity of the rows")
}

// SaveIdentity notes that the rows are used under i from now on.
func (s *Store) SaveIdentity(ctx context.Context, i Identity) error {
	_, err := s.db(ctx).Exec(ctx, `
		INSERT INTO database_identity (system_id, timeline_id, database_id) VALUES ($1, $2, $3)
		ON CONFLICT (only_row) DO UPDATE SET system_id = $1, timeline_id = $2, database_id = $3, since = now()`, i.SystemID, i.TimelineID, i.DatabaseID)
	return wrap(err, "save identity")
}
