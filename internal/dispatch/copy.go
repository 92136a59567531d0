package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// copySpan is how many recipients of the source one transaction looks at. A list of no more is copied with the draft.
const copySpan = 10_000

const (
	noteCopying    = "名单复制中,请稍候 Its list is being copied from task %d; send it when that is done."
	noteSourceGone = "名单未能复制:原任务的名单已清理或已更换,请上传名单 Its list could not be copied: task %d no longer has it. Upload one."
)

// Resend makes a draft with the content of a task that has ended, whose list are its recipients that ended for one of reasons,
// with their columns. To name unsure is to know that those may get the message twice. A long list is copied by the workers, or
// by [Dispatcher.CopyList], and in force when it is whole.
func (d *Dispatcher) Resend(ctx context.Context, actor string, id int64, reasons []push.Reason) (push.Task, error) {
	if len(reasons) == 0 || slices.Contains(reasons, push.NoReason) {
		return push.Task{}, &push.InvalidError{Field: "reasons", Rule: "required", Message: "must name the reasons whose recipients are sent to again"}
	}
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return push.Task{}, err
	}
	if !t.State.Final() || t.Counts.Open() > 0 {
		refusal := &push.Refusal{Code: push.RefusedWrongState, TaskID: id, State: t.State}
		if t.State.Final() {
			refusal.Detail = fmt.Sprintf("recipients still under way: %d", t.Counts.Open())
		}
		return push.Task{}, refusal
	}
	if t.AudienceID == 0 {
		return push.Task{}, listGone(t)
	}
	names := make([]string, len(reasons))
	for i, r := range reasons {
		names[i] = r.String()
	}
	if !slices.ContainsFunc(t.Reasons, func(c push.Count) bool { return slices.Contains(names, c.Code) }) {
		return push.Task{}, &push.Refusal{
			Code: push.RefusedEmptyAudience, TaskID: id, State: t.State, Detail: "none of its recipients ended as " + strings.Join(names, " or "),
		}
	}
	spec := t.TaskSpec
	spec.Audience = push.AudienceList
	return d.copyTask(ctx, actor, t, spec, reasons, true)
}

// Clone makes a draft with the content of a task in any state and, of a task that goes to a list, with its list too unless
// withList is false or the purge has taken it.
func (d *Dispatcher) Clone(ctx context.Context, actor string, id int64, withList bool) (push.Task, error) {
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return push.Task{}, err
	}
	return d.copyTask(ctx, actor, t, t.TaskSpec, nil, withList && t.Audience == push.AudienceList && t.AudienceID != 0)
}

// copyTask makes the draft, and its list if that is short. Times that have passed are left out.
func (d *Dispatcher) copyTask(ctx context.Context, actor string, source push.Task, spec push.TaskSpec, reasons []push.Reason, list bool) (push.Task, error) {
	now := time.Now()
	if spec.NotAfter != nil && !spec.NotAfter.After(now) {
		spec.NotAfter = nil
	}
	if spec.WaitForPermitUntil != nil && !spec.WaitForPermitUntil.After(now) {
		spec.WaitForPermitUntil = nil
	}
	var t push.Task
	err := d.st.InTx(ctx, func(ctx context.Context) (err error) {
		if t, err = d.CreateTask(ctx, actor, spec); err != nil {
			return err
		}
		if err := d.st.SetTaskSource(ctx, t.ID, source.ID); err != nil {
			return err
		}
		filled := source.AudienceID != 0
		if filled && source.SourceID != 0 && source.State != push.TaskDraft {
			a, err := d.st.Audience(ctx, source.ID)
			if filled = err == nil && a.State == "ready"; err != nil {
				return err
			}
		}
		if !filled && source.SourceID != 0 && reasons == nil && spec.Audience == push.AudienceList {
			// The saved list that its start would have copied, or is copying.
			list = false
			if err := d.st.SetTaskList(ctx, t.ID, source.SourceID); err != nil {
				return err
			}
		}
		if list {
			if err := d.beginCopy(ctx, actor, t.ID, source, reasons); err != nil {
				return err
			}
		}
		t, err = d.st.Task(ctx, t.ID)
		return err
	})
	if err != nil {
		return push.Task{}, err
	}
	return t, nil
}

func (d *Dispatcher) beginCopy(ctx context.Context, actor string, draft int64, source push.Task, reasons []push.Reason) error {
	c, err := d.st.BeginCopy(ctx, draft, source, reasons, actor)
	if err != nil {
		return err
	}
	if source.Counts.Total > copySpan {
		return d.st.SetTaskNote(ctx, draft, fmt.Sprintf(noteCopying, source.ID))
	}
	result, _, err := d.st.CopyPage(ctx, c, copySpan)
	if err == nil && result == store.CopySourceGone {
		err = listGone(source)
	}
	return err
}

// CopyList copies what is left of the list of a draft that [Dispatcher.Resend] or [Dispatcher.Clone] made, here and now; progress
// is told how many recipients it has, and may be nil. It returns the draft as it is then. A list that somebody else copies is waited for.
func (d *Dispatcher) CopyList(ctx context.Context, id int64, progress func(n int)) (push.Task, error) {
	for {
		c, ok, err := d.st.CopyOf(ctx, id)
		if err != nil {
			return push.Task{}, err
		}
		if !ok {
			return d.st.Task(ctx, id)
		}
		if err := d.copyPages(ctx, c, progress); err != nil {
			return push.Task{}, err
		}
	}
}

func (d *Dispatcher) copyPages(ctx context.Context, c store.Copy, progress func(n int)) error {
	for {
		result, n, err := d.st.CopyPage(ctx, c, copySpan)
		if err != nil {
			return err
		}
		if progress != nil {
			progress(n)
		}
		if result != store.CopyMore {
			return d.endCopy(ctx, c, result)
		}
	}
}

// endCopy says on the draft how it ended.
func (d *Dispatcher) endCopy(ctx context.Context, c store.Copy, result store.CopyResult) error {
	t, err := d.st.Task(ctx, c.TaskID)
	if err != nil {
		return nil //nolint:nilerr // the draft was deleted meanwhile
	}
	if result == store.CopySourceGone && t.SourceTaskID != nil {
		d.log.WarnContext(ctx, "list not copied, its source is gone", slog.Any("task_id", t.ID), slog.Any("source", *t.SourceTaskID))
		return d.st.SetTaskNote(ctx, t.ID, fmt.Sprintf(noteSourceGone, *t.SourceTaskID))
	}
	if t.Counts.Total > d.cfg.ReachAtOnce {
		if err := d.insertCountJob(ctx, t.ID); err != nil {
			return err
		}
	}
	return d.st.SetTaskNote(ctx, t.ID, "")
}

// emptyAudience refuses a task without recipients, and says so if they are on their way.
func (d *Dispatcher) emptyAudience(ctx context.Context, t push.Task) error {
	refusal := &push.Refusal{Code: push.RefusedEmptyAudience, TaskID: t.ID, State: t.State}
	_, copying, err := d.st.CopyOf(ctx, t.ID)
	if err != nil {
		return err
	}
	if copying {
		refusal.Detail = "its list is still being copied"
	}
	return refusal
}

// tendCopies goes on with the lists that are being copied, beside the sweep: a long one takes a minute. Whoever copies one already
// keeps this one out.
func (d *Dispatcher) tendCopies(ctx context.Context) error {
	copies, err := d.st.Copies(ctx)
	for _, c := range copies {
		d.beside(ctx, chore{"copy", c.AudienceID}, func(ctx context.Context) {
			if _, err := d.st.PlanAlone(ctx, c.TaskID, func(ctx context.Context) error { return d.copyPages(ctx, c, nil) }); err != nil && ctx.Err() == nil {
				d.log.ErrorContext(ctx, "list not copied", slog.Any("task_id", c.TaskID), slog.Any("err", err))
			}
		})
	}
	return err
}
