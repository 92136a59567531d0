package api

import (
	"context"
	"slices"
	"strings"

	"minipush/internal/push"
)

type appList struct {
	Apps       []push.App `json:"apps"`
	NextCursor *string    `json:"next_cursor"`
}

// listApps lists the apps that the token may touch, by key. There are few; the page is cut out of all of them.
func (a *API) listApps(ctx context.Context, c *call, _ *none) (*appList, error) {
	limit, after := c.limit(), c.after("apps")
	if err := c.err(); err != nil {
		return nil, err
	}
	all, err := a.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	seen := slices.DeleteFunc(all, func(app push.App) bool { return !c.principal.Sees(app.ID) || strings.Compare(app.Key, after) <= 0 })
	apps, next := cut(seen, limit, "apps", func(app push.App) string { return app.Key })
	return &appList{Apps: apps, NextCursor: next}, nil
}

// changeApp writes the settings that the body has over those of the app; null takes quiet hours away.
func (a *API) changeApp(ctx context.Context, c *call, _ *push.AppSettings) (*push.App, error) {
	app, err := a.d.SetAppSettings(ctx, c.principal.Name, c.app.Key, func(s *push.AppSettings) error { return decode(c.body, s) })
	return &app, err
}

func (a *API) pauseApp(ctx context.Context, c *call, _ *none) (*push.App, error) {
	app, err := a.d.PauseApp(ctx, c.principal.Name, c.app.Key)
	return &app, err
}

func (a *API) resumeApp(ctx context.Context, c *call, _ *none) (*push.App, error) {
	app, err := a.d.ResumeApp(ctx, c.app.Key)
	return &app, err
}
