package dispatch

import (
	"context"
	"log/slog"
	"time"

	"minipush/internal/push"
)

// Unschedule makes a scheduled task a draft again, to be corrected.
func (d *Dispatcher) Unschedule(ctx context.Context, actor string, id int64) (push.Task, error) {
	t, err := d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		moved, err := d.st.UnscheduleTask(ctx, id)
		if err != nil {
			return err
		}
		if !moved {
			return wrongState(t)
		}
		return d.replaceStartJob(ctx, id, nil)
	})
	return d.logged(ctx, t, err, "task unscheduled", actor)
}

// Pause stops a task that is sending. No daemon starts a call for it later than a second after this returns; calls in flight
// finish and are recorded.
func (d *Dispatcher) Pause(ctx context.Context, actor string, id int64) (push.Task, error) {
	t, err := d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		return moved(t)(d.st.PauseTask(ctx, id, push.CauseOperator, ""))
	})
	if err == nil {
		d.gate.close(id)
	}
	return d.logged(ctx, t, err, "task paused", actor)
}

// Resume ends a pause: it takes out every cause that a person may overrule. The task stays paused for the others. One that had not
// begun is scheduled again.
func (d *Dispatcher) Resume(ctx context.Context, actor string, id int64) (t push.Task, err error) {
	err = d.withProbe(ctx, id, func(ctx context.Context) (push.Task, error) {
		t, err = d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
			if t.State == push.TaskPaused && t.StartedAt != nil {
				if err := d.needApprovalToBegin(ctx, t); err != nil {
					return err
				}
			}
			return moved(t)(d.st.ResumeTask(ctx, id, []push.Cause{
				push.CauseOperator, push.CauseQuota, push.CauseBreaker,
				push.CauseProductOffShelf, push.CauseProductChanged, push.CauseRestored,
			}))
		})
		return t, err
	})
	if err == nil && t.State == push.TaskSending {
		// A person may try a quota before its time. It is a probe like any other: one call, and the app's other tasks follow if that passes.
		if err = d.st.ProbeQuota(ctx, id, probeCheck); err == nil {
			err = d.goOn(ctx, id)
		}
	}
	return d.logged(ctx, t, err, "task resumed", actor)
}

// goOn queues the work of a task whose pause ended: its chunks, or the job that makes them.
func (d *Dispatcher) goOn(ctx context.Context, id int64) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		p, err := d.st.LockPlan(ctx, id)
		if err != nil || p.State != push.TaskSending || !p.Planned {
			return err // a task without chunks is planned by the sweeper of a working daemon
		}
		_, err = d.queueChunks(ctx, id)
		return err
	})
}

// Cancel ends a task for good. Recipients that are pending become skipped, in batches; calls in flight end as they end. An ambiguous
// one, which only another call could decide, becomes unknown and keeps its permit: no call is made for a task that was canceled, and one
// that got through must not be called unsent.
func (d *Dispatcher) Cancel(ctx context.Context, actor string, id int64) (push.Task, error) {
	t, err := d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		p, err := d.st.LockPlan(ctx, id)
		if err != nil {
			return err
		}
		if t.State == push.TaskScheduled {
			if err := d.replaceStartJob(ctx, id, nil); err != nil {
				return err
			}
		}
		if err := moved(t)(d.st.CancelTask(ctx, id)); err != nil {
			return err
		}
		if !p.Planned && p.Recipients > 0 {
			return d.st.PlanChunks(ctx, id, p.AudienceID, p.Recipients, d.cfg.ChunkSize)
		}
		return nil
	})
	if err == nil {
		d.gate.close(id)
		if err = d.cancelChunks(ctx, id, cancelHere); err == nil {
			t, err = d.st.Task(ctx, id)
		}
	}
	return d.logged(ctx, t, err, "task canceled", actor)
}

// How long a request settles the chunks of a task that it has canceled, and how long a round of the sweeper does.
const (
	cancelHere  = 300 * time.Millisecond
	cancelRound = time.Second
)

// cancelChunks settles chunks of a canceled task that no run holds, one short transaction each. Those that are being run, and
// what takes longer, are left to the sweeper.
func (d *Dispatcher) cancelChunks(ctx context.Context, id int64, limit time.Duration) error {
	for until := time.Now().Add(limit); time.Now().Before(until); {
		if more, err := d.st.CancelChunk(ctx, id); err != nil || !more {
			return err
		}
	}
	return nil
}

// moved turns the answer of a transition into the refusal that goes with t's state.
func moved(t push.Task) func(bool, error) error {
	return func(moved bool, err error) error {
		if err == nil && !moved {
			return wrongState(t)
		}
		return err
	}
}

func wrongState(t push.Task) error {
	return &push.Refusal{Code: push.RefusedWrongState, TaskID: t.ID, State: t.State}
}

func (d *Dispatcher) logged(ctx context.Context, t push.Task, err error, event, actor string) (push.Task, error) {
	if err != nil {
		return push.Task{}, err
	}
	d.log.InfoContext(ctx, event, slog.Any("task_id", t.ID), slog.Any("state", string(t.State)), slog.Any("actor", actor)) //nolint:sloglint // constant at every call
	return t, nil
}
