package dispatch

import (
	"context"
	"log/slog"

	"minipush/internal/push"
)

// endRun gives the chunk up and hands on: the next idle chunk is queued in the same transaction, so that a task keeps its
// window; the last chunk settles the task.
func (d *Dispatcher) endRun(ctx context.Context, r *run) error {
	ctx = context.WithoutCancel(ctx)
	return d.st.InTx(ctx, func(ctx context.Context) error {
		held, done, err := d.st.EndRun(ctx, r.Run, r.wait)
		if err != nil || !held {
			return err
		}
		if err := r.saveCanary(ctx); err != nil {
			return err
		}
		queued, err := d.queueChunks(ctx, r.TaskID)
		if err != nil || queued > 0 || !done {
			return err
		}
		return d.settle(ctx, r.TaskID)
	})
}

// queueChunks fills the window of a task that is sending with jobs of idle chunks, and returns how many it added.
func (d *Dispatcher) queueChunks(ctx context.Context, taskID int64) (int, error) {
	queued := 0
	err := d.st.InTx(ctx, func(ctx context.Context) error {
		chunks, err := d.st.QueueChunks(ctx, taskID, d.cfg.Window, d.canaryWindow())
		if err != nil || len(chunks) == 0 {
			return err
		}
		queued = len(chunks)
		return d.insertChunkJobs(ctx, taskID, chunks)
	})
	return queued, err
}

// fillWindow is queueChunks for a window that may lack more than one chunk: two who fill it at a time would each fill all of it.
func (d *Dispatcher) fillWindow(ctx context.Context, taskID int64) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		if _, err := d.st.LockTask(ctx, taskID); err != nil {
			return err
		}
		_, err := d.queueChunks(ctx, taskID)
		return err
	})
}

// settle ends a task that has no open recipient. It takes the task's lock before it looks at the chunks: two last chunks that
// end together would each see the other one open.
func (d *Dispatcher) settle(ctx context.Context, taskID int64) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		if _, err := d.st.LockTask(ctx, taskID); err != nil {
			return err
		}
		settled, err := d.st.SettleTask(ctx, taskID)
		if err != nil || !settled {
			return err
		}
		t, err := d.st.Task(ctx, taskID)
		if err != nil {
			return err
		}
		log := d.log.With(slog.Any("task_id", taskID), slog.Any("total", t.Counts.Total), slog.Any("sent", t.Counts.Sent), slog.Any("failed", t.Counts.Failed), slog.Any("skipped", t.Counts.Skipped), slog.Any("unknown", t.Counts.Unknown))
		if t.Counts.Sent+t.Counts.Unknown == 0 {
			log.ErrorContext(ctx, "task done, nobody was reached")
			return nil
		}
		log.InfoContext(ctx, "task done")
		return nil
	})
}

// pauseTask adds a cause to the task's pause, and shuts its gate here at once; the other daemons see it within the gate's poll.
func (d *Dispatcher) pauseTask(ctx context.Context, taskID int64, cause push.Cause, note string) error {
	d.gate.close(taskID)
	paused, err := d.st.PauseTask(ctx, taskID, cause, note)
	if paused {
		d.log.WarnContext(ctx, "task paused", slog.Any("task_id", taskID), slog.Any("cause", string(cause)), slog.Any("note", note))
	}
	return err
}
