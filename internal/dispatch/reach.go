package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// Reach says how many of a task's audience can be reached at the time given (zero: now). A short list is counted while the caller waits;
// of a long one it is the figure that is kept, whatever the time asked about. Where there is none for the list and the template that the
// task has now, or it is stale, a count is asked for; the answer says so.
func (d *Dispatcher) Reach(ctx context.Context, id int64, at time.Time) (push.Reach, error) {
	return d.reach(ctx, id, at, false)
}

// AskReach is Reach that has a long list counted anew, however fresh its figure is.
func (d *Dispatcher) AskReach(ctx context.Context, id int64, at time.Time) (push.Reach, error) {
	return d.reach(ctx, id, at, true)
}

func (d *Dispatcher) reach(ctx context.Context, id int64, at time.Time, anew bool) (push.Reach, error) {
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return push.Reach{}, err
	}
	figures, age, kept, err := d.st.KeptReach(ctx, t)
	if err != nil {
		return push.Reach{}, err
	}
	if !kept {
		n, err := d.st.ReachSize(ctx, t, d.cfg.ReachAtOnce)
		if err != nil {
			return push.Reach{}, err
		}
		if n <= d.cfg.ReachAtOnce {
			figures, err := d.st.CountReach(ctx, t, store.ReachProbed, d.cfg.PermitMargin, d.cfg.Location.String())
			return d.reachAt(figures, at, figures.AsOf), err
		}
	}
	r := push.Reach{Expiring: []push.DayCount{}}
	if kept {
		r = d.reachAt(figures, at, figures.AsOf.Add(age))
	}
	if r.Counting, err = d.st.ReachJob(ctx, id); err != nil {
		return push.Reach{}, err
	}
	if anew || !kept || age > d.cfg.ReachStale && t.EndedAt == nil {
		r.Counting = true
		return r, d.insertCountJob(ctx, id) // no second one where one is there
	}
	return r, nil
}

func (d *Dispatcher) reachAt(f push.ReachFigures, at, now time.Time) push.Reach {
	return f.At(at, now, d.cfg.PermitMargin, d.cfg.Location)
}

// CountReach counts here and now, however long the list is, and keeps the figure of a long one.
func (d *Dispatcher) CountReach(ctx context.Context, id int64, at time.Time) (push.Reach, error) {
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return push.Reach{}, err
	}
	f, err := d.countTask(ctx, t)
	return d.reachAt(f, at, f.AsOf), err
}

func (d *Dispatcher) countTask(ctx context.Context, t push.Task) (push.ReachFigures, error) {
	n, err := d.st.ReachSize(ctx, t, d.cfg.ReachAtOnce)
	if err != nil {
		return push.ReachFigures{}, err
	}
	way := store.ReachProbed
	if n > d.cfg.ReachAtOnce {
		if way, err = d.st.ReachWayOf(ctx, t, n); err != nil {
			return push.ReachFigures{}, err
		}
	}
	f, err := d.st.CountReach(ctx, t, way, d.cfg.PermitMargin, d.cfg.Location.String())
	if err == nil && n > d.cfg.ReachAtOnce {
		err = d.st.KeepReach(ctx, t, f)
	}
	return f, err
}

// countBefore has a long list counted for whoever looks at the task between its scheduling and its start.
func (d *Dispatcher) countBefore(ctx context.Context, t push.Task) error {
	n, err := d.st.ReachSize(ctx, t, d.cfg.ReachAtOnce)
	if err != nil || n <= d.cfg.ReachAtOnce {
		return err
	}
	return d.insertCountJob(ctx, t.ID)
}

// countKept is the work of a count job. What changes the task's list or template meanwhile has it count again: the job that it would
// insert is not, while this one runs.
func (d *Dispatcher) countKept(ctx context.Context, id int64) error {
	for {
		t, err := d.st.Task(ctx, id)
		if errors.Is(err, push.ErrNotFound) {
			return nil // a draft that was deleted
		}
		if err != nil {
			return err
		}
		begun := time.Now()
		if _, err := d.countTask(ctx, t); err != nil {
			return err
		}
		d.log.InfoContext(ctx, "reach counted", slog.Any("task_id", id), slog.Any("duration", time.Since(begun)))
		now, err := d.st.Task(ctx, id)
		if err != nil || now.AudienceID == t.AudienceID && now.SourceID == t.SourceID && now.TemplateID == t.TemplateID {
			return ignoreGone(err)
		}
	}
}

func ignoreGone(err error) error {
	if errors.Is(err, push.ErrNotFound) {
		return nil
	}
	return err
}
