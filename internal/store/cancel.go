package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// CanceledTasks lists canceled tasks that still have open chunks.
func (s *Store) CanceledTasks(ctx context.Context) ([]int64, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT DISTINCT c.task_id FROM chunk c JOIN task t ON t.id = c.task_id WHERE c.state <> 'done' AND t.state = 'canceled'`)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, wrap(err, "list canceled tasks")
}

// CancelChunk settles one chunk of a canceled task that no run holds: pending and waiting rows become skipped (canceled);
// ambiguous ones and those in doubt, for which no further call is made, become unknown and keep their permits. An openid of a dead run stays
// taken until nobody can still be calling it. more is false once there is no such chunk. It takes the chunk's lock first, as a run does.
func (s *Store) CancelChunk(ctx context.Context, taskID int64) (more bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		var no, lo, hi int32
		var audienceID int64
		rows, _ := s.db(ctx).Query(ctx, `
			SELECT c.no, c.lo, c.hi, t.audience_id FROM chunk c JOIN task t ON t.id = c.task_id
			 WHERE c.task_id = $1 AND t.state = 'canceled' AND c.state IN ('idle', 'queued')
			 ORDER BY c.no LIMIT 1 FOR UPDATE OF c SKIP LOCKED`, taskID)
		_, err := pgx.ForEachRow(rows, []any{&no, &lo, &hi, &audienceID}, func() error { more = true; return nil })
		if err != nil || !more {
			return err
		}
		_, err = s.db(ctx).Exec(ctx, `
			WITH over AS (`+letGo(`audience_id = $3 AND seq >= $4 AND seq < $5 AND free_at <= clock_timestamp()`)+`),
			gone AS (
			    UPDATE recipient SET state = CASE WHEN ambiguous OR in_doubt OR state = 1 THEN 5 ELSE 4 END,
			           reason = CASE WHEN ambiguous OR in_doubt OR state = 1 THEN 14 ELSE 7 END, retry_at = NULL, updated_at = clock_timestamp()
			     WHERE audience_id = $3 AND seq >= $4 AND seq < $5 AND state IN (0, 1, 6)
			    RETURNING state),
			n AS (SELECT count(*) FILTER (WHERE state = 4) AS skipped, count(*) FILTER (WHERE state = 5) AS unknown FROM gone)
			UPDATE chunk SET state = 'done', lease = lease + 1, pending = 0, waiting = 0, sending = 0, skipped = chunk.skipped + n.skipped,
			       unknown = chunk.unknown + n.unknown, updated_at = clock_timestamp(),
			       reasons = add_reasons(reasons, jsonb_strip_nulls(jsonb_build_object('7', nullif(n.skipped, 0), '14', nullif(n.unknown, 0))))
			  FROM n WHERE task_id = $1 AND no = $2`, taskID, no, audienceID, lo, hi)
		return err
	})
	return more, wrap(err, "cancel chunk of task %d", taskID)
}
