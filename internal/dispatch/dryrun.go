package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

// A dry run does for every recipient what a run does before the call: it finds the openid, what stands against it, a permit, and renders
// the message by the same code. It claims nothing, spends nothing and writes nothing to the recipients; what it found is a row of its own. It goes
// page by page, each page one transaction that also notes how far it came: whoever works on it may die, and two at a time take turns.

const (
	// dryPage is how many recipients a page has.
	dryPage = 5000
	// dryInline is how many recipients a request looks at itself; a longer list is for a job.
	dryInline = 20_000

	queueDryRun = "dry_run"
	dryBudget   = 10 * time.Minute
)

// dryRunArgs is the job that goes on with a dry run.
type dryRunArgs struct {
	TaskID int64 `json:"task_id" river:"unique"`
	Run    int   `json:"run" river:"unique"`
}

// Kind implements river.JobArgs.
func (dryRunArgs) Kind() string { return "dry_run" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (a dryRunArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueDryRun, Tags: push.JobTags(a.TaskID), MaxAttempts: 5, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()}}
}

type dryRunWorker struct {
	river.WorkerDefaults[dryRunArgs]
	d *Dispatcher
}

// Timeout implements river.Worker: a million recipients take longer than a chunk.
func (w *dryRunWorker) Timeout(*river.Job[dryRunArgs]) time.Duration { return dryBudget }

// Work implements river.Worker.
func (w *dryRunWorker) Work(ctx context.Context, job *river.Job[dryRunArgs]) error {
	if w.d.draining.Load() {
		return river.JobSnooze(time.Second)
	}
	return w.d.dryPages(ctx, job.Args.TaskID, job.Args.Run, nil)
}

// DryRun begins a dry run of a task that has not begun, in place of the one before. A list of at most 20,000 is looked at before it
// returns; a longer one, and everybody, by a job of the daemons, and [Dispatcher.FinishDryRun] does it here. It works in short transactions: ctx
// carries none. begun, which may be nil, is called in the first.
func (d *Dispatcher) DryRun(ctx context.Context, actor string, id int64, begun func(ctx context.Context) error) (push.DryRun, error) {
	var short bool
	var run int
	err := d.st.InTx(ctx, func(ctx context.Context) error {
		if _, err := d.st.LockTask(ctx, id); err != nil {
			return err
		}
		t, err := d.st.Task(ctx, id)
		if err != nil {
			return err
		}
		total, err := d.checkDryRun(ctx, t)
		if err != nil {
			return err
		}
		at := time.Now()
		if t.StartAt != nil && t.StartAt.After(at) {
			at = *t.StartAt
		}
		if run, err = d.st.BeginDryRun(ctx, id, at, actor); err != nil {
			return err
		}
		if begun != nil {
			if err := begun(ctx); err != nil {
				return err
			}
		}
		if short = t.Audience == push.AudienceList && total <= dryInline; short {
			return nil
		}
		if _, err := d.river.InsertTx(ctx, store.Tx(ctx), dryRunArgs{TaskID: id, Run: run}, nil); err != nil {
			return fmt.Errorf("insert job of dry run of task %d: %w", id, err)
		}
		return nil
	})
	if err == nil && short {
		err = d.dryPages(ctx, id, run, nil)
	}
	if err != nil {
		return push.DryRun{}, err
	}
	d.log.InfoContext(ctx, "dry run begun", slog.Any("task_id", id), slog.Any("run", run), slog.Any("actor", actor))
	return d.st.DryRun(ctx, id)
}

// FinishDryRun does what is left of the last dry run of a task here and now; progress is told how many recipients were looked at.
func (d *Dispatcher) FinishDryRun(ctx context.Context, id int64, progress func(n int)) (push.DryRun, error) {
	found, err := d.st.DryRun(ctx, id)
	if err != nil {
		return push.DryRun{}, err
	}
	if err := d.dryPages(ctx, id, found.Run, progress); err != nil {
		return push.DryRun{}, err
	}
	return d.st.DryRun(ctx, id)
}

// checkDryRun refuses what can be said of the task as a whole, and counts the rows of its list.
func (d *Dispatcher) checkDryRun(ctx context.Context, t push.Task) (total int, err error) {
	if !slices.Contains([]push.TaskState{push.TaskDraft, push.TaskScheduled, push.TaskMissed}, t.State) {
		return 0, wrongState(t)
	}
	columns := []string{}
	total = t.Counts.Total
	switch {
	case t.SourceID != 0:
		v, _, err := d.st.ListVersion(ctx, t.SourceID)
		if err != nil {
			return 0, err
		}
		columns, total = v.Columns, v.Accepted
	case t.Audience == push.AudienceList:
		if t.AudienceID == 0 {
			return 0, d.emptyAudience(ctx, t)
		}
		a, err := d.st.Audience(ctx, t.ID)
		if err != nil {
			return 0, err
		}
		columns = a.Columns
	}
	return total, d.checkTestContent(ctx, t, columns)
}

// dryPages goes on with a dry run until it has ended, or another one was begun.
func (d *Dispatcher) dryPages(ctx context.Context, id int64, run int, progress func(n int)) error {
	for n := 0; ; {
		seen, done, err := d.dryPage(ctx, id, run)
		if err != nil {
			return err
		}
		if n += seen; progress != nil {
			progress(n)
		}
		if done {
			return nil
		}
	}
}

// dryPage looks at the next page. A task that has changed meanwhile, or has begun, ends the dry run: half of it would be of something else.
func (d *Dispatcher) dryPage(ctx context.Context, id int64, run int) (seen int, done bool, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		cursor, at, ok, err := d.st.LockDryRun(ctx, id, run)
		if err != nil || !ok {
			done = true
			return err
		}
		found, err := d.st.DryRun(ctx, id)
		if err != nil {
			return err
		}
		t, err := d.st.Task(ctx, id)
		if err != nil {
			return err
		}
		begun := !slices.Contains([]push.TaskState{push.TaskDraft, push.TaskScheduled, push.TaskMissed}, t.State)
		if found.Stale || begun {
			done = true
			return d.st.FailDryRun(ctx, id, run, "任务在试运行期间有变更或已开始发送,请重新试运行 The task changed, or began, while the dry run was under way; begin it anew.")
		}
		seen, done, err = d.dryRows(ctx, t, cursor, at)
		return err
	})
	return seen, done, err
}

// dryRows looks at a page of rows in the transaction that ctx carries, and saves what it found.
func (d *Dispatcher) dryRows(ctx context.Context, t push.Task, cursor string, at time.Time) (seen int, done bool, err error) {
	c, err := loadContent(ctx, d.st, t.ID)
	if err != nil {
		return 0, false, err
	}
	q := store.DryQuery{Task: t, ListID: t.AudienceID, At: at, Margin: d.cfg.PermitMargin, Zone: d.cfg.Location.String()}
	if t.SourceID != 0 {
		v, _, err := d.st.ListVersion(ctx, t.SourceID)
		if err != nil {
			return 0, false, err
		}
		q.ListID, c.columns = v.ID, v.Columns
	}
	if t.Audience == push.AudienceAll {
		q.ListID = 0
	}
	from, _ := strconv.Atoi(cursor) // "" is the first; of everybody it is a user id, and not looked at
	rows, last, seen, err := d.st.DryRows(ctx, q, int32(from), cursor, dryPage)
	if err != nil {
		return 0, false, err
	}
	var page push.DryPage
	for _, r := range rows {
		c.tryOn(t, r, &page)
	}
	next := strconv.Itoa(from + dryPage)
	if q.ListID == 0 {
		next = last
	}
	done = seen < dryPage
	return seen, done, d.st.SaveDryPage(ctx, t.ID, page, next, done)
}

// tryOn counts what would become of a recipient.
func (c *content) tryOn(t push.Task, r store.DryRow, page *push.DryPage) {
	page.Total++
	if r.Reason == push.NoPermit && t.WaitForPermitUntil != nil {
		page.WouldWait++
		return
	}
	if r.Reason != push.NoReason {
		page.Miss(push.DryExample{Seq: r.Seq, UserID: r.UserID, Reason: r.Reason})
		return
	}
	claimed := store.Claimed{UserID: r.UserID, Vars: r.Vars}
	if r.Seq != nil {
		claimed.Seq = *r.Seq
	}
	if _, err := c.message(&claimed); err != nil {
		page.Miss(push.DryExample{Seq: r.Seq, UserID: r.UserID, Reason: push.FieldInvalid, Note: fieldNote(err)})
		return
	}
	page.WouldSend++
}

// fieldNote is the field and the rule of an error of rendering, without its recipient.
func fieldNote(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		if _, is := inner.(*wechat.FieldError); is { //nolint:errorlint // the one that wraps it names the field
			return err.Error()
		}
		err = inner
	}
	return err.Error()
}
