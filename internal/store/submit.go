package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// Each transition is one UPDATE that names the states it may start from, and says whether it was the one that moved the task.

// LockTask locks the row of a task against every other transition until the transaction ends, and returns its state.
func (s *Store) LockTask(ctx context.Context, id int64) (push.TaskState, error) {
	var state push.TaskState
	err := s.db(ctx).QueryRow(ctx, `SELECT state, `+boundTx+` FROM task WHERE id = $1 FOR NO KEY UPDATE`, id).Scan(&state, nil)
	return state, wrap(err, "task %d", id)
}

// FreezeTask writes the template and the product into the task as they are at send or schedule.
func (s *Store) FreezeTask(ctx context.Context, id int64, t push.Template, by string) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET channel = $2, template_name = $3, template_page = $4, template_fields = $5, sent_by = $6, updated_at = now()
		 WHERE id = $1`, id, t.Channel, t.Name, t.Page, t.Fields, by)
	return wrap(err, "freeze task %d", id)
}

// SubmitTask moves a task that has not begun to sending (at nil) or scheduled. It is false if the task is in none of the
// states from: the compare-and-set of invariant 1.
func (s *Store) SubmitTask(ctx context.Context, id int64, from []push.TaskState, at *time.Time) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = CASE WHEN $3::timestamptz IS NULL THEN 'sending' ELSE 'scheduled' END, start_at = $3,
		       started_at = CASE WHEN $3::timestamptz IS NULL THEN clock_timestamp() END,
		       note = '', updated_at = now()
		 WHERE id = $1 AND state = ANY ($2)`, id, from, at)
	return tag.RowsAffected() == 1, wrap(err, "submit task %d", id)
}

// UnscheduleTask makes a scheduled task a draft again.
func (s *Store) UnscheduleTask(ctx context.Context, id int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'draft', start_at = NULL, channel = NULL, template_name = NULL,
		       template_page = NULL, template_fields = NULL, sent_by = NULL, updated_at = now()
		 WHERE id = $1 AND state = 'scheduled'`, id)
	return tag.RowsAffected() == 1, wrap(err, "unschedule task %d", id)
}

// DueTask is a scheduled task whose time has come.
type DueTask struct {
	ID int64
	// Late is how long its time has passed.
	Late time.Duration
	// Overdue says that not_after has passed as well.
	Overdue bool
	Misfire string
}

// LockDueTasks locks scheduled tasks whose time has come, those that no other daemon holds, the earliest first.
func (s *Store) LockDueTasks(ctx context.Context, limit int) ([]DueTask, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT id, extract(epoch FROM clock_timestamp() - start_at)::float8, coalesce(not_after <= clock_timestamp(), false), misfire
		  FROM task WHERE state = 'scheduled' AND start_at <= clock_timestamp()
		 ORDER BY start_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED`, limit)
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (DueTask, error) {
		var d DueTask
		var late float64
		err := row.Scan(&d.ID, &late, &d.Overdue, &d.Misfire)
		d.Late = time.Duration(late * float64(time.Second))
		return d, err
	})
	return due, wrap(err, "lock due tasks")
}

// NextDue says how long it is until the next scheduled task's time; false if none is scheduled.
func (s *Store) NextDue(ctx context.Context) (time.Duration, bool, error) {
	var seconds *float64
	err := s.db(ctx).QueryRow(ctx, `
		SELECT extract(epoch FROM min(start_at) - clock_timestamp())::float8 FROM task WHERE state = 'scheduled'`).Scan(&seconds)
	if err != nil || seconds == nil {
		return 0, false, wrap(err, "next due task")
	}
	return time.Duration(*seconds * float64(time.Second)), true, nil
}

// BeginTask moves a scheduled task whose time has come to sending.
func (s *Store) BeginTask(ctx context.Context, id int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'sending', started_at = clock_timestamp(), updated_at = now()
		 WHERE id = $1 AND state = 'scheduled' AND start_at <= clock_timestamp()`, id)
	return tag.RowsAffected() == 1, wrap(err, "begin task %d", id)
}

// MissTask moves a scheduled task to missed.
func (s *Store) MissTask(ctx context.Context, id int64, note string) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'missed', note = $2, updated_at = now()
		 WHERE id = $1 AND state = 'scheduled'`, id, note)
	return tag.RowsAffected() == 1, wrap(err, "miss task %d", id)
}

// afresh, in an UPDATE of task, makes its next calls a canary again.
const afresh = `canary_passed_at = NULL, canary_calls = 0, canary_sent = 0, canary_refused = 0, canary_unpermitted = 0`

// PauseTask adds a cause to a task that is sending or paused. It is false if the task is in neither state. What a breaker paused is
// started anew with a canary; the cause goes only with a person's resume, whatever the app's own breaker says.
func (s *Store) PauseTask(ctx context.Context, id int64, cause push.Cause, note string) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'paused', causes = CASE WHEN $2 = ANY (causes) THEN causes ELSE causes || $2 END,
		       note = CASE WHEN $3 = '' THEN note ELSE $3 END, breaker_heals = breaker_heals AND $2 <> 'breaker', updated_at = now(),
		       canary_passed_at = CASE WHEN $2 <> 'breaker' THEN canary_passed_at END, canary_calls = CASE WHEN $2 = 'breaker' THEN 0 ELSE canary_calls END,
		       canary_sent = CASE WHEN $2 = 'breaker' THEN 0 ELSE canary_sent END, canary_refused = CASE WHEN $2 = 'breaker' THEN 0 ELSE canary_refused END,
		       canary_unpermitted = CASE WHEN $2 = 'breaker' THEN 0 ELSE canary_unpermitted END
		 WHERE id = $1 AND state IN ('sending', 'paused')`, id, string(cause), note)
	return tag.RowsAffected() == 1, wrap(err, "pause task %d", id)
}

// ResumeTask takes causes out of a paused task's set; the pause ends when the set is empty, and a task that had not begun is then
// scheduled as before. To take out product_changed is to accept the change.
func (s *Store) ResumeTask(ctx context.Context, id int64, causes []push.Cause) (resumed bool, err error) {
	// Computed of the row as it is once it is locked: a cause that was added meanwhile must stay.
	const rest = `ARRAY(SELECT unnest(task.causes) EXCEPT SELECT unnest($2::text[]))`
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET causes = `+rest+`, updated_at = now(),
		       state = CASE WHEN `+rest+` <> '{}' THEN 'paused' WHEN started_at IS NULL THEN 'scheduled' ELSE 'sending' END,
		       note = CASE WHEN `+rest+` <> '{}' THEN note ELSE '' END,
		       breaker_heals = breaker_heals AND 'breaker' = ANY (`+rest+`),
		       on_price_change = CASE WHEN 'product_changed' = ANY ($2::text[]) AND 'product_changed' = ANY (causes) THEN 'accept' ELSE on_price_change END
		 WHERE id = $1 AND state = 'paused'`, id, causes)
	return tag.RowsAffected() == 1, wrap(err, "resume task %d", id)
}

// PauseTasksOfApp adds a cause to all tasks of an app that are under way.
func (s *Store) PauseTasksOfApp(ctx context.Context, appID int32, cause push.Cause) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'paused', causes = causes || $2, updated_at = now()
		 WHERE id = ANY (ARRAY(SELECT id FROM task WHERE app_id = $1 AND state IN ('sending', 'paused') AND NOT $2 = ANY (causes) ORDER BY id FOR NO KEY UPDATE))`, appID, string(cause))
	return wrap(err, "pause tasks of app %d", appID)
}

// ResumeTasksOfApp takes a cause out of all tasks of an app, and returns those whose pause ended with it.
func (s *Store) ResumeTasksOfApp(ctx context.Context, appID int32, cause push.Cause) ([]int64, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE task SET causes = array_remove(causes, $2), updated_at = now(),
		       state = CASE WHEN cardinality(array_remove(causes, $2)) > 0 THEN 'paused' WHEN started_at IS NULL THEN 'scheduled' ELSE 'sending' END
		 WHERE id = ANY (ARRAY(SELECT id FROM task WHERE app_id = $1 AND state = 'paused' AND $2 = ANY (causes) ORDER BY id FOR NO KEY UPDATE))
		RETURNING id, state = 'sending'`, appID, string(cause))
	var resumed []int64
	var id int64
	var sending bool
	_, err := pgx.ForEachRow(rows, []any{&id, &sending}, func() error {
		if sending {
			resumed = append(resumed, id)
		}
		return nil
	})
	return resumed, wrap(err, "resume tasks of app %d", appID)
}

// CancelTask ends a task for good. Its open recipients are settled by [Store.CancelChunk].
func (s *Store) CancelTask(ctx context.Context, id int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'canceled', causes = '{}', breaker_heals = false, ended_at = clock_timestamp(), updated_at = now()
		 WHERE id = $1 AND state IN ('scheduled', 'sending', 'paused')`, id)
	return tag.RowsAffected() == 1, wrap(err, "cancel task %d", id)
}

// SettleTask moves a planned task with no open recipient to done. The caller holds its lock ([Store.LockTask]), taken before
// the chunks are looked at: two last chunks that end together would each see the other one open.
func (s *Store) SettleTask(ctx context.Context, id int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'done', causes = '{}', breaker_heals = false, ended_at = clock_timestamp(), updated_at = now()
		 WHERE id = $1 AND state IN ('sending', 'paused') AND planned_at IS NOT NULL
		   AND NOT EXISTS (SELECT FROM chunk WHERE task_id = $1 AND state <> 'done')`, id)
	return tag.RowsAffected() == 1, wrap(err, "settle task %d", id)
}

// StartJob finds the start job of a task in the job table; 0 if there is none.
func (s *Store) StartJob(ctx context.Context, taskID int64) (int64, error) {
	var id int64
	err := s.db(ctx).QueryRow(ctx, `
		SELECT coalesce(max(id), 0) FROM river.river_job WHERE kind = 'start_task' AND args @> jsonb_build_object('task_id', $1::bigint)`, taskID).Scan(&id)
	return id, wrap(err, "find start job of task %d", taskID)
}
