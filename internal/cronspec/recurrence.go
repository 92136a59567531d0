package cronspec

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Recurrence is when something recurs for people: a spec of five fields, or a descriptor such as @daily, in a time zone.
//
// What the zone's changes of summer time do to it depends on its hours:
//
//   - A spec that names hours (09:00, every second hour) is about the clock on the wall. A time that the clock skips comes
//     when the skipped hour is over; a time that it shows twice comes the first time only. Either way it comes once.
//   - A spec of every hour ("*/10 * * * *") is about time that passes: it goes on evenly through the change.
type Recurrence struct {
	spec *cron.SpecSchedule // looked at in UTC, which skips and repeats nothing
	loc  *time.Location
	wall bool
}

// Tick is one time of a Recurrence.
type Tick struct {
	// Key names the tick for good: the time on the wall and its zone, or the instant in UTC. No other tick has it.
	Key string
	At  time.Time
}

// Recur reads a spec that fires at most once a minute. The error says what is wrong with the spec.
func Recur(spec string, loc *time.Location) (*Recurrence, error) {
	spec = strings.Join(strings.Fields(spec), " ")
	if err := plain(spec); err != nil {
		return nil, err
	}
	schedule, err := Parse(spec, time.UTC)
	if err != nil {
		return nil, err
	}
	fields, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q is not a spec of five fields", spec)
	}
	const everyHour = 1<<24 - 1
	return &Recurrence{spec: fields, loc: loc, wall: fields.Hour&everyHour != everyHour}, nil
}

// plain refuses what the parser takes and a person does not mean.
func plain(spec string) error {
	switch {
	case spec == "":
		return errors.New("it is empty")
	case strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ="):
		return errors.New("it begins with a time zone; leave it out and set time_zone, which the run times are shown in")
	case strings.HasPrefix(spec, "@every"):
		return errors.New(`"@every" counts from the start of a daemon and drifts with each restart; name the times, for example "*/10 * * * *"`)
	case strings.HasPrefix(spec, "@"):
		return nil
	}
	fields := strings.Split(spec, " ")
	if len(fields) == 6 {
		return errors.New("it has 6 fields, which would begin with seconds; a schedule has 5: minute hour day month weekday")
	}
	if len(fields) != 5 {
		return fmt.Errorf("it has %d fields; a schedule has 5: minute hour day month weekday", len(fields))
	}
	for i, f := range fields {
		if err := plainField(f, i); err != nil {
			return fmt.Errorf("the %s %q %w", [...]string{"minute", "hour", "day", "month", "weekday"}[i], f, err)
		}
	}
	return nil
}

// plainField looks at one of the five fields, by its place.
func plainField(field string, place int) error {
	const days, weekdays = 2, 4
	switch {
	case strings.Contains(field, "?"):
		return errors.New(`has "?", which here would mean every value; write *`)
	case strings.HasPrefix(field, ",") || strings.HasSuffix(field, ",") || strings.Contains(field, ",,"):
		return errors.New("has a comma with nothing beside it")
	case place == weekdays && strings.Contains(field, "7"):
		return errors.New("has 7, which is no weekday here; Sunday is 0 or sun")
	case place == weekdays && strings.ContainsAny(field, "L#") || place == days && strings.ContainsAny(field, "LW"):
		return errors.New("has L, W or #, which are not supported")
	}
	for part := range strings.SplitSeq(field, ",") {
		_, text, stepped := strings.Cut(part, "/")
		var step int
		if _, err := fmt.Sscanf(text, "%d", &step); !stepped || err != nil {
			continue // what is wrong with it, the parser says
		}
		if values := [...]int{60, 24, 31, 12, 7}[place]; step >= values {
			return fmt.Errorf("has a step of %d, beyond its %d values: it would fire at the first only", step, values)
		}
	}
	return nil
}

// After yields the ticks after t, in order. Two may have one instant: two times that one change of summer time skips.
func (r *Recurrence) After(t time.Time) iter.Seq[Tick] {
	if r.wall {
		return r.onTheWall(t)
	}
	return r.inTime(t)
}

// Next is the first tick after t; ok is false if there is none within five years.
func (r *Recurrence) Next(t time.Time) (tick Tick, ok bool) {
	for tick := range r.After(t) {
		return tick, true
	}
	return Tick{}, false
}

// widest bounds how far a zone's clock is moved at once: places have changed sides of the date line.
const widest = 25 * time.Hour

func (r *Recurrence) onTheWall(after time.Time) iter.Seq[Tick] {
	return func(yield func(Tick) bool) {
		// A time on the wall is held as if it were UTC.
		local := after.In(r.loc)
		_, offset := local.Zone()
		wall := local.UTC().Add(time.Duration(offset) * time.Second)
		if !evenly(local) {
			wall = wall.Add(-widest)
		}
		for {
			if wall = r.spec.Next(wall); wall.IsZero() {
				return
			}
			// The order of times on the wall is the order of the instants that they come at.
			tick := Tick{Key: wall.Format("2006-01-02T15:04") + "[" + r.loc.String() + "]", At: onset(wall, r.loc)}
			if tick.At.After(after) && !yield(tick) {
				return
			}
		}
	}
}

// evenly says that the clock at t is not moved for days, so that what it has shown before t is past.
func evenly(t time.Time) bool {
	since, until := t.ZoneBounds()
	return (since.IsZero() || t.Sub(since) > 2*widest) && (until.IsZero() || until.Sub(t) > 2*widest)
}

// onset is the instant at which a clock in loc first shows the time wall, or, where it skips it, the instant of the skip.
func onset(wall time.Time, loc *time.Location) time.Time {
	var earliest time.Time
	for _, side := range []time.Duration{-widest, widest} {
		_, offset := wall.Add(side).In(loc).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if _, there := at.In(loc).Zone(); there == offset && (earliest.IsZero() || at.Before(earliest)) {
			earliest = at
		}
	}
	if !earliest.IsZero() {
		return earliest
	}
	_, before := wall.Add(-widest).In(loc).Zone()
	skip, _ := wall.Add(-time.Duration(before) * time.Second).In(loc).ZoneBounds()
	return skip.UTC()
}

func (r *Recurrence) inTime(after time.Time) iter.Seq[Tick] {
	return func(yield func(Tick) bool) {
		// Between two changes the clock on the wall runs evenly: the spec is looked at there, and cut off at the change.
		at, within := after, after
		for {
			_, offset := within.In(r.loc).Zone()
			_, change := within.In(r.loc).ZoneBounds()
			ahead := time.Duration(offset) * time.Second
			next := r.spec.Next(at.UTC().Add(ahead))
			if next.IsZero() {
				return
			}
			next = next.Add(-ahead)
			if !change.IsZero() && !next.Before(change) {
				at, within = change.Add(-time.Nanosecond), change
				continue
			}
			if !yield(Tick{Key: next.Format(time.RFC3339), At: next}) {
				return
			}
			at, within = next, next
		}
	}
}
