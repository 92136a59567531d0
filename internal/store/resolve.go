package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// ChunksWithUnknown lists the chunks of a task that hold recipients whose outcome is unknown.
func (s *Store) ChunksWithUnknown(ctx context.Context, taskID int64) ([]ChunkRows, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT task_id, no FROM chunk WHERE task_id = $1 AND unknown > 0 ORDER BY no`, taskID)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ChunkRows, err error) {
		return c, row.Scan(&c.Chunk.TaskID, &c.Chunk.No)
	})
	return list, wrap(err, "list chunks of task %d with unknown outcomes", taskID)
}

// ChunksOf finds the chunks in which seqs of a task lie, in order. A seq that the task does not have is in none.
func (s *Store) ChunksOf(ctx context.Context, taskID int64, seqs []int32) ([]ChunkRows, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT c.task_id, c.no, array_agg(DISTINCT n.seq)
		  FROM task t CROSS JOIN unnest($2::int[]) AS n(seq) JOIN chunk c ON c.task_id = t.id AND c.no = n.seq / t.chunk_size AND n.seq < c.hi
		 WHERE t.id = $1 GROUP BY c.task_id, c.no ORDER BY c.no`, taskID, seqs)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ChunkRows, err error) {
		return c, row.Scan(&c.Chunk.TaskID, &c.Chunk.No, &c.Seqs)
	})
	return list, wrap(err, "find chunks of task %d", taskID)
}

// resolveChunk updates the permits by id: others may use the same counter meanwhile. A reason that nobody is left with goes.
func resolveChunk(k *permits, fate string) string {
	return `
	WITH p AS MATERIALIZED (
	    SELECT r.ctid AS rid, r.permit_id FROM recipient r
	     WHERE r.audience_id = $1 AND r.seq >= $2 AND r.seq < $3 AND r.state = 5 AND ($4::int[] IS NULL OR r.seq = ANY ($4))),
	resolved AS (
	    UPDATE recipient x SET state = $5, reason = nullif($6::smallint, 0), ambiguous = false, note = $7, updated_at = clock_timestamp()
	      FROM p WHERE x.ctid = p.rid RETURNING 1),
	fate AS (UPDATE ` + k.table + ` SET ` + fate + ` WHERE id = ANY (ARRAY(SELECT permit_id FROM p)) AND ` + k.held + `),
	n AS (SELECT count(*)::int AS n FROM resolved),
	counted AS (
	    UPDATE chunk SET unknown = unknown - n.n, sent = sent + CASE WHEN $5 = 2 THEN n.n ELSE 0 END, failed = failed + CASE WHEN $5 = 3 THEN n.n ELSE 0 END,
	           updated_at = clock_timestamp(), reasons = (
	             SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(add_reasons(reasons, jsonb_strip_nulls(jsonb_build_object(
	                    '14', -n.n, $6::text, CASE WHEN $6 <> 0 THEN n.n END)))) WHERE value <> '0')
	      FROM n WHERE task_id = $8 AND no = $9 AND n.n > 0)
	SELECT n FROM n`
}

// Resolve is what a person says about recipients whose outcome is unknown.
type Resolve struct {
	// State is Sent or Failed, Reason goes with it.
	State  push.RecipientState
	Reason push.Reason
	// Permit is what becomes of the permits that they still hold: PermitSpent or PermitDied. Never free: a word is no proof.
	Permit PermitFate
	Note   string
}

// ResolveChunk settles recipients of a chunk whose outcome is unknown, with the counters of the chunk, and returns how many there
// were. rows.Seqs narrows to these; nil is all. It takes the chunk's lock first, as a run does. stuck is one of rows.Seqs that is, after it, in another
// state than the one asked for; nil if there is none.
func (s *Store) ResolveChunk(ctx context.Context, rows ChunkRows, r Resolve) (resolved int, stuck *push.Recipient, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		var audienceID int64
		var lo, hi int32
		var channel push.Channel
		if err := s.db(ctx).QueryRow(ctx, `
			SELECT t.audience_id, c.lo, c.hi, t.channel, `+boundTx+` FROM chunk c JOIN task t ON t.id = c.task_id
			 WHERE c.task_id = $1 AND c.no = $2 AND t.audience_id IS NOT NULL FOR NO KEY UPDATE OF c`, rows.Chunk.TaskID, rows.Chunk.No).
			Scan(&audienceID, &lo, &hi, &channel, nil); err != nil {
			return err
		}
		k := permitsOf(channel)
		fate := k.spend
		if r.Permit == PermitDied && channel == push.ChannelFormID {
			fate = k.die // one unit of a counter says nothing about the others
		}
		if err := s.db(ctx).QueryRow(ctx, resolveChunk(k, fate), audienceID, lo, hi, rows.Seqs, int16(r.State), int16(r.Reason), r.Note,
			rows.Chunk.TaskID, rows.Chunk.No).Scan(&resolved); err != nil || rows.Seqs == nil {
			return err
		}
		other, _ := s.db(ctx).Query(ctx, `
			SELECT seq, state FROM recipient WHERE audience_id = $1 AND seq >= $2 AND seq < $3 AND seq = ANY ($4) AND state <> $5 ORDER BY seq LIMIT 1`,
			audienceID, lo, hi, rows.Seqs, int16(r.State))
		var found push.Recipient
		_, err := pgx.ForEachRow(other, []any{&found.Seq, &found.State}, func() error { stuck = &found; return nil })
		return err
	})
	return resolved, stuck, wrap(err, "resolve rows of chunk %d/%d", rows.Chunk.TaskID, rows.Chunk.No)
}
