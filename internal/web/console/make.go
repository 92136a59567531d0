package console

import (
	"context"
	"strconv"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// making is what can be done with a task before it is sent, and with any task to make another of it: the dot of the partials making and
// making_actions, on the page of the task.
type making struct {
	ID   int64
	Path string
	// What the account may do now.
	CanEdit, CanClone, CanDelete, CanCorrect, CanRenew bool
	// Audience, Reach and Trial lead to the pages of the list, of who can be reached, and of tests, dry runs and approval.
	Audience, Reach, Trial bool
}

func newMaking(c *call) making {
	t := c.task
	author := c.may(auth.Author)
	open := t.State == push.TaskDraft || t.State == push.TaskMissed
	return making{
		ID: t.ID, Path: taskPath(t.ID), CanEdit: author && open, CanClone: author, CanDelete: author && t.State == push.TaskDraft,
		CanCorrect: c.may(auth.Approver) && t.State == push.TaskScheduled, CanRenew: author && t.State == push.TaskDraft && t.ProductCode != "",
		Audience: true, Reach: open || t.State == push.TaskScheduled,
		Trial: author && (open || t.State == push.TaskScheduled || t.Approval.Awaited),
	}
}

func (k *Console) makeRoutes(t *table) {
	k.editRoutes(t)
	k.audienceRoutes(t)
	k.reachRoutes(t)
	k.savedListRoutes(t)
	k.calendarRoutes(t)
	t.change("/console/tasks/{id}/clone", auth.Author, "task.clone", k.cloneTask)
	t.change("/console/tasks/{id}/delete", auth.Author, "task.delete", k.deleteTask)
	t.change("/console/tasks/{id}/correct", auth.Approver, "task.unschedule", k.correctTask)
	t.change("/console/tasks/{id}/product", auth.Author, "task.product", k.renewProduct)
}

// cloneTask makes a draft with the same content and the same list.
func (k *Console) cloneTask(ctx context.Context, c *call) (reply, error) {
	task, err := k.d.Clone(ctx, c.actor(), c.task.ID, true)
	c.audit.Detail = map[string]any{"draft": task.ID}
	return redirect(taskPath(task.ID)).saying("make.flash_cloned", strconv.FormatInt(task.ID, 10)), err
}

func (k *Console) deleteTask(ctx context.Context, c *call) (reply, error) {
	c.audit.Detail = store.Changed(c.task.TaskSpec, nil)
	return redirect(home).saying("make.flash_deleted", strconv.FormatInt(c.task.ID, 10)), k.d.DeleteTask(ctx, c.task.ID)
}

// correctTask takes a scheduled task out of the schedule, to be written on.
func (k *Console) correctTask(ctx context.Context, c *call) (reply, error) {
	after, err := k.d.Unschedule(ctx, c.actor(), c.task.ID)
	c.audit.Detail = store.Changed(sentAs(c.task), sentAs(after))
	return redirect(taskPath(c.task.ID)+"/edit").saying("make.flash_correct", strconv.FormatInt(c.task.ID, 10)), err
}

// renewProduct (更新) takes title, price and shelf state anew, of a draft, or of a task that waits because its product changed.
func (k *Console) renewProduct(ctx context.Context, c *call) (reply, error) {
	after, err := k.d.RefreshProduct(ctx, c.actor(), c.task.ID)
	c.audit.Detail = store.Changed(c.task.Product, after.Product)
	return redirect(taskPath(c.task.ID)).saying("make.flash_renewed", c.task.ProductCode), err
}
