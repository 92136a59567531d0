package dispatch

import (
	"context"
	"slices"
	"strings"
	"time"

	"minipush/internal/push"
)

// maxAhead bounds how far ahead a task may be scheduled.
const maxAhead = 366 * 24 * time.Hour

// Send sends a task now (at nil) or at a time. On a scheduled task a new time moves it. What stands against it is a
// *push.Refusal, and then nothing is changed: the compare-and-set of the state and the start job are one transaction
// (invariant 1).
func (d *Dispatcher) Send(ctx context.Context, actor string, id int64, at *time.Time) (push.Task, error) {
	return d.send(ctx, actor, id, at, func(push.Task) error { return nil })
}

// SendSeen is [Dispatcher.Send] of a task as a person has seen it, by the content_hash of what was looked at, or at least its first 12
// digits: what was changed since, its content or whom it goes to, is not sent, and refused as content_changed.
func (d *Dispatcher) SendSeen(ctx context.Context, actor string, id int64, at *time.Time, hash string) (push.Task, error) {
	return d.send(ctx, actor, id, at, func(t push.Task) error {
		if push.NamesHash(hash, t.ContentHash) {
			return nil
		}
		return &push.Refusal{Code: push.RefusedContentChanged, TaskID: t.ID, State: t.State}
	})
}

// send asks seen, under the lock of a task that can be sent, whether it is the one that is meant.
func (d *Dispatcher) send(ctx context.Context, actor string, id int64, at *time.Time, seen func(push.Task) error) (push.Task, error) {
	if at != nil {
		if wait := time.Until(*at); wait <= 0 || wait > maxAhead {
			return push.Task{}, &push.InvalidError{Field: "at", Rule: "bad_time", Message: "must lie in the future, at most a year ahead"}
		}
	}
	return d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		from := []push.TaskState{push.TaskDraft, push.TaskMissed}
		if t.State != push.TaskScheduled && !slices.Contains(from, t.State) {
			return alreadySent(t)
		}
		if err := seen(t); err != nil {
			return err
		}
		if t.State == push.TaskScheduled {
			return d.move(ctx, t, at)
		}
		if err := d.freeze(ctx, actor, t, at); err != nil {
			return err
		}
		if at == nil {
			if err := d.needApproval(ctx, t); err != nil {
				return err
			}
		}
		moved, err := d.st.SubmitTask(ctx, t.ID, from, at)
		if err != nil {
			return err
		}
		if !moved {
			return alreadySent(t)
		}
		if at == nil {
			if err := d.beginQuiet(ctx, t.ID); err != nil {
				return err
			}
		}
		if at != nil {
			if err := d.countBefore(ctx, t); err != nil {
				return err
			}
		}
		if t.State == push.TaskMissed {
			// The job of the schedule that was missed may still stand.
			if err := d.replaceStartJob(ctx, t.ID, nil); err != nil {
				return err
			}
		}
		return d.insertStartJob(ctx, t.ID, at)
	})
}

// alreadySent refuses to send a task again, and names its app if that is paused: a resume of the task would not do.
func alreadySent(t push.Task) error {
	refusal := &push.Refusal{Code: push.RefusedAlreadySent, TaskID: t.ID, State: t.State}
	if slices.Contains(t.Causes, push.CauseAppPaused) {
		refusal.App = t.App
	}
	return refusal
}

// changeTask locks a task, hands it to change in the same transaction, and returns it as it is then.
func (d *Dispatcher) changeTask(ctx context.Context, id int64, change func(ctx context.Context, t push.Task) error) (t push.Task, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if _, err := d.st.LockTask(ctx, id); err != nil {
			return err
		}
		if t, err = d.st.Task(ctx, id); err != nil {
			return err
		}
		if err := change(ctx, t); err != nil {
			return err
		}
		t, err = d.st.Task(ctx, id)
		return err
	})
	if err != nil {
		return push.Task{}, err
	}
	return t, nil
}

// move gives a scheduled task another time. Its frozen content stays.
func (d *Dispatcher) move(ctx context.Context, t push.Task, at *time.Time) error {
	if at == nil || t.StartAt != nil && t.StartAt.Equal(at.Truncate(time.Microsecond)) {
		return &push.Refusal{Code: push.RefusedAlreadyScheduled, TaskID: t.ID, State: t.State}
	}
	if err := d.checkNotAfter(t, at); err != nil {
		return err
	}
	moved, err := d.st.SubmitTask(ctx, t.ID, []push.TaskState{push.TaskScheduled}, at)
	if err != nil {
		return err
	}
	if !moved {
		return alreadySent(t)
	}
	if err := d.countBefore(ctx, t); err != nil {
		return err
	}
	return d.replaceStartJob(ctx, t.ID, at)
}

// freeze checks everything that can stand against a send, and writes template and product into the task as they are.
func (d *Dispatcher) freeze(ctx context.Context, actor string, t push.Task, at *time.Time) error {
	template, err := d.st.Template(ctx, t.AppID, t.TemplateID)
	if err != nil {
		return err
	}
	if err := template.Usable(); err != nil {
		return err
	}
	compiled, err := template.Compile()
	if err != nil {
		return err
	}
	if err := t.ValidateFor(compiled); err != nil {
		return err
	}
	if err := checkTexts(template, compiled, &t); err != nil {
		return err
	}
	if err := d.checkNotAfter(t, at); err != nil {
		return err
	}
	for _, check := range []func(context.Context, push.Task, push.Compiled, *time.Time) error{d.checkProduct, d.checkAudience, d.checkApp} {
		if err := check(ctx, t, compiled, at); err != nil {
			return err
		}
	}
	return d.st.FreezeTask(ctx, t.ID, template, actor)
}

func (d *Dispatcher) checkNotAfter(t push.Task, at *time.Time) error {
	when, what := time.Now(), "is now, which lies"
	if at != nil {
		when, what = *at, "lies"
	}
	if t.NotAfter != nil && when.After(*t.NotAfter) {
		end := t.NotAfter.In(d.cfg.Location).Format(time.RFC3339)
		return &push.InvalidError{Field: "at", Rule: "after_not_after", Message: what + " after the task's not_after, " + end}
	}
	return checkWait(t.TaskSpec, when, maxWait)
}

func (d *Dispatcher) checkProduct(ctx context.Context, t push.Task, _ push.Compiled, _ *time.Time) error {
	if t.Product == nil {
		return nil
	}
	p, err := d.st.Product(ctx, t.AppID, t.Product.Code)
	if err != nil {
		return err
	}
	if !p.OnShelf || !t.Product.OnShelf {
		return &push.Refusal{Code: push.RefusedProductOffShelf, TaskID: t.ID, State: t.State, App: t.App, Product: p.Code, Detail: "product " + p.Code}
	}
	return nil
}

func (d *Dispatcher) checkAudience(ctx context.Context, t push.Task, c push.Compiled, at *time.Time) error {
	var columns []string
	if t.SourceID != 0 {
		v, _, err := d.st.ListVersion(ctx, t.SourceID)
		if err != nil {
			return err
		}
		columns, t.AudienceID = v.Columns, v.ID // whose rows the task will have
	} else if t.Audience == push.AudienceList {
		if t.Counts.Total == 0 {
			return d.emptyAudience(ctx, t)
		}
		a, err := d.st.Audience(ctx, t.ID)
		if err != nil {
			return err
		}
		columns = a.Columns
	}
	if missing := missingColumns(c, columns); len(missing) > 0 {
		return &push.Refusal{Code: push.RefusedUnknownVariable, TaskID: t.ID, State: t.State, Detail: strings.Join(missing, ", ")}
	}
	when := time.Now()
	if at != nil {
		when = *at
	}
	if t.WaitForPermitUntil != nil && t.Audience == push.AudienceList {
		return nil // whoever has no permit waits for one
	}
	any, err := d.st.AnyReachable(ctx, t, when, d.cfg.PermitMargin, d.cfg.Location.String())
	if err == nil && !any {
		return &push.Refusal{Code: push.RefusedNoPermit, TaskID: t.ID, State: t.State, Channel: t.Channel}
	}
	return err
}

// missingColumns names what a template uses and a list does not have.
func missingColumns(c push.Compiled, columns []string) (missing []string) {
	for _, name := range c.Columns() {
		if !slices.Contains(columns, name) {
			missing = append(missing, "recipient."+name)
		}
	}
	return missing
}

func (d *Dispatcher) checkApp(ctx context.Context, t push.Task, _ push.Compiled, at *time.Time) error {
	app, err := d.st.App(ctx, t.App)
	if err == nil && at == nil && app.PausedAt != nil {
		return &push.Refusal{Code: push.RefusedAppPaused, TaskID: t.ID, State: t.State, App: t.App}
	}
	return err
}
