package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"minipush/internal/push"
	"minipush/internal/store"
)

const (
	queueStart = "start"
	queueSend  = "send"
	queueCount = "count"

	// The queue's own bounds nest around a run: call < drain < soft stop < exit, run < job.
	jobTimeout  = time.Minute
	jobRescue   = 90 * time.Second
	softStop    = 12 * time.Second
	startBudget = 10 * time.Minute
	countBudget = 10 * time.Minute

	fetchCooldown = 20 * time.Millisecond
	fetchPoll     = 500 * time.Millisecond
)

// errNotNow says that this process is stopping, or has lost touch with the database; the job is for another one, or later.
var errNotNow = errors.New("not now")

// startArgs is the job that begins a task: one row for a task, over all states of a job (invariant 1).
type startArgs struct {
	TaskID int64 `json:"task_id" river:"unique"`
}

// Kind implements river.JobArgs.
func (startArgs) Kind() string { return "start_task" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (a startArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueStart, Tags: push.JobTags(a.TaskID), MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()}}
}

// chunkArgs is the job that sends one chunk. The generation lets a chunk be queued again while a dead run's row still stands.
type chunkArgs struct {
	TaskID     int64 `json:"task_id" river:"unique"`
	Chunk      int32 `json:"chunk" river:"unique"`
	Generation int32 `json:"generation" river:"unique"`
}

// Kind implements river.JobArgs.
func (chunkArgs) Kind() string { return "send_chunk" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (a chunkArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueSend, Tags: push.JobTags(a.TaskID), MaxAttempts: 5, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()}}
}

// countArgs is the job that counts whom a task can reach: one for a task at a time. One that is asked for while it runs is
// not inserted; who reads the figure asks again where it is not of the task as it is.
type countArgs struct {
	TaskID int64 `json:"task_id" river:"unique"`
}

// Kind implements river.JobArgs.
func (countArgs) Kind() string { return "count_reach" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (a countArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueCount, Tags: push.JobTags(a.TaskID), MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

type countWorker struct {
	river.WorkerDefaults[countArgs]
	d *Dispatcher
}

// Timeout implements river.Worker.
func (w *countWorker) Timeout(*river.Job[countArgs]) time.Duration { return countBudget }

// Work implements river.Worker. A stop does not wait for it: another daemon, or a later one, counts from the beginning.
func (w *countWorker) Work(ctx context.Context, job *river.Job[countArgs]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.d.counting, cancel)()
	err := w.d.countKept(ctx, job.Args.TaskID)
	if w.d.counting.Err() != nil {
		return river.JobSnooze(time.Second)
	}
	return err
}

type startWorker struct {
	river.WorkerDefaults[startArgs]
	d *Dispatcher
}

// Timeout implements river.Worker: filling an audience takes longer than a chunk.
func (w *startWorker) Timeout(*river.Job[startArgs]) time.Duration { return startBudget }

// Work implements river.Worker.
func (w *startWorker) Work(ctx context.Context, job *river.Job[startArgs]) error {
	if w.d.draining.Load() {
		return river.JobSnooze(time.Second)
	}
	return w.d.startTask(ctx, job.Args.TaskID)
}

type chunkWorker struct {
	river.WorkerDefaults[chunkArgs]
	d *Dispatcher
}

// Work implements river.Worker. An error is for the job table to show; what is unfinished is found by the sweeper.
func (w *chunkWorker) Work(ctx context.Context, job *river.Job[chunkArgs]) error {
	err := w.d.runChunk(ctx, job.Args.TaskID, job.Args.Chunk, job.Args.Generation)
	if errors.Is(err, errNotNow) {
		return river.JobSnooze(time.Second)
	}
	if errors.Is(err, store.ErrLeaseLost) {
		w.d.log.WarnContext(ctx, "run ended: another one has the chunk", slog.Any("task_id", job.Args.TaskID), slog.Any("chunk", job.Args.Chunk))
		return nil
	}
	return err
}

func (d *Dispatcher) workers() *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, &startWorker{d: d})
	river.AddWorker(workers, &chunkWorker{d: d})
	river.AddWorker(workers, &countWorker{d: d})
	river.AddWorker(workers, &dryRunWorker{d: d})
	return workers
}

// queueLog keeps the queue's own messages to what somebody must see: what it says every few seconds of its work is for debugging.
func queueLog(log *slog.Logger) *slog.Logger {
	return slog.New(quieter{log.Handler()}).With(slog.Any("part", "queue"))
}

// quieter takes what is said at level Info down to Debug.
type quieter struct{ slog.Handler }

func lowered(l slog.Level) slog.Level {
	if l >= slog.LevelInfo && l < slog.LevelWarn {
		return slog.LevelDebug
	}
	return l
}

// Enabled implements slog.Handler.
func (q quieter) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, lowered(l))
}

// Handle implements slog.Handler.
func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lowered(r.Level)
	return q.Handler.Handle(ctx, r) //nolint:wrapcheck // it is the handler's own
}

// WithAttrs implements slog.Handler.
func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }

// newInserter makes a client that inserts jobs and works none.
func newInserter(pool *pgxpool.Pool, log *slog.Logger) (*river.Client[pgx.Tx], error) {
	return river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: "river", Logger: queueLog(log)})
}

// newWorker makes a client that works jobs, on a pool of its own.
func (d *Dispatcher) newWorker(pool *pgxpool.Pool) (*river.Client[pgx.Tx], error) {
	return river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: "river", Logger: queueLog(d.log), Workers: d.workers(),
		Queues: map[string]river.QueueConfig{
			queueStart:  {MaxWorkers: 2, FetchCooldown: fetchCooldown, FetchPollInterval: fetchPoll},
			queueSend:   {MaxWorkers: d.cfg.Workers, FetchCooldown: fetchCooldown, FetchPollInterval: fetchPoll},
			queueCount:  {MaxWorkers: 1, FetchCooldown: fetchCooldown, FetchPollInterval: fetchPoll},
			queueDryRun: {MaxWorkers: 1, FetchCooldown: fetchPoll, FetchPollInterval: fetchPoll},
		},
		JobTimeout: jobTimeout, RescueStuckJobsAfter: jobRescue, SoftStopTimeout: softStop,
		CompletedJobRetentionPeriod: d.cfg.Retention.Jobs, CancelledJobRetentionPeriod: d.cfg.Retention.Jobs,
	})
}

// insertStartJob inserts the start job of a task, for at (nil: now), in the transaction that ctx carries. A job that stands
// already for a later time is made due if at is nil, and left alone if not.
func (d *Dispatcher) insertStartJob(ctx context.Context, taskID int64, at *time.Time) error {
	opts := &river.InsertOpts{}
	if at != nil {
		opts.ScheduledAt = *at
	}
	res, err := d.river.InsertTx(ctx, store.Tx(ctx), startArgs{TaskID: taskID}, opts)
	if err != nil {
		return fmt.Errorf("insert start job of task %d: %w", taskID, err)
	}
	if res.UniqueSkippedAsDuplicate && at == nil && res.Job.State == rivertype.JobStateScheduled {
		if _, err := d.river.JobRetryTx(ctx, store.Tx(ctx), res.Job.ID); err != nil {
			return fmt.Errorf("make start job of task %d due: %w", taskID, err)
		}
	}
	return nil
}

// replaceStartJob removes the start job that stands for a task and, with at not nil, inserts one for that time.
func (d *Dispatcher) replaceStartJob(ctx context.Context, taskID int64, at *time.Time) error {
	id, err := d.st.StartJob(ctx, taskID)
	if err != nil {
		return err
	}
	if id != 0 {
		if _, err := d.river.JobDeleteTx(ctx, store.Tx(ctx), id); err != nil && !errors.Is(err, rivertype.ErrJobRunning) {
			return fmt.Errorf("delete start job of task %d: %w", taskID, err)
		}
	}
	if at == nil {
		return nil
	}
	return d.insertStartJob(ctx, taskID, at)
}

// priorityFirst is the priority of a job that comes before those of all tasks.
const priorityFirst = "first"

// jobPriority is the queue's name of a task's priority. The queue serves the higher strictly first; that nobody starves is seen to by
// [shares].
func jobPriority(priority string) int {
	switch priority {
	case priorityFirst:
		return 1
	case "urgent":
		return 2
	case "bulk":
		return 4
	}
	return 3
}

// insertCountJob asks for a count of a task beside, in the transaction that ctx carries, if it carries one.
func (d *Dispatcher) insertCountJob(ctx context.Context, taskID int64) error {
	var err error
	if tx := store.Tx(ctx); tx != nil {
		_, err = d.river.InsertTx(ctx, tx, countArgs{TaskID: taskID}, nil)
	} else {
		_, err = d.river.Insert(ctx, countArgs{TaskID: taskID}, nil)
	}
	if err != nil {
		return fmt.Errorf("ask for a count of task %d: %w", taskID, err)
	}
	return nil
}

// insertChunkJobs inserts the jobs of chunks that were just queued, in the transaction that ctx carries.
func (d *Dispatcher) insertChunkJobs(ctx context.Context, taskID int64, chunks []store.QueuedChunk) error {
	params := make([]river.InsertManyParams, len(chunks))
	for i, c := range chunks {
		params[i] = river.InsertManyParams{Args: chunkArgs{TaskID: taskID, Chunk: c.No, Generation: c.Generation},
			InsertOpts: &river.InsertOpts{Priority: jobPriority(c.Priority)}}
	}
	if _, err := d.river.InsertManyTx(ctx, store.Tx(ctx), params); err != nil {
		return fmt.Errorf("insert chunk jobs of task %d: %w", taskID, err)
	}
	return nil
}
