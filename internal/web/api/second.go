package api

import (
	"context"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// cloneBody says whether the list is cloned too; it is unless it says otherwise.
type cloneBody struct {
	List *bool `json:"list"`
}

func (cloneBody) mayBeEmpty() {}

func (a *API) cloneTask(ctx context.Context, c *call, body *cloneBody) (*push.Task, error) {
	task, err := a.d.Clone(ctx, c.principal.Name, c.task.ID, body.List == nil || *body.List)
	c.audit.Detail = map[string]any{"draft": task.ID}
	return &task, err
}

// resendBody says whose recipients are sent to again.
type resendBody struct {
	Reasons []push.Reason `json:"reasons"`
}

func (a *API) resendTask(ctx context.Context, c *call, body *resendBody) (*push.Task, error) {
	task, err := a.d.Resend(ctx, c.principal.Name, c.task.ID, body.Reasons)
	c.audit.Detail = map[string]any{"reasons": body.Reasons, "draft": task.ID}
	return &task, err
}

func (a *API) resolveTask(ctx context.Context, c *call, body *dispatch.Resolution) (*dispatch.Resolved, error) {
	body.Begun = func(ctx context.Context) error {
		detail := map[string]any{"as": body.As, "all": body.All}
		if !body.All {
			detail["recipients"] = body.Seqs
		}
		return a.note(ctx, c, detail)
	}
	resolved, err := a.d.Resolve(ctx, c.principal.Name, c.task.ID, *body)
	return &resolved, err
}
