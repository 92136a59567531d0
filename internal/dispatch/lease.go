package dispatch

import (
	"context"
	"errors"
	"log/slog"

	"minipush/internal/store"
)

// errStale says that a job's chunk is no longer its business.
var errStale = errors.New("the chunk is not queued for this job")

// lease takes the lease of a job's chunk, or of another task's if that one is to have the worker which this job holds: the queue
// knows nothing of shares. ok is false if there is nothing to do.
func (d *Dispatcher) lease(ctx context.Context, taskID int64, no, generation int32) (run store.Run, ok bool, err error) {
	if other := d.shares.instead(taskID); other != 0 {
		if run, ok, err = d.leaseInstead(ctx, other, taskID, no, generation); err != nil || ok {
			return run, ok, err
		}
	}
	return d.st.TakeLease(ctx, taskID, no, generation, d.node.id)
}

// leaseInstead takes the lease of a chunk of other, and queues the job's own chunk anew, in one transaction. The job that stands for
// the chunk taken will find it no longer queued, and do nothing.
func (d *Dispatcher) leaseInstead(ctx context.Context, other, taskID int64, no, generation int32) (run store.Run, ok bool, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if run, ok, err = d.st.TakeLeaseOfTask(ctx, other, d.node.id); err != nil || !ok {
			return err
		}
		again, queued, err := d.st.RequeueChunk(ctx, taskID, no, generation)
		if err != nil {
			return err
		}
		if !queued {
			return errStale
		}
		return d.insertChunkJobs(ctx, taskID, []store.QueuedChunk{again})
	})
	if errors.Is(err, errStale) {
		return store.Run{}, false, nil
	}
	if err == nil && !ok {
		d.shares.gone(other)
	}
	if ok && err == nil {
		d.log.DebugContext(ctx, "worker given to another task", slog.Any("task_id", other), slog.Any("from", taskID))
	}
	return run, ok && err == nil, err
}

// shareWorkers looks for tasks that wait for a worker while all of this process are held, and has one that has had enough give way.
func (d *Dispatcher) shareWorkers(ctx context.Context) error {
	if !d.shares.busy() {
		d.shares.wait(nil)
		return nil
	}
	waiting, err := d.st.WaitingTasks(ctx)
	if err != nil {
		return err
	}
	d.shares.wait(waiting)
	return nil
}
