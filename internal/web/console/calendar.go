package console

import (
	"context"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// The bounds of a calendar: more than a person reads, and no more than a page can bear.
const (
	tasksInCalendar = 500
	perDay          = 6
)

// calendarPage is a month with what is scheduled in it.
type calendarPage struct {
	// Month is its name, such as 2026-11; Prev and Next are those beside it.
	Month, Prev, Next string
	Weeks             [][]calendarDay
	ManyApps          bool
	// Empty: nothing is scheduled in it.
	Empty bool
}

// calendarDay is a day of the grid.
type calendarDay struct {
	Date    time.Time
	Day     int
	Weekday int // Monday is 0
	// Other: it belongs to the month before or after.
	Other, Today bool
	Entries      []calendarEntry
	// More is how many entries are not shown.
	More int
}

// calendarEntry is a task, or the run of a recurring schedule.
type calendarEntry struct {
	At   time.Time
	App  string
	Text string
	// TaskID is the task; 0 of a run, whose schedule then has a name.
	TaskID   int64
	Schedule bool
	Total    int
	// Repeats: the schedule runs more often on that day.
	Repeats bool
}

func (k *Console) calendarRoutes(t *table) {
	t.page("/console/calendar", auth.Viewer, k.showCalendar)
}

func (k *Console) showCalendar(ctx context.Context, c *call) (reply, error) {
	now := k.cfg.Now().In(k.cfg.Location)
	month, err := time.ParseInLocation("2006-01", c.value("month"), k.cfg.Location)
	if err != nil || month.Year() < 2000 || month.Year() > 2100 { // what is no month is this one
		month = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, k.cfg.Location)
	}
	p := calendarPage{Month: month.Format("2006-01"), Prev: month.AddDate(0, -1, 0).Format("2006-01"), Next: month.AddDate(0, 1, 0).Format("2006-01")}
	_, one := c.chosenApp()
	p.ManyApps = len(c.apps) > 1 && !one
	from := month.AddDate(0, 0, -(int(month.Weekday())+6)%7)
	to := month.AddDate(0, 1, 0)
	to = to.AddDate(0, 0, (8-int(to.Weekday()))%7)
	tasks, err := k.store.TasksToStart(ctx, c.appIDs(), from, to, tasksInCalendar)
	if err != nil {
		return reply{}, err
	}
	runs, err := k.d.RunsByDay(ctx, c.appIDs(), from, to)
	if err != nil {
		return reply{}, err
	}
	p.grid(month, from, to, now, entriesByDay(tasks, runs, k.cfg.Location))
	p.Empty = len(tasks)+len(runs) == 0
	return page("calendar", p), nil
}

// entriesByDay sorts what is scheduled into days; tasks come before runs.
func entriesByDay(tasks []push.Task, runs []dispatch.DayRun, loc *time.Location) map[string][]calendarEntry {
	days := map[string][]calendarEntry{}
	add := func(e calendarEntry) {
		e.At = e.At.In(loc)
		key := e.At.Format(time.DateOnly)
		days[key] = append(days[key], e)
	}
	for _, t := range tasks {
		add(calendarEntry{At: *t.StartAt, App: t.App, Text: t.Topic, TaskID: t.ID, Total: t.Counts.Total})
	}
	for _, r := range runs {
		add(calendarEntry{At: r.At, App: r.App, Text: r.Name, Schedule: true, Repeats: r.Repeats})
	}
	return days
}

// grid fills the weeks from a Monday to a Monday.
func (p *calendarPage) grid(month, from, to, now time.Time, entries map[string][]calendarEntry) {
	today := now.Format(time.DateOnly)
	for at, i := from, 0; at.Before(to); at, i = at.AddDate(0, 0, 1), i+1 {
		if i%7 == 0 {
			p.Weeks = append(p.Weeks, nil)
		}
		key := at.Format(time.DateOnly)
		d := calendarDay{Date: at, Day: at.Day(), Weekday: i % 7, Other: at.Month() != month.Month(), Today: key == today, Entries: entries[key]}
		if len(d.Entries) > perDay {
			d.More = len(d.Entries) - perDay
			d.Entries = d.Entries[:perDay]
		}
		week := &p.Weeks[len(p.Weeks)-1]
		*week = append(*week, d)
	}
}
