package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"minipush/internal/cronspec"
	"minipush/internal/push"
)

// nextRuns is how many run times a schedule shows.
const nextRuns = 5

// CreateSchedule makes a schedule that is paused. Everything is checked as for a task; the product must be on the shelf.
func (d *Dispatcher) CreateSchedule(ctx context.Context, actor string, spec push.ScheduleSpec) (push.Schedule, error) {
	spec.Normalize(d.cfg.Location)
	app, err := d.st.App(ctx, spec.App)
	if err != nil {
		return push.Schedule{}, err
	}
	listID, err := d.checkSchedule(ctx, app.ID, spec)
	if err != nil {
		return push.Schedule{}, err
	}
	if err := checkEnd(spec.TaskSpec, time.Now()); err != nil {
		return push.Schedule{}, err
	}
	id, err := d.st.InsertSchedule(ctx, app.ID, spec, listID, actor)
	if err != nil {
		return push.Schedule{}, err
	}
	d.log.InfoContext(ctx, "schedule created", slog.Any("schedule_id", id), slog.Any("actor", actor))
	return d.Schedule(ctx, id)
}

// checkSchedule checks a spec against itself, its template, its product and its saved list, and returns the list's id.
func (d *Dispatcher) checkSchedule(ctx context.Context, appID int32, spec push.ScheduleSpec) (*int64, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if _, err := recurrence(spec); err != nil {
		return nil, err
	}
	if _, err := d.checkSpec(ctx, appID, spec.TaskSpec); err != nil {
		return nil, err
	}
	if spec.List == "" {
		return nil, nil //nolint:nilnil // a schedule without a list
	}
	list, err := d.st.SavedList(ctx, appID, spec.List)
	if errors.Is(err, push.ErrNotFound) || err == nil && list.Newest == nil {
		return nil, &push.InvalidError{Field: "list", Rule: "unknown_list", Message: "is not a saved list of this app"}
	}
	return &list.ID, err
}

// recurrence reads when a schedule runs.
func recurrence(spec push.ScheduleSpec) (*cronspec.Recurrence, error) {
	loc, err := loadZone(spec.TimeZone)
	if err != nil || spec.TimeZone == "" || spec.TimeZone == "Local" {
		return nil, &push.InvalidError{Field: "time_zone", Rule: "unknown_time_zone", Message: `is not a time zone; write for example "Asia/Shanghai"`}
	}
	r, err := cronspec.Recur(spec.Cron, loc)
	if err != nil {
		return nil, &push.InvalidError{Field: "cron", Rule: "bad_cron", Message: "cannot be read: " + err.Error()}
	}
	return r, nil
}

// zones are the time zones that were loaded, by name: there are few, and to load one reads a file.
var zones sync.Map //nolint:gochecknoglobals // the same for every dispatcher

func loadZone(name string) (*time.Location, error) {
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil //nolint:forcetypeassert // nothing else is stored
	}
	loc, err := time.LoadLocation(name)
	if err == nil {
		zones.Store(name, loc)
	}
	return loc, err //nolint:wrapcheck // the caller says what is wrong
}

// upcoming lists the next ticks after a time, at most n, none after the schedule's end.
func upcoming(r *cronspec.Recurrence, spec push.ScheduleSpec, after time.Time, n int) []cronspec.Tick {
	var ticks []cronspec.Tick
	for tick := range r.After(after) {
		if len(ticks) == n || spec.NotAfter != nil && tick.At.After(*spec.NotAfter) {
			break
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// Schedule reads a schedule with its next run times.
func (d *Dispatcher) Schedule(ctx context.Context, id int64) (push.Schedule, error) {
	s, err := d.st.Schedule(ctx, id)
	if err == nil {
		showRuns(&s)
	}
	return s, err
}

// Schedules lists the schedules of some apps (nil is all) by id, after the one given, with their next run times.
func (d *Dispatcher) Schedules(ctx context.Context, appIDs []int32, after int64, limit int) ([]push.Schedule, error) {
	list, err := d.st.Schedules(ctx, appIDs, after, limit)
	for i := range list {
		showRuns(&list[i])
	}
	return list, err
}

func showRuns(s *push.Schedule) {
	s.NextRuns = []string{}
	r, err := recurrence(s.ScheduleSpec)
	if err != nil {
		return // a zone that this system no longer knows: it has no runs
	}
	after := time.Now()
	if s.NextAt != nil {
		after = s.NextAt.Add(-time.Nanosecond)
	}
	loc, _ := loadZone(s.TimeZone) // recurrence has loaded it
	for _, tick := range upcoming(r, s.ScheduleSpec, after, nextRuns) {
		s.NextRuns = append(s.NextRuns, tick.At.In(loc).Format(time.RFC3339))
	}
}

// ChangeSchedule hands the spec of a paused schedule to change and writes it back. The app cannot be changed.
func (d *Dispatcher) ChangeSchedule(ctx context.Context, id int64, change func(*push.ScheduleSpec) error) (push.Schedule, error) {
	return d.changeSchedule(ctx, id, func(ctx context.Context, s push.Schedule) error {
		if s.Enabled {
			return &push.Refusal{Code: push.RefusedScheduleRuns}
		}
		spec := s.ScheduleSpec
		if err := change(&spec); err != nil {
			return err
		}
		if spec.App != s.App {
			return &push.InvalidError{Field: "app", Rule: "fixed", Message: "cannot be changed"}
		}
		spec.Normalize(d.cfg.Location)
		listID, err := d.checkSchedule(ctx, s.AppID, spec)
		if err != nil {
			return err
		}
		_, err = d.st.UpdateSchedule(ctx, id, spec, listID)
		return err
	})
}

// changeSchedule locks a schedule, hands it to change in the same transaction, and returns it as it is then.
func (d *Dispatcher) changeSchedule(ctx context.Context, id int64, change func(ctx context.Context, s push.Schedule) error) (push.Schedule, error) {
	err := d.st.InTx(ctx, func(ctx context.Context) error {
		s, err := d.st.LockSchedule(ctx, id)
		if err != nil {
			return err
		}
		return change(ctx, s)
	})
	if err != nil {
		return push.Schedule{}, err
	}
	return d.Schedule(ctx, id)
}

// ResumeSchedule lets a schedule run, in the name of actor, from its next tick on: what would have been while it was paused is not made
// up for. What stands against its tasks, other than who can be reached, stands against it too. One that runs already is left as it is.
func (d *Dispatcher) ResumeSchedule(ctx context.Context, actor string, id int64) (push.Schedule, error) {
	s, err := d.changeSchedule(ctx, id, func(ctx context.Context, s push.Schedule) error {
		if s.Enabled {
			return nil
		}
		if _, err := d.checkSchedule(ctx, s.AppID, s.ScheduleSpec); err != nil {
			return err
		}
		app, err := d.st.App(ctx, s.App)
		if err != nil {
			return err
		}
		if app.Approval {
			return &push.Refusal{Code: push.RefusedNotApproved, App: s.App} // nobody has seen what its ticks will send
		}
		r, err := recurrence(s.ScheduleSpec)
		if err != nil {
			return err
		}
		now, err := d.st.Now(ctx)
		if err != nil {
			return err
		}
		next := upcoming(r, s.ScheduleSpec, now.Add(d.ahead()), 1)
		if len(next) == 0 {
			return &push.InvalidError{Field: "not_after", Rule: "no_run_left", Message: "leaves no run of the schedule"}
		}
		_, err = d.st.EnableSchedule(ctx, id, next[0].At, actor)
		return err
	})
	if err == nil {
		d.log.InfoContext(ctx, "schedule resumed", slog.Any("schedule_id", id), slog.Any("actor", actor), slog.Any("next_at", s.NextAt))
	}
	return s, err
}

// PauseSchedule ends the runs of a schedule until it is resumed. A task that a tick has made goes on. One that is paused is left as it is.
func (d *Dispatcher) PauseSchedule(ctx context.Context, actor string, id int64) (push.Schedule, error) {
	s, err := d.changeSchedule(ctx, id, func(ctx context.Context, _ push.Schedule) error {
		_, err := d.st.DisableSchedule(ctx, id, "")
		return err
	})
	if err == nil {
		d.log.InfoContext(ctx, "schedule paused", slog.Any("schedule_id", id), slog.Any("actor", actor))
	}
	return s, err
}

// DeleteSchedule removes a paused schedule with the record of its ticks; the tasks that they made stay.
func (d *Dispatcher) DeleteSchedule(ctx context.Context, id int64) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		s, err := d.st.LockSchedule(ctx, id)
		if err != nil {
			return err
		}
		if s.Enabled {
			return &push.Refusal{Code: push.RefusedScheduleRuns}
		}
		if _, err := d.st.DeleteSchedule(ctx, id); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		return nil
	})
}
