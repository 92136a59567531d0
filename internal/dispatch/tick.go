package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"minipush/internal/cronspec"
	"minipush/internal/push"
)

const (
	// missedWindow is how far back the ticks that passed while nothing was up are noted one by one, and maxMissed how many.
	missedWindow = 48 * time.Hour
	maxMissed    = 100
)

// sweepSchedules deals with the schedules whose time has come, unless this process is at it already. Unlike the other sweepers it
// takes no lock over all daemons: the row of each schedule is lock enough, and a daemon that freezes while it holds one loses it. note
// says whether a success is written down.
func (d *Dispatcher) sweepSchedules(ctx context.Context, note bool) {
	if !d.ticking.TryLock() {
		return
	}
	defer d.ticking.Unlock()
	err := d.tickDue(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.log.ErrorContext(ctx, "sweep failed", slog.Any("sweeper", sweeperSchedules), slog.Any("err", err))
	}
	if !note && err == nil {
		return
	}
	if err := d.st.NoteSweep(ctx, sweeperSchedules, err); err != nil {
		d.log.WarnContext(ctx, "sweep not noted", slog.Any("sweeper", sweeperSchedules), slog.Any("err", err))
	}
}

// tickDue deals with one due schedule after the other, each in a transaction of its own. One that fails does not hold up the rest.
func (d *Dispatcher) tickDue(ctx context.Context) error {
	if due, err := d.st.ScheduleDue(ctx, d.ahead()); ctx.Err() == nil && (err != nil || !due) {
		return err
	}
	failed := []int64{}
	var errs []error
	for ctx.Err() == nil {
		id, err := d.tickNext(ctx, failed)
		switch {
		case id == 0 && errors.Is(err, push.ErrNotFound):
			return errors.Join(errs...)
		case id == 0:
			return errors.Join(append(errs, err)...)
		case err != nil:
			failed = append(failed, id)
			errs = append(errs, fmt.Errorf("schedule %d: %w", id, err))
		}
	}
	return context.Cause(ctx)
}

// tickNext deals with the schedule that has been due the longest, and returns its id; 0 if none is due. What its tick leads to is
// committed with the tick itself: the row that no second one may be beside, the task, its move to sending, its start job (invariant 1).
func (d *Dispatcher) tickNext(ctx context.Context, except []int64) (id int64, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		s, now, err := d.st.LockDueSchedule(ctx, d.ahead(), except)
		if err != nil {
			return err
		}
		id = s.ID
		r, err := recurrence(s.ScheduleSpec)
		if err != nil {
			d.log.ErrorContext(ctx, "schedule stopped", slog.Any("schedule_id", s.ID), slog.Any("err", err))
			_, err = d.st.DisableSchedule(ctx, s.ID, "计划已停止 It was stopped: "+err.Error())
			return err
		}
		due := dueTicks(r, s, now, d.grace(s.Misfire))
		if err := d.missTicks(ctx, s, due.missed); err != nil {
			return err
		}
		for _, tick := range due.fire {
			if err := d.fire(ctx, s, tick); err != nil {
				return err
			}
		}
		if due.next == nil {
			d.log.InfoContext(ctx, "schedule ended", slog.Any("schedule_id", s.ID))
			_, err = d.st.DisableSchedule(ctx, s.ID, "计划已结束 It has ended: no run is left before its not_after.")
			return err
		}
		return d.st.MoveSchedule(ctx, s.ID, due.next.At)
	})
	return id, err
}

// due is what is to be done with the ticks of a schedule that have passed.
type due struct {
	fire, missed []cronspec.Tick
	// next is the first tick to come; nil if there is none.
	next *cronspec.Tick
}

// dueTicks sorts the ticks that have passed by now: those of the latest instant fire, unless they are later than grace; all before are
// missed, so that no burst of old messages goes out when something is up again.
func dueTicks(r *cronspec.Recurrence, s push.Schedule, now time.Time, grace time.Duration) due {
	var out due
	from := s.NextAt.Add(-time.Nanosecond)
	if window := now.Add(-max(grace, missedWindow)); from.Before(window) {
		if first, ok := r.Next(from); ok && first.At.Before(window) {
			out.missed = append(out.missed, first) // stands for all that passed before the window
		}
		from = window.Add(-time.Nanosecond)
	}
	for tick := range r.After(from) {
		if s.NotAfter != nil && tick.At.After(*s.NotAfter) {
			break
		}
		if tick.At.After(now) {
			out.next = &tick
			break
		}
		if len(out.fire) > 0 && !out.fire[0].At.Equal(tick.At) {
			out.missed, out.fire = append(out.missed, out.fire...), nil
		}
		out.fire = append(out.fire, tick)
	}
	if len(out.fire) > 0 && now.Sub(out.fire[0].At) > grace {
		out.missed, out.fire = append(out.missed, out.fire...), nil
	}
	if over := len(out.missed) - maxMissed; over > 0 {
		out.missed = append(out.missed[:1], out.missed[1+over:]...)
	}
	return out
}

// missTicks notes ticks that passed while nothing was up and that do not run any more.
func (d *Dispatcher) missTicks(ctx context.Context, s push.Schedule, missed []cronspec.Tick) error {
	const note = "错过发送时间 Its time passed while nothing was up."
	for _, tick := range missed {
		if _, err := d.st.AddTick(ctx, s.ID, tick.Key, tick.At, note); err != nil {
			return err
		}
	}
	if len(missed) > 0 {
		d.log.ErrorContext(ctx, "ticks missed", slog.Any("schedule_id", s.ID), slog.Any("ticks", len(missed)),
			slog.Any("from", missed[0].At), slog.Any("to", missed[len(missed)-1].At))
	}
	return nil
}

// fire makes the task of a tick and sends it. If it is refused, as the request of a person would be, nothing of the task stays; the tick
// says why, and the schedule goes on.
func (d *Dispatcher) fire(ctx context.Context, s push.Schedule, tick cronspec.Tick) error {
	fresh, err := d.st.AddTick(ctx, s.ID, tick.Key, tick.At, "")
	if err != nil || !fresh {
		return err
	}
	var t push.Task
	err = d.st.Attempt(ctx, func(ctx context.Context) error {
		t, err = d.sendTick(ctx, s)
		return err
	})
	if err == nil {
		d.log.InfoContext(ctx, "tick sent", slog.Any("schedule_id", s.ID), slog.Any("tick", tick.Key), slog.Any("task_id", t.ID))
		return d.st.CloseTick(ctx, s.ID, push.ScheduleTick{Tick: tick.Key, Outcome: push.TickSent, TaskID: &t.ID})
	}
	code, note, refused := whyRefused(err)
	if !refused {
		return err
	}
	d.log.ErrorContext(ctx, "tick refused", slog.Any("schedule_id", s.ID), slog.Any("tick", tick.Key), slog.Any("code", code), slog.Any("err", err))
	return d.st.CloseTick(ctx, s.ID, push.ScheduleTick{Tick: tick.Key, Outcome: push.TickRefused, Code: code, Note: note})
}

// sendTick makes a task of its author, and sends it in the name of who let the schedule run.
func (d *Dispatcher) sendTick(ctx context.Context, s push.Schedule) (push.Task, error) {
	spec := s.TaskSpec
	spec.App = s.App
	t, err := d.CreateTask(ctx, s.CreatedBy, spec)
	if err != nil {
		return push.Task{}, err
	}
	if s.ListID != nil {
		list, err := d.st.SavedListByID(ctx, *s.ListID)
		if err != nil {
			return push.Task{}, err
		}
		if list.Newest == nil {
			return push.Task{}, &push.Refusal{Code: push.RefusedEmptyAudience, TaskID: t.ID, State: t.State}
		}
		if err := d.st.SetTaskList(ctx, t.ID, list.Newest.ID); err != nil {
			return push.Task{}, err
		}
	}
	return d.Send(ctx, *s.EnabledBy, t.ID, nil)
}

// whyRefused tells a refusal, which the next tick may not meet, from an error, after which the same tick is tried again.
func whyRefused(err error) (code, note string, refused bool) {
	if r, ok := errors.AsType[*push.Refusal](err); ok {
		return string(r.Code), r.ZH() + " " + r.EN(), true
	}
	if _, ok := errors.AsType[*push.InvalidError](err); ok {
		return "invalid", "任务内容不符合要求 The task is not valid any more: " + err.Error(), true
	}
	if errors.Is(err, push.ErrNotFound) {
		return "not_found", "任务使用的内容已不存在 Something that the task uses is gone: " + err.Error(), true
	}
	return "", "", false
}
