package api

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

type scheduleList struct {
	Schedules  []push.Schedule `json:"schedules"`
	NextCursor *string         `json:"next_cursor"`
}

func (a *API) listSchedules(ctx context.Context, c *call, _ *none) (*scheduleList, error) {
	limit, after := c.limit(), c.afterNumber("schedules", 0, math.MaxInt64)
	apps, err := a.listedApps(ctx, c)
	if err != nil {
		return nil, err
	}
	rows, err := a.d.Schedules(ctx, apps, after, limit+1)
	if err != nil {
		return nil, err
	}
	schedules, next := cut(rows, limit, "schedules", func(s push.Schedule) string { return strconv.FormatInt(s.ID, 10) })
	return &scheduleList{Schedules: schedules, NextCursor: next}, nil
}

func (a *API) createSchedule(ctx context.Context, c *call, spec *push.ScheduleSpec) (*push.Schedule, error) {
	if err := push.RequireText("app", spec.App, push.MaxAppKey); err != nil {
		return nil, err
	}
	if _, err := a.visibleApp(ctx, c.principal, spec.App); err != nil {
		return nil, err
	}
	s, err := a.d.CreateSchedule(ctx, c.principal.Name, *spec)
	return &s, err
}

func (a *API) showSchedule(_ context.Context, c *call, _ *none) (*push.Schedule, error) {
	return &c.schedule, nil
}

// changeSchedule writes the fields that the body has over those of a paused schedule.
func (a *API) changeSchedule(ctx context.Context, c *call, _ *push.ScheduleSpec) (*push.Schedule, error) {
	s, err := a.d.ChangeSchedule(ctx, c.schedule.ID, func(spec *push.ScheduleSpec) error { return decode(c.body, spec) })
	return &s, err
}

func (a *API) deleteSchedule(ctx context.Context, c *call, _ *none) (*none, error) {
	c.audit.Detail = store.Changed(c.schedule, nil)
	return &none{}, a.d.DeleteSchedule(ctx, c.schedule.ID)
}

// turnSchedule makes a call of pausing or resuming a schedule.
func (a *API) turnSchedule(turn func(ctx context.Context, actor string, id int64) (push.Schedule, error)) func(context.Context, *call, *none) (*push.Schedule, error) {
	return func(ctx context.Context, c *call, _ *none) (*push.Schedule, error) {
		s, err := turn(ctx, c.principal.Name, c.schedule.ID)
		return &s, err
	}
}

type tickList struct {
	Ticks      []push.ScheduleTick `json:"ticks"`
	NextCursor *string             `json:"next_cursor"`
}

// listTicks lists what became of the ticks of a schedule, the newest first.
func (a *API) listTicks(ctx context.Context, c *call, _ *none) (*tickList, error) {
	limit := c.limit()
	var before *store.TickPlace
	if key := c.after("ticks"); key != "" {
		micros, tick, _ := strings.Cut(key, " ")
		n, err := strconv.ParseInt(micros, 10, 64)
		if err != nil || tick == "" || n < 0 || n > time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() {
			c.reject("cursor", "bad_cursor", "must be a next_cursor of this list")
		}
		before = &store.TickPlace{At: time.UnixMicro(n), Tick: tick}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	rows, err := a.store.Ticks(ctx, c.schedule.ID, before, limit+1)
	if err != nil {
		return nil, err
	}
	ticks, next := cut(rows, limit, "ticks", func(t push.ScheduleTick) string {
		return strconv.FormatInt(t.At.UnixMicro(), 10) + " " + t.Tick
	})
	return &tickList{Ticks: ticks, NextCursor: next}, nil
}

// visibleSchedule finds a schedule of an app that the principal may touch.
func (a *API) visibleSchedule(ctx context.Context, p auth.Principal, text string) (push.Schedule, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return push.Schedule{}, fmt.Errorf("schedule %q: %w", text, push.ErrNotFound)
	}
	s, err := a.d.Schedule(ctx, id)
	if err == nil && !p.Sees(s.AppID) {
		err = fmt.Errorf("schedule %d: %w", id, push.ErrNotFound)
	}
	return s, err
}
