package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

type suppressionList struct {
	Suppressions []push.Suppression `json:"suppressions"`
	NextCursor   *string            `json:"next_cursor"`
}

// listSuppressions lists the entries of the apps that the token sees, and those of all apps, which hold there as well. app narrows it
// to what holds in one app, or ("*") to what holds in all.
func (a *API) listSuppressions(ctx context.Context, c *call, _ *none) (*suppressionList, error) {
	limit := c.limit()
	filter := store.SuppressionFilter{
		AppIDs: c.principal.AppIDs, OnlyAll: c.text("app") == push.AllApps, UserID: c.text("user_id"), OpenID: c.text("openid"),
		After: c.afterNumber("suppressions", 0, math.MaxInt64), Limit: limit + 1,
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if c.given("app") && !filter.OnlyAll {
		app, err := a.visibleApp(ctx, c.principal, c.text("app"))
		if err != nil {
			return nil, err
		}
		filter.AppIDs = []int32{app.ID}
	}
	rows, err := a.store.Suppressions(ctx, filter)
	if err != nil {
		return nil, err
	}
	list, next := cut(rows, limit, "suppressions", func(s push.Suppression) string { return strconv.FormatInt(s.ID, 10) })
	return &suppressionList{Suppressions: list, NextCursor: next}, nil
}

// suppressionBatch names its app, so that an app that was left out is not taken for all of them.
type suppressionBatch struct {
	App          string            `json:"app"`
	Suppressions []json.RawMessage `json:"suppressions"`
}

func (a *API) addSuppressions(ctx context.Context, c *call, batch *suppressionBatch) (*dispatch.Received, error) {
	if err := push.RequireText("app", batch.App, push.MaxAppKey); err != nil {
		return nil, err
	}
	c.audit.Object = "suppressions"
	if err := a.maySuppress(ctx, c, batch.App); err != nil {
		return nil, err
	}
	got, err := receive(ctx, "suppressions", batch.Suppressions, func(ctx context.Context, list []dispatch.SuppressionReport) (dispatch.Received, error) {
		return a.d.Suppress(ctx, c.principal.Name, batch.App, list)
	})
	c.audit.Detail = map[string]any{"app": batch.App, "added": got.Accepted, "already": got.Duplicate}
	return &got, err
}

func (a *API) removeSuppression(ctx context.Context, c *call, _ *none) (*none, error) {
	id, err := strconv.ParseInt(c.path("suppression_id"), 10, 64)
	if err != nil {
		return nil, push.ErrNotFound
	}
	entry, err := a.store.Suppression(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := a.maySuppress(ctx, c, entry.App); err != nil {
		return nil, err
	}
	c.audit.Object = fmt.Sprintf("suppression:%d", id)
	return &none{}, a.d.Unsuppress(ctx, c.principal.Name, id)
}

// maySuppress lets a token of some apps change the lists of those only. The entry in the audit log is of that app.
func (a *API) maySuppress(ctx context.Context, c *call, app string) error {
	if app == push.AllApps {
		if !c.principal.SeesAll() {
			return problem(http.StatusForbidden, "forbidden", "the token is for some apps; the list of all apps needs one for all")
		}
		return nil
	}
	found, err := a.visibleApp(ctx, c.principal, app)
	c.audit.AppID = &found.ID
	return err
}
