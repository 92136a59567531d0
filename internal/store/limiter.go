package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// Slots are times at which calls of a task may start, over all daemons together: N of them, Gap apart, the first at First by
// the database's clock.
type Slots struct {
	First time.Time
	N     int
	Gap   time.Duration
	// Wait is how long to wait before asking again, where N is 0.
	Wait time.Duration
	// UsedUp says that the app's budget of the day is gone.
	UsedUp bool
	// Now is the database's clock.
	Now time.Time
}

// TakeSlots reserves at most want slots for a task, by the limits of its app and its own as they are now (function take_slots).
// unused gives back calls of a daily budget that were granted and not made.
func (s *Store) TakeSlots(ctx context.Context, appID int32, taskID int64, weight, want, unused int) (Slots, error) {
	var t Slots
	var first *time.Time
	var gap, wait float64
	err := s.db(ctx).QueryRow(ctx, `SELECT first, n, gap, wait, used_up, now FROM take_slots($1, $2, $3, $4, $5)`, appID, taskID, weight, want, unused).
		Scan(&first, &t.N, &gap, &wait, &t.UsedUp, &t.Now)
	if first != nil {
		t.First = *first
	}
	t.Gap, t.Wait = time.Duration(gap*float64(time.Second)), time.Duration(wait*float64(time.Second))
	return t, wrap(err, "take slots of task %d", taskID)
}

// SlowDown halves the rate of an app, over all daemons, because the platform asked for it. Where the app has no limit, observed is the
// rate that was too much. It is false if the rate was halved a moment ago: that answer came from a call made before.
func (s *Store) SlowDown(ctx context.Context, appID int32, observed float64) (rate float64, slowed bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		INSERT INTO limiter AS l (app_id, task_id, next_at, slow_rate, slow_base, slow_at)
		SELECT a.id, 0, clock_timestamp(), greatest(1, b.base / 2), b.base, clock_timestamp()
		  FROM app a CROSS JOIN LATERAL (SELECT CASE WHEN a.rate_per_second > 0 THEN a.rate_per_second ELSE greatest(1, $2::float8) END AS base) b WHERE a.id = $1
		ON CONFLICT (app_id, task_id) DO UPDATE SET slow_at = clock_timestamp(),
		       slow_base = CASE WHEN slowed_rate(0, l.slow_rate, l.slow_base, clock_timestamp() - l.slow_at) > 0 THEN l.slow_base ELSE excluded.slow_base END,
		       slow_rate = CASE WHEN slowed_rate(0, l.slow_rate, l.slow_base, clock_timestamp() - l.slow_at) > 0
		                        THEN greatest(1, slowed_rate(0, l.slow_rate, l.slow_base, clock_timestamp() - l.slow_at) / 2) ELSE excluded.slow_rate END
		 WHERE l.slow_at IS NULL OR l.slow_at < clock_timestamp() - interval '20 s'
		RETURNING slow_rate`, appID, observed).Scan(&rate)
	if isNoRows(err) {
		return 0, false, nil
	}
	return rate, err == nil, wrap(err, "slow app %d down", appID)
}

// TaskGate is what a daemon asks again and again about a task that it sends.
type TaskGate struct {
	// Open: the task is sending and its app is not paused.
	Open bool
	// Limited: a rate, a ramp or a budget bounds its calls, so that each needs a slot.
	Limited bool
	// Budgeted: each of its calls counts against a budget of the day.
	Budgeted bool
	// Probe: it tries with one call whether the app's quota is there again.
	Probe bool
	// Priority weighs it against the other tasks.
	Priority string
}

// TaskGates reads the gates of several tasks.
func (s *Store) TaskGates(ctx context.Context, ids []int64) (map[int64]TaskGate, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT t.id, t.state = 'sending' AND a.paused_at IS NULL,
		       a.daily_budget > 0 OR slowed_rate(a.rate_per_second, l.slow_rate, l.slow_base, clock_timestamp() - l.slow_at) > 0
		         OR ramped_rate(t.rate_per_second, a.rate_per_second, a.ramp_from, a.ramp_minutes, clock_timestamp() - t.started_at) > 0,
		       a.daily_budget > 0, coalesce(a.quota_probe_task = t.id, false), t.priority
		  FROM task t JOIN app a ON a.id = t.app_id LEFT JOIN limiter l ON l.app_id = a.id AND l.task_id = 0 WHERE t.id = ANY ($1)`, ids)
	gates := make(map[int64]TaskGate, len(ids))
	var id int64
	var g TaskGate
	_, err := pgx.ForEachRow(rows, []any{&id, &g.Open, &g.Limited, &g.Budgeted, &g.Probe, &g.Priority}, func() error { gates[id] = g; return nil })
	return gates, wrap(err, "gates of tasks")
}

// PurgeLimits forgets the limiter rows of tasks that have ended, and the days of budgets before the time given.
func (s *Store) PurgeLimits(ctx context.Context, before time.Time) error {
	if _, err := s.db(ctx).Exec(ctx, `
		DELETE FROM limiter l WHERE task_id <> 0 AND NOT EXISTS (SELECT FROM task t WHERE t.id = l.task_id AND t.state = ANY ($1))`,
		[]push.TaskState{push.TaskSending, push.TaskPaused}); err != nil {
		return wrap(err, "purge limiter")
	}
	_, err := s.db(ctx).Exec(ctx, `DELETE FROM app_day WHERE day < $1::date`, before.Format(time.DateOnly))
	return wrap(err, "purge budgets")
}
