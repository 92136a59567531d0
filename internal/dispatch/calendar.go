package dispatch

import (
	"context"
	"time"
)

// schedulesInCalendar bounds the schedules whose runs are looked for.
const schedulesInCalendar = 200

// DayRun is the first run of a schedule on a day.
type DayRun struct {
	ScheduleID int64
	App, Name  string
	At         time.Time
	// Repeats: it runs more often on that day.
	Repeats bool
}

// RunsByDay lists the runs to come of the schedules that run, of some apps (nil is all), from a time up to another: of each day in the
// configured zone the first one of each schedule. How often a schedule runs does not matter for what this costs.
func (d *Dispatcher) RunsByDay(ctx context.Context, appIDs []int32, from, to time.Time) ([]DayRun, error) {
	list, err := d.st.Schedules(ctx, appIDs, 0, schedulesInCalendar)
	if err != nil {
		return nil, err
	}
	var runs []DayRun
	for _, s := range list {
		if s.NextAt == nil {
			continue
		}
		r, err := recurrence(s.ScheduleSpec)
		if err != nil {
			continue // a zone that this system no longer knows: it has no runs
		}
		after := s.NextAt.Add(-time.Nanosecond)
		if from.After(after) {
			after = from.Add(-time.Nanosecond)
		}
		for {
			ticks := upcoming(r, s.ScheduleSpec, after, 2)
			if len(ticks) == 0 || !ticks[0].At.Before(to) {
				break
			}
			day := ticks[0].At.In(d.cfg.Location)
			next := time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, d.cfg.Location)
			runs = append(runs, DayRun{ScheduleID: s.ID, App: s.App, Name: s.Name, At: ticks[0].At, Repeats: len(ticks) > 1 && ticks[1].At.Before(next)})
			after = next.Add(-time.Nanosecond)
		}
	}
	return runs, nil
}
