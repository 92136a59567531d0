package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// trialPage is what is done with a task before it goes out: a second person's approval, a message to a tester, and a dry run.
type trialPage struct {
	push.Task
	Path string
	// Testers are the app's, each with what a test could spend.
	Testers []testerRow
	// Test is the id of a test that was just begun; empty otherwise.
	Test string
	// DryRun is the last one; nil before the first. Reasons and Examples are its.
	DryRun   *push.DryRun
	Reasons  []reasonRow
	Examples []exampleRow
	// Message is what it would send.
	Message messageView
	// Approving is what was said of it. Hash names what an approval is of: the first digits are enough for a person.
	Approving approvalView
	Hash      string
	Note      field
	// What the account may do now. Judging: it may say something of it, also once something was said. Own: it made or changed the task itself,
	// and cannot.
	CanTry, Judging, Own bool
}

// testerRow is a tester and what he has to do first.
type testerRow struct {
	push.Tester
	Todo both
}

// exampleRow is a recipient that would not be sent to.
type exampleRow struct {
	push.DryExample
	Text both
}

// outcome is how a test ended.
type outcome struct {
	push.Trial
	Text both
}

// Counting says that the dry run goes on.
func (p trialPage) Counting() bool { return p.DryRun != nil && p.DryRun.State == push.DryRunning }

// trialWait is how long a look at a test waits for its outcome.
const trialWait = 10 * time.Second

func (k *Console) trialRoutes(t *table) {
	path := "/console/tasks/{id}/trial"
	t.page(path, auth.Author, k.showTrial)
	t.page(path+"/outcome", auth.Author, k.showOutcome)
	t.change(path+"/test", auth.Author, "task.test", k.startTest)
	// These write their own entries in the audit log.
	t.row(Route{Method: http.MethodPost, Pattern: path + "/dry-run", Role: auth.Author}, k.startDryRun)
	t.row(Route{Method: http.MethodPost, Pattern: path + "/approve", Role: auth.Approver}, k.judgeTask(k.d.Approve, "trial.flash_approved"))
	t.row(Route{Method: http.MethodPost, Pattern: path + "/reject", Role: auth.Approver}, k.judgeTask(k.d.Reject, "trial.flash_rejected"))
}

func (k *Console) newTrialPage(ctx context.Context, c *call) (p trialPage, err error) {
	t := c.task
	open := t.State == push.TaskDraft || t.State == push.TaskMissed || t.State == push.TaskScheduled
	p = trialPage{
		Task: t, Path: taskPath(t.ID) + "/trial", Hash: t.ContentHash[:min(12, len(t.ContentHash))],
		Note:   field{Name: "note", Label: "trial.note", Hint: "trial.note_hint", Type: "text", Max: push.MaxApprovalNote, Value: c.value("note")},
		CanTry: open && c.may(auth.Author),
	}
	if p.Approving, err = k.approvalOf(ctx, c); err != nil {
		return p, err
	}
	if begun := !open && !t.Approval.Awaited; c.may(auth.Approver) && !begun && !p.Approving.NoList {
		p.Judging, p.Own = c.mayJudge(t), !c.mayJudge(t)
	}
	if p.Message, err = k.firstMessage(ctx, c); err != nil {
		return p, err
	}
	if test := c.value("test"); test != "" && c.form == nil {
		if _, err := strconv.ParseInt(test, 10, 64); err == nil {
			p.Test = test
		}
	}
	testers, err := k.d.Testers(ctx, t.ID)
	if err != nil {
		return p, err
	}
	for _, tester := range testers {
		p.Testers = append(p.Testers, testerRow{tester, both{tester.ZH, tester.EN}})
	}
	found, err := k.store.DryRun(ctx, t.ID)
	if errors.Is(err, push.ErrNotFound) {
		return p, nil
	}
	p.DryRun = &found
	for _, r := range found.Reasons {
		p.Reasons = append(p.Reasons, reasonRow{Code: r.Code, Text: both{r.ZH, r.EN}, Count: r.Count})
	}
	for _, e := range found.Examples {
		text := e.Reason.Text()
		p.Examples = append(p.Examples, exampleRow{e, both{text.ZH, text.EN}})
	}
	return p, err
}

func (k *Console) showTrial(ctx context.Context, c *call) (reply, error) {
	p, err := k.newTrialPage(ctx, c)
	return page("trial", p, c.task.ID).under(taskCrumbs(c)...), err
}

// startTest sends one message to a tester. Its outcome is waited for by the page that follows, once this is committed.
func (k *Console) startTest(ctx context.Context, c *call) (reply, error) {
	trial, err := k.d.StartTest(ctx, c.actor(), c.task.ID, dispatch.TestSpec{UserID: c.value("user_id")})
	c.audit.Detail = map[string]any{"test": trial.ID}
	return redirect(taskPath(c.task.ID) + "/trial?test=" + strconv.FormatInt(trial.ID, 10)), err
}

// showOutcome waits a moment for the outcome of a test of this task.
func (k *Console) showOutcome(ctx context.Context, c *call) (reply, error) {
	id, err := strconv.ParseInt(c.value("test"), 10, 64)
	if err != nil {
		return reply{}, fmt.Errorf("test: %w", push.ErrNotFound)
	}
	test, err := k.store.Task(ctx, id)
	if err != nil {
		return reply{}, err
	}
	if test.TestOf == nil || *test.TestOf != c.task.ID {
		return reply{}, fmt.Errorf("test %d: %w", id, push.ErrNotFound)
	}
	trial, err := k.d.LookAtTest(ctx, id, trialWait)
	return part("trial", "outcome", outcome{trial, both{trial.ZH, trial.EN}}), err
}

func (k *Console) startDryRun(ctx context.Context, c *call) (reply, error) {
	_, err := k.d.DryRun(ctx, c.actor(), c.task.ID, func(ctx context.Context) error {
		return k.store.InsertAuditEntry(ctx, c.entry(didTaskDryRun))
	})
	return redirect(taskPath(c.task.ID) + "/trial#dry-run"), err
}

// judgeTask makes a handler of what a second person says of a task.
func (k *Console) judgeTask(do func(ctx context.Context, actor string, id int64, j dispatch.Judgment) (push.Task, error), said string) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		_, err := do(ctx, c.actor(), c.task.ID, dispatch.Judgment{Hash: c.value("hash"), Note: c.value("note")})
		if err != nil {
			p, pageErr := k.newTrialPage(ctx, c)
			if pageErr != nil {
				return reply{}, pageErr
			}
			if err := refuse(err, &p.Note); err != nil {
				return reply{}, err
			}
			return invalid("trial", p, c.task.ID).under(taskCrumbs(c)...), nil
		}
		return redirect(taskPath(c.task.ID)).saying(said, strconv.FormatInt(c.task.ID, 10)), nil
	}
}
