package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// Breaker is an app whose platform does not answer.
type Breaker struct {
	AppID int32
	// Reason is what the calls came to, in English, without anything personal.
	Reason string
	// Probes are the probes that got no answer.
	Probes int
	// ProbeTask is the task that makes the next call; 0 while none does. Probing says that it is sending.
	ProbeTask int64
	Probing   bool
	// DueAt is when the next probe is made, or the one under way given up; Due that this has passed.
	DueAt time.Time
	Due   bool
}

const breakerColumns = `app_id, reason, probes, coalesce(probe_task, 0),
	coalesce((SELECT t.state = 'sending' FROM task t WHERE t.id = breaker.probe_task), false), due_at, due_at <= clock_timestamp()`

// OpenBreaker opens the breaker of an app. It is false if it is open already.
func (s *Store) OpenBreaker(ctx context.Context, appID int32, reason string, wait time.Duration) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		INSERT INTO breaker (app_id, reason, due_at) VALUES ($1, $2, clock_timestamp() + $3::interval) ON CONFLICT (app_id) DO NOTHING`, appID, reason, wait)
	return tag.RowsAffected() == 1, wrap(err, "open breaker of app %d", appID)
}

// Breakers lists the open ones.
func (s *Store) Breakers(ctx context.Context) ([]Breaker, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+breakerColumns+` FROM breaker ORDER BY app_id`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Breaker])
	return list, wrap(err, "list breakers")
}

// LockBreaker reads the breaker of an app and locks it until the transaction ends; push.ErrNotFound if there is none. It is read once it
// is locked: a statement that had to wait for the lock would show the task that probes as it was before the wait.
func (s *Store) LockBreaker(ctx context.Context, appID int32) (Breaker, error) {
	return s.lockBreaker(ctx, `$1::bigint`, int64(appID))
}

// LockBreakerOf is LockBreaker for the app of a task; open is false if there is none.
func (s *Store) LockBreakerOf(ctx context.Context, task int64) (b Breaker, open bool, err error) {
	b, err = s.lockBreaker(ctx, `(SELECT app_id FROM task WHERE id = $1::bigint)`, task)
	if errors.Is(err, push.ErrNotFound) {
		return b, false, nil
	}
	return b, err == nil, err
}

func (s *Store) lockBreaker(ctx context.Context, app string, id int64) (b Breaker, err error) {
	if _, err := s.db(ctx).Exec(ctx, `SELECT `+boundTx+` FROM breaker WHERE app_id = `+app+` FOR UPDATE`, id); err != nil {
		return b, wrap(err, "lock breaker")
	}
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+breakerColumns+` FROM breaker WHERE app_id = `+app, id)
	b, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Breaker])
	return b, wrap(err, "read breaker")
}

// SetProbe writes who makes the next call (0: nobody yet), how many probes have failed, and when that is due or given up. The task
// begins with a canary. The caller has a transaction.
func (s *Store) SetProbe(ctx context.Context, appID int32, task int64, probes int, wait time.Duration) error {
	if _, err := s.db(ctx).Exec(ctx, `UPDATE task SET `+afresh+` WHERE id = $1`, task); err != nil {
		return wrap(err, "set probe of app %d", appID)
	}
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE breaker SET probe_task = nullif($2::bigint, 0), probes = $3, due_at = clock_timestamp() + $4::interval, updated_at = now() WHERE app_id = $1`,
		appID, task, probes, wait)
	return wrap(err, "set probe of app %d", appID)
}

// CloseBreaker removes the breaker of an app. It is false if there was none.
func (s *Store) CloseBreaker(ctx context.Context, appID int32) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `DELETE FROM breaker WHERE app_id = $1`, appID)
	return tag.RowsAffected() == 1, wrap(err, "close breaker of app %d", appID)
}

// BreakTasks pauses the tasks of an app that are sending, but for one (0: all), until its breaker closes, and renews the note of
// those that it has paused before. It returns those that were sending.
func (s *Store) BreakTasks(ctx context.Context, appID int32, but int64, note string) ([]int64, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE task t SET state = 'paused', causes = ARRAY['breaker'], breaker_heals = true, note = $3, updated_at = now(), `+afresh+`
		  FROM (SELECT id FROM task WHERE app_id = $1 AND state = 'sending' AND id <> $2 ORDER BY id FOR NO KEY UPDATE) s WHERE t.id = s.id RETURNING t.id`, appID, but, note)
	broken, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err == nil {
		_, err = s.db(ctx).Exec(ctx, `UPDATE task SET note = $2 WHERE app_id = $1 AND state = 'paused' AND breaker_heals AND note <> $2`, appID, note)
	}
	return broken, wrap(err, "pause tasks of app %d", appID)
}

// ProbeCandidate finds the task that is to make the next call: of those that only the breaker holds, the one that was touched least
// lately. waiting says that others are held by the breaker and something else; 0 and false that the breaker holds nobody.
func (s *Store) ProbeCandidate(ctx context.Context, appID int32) (id int64, waiting bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT coalesce((array_agg(id ORDER BY updated_at, id) FILTER (WHERE causes = ARRAY['breaker']))[1], 0), count(*) > 0
		  FROM task WHERE app_id = $1 AND state = 'paused' AND breaker_heals`, appID).Scan(&id, &waiting)
	return id, waiting, wrap(err, "find a task to probe app %d", appID)
}

// HealTasks takes the cause breaker out of the tasks of an app that its own breaker paused, and returns those whose pause ended with it.
// With only not 0 it does so for that task alone.
func (s *Store) HealTasks(ctx context.Context, appID int32, only int64) ([]int64, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE task t SET causes = array_remove(causes, 'breaker'), breaker_heals = false, updated_at = now(),
		       state = CASE WHEN causes = ARRAY['breaker'] THEN 'sending' ELSE 'paused' END,
		       note = CASE WHEN causes = ARRAY['breaker'] THEN '' ELSE note END
		  FROM (SELECT id FROM task WHERE app_id = $1 AND state = 'paused' AND breaker_heals AND ($2 = 0 OR id = $2) ORDER BY id FOR NO KEY UPDATE) s
		 WHERE t.id = s.id RETURNING t.id, t.state = 'sending'`, appID, only)
	var healed []int64
	var id int64
	var sending bool
	_, err := pgx.ForEachRow(rows, []any{&id, &sending}, func() error {
		if sending {
			healed = append(healed, id)
		}
		return nil
	})
	return healed, wrap(err, "resume tasks of app %d", appID)
}

// HoldTasks pauses the tasks of an app (0: of all) that are scheduled or under way with the cause restored: what was sent since the
// database was copied is not in it.
func (s *Store) HoldTasks(ctx context.Context, appID int32, note string) ([]int64, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE task SET state = 'paused', causes = causes || $2, note = $3, updated_at = now(), `+afresh+`
		 WHERE id = ANY (ARRAY(SELECT id FROM task WHERE ($1 = 0 OR app_id = $1) AND state IN ('scheduled', 'sending', 'paused') AND NOT $2 = ANY (causes)
		                        ORDER BY id FOR NO KEY UPDATE)) RETURNING id`, appID, string(push.CauseRestored), note)
	held, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return held, wrap(err, "hold tasks")
}
