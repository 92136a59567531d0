package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// A test is one real message to a tester. It is a task of its own, for one recipient, that belongs to the task whose content it shows: so it
// is claimed, written ahead, called and recorded by the same code, and what holds of any message holds of it, whatever dies. It is no part of
// the recipients and the counts of its task, needs no approval, and is sent at once, in quiet hours too.

const (
	// testPoll is how often the outcome of a test is looked for.
	testPoll = 250 * time.Millisecond
	// testPatience is how long a test may wait for a daemon to take it up; whoever asked has gone by then.
	testPatience = 30 * time.Second
)

// TestSpec says to whom a test goes, and whose columns of the list it shows.
type TestSpec struct {
	UserID string `json:"user_id"`
	// Seq is the recipient whose columns the message has; the first if none is named.
	Seq int32 `json:"seq"`
}

// Testers lists the testers of a task's app, each with the permits that a test could spend, and what to do where there is none.
func (d *Dispatcher) Testers(ctx context.Context, id int64) ([]push.Tester, error) {
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return nil, err
	}
	app, err := d.st.App(ctx, t.App)
	if err != nil {
		return nil, err
	}
	list, err := d.st.Testers(ctx, t, app.Testers, d.cfg.PermitMargin)
	for i := range list {
		list[i].Advise(t.Channel)
	}
	return list, err
}

// StartTest sends a task that has not begun to a tester, and returns before it went out: [Dispatcher.AwaitTest] knows how it ends.
func (d *Dispatcher) StartTest(ctx context.Context, actor string, id int64, spec TestSpec) (trial push.Trial, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		t, err := d.st.Task(ctx, id)
		if err != nil {
			return err
		}
		if !slices.Contains([]push.TaskState{push.TaskDraft, push.TaskScheduled, push.TaskMissed}, t.State) {
			return wrongState(t)
		}
		if err := d.checkTester(ctx, t, spec.UserID); err != nil {
			return err
		}
		columns, row, err := d.sampleRow(ctx, t, spec.Seq)
		if err != nil {
			return err
		}
		if err := d.checkTestContent(ctx, t, columns); err != nil {
			return err
		}
		test, err := d.insertTest(ctx, actor, t, columns, store.NewRecipient{UserID: spec.UserID, Vars: row.Vars})
		if err == nil {
			trial, err = d.trial(ctx, test)
		}
		return err
	})
	if err != nil {
		return push.Trial{}, err
	}
	d.log.InfoContext(ctx, "test sent", slog.Any("task_id", id), slog.Any("test_id", trial.ID), slog.Any("actor", actor))
	return trial, nil
}

// checkTester refuses who is no tester, and who cannot be reached.
func (d *Dispatcher) checkTester(ctx context.Context, t push.Task, user string) error {
	app, err := d.st.App(ctx, t.App)
	if err != nil {
		return err
	}
	refusal := &push.Refusal{TaskID: t.ID, State: t.State, App: t.App, Tester: user, Channel: t.Channel}
	if !slices.Contains(app.Testers, user) {
		refusal.Code = push.RefusedNotATester
		return refusal
	}
	if app.PausedAt != nil {
		refusal.Code = push.RefusedAppPaused
		return refusal
	}
	found, err := d.st.Testers(ctx, t, []string{user}, d.cfg.PermitMargin)
	if err != nil {
		return err
	}
	if !found[0].Known {
		found[0].Advise(t.Channel)
		return &push.InvalidError{Field: "user_id", Rule: "no_openid", Message: "has no openid in this app: " + found[0].EN}
	}
	if found[0].Permits == 0 {
		refusal.Code = push.RefusedNoPermit
		return refusal
	}
	return nil
}

// sampleRow is a row of the list that a task has, or that its start would copy, with the names of its columns; none of a task without a list.
func (d *Dispatcher) sampleRow(ctx context.Context, t push.Task, seq int32) (columns []string, row store.NewRecipient, err error) {
	var rows []store.NewRecipient
	switch {
	case t.SourceID != 0:
		v, _, err := d.st.ListVersion(ctx, t.SourceID)
		if err != nil {
			return nil, row, err
		}
		columns = v.Columns
		if rows, err = d.st.ListRows(ctx, t.SourceID, int(seq), 1); err != nil {
			return nil, row, err
		}
	case t.Audience == push.AudienceList && t.AudienceID != 0:
		a, err := d.st.Audience(ctx, t.ID)
		if err != nil {
			return nil, row, err
		}
		columns = a.Columns
		list, err := d.st.Recipients(ctx, t.ID, store.RecipientFilter{After: seq - 1, Limit: 1})
		if err != nil {
			return nil, row, err
		}
		if len(list) == 1 && list[0].Seq == seq {
			rows = []store.NewRecipient{{UserID: list[0].UserID}}
			if list[0].Vars != nil {
				rows[0].Vars, _ = json.Marshal(list[0].Vars) // a slice of strings always marshals
			}
		}
	}
	if len(rows) == 0 && seq != 0 {
		return nil, row, &push.InvalidError{Field: "seq", Rule: "unknown_recipient", Message: "is not a recipient of the task"}
	}
	if len(rows) == 0 {
		return columns, row, nil
	}
	return columns, rows[0], nil
}

// checkTestContent holds what a task says against its template, as a send would.
func (d *Dispatcher) checkTestContent(ctx context.Context, t push.Task, columns []string) error {
	stored, err := d.st.Content(ctx, t.ID)
	if err != nil {
		return err
	}
	compiled, err := stored.Template.Compile()
	if err != nil {
		return err
	}
	if err := t.ValidateFor(compiled); err != nil {
		return err
	}
	if missing := missingColumns(compiled, columns); len(missing) > 0 {
		return &push.Refusal{Code: push.RefusedUnknownVariable, TaskID: t.ID, State: t.State, Detail: strings.Join(missing, ", ")}
	}
	return checkTexts(stored.Template, compiled, &t)
}

// insertTest writes the task of a test with its one recipient, and lets it go.
func (d *Dispatcher) insertTest(ctx context.Context, actor string, t push.Task, columns []string, row store.NewRecipient) (int64, error) {
	id, err := d.st.InsertTest(ctx, t.ID, actor)
	if err != nil {
		return 0, err
	}
	a, err := d.st.BeginAudience(ctx, id, "", columns, actor)
	if err != nil {
		return 0, err
	}
	if a.Accepted, err = d.st.AddRecipients(ctx, a.ID, 0, 0, []store.NewRecipient{row}); err != nil {
		return 0, err
	}
	a.Total = a.Accepted
	if _, err := d.st.FlipAudience(ctx, a); err != nil {
		return 0, err
	}
	if _, err := d.st.SubmitTask(ctx, id, []push.TaskState{push.TaskDraft}, nil); err != nil {
		return 0, err
	}
	return id, d.insertStartJob(ctx, id, nil)
}

// AwaitTest waits until a test has ended, at most as long as limit, and says how. One that was stopped, by a limit or by an error of the template, and one
// that nobody has taken up by then are canceled: after the answer no call begins that it does not speak of. A call that is under way, or whose
// outcome is in doubt, is finished by the daemons; the recipient of the test shows how.
func (d *Dispatcher) AwaitTest(ctx context.Context, id int64, limit time.Duration) (push.Trial, error) {
	until, canceled := time.Now().Add(limit), false
	for {
		t, err := d.st.Task(ctx, id)
		if err != nil {
			return push.Trial{}, err
		}
		late := time.Now().After(until)
		if t.Counts.Open() == 0 || late && canceled {
			return d.trial(ctx, id)
		}
		idle := t.State == push.TaskPaused
		if late && !idle {
			if idle, err = d.untaken(ctx, id); err != nil || !idle {
				return d.trial(ctx, id)
			}
		}
		if idle && !canceled {
			if err := d.cancelTest(ctx, t); err != nil {
				return push.Trial{}, err
			}
			canceled, until = true, time.Now().Add(cancelRound)
		}
		select {
		case <-ctx.Done():
			return push.Trial{}, context.Cause(ctx)
		case <-time.After(testPoll):
		}
	}
}

// LookAtTest waits until a test has ended, at most as long as limit, and says how it stands then. It changes nothing: one that stands still is
// canceled by the daemons ([Dispatcher.tendTests]).
func (d *Dispatcher) LookAtTest(ctx context.Context, id int64, limit time.Duration) (push.Trial, error) {
	until := time.Now().Add(limit)
	for {
		t, err := d.st.Task(ctx, id)
		if err != nil {
			return push.Trial{}, err
		}
		if t.Counts.Open() == 0 || time.Now().After(until) {
			trial, err := d.trial(ctx, id)
			if err == nil && trial.State == push.Pending && trial.Note == "" {
				trial.Note = noteNotYetTaken
			}
			return trial, err
		}
		select {
		case <-ctx.Done():
			return push.Trial{}, context.Cause(ctx)
		case <-time.After(testPoll):
		}
	}
}

// tendTests cancels the tests that were stopped, by a limit or by an error of the template, and those that nobody has taken up for long: none
// is sent behind the back of who has given it up.
func (d *Dispatcher) tendTests(ctx context.Context) error {
	ids, err := d.st.StuckTests(ctx, testPatience)
	errs := []error{err}
	for _, id := range ids {
		errs = append(errs, d.tendTest(ctx, id))
	}
	return errors.Join(errs...)
}

func (d *Dispatcher) tendTest(ctx context.Context, id int64) error {
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return err
	}
	if t.State != push.TaskPaused {
		if untaken, err := d.untaken(ctx, id); err != nil || !untaken {
			return err // it was called, and the engine settles it
		}
	}
	return d.cancelTest(ctx, t)
}

// untaken says that nobody has called the platform for a test yet.
func (d *Dispatcher) untaken(ctx context.Context, id int64) (bool, error) {
	r, err := d.testRecipient(ctx, id)
	return err == nil && r.State == push.Pending && r.Attempt == 0, err
}

// cancelTest cancels a test, unless it has ended meanwhile, and keeps why it stood still.
func (d *Dispatcher) cancelTest(ctx context.Context, t push.Task) error {
	_, err := d.Cancel(ctx, t.CreatedBy, t.ID)
	if refusal, ok := errors.AsType[*push.Refusal](err); ok && refusal.Code == push.RefusedWrongState {
		return nil
	}
	return err
}

// testRecipient is the one recipient of a test.
func (d *Dispatcher) testRecipient(ctx context.Context, id int64) (push.Recipient, error) {
	list, err := d.st.Recipients(ctx, id, store.RecipientFilter{After: -1, Limit: 1})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("the recipient of test %d: %w", id, push.ErrNotFound) // purged
	}
	if err != nil {
		return push.Recipient{}, err
	}
	return list[0], nil
}

// noteNotYetTaken is of a test that is still waited for.
const noteNotYetTaken = "还没有后台进程接手;半分钟内无人接手将自动取消 No worker daemon has taken it up yet; if none does within half a minute it is canceled."

// noteNotTaken is of a test that was canceled because no daemon had taken it up.
const noteNotTaken = "没有后台进程接手,已取消,未发送 No worker daemon took it up in time: it was canceled, and nothing was sent."

// trial reads how far a test has come.
func (d *Dispatcher) trial(ctx context.Context, id int64) (push.Trial, error) {
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return push.Trial{}, err
	}
	r, err := d.testRecipient(ctx, id)
	if err != nil {
		return push.Trial{}, err
	}
	text := r.Reason.Text()
	trial := push.Trial{ID: id, UserID: r.UserID, State: r.State, Reason: r.Reason, ZH: text.ZH, EN: text.EN, PlatformCode: r.PlatformCode,
		Note: t.Note, MsgID: r.MsgID, CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
	switch {
	case trial.Note == "" && r.Note != nil && *r.Note != "":
		trial.Note = *r.Note
	case trial.Note == "" && r.Reason == push.Canceled:
		trial.Note = noteNotTaken
	}
	if t.TestOf != nil {
		trial.TaskID = *t.TestOf // 0: it was deleted meanwhile
	}
	if r.UpdatedAt != nil {
		trial.UpdatedAt = *r.UpdatedAt
	}
	return trial, nil
}
