package push

import (
	"fmt"
	"time"
)

// QuietAt says whether t lies in the app's quiet hours, read in loc, and when they end then.
//
// Where summer time makes a time of day come twice, quiet hours begin with its first and end with its last; where it leaves one
// out, they begin or end when the clocks are put forward. So each night has one stretch, and never less of it than the clock shows.
func (s *AppSettings) QuietAt(t time.Time, loc *time.Location) (until time.Time, quiet bool) {
	for _, n := range s.quietNear(t, loc) {
		if !t.Before(n.from) && t.Before(n.to) {
			until, quiet = n.to, true
		}
	}
	return until, quiet
}

// QuietNext is when quiet hours begin next after t; false if the app has none.
func (s *AppSettings) QuietNext(t time.Time, loc *time.Location) (from time.Time, ok bool) {
	for _, n := range s.quietNear(t, loc) {
		if n.from.After(t) {
			return n.from, true
		}
	}
	return from, false
}

type stretch struct{ from, to time.Time }

// quietNear lists the quiet hours that begin from the day before t to two days after, in order.
func (s *AppSettings) quietNear(t time.Time, loc *time.Location) []stretch {
	if s.QuietFrom == nil || s.QuietTo == nil {
		return nil
	}
	var list []stretch
	over := 0 // whether they end on the day after
	if *s.QuietTo <= *s.QuietFrom {
		over = 1
	}
	y, m, day := t.In(loc).Date()
	for d := day - 1; d <= day+2; d++ {
		from, _ := wallTime(y, m, d, *s.QuietFrom, loc)
		_, to := wallTime(y, m, d+over, *s.QuietTo, loc)
		list = append(list, stretch{from, to})
	}
	return list
}

// wallTime is when the clocks of loc show a time of day, "22:00" or "22:00:30", first and last on a date. Where they skip it, both are the
// moment at which they do.
func wallTime(y int, m time.Month, d int, text string, loc *time.Location) (first, last time.Time) {
	var hour, minute, second int
	_, _ = fmt.Sscanf(text, "%d:%d:%d", &hour, &minute, &second) // checked by Validate, or the database's own
	t := time.Date(y, m, d, hour, minute, second, 0, loc)
	begin, end := t.ZoneBounds()
	if t.Hour() != hour || t.Minute() != minute {
		// time.Date chose one side of a gap; the gap is the nearer end of the zone it chose.
		if begin.IsZero() || !end.IsZero() && end.Sub(t) < t.Sub(begin) {
			return end, end
		}
		return begin, begin
	}
	first, last = t, t
	if !begin.IsZero() {
		if before := sameClock(t, begin.Add(-1)); before.Before(begin) {
			first = before
		}
	}
	if !end.IsZero() {
		if after := sameClock(t, end); !after.Before(end) {
			last = after
		}
	}
	return first, last
}

// sameClock is when clocks that are set as at the moment other show what they show at t.
func sameClock(t, other time.Time) time.Time {
	_, now := t.Zone()
	_, then := other.Zone()
	return t.Add(time.Duration(now-then) * time.Second)
}

// QuietNote is how the note of a task that quiet hours pause begins.
const QuietNote = "免打扰时段"

// QuietNoteUntil is the note of a task that quiet hours pause until a time, which is shown in loc.
func QuietNoteUntil(until time.Time, loc *time.Location) string {
	at := until.In(loc).Format("2006-01-02 15:04")
	return fmt.Sprintf("%s,%s 自动继续发送 Quiet hours: it goes on by itself at %s (%s).", QuietNote, at, at, loc)
}
