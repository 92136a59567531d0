package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"minipush/internal/push"
	"minipush/internal/store"
)

// Approval is a field beside the state of a task: what a second person said of its content and its audience, by the hash of both. It is
// never taken back when they change; it is held against the hash whenever it counts, under the lock of the task's row: when the task is sent,
// when its time has come, when a pause before its first message ends, and last in the transaction that makes its chunks. Whoever changes a
// task takes the same lock.

// Judgment is what a person says of a task.
type Judgment struct {
	// Hash is the content_hash of what the person looked at, or at least its first 12 digits.
	Hash string `json:"hash"`
	// Note is for who made the task. To reject one without a word would not help.
	Note string `json:"note"`
}

// Approve says that a task may begin as it is. That takes another person than who made it, and than all who changed it, or its template, since
// it was last approved: another name of a token, an account or a command line.
func (d *Dispatcher) Approve(ctx context.Context, actor string, id int64, j Judgment) (push.Task, error) {
	t, err := d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		if t.MadeBy(actor) {
			return &push.Refusal{Code: push.RefusedOwnTask, TaskID: id, State: t.State}
		}
		return d.judge(ctx, actor, t, push.Approved, j)
	})
	return d.logged(ctx, t, err, "task approved", actor)
}

// Reject says that a task may not begin as it is.
func (d *Dispatcher) Reject(ctx context.Context, actor string, id int64, j Judgment) (push.Task, error) {
	t, err := d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		if err := push.RequireText("note", j.Note, push.MaxApprovalNote); err != nil {
			return err
		}
		return d.judge(ctx, actor, t, push.Rejected, j)
	})
	return d.logged(ctx, t, err, "task rejected", actor)
}

// judge writes what actor says of a task that has not begun.
func (d *Dispatcher) judge(ctx context.Context, actor string, t push.Task, state push.ApprovalState, j Judgment) error {
	if err := push.CheckText("note", j.Note, push.MaxApprovalNote); err != nil {
		return err
	}
	if strings.TrimSpace(j.Hash) == "" {
		return &push.InvalidError{Field: "hash", Rule: "required", Message: "must be the content_hash of the task that was looked at"}
	}
	before := []push.TaskState{push.TaskDraft, push.TaskScheduled, push.TaskMissed}
	if !slices.Contains(before, t.State) {
		p, err := d.st.LockPlan(ctx, t.ID)
		if err != nil {
			return err
		}
		if t.State != push.TaskPaused || p.Planned {
			return wrongState(t)
		}
	}
	if t.Audience == push.AudienceList && t.AudienceID == 0 && t.SourceID == 0 {
		return d.emptyAudience(ctx, t)
	}
	changed := &push.Refusal{Code: push.RefusedContentChanged, TaskID: t.ID, State: t.State}
	if !push.NamesHash(j.Hash, t.ContentHash) {
		return changed
	}
	ok, err := d.st.JudgeTask(ctx, t.ID, state, t.ContentHash, actor, j.Note)
	if err != nil {
		return err
	}
	if !ok {
		return changed // its template did
	}
	action := "task.approve"
	if state == push.Rejected {
		action = "task.reject"
	}
	return d.auditApproval(ctx, actor, action, t, map[string]any{"hash": t.ContentHash})
}

// auditApproval writes into the audit log, in the transaction that ctx carries, what became of an approval, whoever asked for it: the
// console, the API or a command.
func (d *Dispatcher) auditApproval(ctx context.Context, actor, action string, t push.Task, detail map[string]any) error {
	return d.st.InsertAuditEntry(ctx, store.AuditEntry{Actor: actor, Action: action, AppID: &t.AppID, Object: fmt.Sprintf("task:%d", t.ID), Detail: detail})
}

// needApproval refuses a task that may not begin for want of an approval. The caller holds the task's lock.
func (d *Dispatcher) needApproval(ctx context.Context, t push.Task) error {
	a, err := d.st.Approval(ctx, t.ID)
	if err == nil && a.Missing() {
		return &push.Refusal{Code: push.RefusedNotApproved, TaskID: t.ID, State: t.State, Approval: a.State}
	}
	return err
}

// changeContent is changeTask for what an approval is of. A change that leaves content and audience as they were is none.
func (d *Dispatcher) changeContent(ctx context.Context, actor string, id int64, change func(ctx context.Context, t push.Task) error) (push.Task, error) {
	return d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		if err := change(ctx, t); err != nil {
			return err
		}
		return d.noteChange(ctx, actor, t)
	})
}

// noteChange writes down who changed what a task sends, or to whom, and says so if that made an approval void.
func (d *Dispatcher) noteChange(ctx context.Context, actor string, before push.Task) error {
	now, err := d.st.Task(ctx, before.ID)
	if err != nil || now.ContentHash == before.ContentHash {
		return err
	}
	if before.Approval.State == push.Approved {
		d.log.WarnContext(ctx, "approval void", slog.Any("task_id", now.ID), slog.Any("approved_by", *before.Approval.By), slog.Any("actor", actor))
		if err := d.auditApproval(ctx, actor, "task.approval_void", now, map[string]any{"approved_by": *before.Approval.By}); err != nil {
			return err
		}
	}
	return d.st.SetTaskChanged(ctx, now.ID, actor)
}

// needApprovalToBegin is needApproval for a task that may have begun: then its content can no longer change.
func (d *Dispatcher) needApprovalToBegin(ctx context.Context, t push.Task) error {
	if !t.Approval.Missing() {
		return nil
	}
	p, err := d.st.LockPlan(ctx, t.ID)
	if err != nil || p.Planned {
		return err
	}
	return d.needApproval(ctx, t)
}
