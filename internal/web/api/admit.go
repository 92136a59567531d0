package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// guard lets a request through to its handler if the route table allows it, and answers what fails.
func (a *API) guard(route Route, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := a.admit(r, route)
		if err == nil {
			err = h(w, r.WithContext(store.WithCaller(r.Context(), c.principal.Caller())), c)
		}
		if err != nil {
			WriteProblem(w, r, a.log, err)
		}
	})
}

// admit decides who calls, whether their role is enough, whether the parameters are known, and resolves what the path names.
// The order matters: nobody learns without a token which parameters there are, nor with a weak role which tasks there are.
func (a *API) admit(r *http.Request, route Route) (*call, error) {
	c := &call{path: r.PathValue, audit: store.AuditEntry{Action: route.Audit}, noted: route.Noted}
	if route.Role != auth.NoRole {
		p, err := a.tokens.Bearer(r)
		if err != nil {
			return nil, err
		}
		auth.Note(r.Context(), p)
		if err := Allow(p, r.Method, route.Role); err != nil {
			return nil, err
		}
		c.principal = p
		c.principal.Address = auth.Address(r)
	}
	if err := checkPath(r); err != nil {
		return nil, err
	}
	var err error
	if c.params, err = readParams(r, route.Query); err != nil {
		return nil, err
	}
	if strings.Contains(route.Pattern, "{app}") {
		if c.app, err = a.visibleApp(r.Context(), c.principal, r.PathValue("app")); err != nil {
			return nil, err
		}
	}
	if strings.Contains(route.Pattern, "{id}") {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("task %q: %w", r.PathValue("id"), push.ErrNotFound)
		}
		if c.task, err = a.visibleTask(r.Context(), c.principal, id); err != nil {
			return nil, err
		}
	}
	if strings.Contains(route.Pattern, "{schedule}") {
		if c.schedule, err = a.visibleSchedule(r.Context(), c.principal, r.PathValue("schedule")); err != nil {
			return nil, err
		}
	}
	c.about()
	return c, nil
}

// Allow says whether a principal may make a call with that method for which lowest is the weakest role.
func Allow(p auth.Principal, method string, lowest auth.Role) error {
	access := auth.Write
	if method == http.MethodGet || method == http.MethodHead {
		access = auth.Read
	}
	if p.Role.May(lowest, access) {
		return nil
	}
	return problem(http.StatusForbidden, "forbidden", "the token has the role %s; this needs %s", p.Role, lowest)
}

// visibleApp finds an app that the principal may touch.
func (a *API) visibleApp(ctx context.Context, p auth.Principal, key string) (push.App, error) {
	app, err := a.store.App(ctx, key)
	if err == nil && !p.Sees(app.ID) {
		err = fmt.Errorf("app %q: %w", key, push.ErrNotFound)
	}
	return app, err
}

// listedApps are the apps whose rows a list shows: the one that its parameter app names, or those that the principal may touch; nil is all.
// What is wrong with the parameters of the list comes first.
func (a *API) listedApps(ctx context.Context, c *call) ([]int32, error) {
	if err := c.err(); err != nil || !c.given("app") {
		return c.principal.AppIDs, err
	}
	app, err := a.visibleApp(ctx, c.principal, c.text("app"))
	return []int32{app.ID}, err
}

// visibleTask finds a task of an app that the principal may touch.
func (a *API) visibleTask(ctx context.Context, p auth.Principal, id int64) (push.Task, error) {
	task, err := a.store.Task(ctx, id)
	if err == nil && !p.Sees(task.AppID) {
		err = fmt.Errorf("task %d: %w", id, push.ErrNotFound)
	}
	return task, err
}

// abort ends an answer that was begun and cannot be finished, so that the client sees that it is cut off.
func (a *API) abort(r *http.Request, err error) {
	level := slog.LevelError
	if errors.Is(err, context.Canceled) {
		level = slog.LevelInfo // the client went away
	}
	a.log.Log(r.Context(), level, "answer cut off", slog.String("request_id", RequestID(r.Context())), slog.String("route", r.Pattern), slog.Any("err", err))
	panic(http.ErrAbortHandler)
}
