package console

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// schedulesPage lists what is sent again and again.
type schedulesPage struct {
	Schedules []scheduleRow
	ManyApps  bool
	Pager     pager
}

// scheduleRow is one line of it.
type scheduleRow struct {
	push.Schedule
	Path string
}

// schedulePage is one schedule: what it sends and when, and what became of its times.
type schedulePage struct {
	push.Schedule
	Path string
	// Runs are the next times on the wall of the schedule's own zone.
	Runs  []string
	Ticks []push.ScheduleTick
	Pager pager
	// What the account may do now.
	CanPause, CanResume, CanDelete bool
	Delete                         sure
}

func (k *Console) scheduleRoutes(t *table) {
	t.page("/console/schedules", auth.Viewer, k.showSchedules)
	t.page("/console/schedules/{schedule}", auth.Viewer, k.showSchedule)
	t.change("/console/schedules/{schedule}/pause", auth.Approver, didSchedulePause, k.turnSchedule(k.d.PauseSchedule, "schedule.flash_paused"))
	t.change("/console/schedules/{schedule}/resume", auth.Approver, didScheduleResume, k.turnSchedule(k.d.ResumeSchedule, "schedule.flash_resumed"))
	t.change("/console/schedules/{schedule}/delete", auth.Author, didScheduleDelete, k.deleteSchedule)
}

func (k *Console) showSchedules(ctx context.Context, c *call) (reply, error) {
	after, _ := strconv.ParseInt(c.value("before"), 10, 64) // what is no number is the first page
	rows, err := k.d.Schedules(ctx, c.appIDs(), after, listed+1)
	if err != nil {
		return reply{}, err
	}
	_, one := c.chosenApp()
	p := schedulesPage{ManyApps: len(c.apps) > 1 && !one}
	p.Pager = k.pageLinks(c, len(rows) > listed, func() string { return strconv.FormatInt(rows[listed-1].ID, 10) })
	for _, s := range rows[:min(len(rows), listed)] {
		p.Schedules = append(p.Schedules, scheduleRow{Schedule: s, Path: schedulePath(s.ID)})
	}
	return page("schedules", p).under(manage()), nil
}

func schedulePath(id int64) string { return fmt.Sprintf("/console/schedules/%d", id) }

// scheduleOf finds the schedule that {schedule} names. One of an app that the account does not see does not exist.
func (k *Console) scheduleOf(ctx context.Context, c *call) (push.Schedule, error) {
	id, err := strconv.ParseInt(c.r.PathValue("schedule"), 10, 64)
	if err != nil {
		return push.Schedule{}, fmt.Errorf("schedule: %w", push.ErrNotFound)
	}
	s, err := k.d.Schedule(ctx, id)
	if err == nil && !c.session.Principal.Sees(s.AppID) {
		err = fmt.Errorf("schedule %d: %w", id, push.ErrNotFound)
	}
	return s, err
}

func (k *Console) showSchedule(ctx context.Context, c *call) (reply, error) {
	s, err := k.scheduleOf(ctx, c)
	if err != nil {
		return reply{}, err
	}
	path := schedulePath(s.ID)
	p := schedulePage{
		Schedule: s, Path: path, CanPause: c.may(auth.Approver) && s.Enabled, CanResume: c.may(auth.Approver) && !s.Enabled, CanDelete: c.may(auth.Author) && !s.Enabled,
		Delete: sure{Action: path + "/delete", Button: "schedule.delete", Question: "schedule.delete_sure", Yes: "schedule.delete_yes", Danger: true},
	}
	for _, run := range s.NextRuns {
		if at, err := time.Parse(time.RFC3339, run); err == nil {
			p.Runs = append(p.Runs, at.Format("2006-01-02 15:04"))
		}
	}
	rows, err := k.store.Ticks(ctx, s.ID, tickPlace(c.value("before")), listed+1)
	if err != nil {
		return reply{}, err
	}
	p.Pager = k.pageLinks(c, len(rows) > listed, func() string {
		last := rows[listed-1]
		return strconv.FormatInt(last.At.UnixMicro(), 10) + " " + last.Tick
	})
	p.Ticks = rows[:min(len(rows), listed)]
	return page("schedule", p, s.Name).under(manage(), crumb{Key: "schedules.title", Href: "/console/schedules"}), nil
}

// tickPlace reads where a page of ticks begins; what is none is the first page.
func tickPlace(text string) *store.TickPlace {
	micros, tick, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || n < 0 || n > latest {
		return nil
	}
	return &store.TickPlace{At: time.UnixMicro(n), Tick: tick}
}

// latest bounds what a link may name as a time, in microseconds: the year 2200.
const latest = 7_258_118_400_000_000

// turnSchedule makes a handler of pausing or resuming.
func (k *Console) turnSchedule(turn func(ctx context.Context, actor string, id int64) (push.Schedule, error), key string) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		s, err := k.scheduleOf(ctx, c)
		if err != nil {
			return reply{}, err
		}
		c.audit.Object, c.audit.AppID = fmt.Sprintf("schedule:%d", s.ID), &s.AppID
		_, err = turn(ctx, c.actor(), s.ID)
		return redirect(schedulePath(s.ID)).saying(key), err
	}
}

func (k *Console) deleteSchedule(ctx context.Context, c *call) (reply, error) {
	s, err := k.scheduleOf(ctx, c)
	if err != nil {
		return reply{}, err
	}
	c.audit.Object, c.audit.AppID, c.audit.Detail = fmt.Sprintf("schedule:%d", s.ID), &s.AppID, store.Changed(s, nil)
	return redirect("/console/schedules").saying("schedule.flash_deleted", s.Name), k.d.DeleteSchedule(ctx, s.ID)
}
