package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// taskPage is one task: what it is, how far it is or what came of it, and what can be done about it.
type taskPage struct {
	push.Task
	Figures figures
	// Live: the numbers still move. Settled: none of them ever will.
	Live, Settled bool
	// Phase is what the page was made for (see phase).
	Phase string
	// Path is the task's own.
	Path string
	// Result is what came of it; nil while it is to come.
	Result *taskResult
	// Making is what can be done with it before it is sent.
	Making making
	// Jobs is the page of the queue with the jobs of the task; empty for who may not see it.
	Jobs string
	// Approving is what was said of it, where the app asks for an approval.
	Approving approvalView
	// Rate is the field of the form that changes the task's limit.
	Rate field
	// NeedsList: before it can be sent, somebody has to say to whom.
	NeedsList bool
	// What the account may do now. CanTakeProduct: the product changed while the task waited for its time, and may be taken as it is now.
	CanSend, CanPause, CanResume, CanCancel, CanUnschedule, CanSetRate, CanTakeProduct bool
}

// reasonRow is how many recipients ended for a reason.
type reasonRow struct {
	Code  string
	Text  both
	Count int
}

func (k *Console) taskRoutes(t *table) {
	t.page("/console/tasks/{id}", auth.Viewer, k.showTask)
	t.page("/console/tasks/{id}/progress", auth.Viewer, k.showTaskProgress)
	t.stream(http.MethodGet, "/console/tasks/{id}/events", auth.Viewer, k.streamTask)
	t.change("/console/tasks/{id}/unschedule", auth.Approver, "task.unschedule", k.taskAction(k.d.Unschedule, "task.flash_unscheduled"))
	t.change("/console/tasks/{id}/pause", auth.Operator, "task.pause", k.taskAction(k.d.Pause, "task.flash_paused"))
	t.change("/console/tasks/{id}/resume", auth.Approver, "task.resume", k.taskAction(k.d.Resume, "task.flash_resumed"))
	t.change("/console/tasks/{id}/cancel", auth.Operator, "task.cancel", k.taskAction(k.d.Cancel, "task.flash_canceled"))
	t.change("/console/tasks/{id}/rate", auth.Operator, "task.rate", k.setTaskRate)
}

// taskCrumbs lead from a page of a task back to it.
func taskCrumbs(c *call) []crumb {
	return []crumb{{Key: "tasks.title", Href: home}, {Key: "task.title", Args: []any{c.task.ID}, Href: taskPath(c.task.ID)}}
}

func (k *Console) newTaskPage(ctx context.Context, c *call) (taskPage, error) {
	t := c.task
	p := taskPage{
		Task: t, Figures: newFigures(progressOfTask(t)), Path: taskPath(t.ID), Phase: phase(t.State, t.Counts), Live: isLive(t.State, t.Counts),
		Settled: t.State.Final() && t.Counts.Open() == 0,
		Making:  newMaking(c),
		Jobs:    jobsOf(c, t),
		Rate: field{
			Name: "rate_per_second", Label: "task.rate", Hint: "task.rate_hint", Type: "number", Value: strconv.Itoa(t.RatePerSecond),
		},
		CanSend: c.may(auth.Author) && (t.State == push.TaskDraft || t.State == push.TaskMissed || t.State == push.TaskScheduled),

		NeedsList:     t.State == push.TaskDraft && goesNowhere(t),
		CanUnschedule: c.may(auth.Approver) && t.State == push.TaskScheduled,
		CanPause:      c.may(auth.Operator) && t.State == push.TaskSending,
		CanResume:     c.may(auth.Approver) && t.State == push.TaskPaused,
		CanCancel:     c.may(auth.Operator) && t.State.CanMove(push.TaskCanceled),
		CanSetRate:    c.may(auth.Operator) && (t.State == push.TaskSending || t.State == push.TaskPaused || t.State == push.TaskScheduled),
	}
	if p.Settled {
		p.Result = newTaskResult(c, p.Figures)
	}
	for _, cause := range t.Causes {
		if (cause == push.CauseProductOffShelf || cause == push.CauseProductChanged) && t.StartedAt == nil {
			p.CanTakeProduct = c.may(auth.Author)
		}
	}
	var err error
	p.Approving, err = k.approvalOf(ctx, c)
	return p, err
}

// goesNowhere says that a task is to go to a list, and has none yet.
func goesNowhere(t push.Task) bool {
	return t.Audience == push.AudienceList && t.AudienceID == 0 && t.SourceID == 0
}

// jobsOf is where the pages of the queue show the jobs of a task, in the state that most of them are in. They show the jobs of all apps, so
// they are for whoever sees all.
func jobsOf(c *call, t push.Task) string {
	if t.State == push.TaskDraft || !c.may(auth.Operator) || !c.session.Principal.SeesAll() {
		return ""
	}
	state := "completed"
	switch t.State {
	case push.TaskScheduled:
		state = "scheduled"
	case push.TaskSending:
		state = "running"
	case push.TaskDraft, push.TaskMissed, push.TaskPaused, push.TaskDone, push.TaskCanceled: // what is left of its jobs is done
	}
	return "/ops/jobs/jobs/?" + url.Values{"state": {state}, "tags": push.JobTags(t.ID)}.Encode()
}

// progressOfTask is what of a task moves.
func progressOfTask(t push.Task) store.Progress {
	return store.Progress{
		State: t.State, Causes: t.Causes, Note: t.Note, RatePerSecond: t.RatePerSecond, StartAt: t.StartAt, StartedAt: t.StartedAt, EndedAt: t.EndedAt,
		Counts: t.Counts, Reasons: t.Reasons,
	}
}

// Slices are those of the donut, as JSON for the chart: how many ended in each state.
func (p taskPage) Slices() string {
	counts := p.Counts
	data, _ := json.Marshal(map[string]int{ // numbers
		"sent": counts.Sent, "failed": counts.Failed, "skipped": counts.Skipped, "unknown": counts.Unknown,
	})
	return string(data)
}

func (k *Console) showTask(ctx context.Context, c *call) (reply, error) {
	p, err := k.newTaskPage(ctx, c)
	return page("task", p, c.task.ID).under(crumb{Key: "tasks.title", Href: home}), err
}

// showTaskProgress is the part of the page that moves, for a browser whose stream does not come through. Once the task is in another phase
// than the page was made for, the whole page is loaded anew.
func (k *Console) showTaskProgress(_ context.Context, c *call) (reply, error) {
	out := part("task", "figures", newFigures(progressOfTask(c.task)))
	out.refresh = c.value("phase") != phase(c.task.State, c.task.Counts)
	return out, nil
}

// setTaskRate changes the limit of a task, which every daemon obeys within a second.
func (k *Console) setTaskRate(ctx context.Context, c *call) (reply, error) {
	was := 0
	rate, err := strconv.Atoi(strings.TrimSpace(c.value("rate_per_second")))
	if err != nil {
		err = &push.InvalidError{Field: "rate_per_second", Rule: "out_of_range", Message: "must be a whole number"}
	}
	if err == nil {
		was, err = k.rateOf(ctx, c)
	}
	if err == nil {
		_, err = k.d.SetTaskRate(ctx, c.actor(), c.task.ID, rate)
	}
	if err != nil {
		p, pageErr := k.newTaskPage(ctx, c)
		if pageErr != nil {
			return reply{}, pageErr
		}
		p.Rate.Value = c.value("rate_per_second")
		if err := refuse(err, &p.Rate); err != nil {
			return reply{}, err
		}
		return invalid("task", p, c.task.ID).under(crumb{Key: "tasks.title", Href: home}), nil
	}
	c.audit.Detail = store.Changed(map[string]any{"rate_per_second": was}, map[string]any{"rate_per_second": rate})
	return redirect(taskPath(c.task.ID)).saying("task.flash_rate", strconv.FormatInt(c.task.ID, 10)), nil
}

// rateOf is the limit of a task as it is, under its lock.
func (k *Console) rateOf(ctx context.Context, c *call) (int, error) {
	if _, err := k.store.LockTask(ctx, c.task.ID); err != nil {
		return 0, err
	}
	t, err := k.store.Task(ctx, c.task.ID)
	return t.RatePerSecond, err
}

// taskAction makes a handler of a transition of a task.
func (k *Console) taskAction(do func(ctx context.Context, actor string, id int64) (push.Task, error), key string) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		after, err := do(ctx, c.actor(), c.task.ID)
		c.audit.Detail = store.Changed(sentAs(c.task), sentAs(after))
		return redirect(taskPath(c.task.ID)).saying(key, strconv.FormatInt(c.task.ID, 10)), err
	}
}
