package dispatch

import (
	"context"
	"iter"
	"time"

	"minipush/internal/cronspec"
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
		for on := range firstOfDays(r, after, d.cfg.Location) {
			if !on.At.Before(to) || s.NotAfter != nil && on.At.After(*s.NotAfter) {
				break
			}
			if on.Repeats {
				runs[len(runs)-1].Repeats = true
				continue
			}
			runs = append(runs, DayRun{ScheduleID: s.ID, App: s.App, Name: s.Name, At: on.At})
		}
	}
	return runs, nil
}

// firstOfDays yields the first tick of each day after a time and, where there is one, the second, which repeats it: of a day that has many it
// looks at no more.
func firstOfDays(r *cronspec.Recurrence, after time.Time, loc *time.Location) iter.Seq[DayRun] {
	return func(yield func(DayRun) bool) {
		var next time.Time // the day after that of the last one
		for again := true; again; {
			again = false
			for tick := range r.After(after) {
				repeats := tick.At.Before(next)
				if !yield(DayRun{At: tick.At, Repeats: repeats}) {
					return
				}
				if repeats {
					after, again = next.Add(-time.Nanosecond), true
					break
				}
				day := tick.At.In(loc)
				next = time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, loc)
			}
		}
	}
}
