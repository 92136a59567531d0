package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

const scheduleSelect = `
	SELECT s.id, s.app_id, a.key, s.name, s.cron, s.time_zone, s.list_id, coalesce(l.name, ''), s.task, s.next_at, s.note, s.created_by, s.enabled_by,
	       s.created_at, s.updated_at
	  FROM schedule s JOIN app a ON a.id = s.app_id LEFT JOIN saved_list l ON l.id = s.list_id`

func scanSchedule(row pgx.CollectableRow) (push.Schedule, error) {
	var s push.Schedule
	var app, list string
	err := row.Scan(&s.ID, &s.AppID, &app, &s.Name, &s.Cron, &s.TimeZone, &s.ListID, &list, &s.TaskSpec, &s.NextAt, &s.Note, &s.CreatedBy, &s.EnabledBy,
		&s.CreatedAt, &s.UpdatedAt)
	s.App, s.List, s.Enabled = app, list, s.NextAt != nil
	return s, err
}

// InsertSchedule adds a schedule that is paused. listID is its saved list; nil where it has none.
func (s *Store) InsertSchedule(ctx context.Context, appID int32, spec push.ScheduleSpec, listID *int64, by string) (int64, error) {
	var id int64
	err := s.db(ctx).QueryRow(ctx, `
		INSERT INTO schedule (app_id, name, cron, time_zone, list_id, task, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		appID, spec.Name, spec.Cron, spec.TimeZone, listID, spec.TaskSpec, by).Scan(&id)
	return id, wrap(scheduleNameTaken(err), "insert schedule")
}

// UpdateSchedule rewrites what a person decides about a schedule. It is false if the schedule runs.
func (s *Store) UpdateSchedule(ctx context.Context, id int64, spec push.ScheduleSpec, listID *int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE schedule SET name = $2, cron = $3, time_zone = $4, list_id = $5, task = $6, updated_at = now() WHERE id = $1 AND next_at IS NULL`,
		id, spec.Name, spec.Cron, spec.TimeZone, listID, spec.TaskSpec)
	return tag.RowsAffected() == 1, wrap(scheduleNameTaken(err), "update schedule %d", id)
}

func scheduleNameTaken(err error) error {
	if violates(err, "schedule_name_unique") {
		return &push.InvalidError{Field: "name", Rule: "taken", Message: "is the name of another schedule of this app"}
	}
	return err
}

// EnableSchedule lets a schedule run from its next tick on. It is false if it runs already.
func (s *Store) EnableSchedule(ctx context.Context, id int64, next time.Time, by string) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE schedule SET next_at = $2, enabled_by = $3, note = '', updated_at = now() WHERE id = $1 AND next_at IS NULL`, id, next, by)
	return tag.RowsAffected() == 1, wrap(err, "enable schedule %d", id)
}

// DisableSchedule pauses a schedule; note says why, where it was no person. It is false if it does not run.
func (s *Store) DisableSchedule(ctx context.Context, id int64, note string) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE schedule SET next_at = NULL, note = $2, updated_at = now() WHERE id = $1 AND next_at IS NOT NULL`, id, note)
	return tag.RowsAffected() == 1, wrap(err, "disable schedule %d", id)
}

// DeleteSchedule removes a schedule with its ticks; their tasks stay. It is false if the schedule runs.
func (s *Store) DeleteSchedule(ctx context.Context, id int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `DELETE FROM schedule WHERE id = $1 AND next_at IS NULL`, id)
	return tag.RowsAffected() == 1, wrap(err, "delete schedule %d", id)
}

// LockSchedule locks a schedule against its ticks and other changes until the transaction ends.
func (s *Store) LockSchedule(ctx context.Context, id int64) (push.Schedule, error) {
	if _, err := s.db(ctx).Exec(ctx, `SELECT FROM schedule WHERE id = $1 FOR UPDATE`, id); err != nil {
		return push.Schedule{}, wrap(err, "lock schedule %d", id)
	}
	return s.Schedule(ctx, id) // after the lock, so that what it names is found
}

// Schedule reads a schedule.
func (s *Store) Schedule(ctx context.Context, id int64) (push.Schedule, error) {
	return s.schedule(ctx, ` WHERE s.id = $1`, id)
}

func (s *Store) schedule(ctx context.Context, where string, id int64) (push.Schedule, error) {
	rows, _ := s.db(ctx).Query(ctx, scheduleSelect+where, id)
	found, err := pgx.CollectExactlyOneRow(rows, scanSchedule)
	return found, wrap(err, "schedule %d", id)
}

// Schedules lists the schedules of some apps (nil is all) by id, after the one given.
func (s *Store) Schedules(ctx context.Context, appIDs []int32, after int64, limit int) ([]push.Schedule, error) {
	rows, _ := s.db(ctx).Query(ctx, scheduleSelect+`
		 WHERE ($1::int[] IS NULL OR s.app_id = ANY ($1)) AND s.id > $2 ORDER BY s.id LIMIT $3`, appIDs, after, limit)
	list, err := pgx.CollectRows(rows, scanSchedule)
	return list, wrap(err, "list schedules")
}

// ScheduleDue says whether some schedule is due.
func (s *Store) ScheduleDue(ctx context.Context, ahead time.Duration) (due bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `SELECT EXISTS (SELECT FROM schedule WHERE next_at <= clock_timestamp() + $1::interval)`, ahead).Scan(&due)
	return due, wrap(err, "look for a due schedule")
}

// LockDueSchedule locks the schedule that has been due the longest, of those that no other daemon holds and that are not in except,
// and tells the database's time. push.ErrNotFound if there is none. A daemon that freezes while it holds one lets it go after 5 s.
func (s *Store) LockDueSchedule(ctx context.Context, ahead time.Duration, except []int64) (push.Schedule, time.Time, error) {
	var now time.Time
	if err := s.db(ctx).QueryRow(ctx, `SELECT clock_timestamp() + $1::interval, `+boundTx, ahead).Scan(&now, nil); err != nil {
		return push.Schedule{}, now, wrap(err, "lock due schedule")
	}
	rows, _ := s.db(ctx).Query(ctx, scheduleSelect+`
		 WHERE s.next_at <= $1 AND s.id <> ALL ($2) ORDER BY s.next_at, s.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED`, now, except)
	found, err := pgx.CollectExactlyOneRow(rows, scanSchedule)
	return found, now, wrap(err, "lock due schedule")
}

// MoveSchedule notes the first tick that is still to come.
func (s *Store) MoveSchedule(ctx context.Context, id int64, next time.Time) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE schedule SET next_at = $2 WHERE id = $1`, id, next)
	return wrap(err, "move schedule %d", id)
}

// AddTick notes a tick as missed, until [Store.CloseTick] says otherwise. It is false if the tick was noted before: each one is dealt
// with once.
func (s *Store) AddTick(ctx context.Context, scheduleID int64, tick string, at time.Time, note string) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		INSERT INTO schedule_tick (schedule_id, tick, at, note) VALUES ($1, $2, $3, $4) ON CONFLICT (schedule_id, tick) DO NOTHING`,
		scheduleID, tick, at, note)
	return tag.RowsAffected() == 1, wrap(err, "add tick of schedule %d", scheduleID)
}

// CloseTick writes what became of a tick.
func (s *Store) CloseTick(ctx context.Context, scheduleID int64, t push.ScheduleTick) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE schedule_tick SET outcome = $3, task_id = $4, code = $5, note = $6, updated_at = now() WHERE schedule_id = $1 AND tick = $2`,
		scheduleID, t.Tick, t.Outcome, t.TaskID, t.Code, t.Note)
	return wrap(err, "close tick of schedule %d", scheduleID)
}

// TickPlace is where a page of ticks ends.
type TickPlace struct {
	At   time.Time
	Tick string
}

// Ticks lists what became of the ticks of a schedule, the newest first, from before the place given; nil starts at the newest.
func (s *Store) Ticks(ctx context.Context, scheduleID int64, before *TickPlace, limit int) ([]push.ScheduleTick, error) {
	var at *time.Time
	var tick *string
	if before != nil {
		at, tick = &before.At, &before.Tick
	}
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT tick, at, outcome, task_id, code, note, created_at, updated_at FROM schedule_tick
		 WHERE schedule_id = $1 AND ($2::timestamptz IS NULL OR (at, tick) < ($2::timestamptz, $3::text))
		 ORDER BY at DESC, tick DESC LIMIT $4`, scheduleID, at, tick, limit)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[push.ScheduleTick])
	return list, wrap(err, "list ticks of schedule %d", scheduleID)
}

// PurgeTicks removes at most limit ticks that were dealt with before the time given.
func (s *Store) PurgeTicks(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM schedule_tick WHERE ctid = ANY (ARRAY(SELECT ctid FROM schedule_tick WHERE updated_at < $1 LIMIT $2))`, before, limit)
	return int(tag.RowsAffected()), wrap(err, "purge ticks")
}
