package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// A waiting row is woken by whoever finds that its user has a usable permit, or that the task's time is over: it becomes pending,
// and the claim decides. Two ways lead there. Who takes a permit in looks the user up in the lists that wait ([Store.WaitingOf]):
// quick, but a row that a claim makes waiting at that very moment is missed. The sweep ([Store.NextWaiting]) goes round all rows that
// wait, a bounded number at a time, and misses none.

// waits says whether run's task still waits for permits, by the database's clock.
func (s *Store) waits(ctx context.Context, run Run) (waits bool, err error) {
	if !run.Waits {
		return false, nil
	}
	err = s.db(ctx).QueryRow(ctx, `SELECT coalesce(wait_for_permit_until > clock_timestamp(), false) FROM task WHERE id = $1`, run.TaskID).Scan(&waits)
	return waits, err
}

// ChunkRows are rows of one chunk.
type ChunkRows struct {
	Chunk ChunkKey
	Seqs  []int32
}

// WaitingOf finds the rows of users that wait in tasks of an app which are sending, by chunk. It costs one probe where no task waits.
func (s *Store) WaitingOf(ctx context.Context, appID int32, users []string) ([]ChunkRows, error) {
	var some bool
	err := s.db(ctx).QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM task WHERE app_id = $1 AND state = 'sending' AND wait_for_permit_until IS NOT NULL)`, appID).Scan(&some)
	if err != nil || !some {
		return nil, wrap(err, "look for tasks that wait")
	}
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT t.id, (r.seq / t.chunk_size)::int AS no, array_agg(r.seq ORDER BY r.seq)
		  FROM task t
		 CROSS JOIN LATERAL (SELECT DISTINCT n.user_id FROM unnest($2::text[]) AS n(user_id)) u
		 CROSS JOIN LATERAL (SELECT r.seq, r.state FROM recipient r WHERE `+userInList("r", "u.user_id", "t.audience_id")+` LIMIT 1) r
		 WHERE t.app_id = $1 AND t.state = 'sending' AND t.wait_for_permit_until IS NOT NULL AND t.planned_at IS NOT NULL AND r.state = 6
		 GROUP BY 1, 2 ORDER BY 1, 2`, appID, users)
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w ChunkRows, err error) {
		return w, row.Scan(&w.Chunk.TaskID, &w.Chunk.No, &w.Seqs)
	})
	return found, wrap(err, "find waiting rows")
}

// usablePermit probes for one permit of a channel that the user of row r could be sent with, as permits.there does.
func usablePermit(channel, appID, userID, template, margin string) string {
	of := func(c push.Channel) string {
		k := permitsOf(c)
		return `(SELECT true AS there FROM ` + k.table + ` f
		    CROSS JOIN LATERAL (SELECT u.openid FROM app_user u WHERE u.app_id = ` + appID + ` AND u.user_id = ` + userID + ` LIMIT 1) u
		    WHERE ` + channel + ` = '` + string(c) + `' AND ` + k.usable(appID, userID, "u.openid", template, "now()", margin) + ` LIMIT 1)`
	}
	return `LEFT JOIN LATERAL (` + of(push.ChannelFormID) + ` UNION ALL ` + of(push.ChannelSubscribe) + `) f ON true`
}

// NextWaiting looks at the next chunks, at most limit, after the one given, in which rows wait, and returns those with a row to
// wake. last is the last chunk looked at; the zero ChunkKey once there are no more.
func (s *Store) NextWaiting(ctx context.Context, after ChunkKey, limit int, margin time.Duration) (wake []ChunkKey, last ChunkKey, err error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT c.task_id, c.no, w.there IS NOT NULL
		  FROM (SELECT c.task_id, c.no, c.lo, c.hi, t.audience_id, t.app_id, t.channel, t.template_id, t.wait_for_permit_until <= clock_timestamp() AS over
		          FROM task t JOIN chunk c ON c.task_id = t.id
		         WHERE t.state = 'sending' AND t.wait_for_permit_until IS NOT NULL AND c.state <> 'done' AND c.waiting > 0
		           AND (c.task_id, c.no) > ($1::bigint, $2::int)
		         ORDER BY c.task_id, c.no LIMIT $3) c
		  LEFT JOIN LATERAL (
		       SELECT true AS there FROM recipient r `+usablePermit("c.channel", "c.app_id", "r.user_id", "c.template_id", "$4")+`
		        WHERE r.audience_id = c.audience_id AND r.seq >= c.lo AND r.seq < c.hi AND r.state = 6 AND (c.over OR f.there) LIMIT 1) w ON true
		 ORDER BY c.task_id, c.no`, after.TaskID, after.No, limit, margin)
	var seen int
	var found bool
	_, err = pgx.ForEachRow(rows, []any{&last.TaskID, &last.No, &found}, func() error {
		if seen++; found {
			wake = append(wake, last)
		}
		return nil
	})
	if seen < limit {
		last = ChunkKey{}
	}
	return wake, last, wrap(err, "look at waiting rows")
}

// WakeChunk makes rows of a chunk of a task that is sending pending that wait and whose user has a usable permit, or whose task
// waits no longer, and the chunk due with them. seqs narrows to these rows; nil is all. It takes the chunk's lock first, as a run
// does; a chunk that somebody holds at the moment is left for the next time.
func (s *Store) WakeChunk(ctx context.Context, key ChunkKey, seqs []int32, margin time.Duration) (woken int, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		var audienceID int64
		var appID, lo, hi int32
		var over, held bool
		var channel push.Channel
		var template string
		rows, _ := s.db(ctx).Query(ctx, `
			SELECT t.audience_id, t.app_id, t.channel, t.template_id, c.lo, c.hi, coalesce(t.wait_for_permit_until <= clock_timestamp(), true), `+boundTx+` IS NOT NULL
			  FROM chunk c JOIN task t ON t.id = c.task_id
			 WHERE c.task_id = $1 AND c.no = $2 AND c.waiting > 0 AND t.state = 'sending' FOR NO KEY UPDATE OF c SKIP LOCKED`, key.TaskID, key.No)
		if _, err := pgx.ForEachRow(rows, []any{&audienceID, &appID, &channel, &template, &lo, &hi, &over, &held}, func() error { return nil }); err != nil || !held {
			return err
		}
		if seqs != nil {
			lo, hi = seqs[0], seqs[len(seqs)-1]+1
		}
		return s.db(ctx).QueryRow(ctx, `
			WITH p AS MATERIALIZED (
			    SELECT r.ctid AS rid FROM recipient r `+usablePermit("$10::text", "$4", "r.user_id", "$11", "$5")+`
			     WHERE r.audience_id = $1 AND r.seq >= $2 AND r.seq < $3 AND r.state = 6 AND ($7::int[] IS NULL OR r.seq = ANY ($7)) AND ($6 OR f.there)),
			woken AS (UPDATE recipient x SET state = 0, retry_at = NULL, updated_at = clock_timestamp() FROM p WHERE x.ctid = p.rid RETURNING 1),
			n AS (SELECT count(*)::int AS n FROM woken),
			counted AS (
			    UPDATE chunk SET waiting = waiting - n.n, pending = pending + n.n, not_before = NULL, updated_at = clock_timestamp()
			      FROM n WHERE task_id = $8 AND no = $9 AND n.n > 0)
			SELECT n FROM n`, audienceID, lo, hi, appID, margin, over, seqs, key.TaskID, key.No, channel, template).Scan(&woken)
	})
	return woken, wrap(err, "wake rows of chunk %d/%d", key.TaskID, key.No)
}
