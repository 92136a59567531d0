package api

import (
	"context"
	"math"
	"net/http"
	"strconv"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

type taskList struct {
	Tasks      []push.Task `json:"tasks"`
	NextCursor *string     `json:"next_cursor"`
}

// listTasks lists tasks, newest first, with their counts and without their reasons.
func (a *API) listTasks(ctx context.Context, c *call, _ *none) (*taskList, error) {
	limit := c.limit()
	filter := store.TaskFilter{
		State: push.TaskState(c.text("state")), Approval: push.ApprovalState(c.text("approval")), From: c.moment("from"), To: c.moment("to"),
		Before: c.afterNumber("tasks", 0, math.MaxInt64), Limit: limit + 1,
	}
	if filter.Approval != "" && !filter.Approval.Valid() {
		c.reject("approval", "unknown_approval", "must be none, approved, rejected or void")
	}
	if filter.State != "" && !filter.State.Valid() {
		c.reject("state", "unknown_state", "must be a state of a task")
	}
	var err error
	if filter.AppIDs, err = a.listedApps(ctx, c); err != nil {
		return nil, err
	}
	rows, err := a.store.Tasks(ctx, filter)
	if err != nil {
		return nil, err
	}
	tasks, next := cut(rows, limit, "tasks", func(t push.Task) string { return strconv.FormatInt(t.ID, 10) })
	return &taskList{Tasks: tasks, NextCursor: next}, nil
}

func (a *API) createTask(ctx context.Context, c *call, spec *push.TaskSpec) (*push.Task, error) {
	if err := push.RequireText("app", spec.App, push.MaxAppKey); err != nil {
		return nil, err
	}
	if _, err := a.visibleApp(ctx, c.principal, spec.App); err != nil {
		return nil, err
	}
	task, err := a.d.CreateTask(ctx, c.principal.Name, *spec)
	return &task, err
}

func (a *API) showTask(_ context.Context, c *call, _ *none) (*push.Task, error) { return &c.task, nil }

// changeTask writes the fields that the body has over those of a draft, or of a task that was missed; null takes a time away.
func (a *API) changeTask(ctx context.Context, c *call, _ *push.TaskSpec) (*push.Task, error) {
	if c.task.State != push.TaskDraft && c.task.State != push.TaskMissed {
		return a.changeRate(ctx, c)
	}
	task, err := a.d.ChangeTask(ctx, c.principal.Name, c.task.ID, func(spec *push.TaskSpec) error { return decode(c.body, spec) })
	return &task, err
}

// changeRate changes the only thing that can be changed of a task that is being sent, or about to be, which is for an operator.
func (a *API) changeRate(ctx context.Context, c *call) (*push.Task, error) {
	var body struct {
		RatePerSecond *int `json:"rate_per_second"`
	}
	if decode(c.body, &body) != nil || body.RatePerSecond == nil {
		return nil, &push.Refusal{Code: push.RefusedWrongState, TaskID: c.task.ID, State: c.task.State}
	}
	if !c.principal.Role.May(auth.Operator, auth.Write) {
		return nil, problem(http.StatusForbidden, "forbidden", "the rate of a task that is neither a draft nor missed takes the role operator")
	}
	c.audit.Action = "task.rate"
	task, err := a.d.SetTaskRate(ctx, c.principal.Name, c.task.ID, *body.RatePerSecond)
	return &task, err
}

func (a *API) deleteTask(ctx context.Context, c *call, _ *none) (*none, error) {
	c.audit.Detail = store.Changed(c.task.TaskSpec, nil)
	return &none{}, a.d.DeleteTask(ctx, c.task.ID)
}

func (a *API) refreshProduct(ctx context.Context, c *call, _ *none) (*push.Task, error) {
	task, err := a.d.RefreshProduct(ctx, c.principal.Name, c.task.ID)
	return &task, err
}

type recipientList struct {
	Recipients []push.Recipient `json:"recipients"`
	NextCursor *string          `json:"next_cursor"`
}

func (a *API) listRecipients(ctx context.Context, c *call, _ *none) (*recipientList, error) {
	limit := c.limit()
	filter := store.RecipientFilter{
		State: recipientState(c), UserID: c.text("user_id"), After: int32(c.afterNumber("recipients", -1, math.MaxInt32-1)), Limit: limit + 1,
	}
	var known bool
	if filter.Reason, known = push.ParseReason(c.text("reason")); !known {
		c.reject("reason", "unknown_reason", "must be the code of a reason")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	rows, err := a.store.Recipients(ctx, c.task.ID, filter)
	if err != nil {
		return nil, err
	}
	recipients, next := cut(rows, limit, "recipients", func(r push.Recipient) string { return strconv.Itoa(int(r.Seq)) })
	return &recipientList{Recipients: recipients, NextCursor: next}, nil
}

// recipientState reads the parameter state; nil is all states.
func recipientState(c *call) *push.RecipientState {
	if !c.given("state") {
		return nil
	}
	state, known := push.ParseRecipientState(c.text("state"))
	if !known {
		c.reject("state", "unknown_state", "must be a state of a recipient")
	}
	return &state
}
