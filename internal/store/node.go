package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// lockNode is the first key of the advisory lock that a live daemon holds on its heartbeat connection; its node id is the second.
const lockNode = 0x6d70_0002

// InsertNode registers a daemon.
func (s *Store) InsertNode(ctx context.Context, name string) (int64, error) {
	var id int64
	err := s.db(ctx).QueryRow(ctx, `INSERT INTO node (name) VALUES ($1) RETURNING id`, name).Scan(&id)
	return id, wrap(err, "register node")
}

// HoldNode takes the advisory lock of a node on conn and beats once. A connection of the same node that the server has not
// yet found dead is ended: it can only be this process's own.
func HoldNode(ctx context.Context, conn *pgx.Conn, id int64, name string) error {
	if _, err := conn.Exec(ctx, `
		SELECT pg_terminate_backend(pid) FROM pg_locks
		 WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = $1::bigint::oid AND objid = $2::bigint::oid
		   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()`, int64(lockNode), id); err != nil {
		return wrap(err, "end the old connection of node %d", id)
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2::bigint::int)`, lockNode, id); err != nil {
		return wrap(err, "hold node %d", id)
	}
	return BeatNode(ctx, conn, id, name)
}

// BeatNode says that the node lives. A row that the purge took while the node was cut off is put back.
func BeatNode(ctx context.Context, conn *pgx.Conn, id int64, name string) error {
	_, err := conn.Exec(ctx, `
		INSERT INTO node (id, name) OVERRIDING SYSTEM VALUE VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET beat_at = clock_timestamp()`, id, name)
	return wrap(err, "beat of node %d", id)
}

// StopNode says that the node has stopped for good; its chunks may be taken at once.
func (s *Store) StopNode(ctx context.Context, id int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE node SET stopped_at = clock_timestamp() WHERE id = $1`, id)
	return wrap(err, "stop node %d", id)
}

// DeadOwner is a chunk whose owner no longer lives.
type DeadOwner struct {
	Key  ChunkKey
	Node int64
}

// DeadOwners lists running chunks of nodes that are dead: stopped or forgotten; or, if the caller has watched the beats for long
// enough to miss one, their lock is free and their last beat over 3 s old, or their last beat is over 8 s old, whatever the lock
// says. Ages are by the database's clock, and none counts from before 2 s after its start: a restart of Postgres kills nobody, a
// stopped process is told from a dead one by its lock, and a lost connection from a dead process by its beats on the next one.
func (s *Store) DeadOwners(ctx context.Context, watched bool) ([]DeadOwner, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT c.task_id, c.no, c.node_id
		  FROM chunk c LEFT JOIN node n ON n.id = c.node_id
		 CROSS JOIN LATERAL (SELECT clock_timestamp() - greatest(n.beat_at, pg_postmaster_start_time() + interval '2 s') AS age) a
		 WHERE c.state = 'running' AND (n.id IS NULL OR n.stopped_at IS NOT NULL OR $2 AND (a.age > interval '8 s' OR a.age > interval '3 s' AND NOT EXISTS (
		       SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
		          AND l.classid = $1::bigint::oid AND l.objid = n.id::oid
		          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))))
		 ORDER BY c.task_id, c.no`, int64(lockNode), watched)
	dead, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (DeadOwner, error) {
		var d DeadOwner
		return d, row.Scan(&d.Key.TaskID, &d.Key.No, &d.Node)
	})
	return dead, wrap(err, "list chunks of dead nodes")
}

// PurgeNodes forgets nodes that have not beaten since the time given.
func (s *Store) PurgeNodes(ctx context.Context, before time.Time) error {
	_, err := s.db(ctx).Exec(ctx, `
		DELETE FROM node n WHERE beat_at < $1 AND NOT EXISTS (SELECT FROM chunk c WHERE c.state = 'running' AND c.node_id = n.id)`, before)
	return wrap(err, "purge nodes")
}
