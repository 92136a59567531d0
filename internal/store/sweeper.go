package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// lockSweeper is the first key of the advisory lock that keeps a sweeper to one daemon at a time; the hash of its name is the second.
const lockSweeper = 0x6d70_0003

// lockFill is the first key of the advisory lock of whoever plans a task; the task's id, folded, is the second.
const lockFill = 0x6d70_0004

// Sweeper says when a sweeper last ran anywhere.
type Sweeper struct {
	Name          string
	LastStartedAt time.Time
	LastSuccessAt *time.Time
	LastError     string
}

// Sweep runs fn unless the sweeper of that name runs elsewhere, and notes its success or its error. ran is false if it was not run.
func (s *Store) Sweep(ctx context.Context, name string, fn func(ctx context.Context) error) (ran bool, err error) {
	ran, err = s.alone(ctx, `SELECT pg_try_advisory_xact_lock($1, hashtext($2))`, lockSweeper, name, fn)
	if !ran {
		return false, wrap(err, "sweep %s", name)
	}
	noted := s.NoteSweep(ctx, name, err)
	if err == nil {
		err = noted
	}
	return true, wrap(err, "sweep %s", name)
}

// NoteSweep notes that a sweeper ran, and its error if it failed.
func (s *Store) NoteSweep(ctx context.Context, name string, failed error) error {
	text := ""
	if failed != nil {
		text = failed.Error()
	}
	_, err := s.db(ctx).Exec(ctx, `
		INSERT INTO sweeper (name, last_success_at, last_error, last_error_at)
		VALUES ($1, CASE WHEN $2 = '' THEN clock_timestamp() END, $2, CASE WHEN $2 <> '' THEN clock_timestamp() END)
		ON CONFLICT (name) DO UPDATE SET last_started_at = clock_timestamp(), last_success_at = coalesce(excluded.last_success_at, sweeper.last_success_at),
		       last_error = excluded.last_error, last_error_at = coalesce(excluded.last_error_at, sweeper.last_error_at)`, name, text)
	return wrap(err, "note sweep of %s", name)
}

// PlanAlone runs fn unless someone plans the task elsewhere.
//
// At most maxPlans run at a time, whatever waits: each holds a connection while fn needs another.
func (s *Store) PlanAlone(ctx context.Context, taskID int64, fn func(ctx context.Context) error) (ran bool, err error) {
	select {
	case s.plans <- struct{}{}:
		defer func() { <-s.plans }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return s.alone(ctx, `SELECT pg_try_advisory_xact_lock($1, hashint8($2))`, lockFill, taskID, fn)
}

// aloneSays is how often the transaction that holds a lock of alone says that its process lives.
const aloneSays = time.Second

// alone runs fn while a transaction of its own, which does nothing else, holds a lock. It goes when the process dies, and within
// seconds when it freezes or its machine is gone: the transaction ends unless it is heard of ([boundTx]). A pooler keeps it on one
// connection. fn must not join that transaction: what it does is committed as it goes. Its context ends if the lock is lost.
func (s *Store) alone(ctx context.Context, lock string, class int, key any, fn func(ctx context.Context) error) (ran bool, err error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = tx.Rollback(end) // there is nothing to lose
	}()
	if err := tx.QueryRow(ctx, lock+`, `+boundTx, class, key).Scan(&ran, nil); err != nil || !ran {
		return false, err
	}
	working, stop := context.WithCancelCause(ctx)
	var saying sync.WaitGroup
	saying.Go(func() { stop(say(working, tx)) })
	err = fn(working)
	if lost := context.Cause(working); err != nil && lost != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w (%w)", err, lost)
	}
	stop(nil)
	saying.Wait()
	return true, err
}

// say keeps tx from idling until ctx ends, or the transaction has.
func say(ctx context.Context, tx pgx.Tx) error {
	tick := time.NewTicker(aloneSays)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if _, err := tx.Exec(ctx, `SELECT`); err != nil && ctx.Err() == nil {
				return fmt.Errorf("the lock was lost: %w", err)
			}
		}
	}
}

// Sweepers lists when each sweeper last ran.
func (s *Store) Sweepers(ctx context.Context) ([]Sweeper, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT name, last_started_at, last_success_at, last_error FROM sweeper ORDER BY name`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Sweeper])
	return list, wrap(err, "list sweepers")
}

// LastSuccess says when a sweeper last succeeded; the zero time if never.
func (s *Store) LastSuccess(ctx context.Context, name string) (time.Time, error) {
	var at *time.Time
	err := s.db(ctx).QueryRow(ctx, `SELECT last_success_at FROM sweeper WHERE name = $1`, name).Scan(&at)
	if isNoRows(err) || err == nil && at == nil {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, wrap(err, "last success of %s", name)
	}
	return *at, nil
}

// OpenTask is a task that has work to hand out.
type OpenTask struct {
	ID int64
	// Planned is false while its chunks are still to be made.
	Planned bool
	// Live are its chunks queued or running, Idle those that could be queued now, Open all that are not done.
	Live, Idle, Open int
	StartedAgo       time.Duration
}

// OpenTasks lists the tasks that are sending, and the paused ones that have no open chunk left.
func (s *Store) OpenTasks(ctx context.Context) ([]OpenTask, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT t.id, t.planned_at IS NOT NULL, c.live, c.idle, c.open, coalesce(extract(epoch FROM clock_timestamp() - t.started_at), 0)::float8
		  FROM task t
		  CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state <> 'idle')::int AS live, count(*)::int AS open,
		       count(*) FILTER (WHERE `+dueChunk+`)::int AS idle
		       FROM chunk WHERE task_id = t.id AND state <> 'done') c
		 WHERE t.state = 'sending' OR t.state = 'paused' AND t.planned_at IS NOT NULL AND c.open = 0
		 ORDER BY t.id`)
	tasks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (OpenTask, error) {
		var t OpenTask
		var ago float64
		err := row.Scan(&t.ID, &t.Planned, &t.Live, &t.Idle, &t.Open, &ago)
		t.StartedAgo = time.Duration(ago * float64(time.Second))
		return t, err
	})
	return tasks, wrap(err, "list open tasks")
}

// CountRecipients counts the recipients of all tasks by state, from the chunks.
func (s *Store) CountRecipients(ctx context.Context) (map[push.RecipientState]int64, error) {
	var n [7]int64
	err := s.db(ctx).QueryRow(ctx, `
		SELECT coalesce(sum(pending), 0)::bigint, coalesce(sum(sending), 0)::bigint, coalesce(sum(sent), 0)::bigint, coalesce(sum(failed), 0)::bigint,
		       coalesce(sum(skipped), 0)::bigint, coalesce(sum(unknown), 0)::bigint, coalesce(sum(waiting), 0)::bigint FROM chunk`).
		Scan(&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6])
	counts := map[push.RecipientState]int64{}
	for i, c := range n {
		counts[push.RecipientState(i)] = c
	}
	return counts, wrap(err, "count recipients")
}

// PermitCount is how many messages an app may send, or has sent, by a channel and the state of the permit. Of formIds "expired" are those
// that the cron entry has yet to remove; of subscriptions "suspect" are units set aside, and "long_term" people who accept for good.
type PermitCount struct {
	App     string
	Channel push.Channel
	State   string
	Count   int64
}

// CountPermits counts permits by app, channel and state, in one pass over each table.
func (s *Store) CountPermits(ctx context.Context) ([]PermitCount, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT a.key, 'form_id', CASE WHEN f.expired THEN 'expired' ELSE (ARRAY['available', 'reserved', 'used', 'invalid'])[f.state + 1] END, f.n
		  FROM (SELECT app_id, state, state = 0 AND expires_at <= now() AS expired, count(*) AS n FROM form_id GROUP BY 1, 2, 3) f JOIN app a ON a.id = f.app_id
		UNION ALL
		SELECT a.key, 'subscribe', state.name, state.n
		  FROM (SELECT app_id, sum(available) FILTER (WHERE NOT long_term) AS available, sum(reserved) AS reserved, sum(suspect) AS suspect,
		               sum(used)::bigint AS used, count(*) FILTER (WHERE long_term AND available > 0) AS long_term
		          FROM subscription GROUP BY 1) s JOIN app a ON a.id = s.app_id,
		       LATERAL (VALUES ('available', s.available), ('reserved', s.reserved), ('suspect', s.suspect), ('used', s.used), ('long_term', s.long_term)) state (name, n)
		 WHERE state.n > 0 ORDER BY 1, 2, 3`)
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PermitCount])
	return counts, wrap(err, "count permits")
}

// PausedQueues lists the queues that a person has paused in the pages of the job table: their jobs wait.
func (s *Store) PausedQueues(ctx context.Context) ([]string, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT name FROM river.river_queue WHERE paused_at IS NOT NULL ORDER BY name`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, wrap(err, "list paused queues")
}

// QueueDepth is how many jobs of a kind are in a state, and how long the oldest has been due.
type QueueDepth struct {
	Kind   string
	State  string
	Count  int64
	Oldest time.Duration
}

// QueueDepth counts the jobs that are not finished.
func (s *Store) QueueDepth(ctx context.Context) ([]QueueDepth, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT kind, state::text, count(*), greatest(extract(epoch FROM now() - min(scheduled_at)), 0)::float8 FROM river.river_job
		 WHERE state IN ('available', 'running', 'retryable', 'scheduled') GROUP BY 1, 2 ORDER BY 1, 2`)
	depths, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (QueueDepth, error) {
		var d QueueDepth
		var oldest float64
		err := row.Scan(&d.Kind, &d.State, &d.Count, &oldest)
		d.Oldest = time.Duration(oldest * float64(time.Second))
		return d, err
	})
	return depths, wrap(err, "queue depth")
}
