package api

import (
	"context"

	"minipush/internal/push"
)

// dryRun does everything but the calls; a long list is looked at by a job, and read by showDryRun.
func (a *API) dryRun(ctx context.Context, c *call, _ *none) (*push.DryRun, error) {
	found, err := a.d.DryRun(ctx, c.principal.Name, c.task.ID, func(ctx context.Context) error { return a.note(ctx, c, nil) })
	return &found, err
}

func (a *API) showDryRun(ctx context.Context, c *call, _ *none) (*push.DryRun, error) {
	found, err := a.store.DryRun(ctx, c.task.ID)
	return &found, err
}
