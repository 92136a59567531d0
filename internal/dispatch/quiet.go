package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// Quiet hours are a cause of a pause like the others, so that everything that honours a pause honours them: the claim, the gate, the
// window. This sweeper, on each working daemon, only puts the cause on and takes it off, by what the tables and the database's clock
// say at each look; it looks every second, and at the very moment at which an app's quiet hours begin or end. A resume by hand does
// not take the cause out: whoever must send now changes the app's quiet hours, or sends an urgent task.

// quietEvery is how long a change of the setting may go unseen.
const quietEvery = time.Second

// watchQuiet looks until ctx ends.
func (d *Dispatcher) watchQuiet(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			wait, err := d.sweepQuiet(ctx)
			if err != nil && ctx.Err() == nil {
				d.log.WarnContext(ctx, "quiet hours not kept", slog.Any("err", err))
			}
			timer.Reset(wait)
		}
	}
}

// sweepQuiet puts quiet hours on the tasks that they pause and takes them off the others, and returns how long to wait for the next look.
func (d *Dispatcher) sweepQuiet(ctx context.Context) (time.Duration, error) {
	asked := time.Now()
	now, tasks, err := d.st.QuietTasks(ctx)
	if err != nil {
		return quietEvery, err
	}
	wait := quietEvery
	var errs []error
	begins := map[int64]time.Time{}
	for _, t := range tasks {
		until, quiet := t.Settings.QuietAt(now, d.cfg.Location)
		next, some := t.Settings.QuietNext(now, d.cfg.Location)
		if quiet {
			next, some = until, true
		}
		if some {
			wait = min(wait, next.Sub(now))
		}
		if !quiet && some && !t.Urgent {
			begins[t.ID] = asked.Add(next.Sub(now))
		}
		if t.ID != 0 {
			errs = append(errs, d.quiet(ctx, t, now, until, quiet))
		}
	}
	d.gate.quietFrom(begins)
	return max(wait, time.Millisecond), errors.Join(errs...)
}

// quiet brings one task in line with the quiet hours of its app, which were seen at now.
func (d *Dispatcher) quiet(ctx context.Context, t store.QuietTask, now, until time.Time, quiet bool) error {
	switch {
	case quiet && !t.Urgent:
		return d.pauseQuiet(ctx, t, now, until)
	case t.Paused:
		return d.resumeQuiet(ctx, t.ID, now)
	}
	return nil
}

func (d *Dispatcher) pauseQuiet(ctx context.Context, t store.QuietTask, now, until time.Time) error {
	note := push.QuietNoteUntil(until, d.cfg.Location)
	if t.Paused && t.Note == note {
		return nil
	}
	if !t.Paused {
		d.gate.close(t.ID)
	}
	changed, err := d.st.PauseQuiet(ctx, t.ID, now, note)
	if changed {
		d.log.InfoContext(ctx, "task paused for quiet hours", slog.Any("task_id", t.ID), slog.Time("until", until))
	}
	return err
}

func (d *Dispatcher) resumeQuiet(ctx context.Context, id int64, now time.Time) error {
	changed, sending, err := d.st.ResumeQuiet(ctx, id, now)
	if err != nil || !changed {
		return err
	}
	d.log.InfoContext(ctx, "quiet hours of task over", slog.Any("task_id", id), slog.Any("sending", sending))
	if !sending {
		return nil
	}
	return d.goOn(ctx, id)
}

// beginQuiet pauses a task that begins within quiet hours, in the transaction that ctx carries.
func (d *Dispatcher) beginQuiet(ctx context.Context, id int64) error {
	now, t, err := d.st.QuietTask(ctx, id)
	if err != nil || t.ID == 0 {
		return err
	}
	until, quiet := t.Settings.QuietAt(now, d.cfg.Location)
	if !quiet || t.Urgent {
		return nil
	}
	return d.pauseQuiet(ctx, t, now, until)
}
