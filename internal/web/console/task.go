package console

import (
	"context"
	"strconv"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// taskPage is one task: what it is, how far it is, and what can be done about it.
type taskPage struct {
	push.Task
	Progress progress
	Reasons  []reasonRow
	// NotSent is what the original's line calls 发送失败数量: all that were not sent.
	NotSent int
	// Live: the numbers still move, and are refreshed.
	Live bool
	// Path is the task's own.
	Path string
	// Making is what can be done with it before it is sent.
	Making making
	// What the account may do now.
	CanSend, CanPause, CanResume, CanCancel, CanUnschedule bool
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
	t.change("/console/tasks/{id}/send", auth.Approver, "task.send", k.sendTask)
	t.change("/console/tasks/{id}/unschedule", auth.Approver, "task.unschedule", k.taskAction(k.d.Unschedule, "task.flash_unscheduled"))
	t.change("/console/tasks/{id}/pause", auth.Operator, "task.pause", k.taskAction(k.d.Pause, "task.flash_paused"))
	t.change("/console/tasks/{id}/resume", auth.Operator, "task.resume", k.taskAction(k.d.Resume, "task.flash_resumed"))
	t.change("/console/tasks/{id}/cancel", auth.Operator, "task.cancel", k.taskAction(k.d.Cancel, "task.flash_canceled"))
}

func newTaskPage(c *call) taskPage {
	t := c.task
	p := taskPage{
		Task: t, Progress: progressOf(t.Counts), NotSent: t.Counts.Total - t.Counts.Sent, Path: taskPath(t.ID),
		Live:    t.State == push.TaskSending || t.State == push.TaskScheduled || t.State == push.TaskCanceled && t.Counts.Open() > 0,
		Making:  newMaking(c),
		CanSend: c.may(auth.Approver) && (t.State == push.TaskDraft || t.State == push.TaskMissed),

		CanUnschedule: c.may(auth.Approver) && t.State == push.TaskScheduled,
		CanPause:      c.may(auth.Operator) && t.State == push.TaskSending,
		CanResume:     c.may(auth.Operator) && t.State == push.TaskPaused,
		CanCancel:     c.may(auth.Operator) && t.State.CanMove(push.TaskCanceled),
	}
	p.Progress.Legend = true
	for _, r := range t.Reasons {
		p.Reasons = append(p.Reasons, reasonRow{Code: r.Code, Text: both{r.ZH, r.EN}, Count: r.Count})
	}
	return p
}

func (k *Console) showTask(_ context.Context, c *call) (reply, error) {
	return page("task", newTaskPage(c), c.task.ID).under(crumb{Key: "tasks.title", Href: home}), nil
}

// showTaskProgress is the part of the page that moves; the page asks for it while it does. Once the state is another one than the page
// was made for, the whole page is: its buttons are others.
func (k *Console) showTaskProgress(_ context.Context, c *call) (reply, error) {
	out := part("task", "live", newTaskPage(c))
	out.refresh = c.value("state") != string(c.task.State)
	return out, nil
}

func (k *Console) sendTask(ctx context.Context, c *call) (reply, error) {
	_, err := k.d.Send(ctx, c.actor(), c.task.ID, nil)
	return redirect(taskPath(c.task.ID)).saying("task.flash_sent", strconv.FormatInt(c.task.ID, 10)), err
}

// taskAction makes a handler of a transition of a task.
func (k *Console) taskAction(do func(ctx context.Context, actor string, id int64) (push.Task, error), key string) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		_, err := do(ctx, c.actor(), c.task.ID)
		return redirect(taskPath(c.task.ID)).saying(key, strconv.FormatInt(c.task.ID, 10)), err
	}
}
