package push

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// Reach says how many of an audience can be reached at a time, by what was known at AsOf. Total is the sum of the fields from Reachable
// to Capped; the others are parts of them.
type Reach struct {
	// AsOf is when it was counted; nil: it has not been yet, and every figure is 0.
	AsOf *time.Time `json:"as_of"`
	// Counting says that a newer count is on its way.
	Counting        bool `json:"counting"`
	Total           int  `json:"total"`
	Reachable       int  `json:"reachable"`
	NoPermit        int  `json:"no_permit"`
	NoUser          int  `json:"no_user"`
	NoOpenID        int  `json:"no_openid"`
	DuplicateOpenID int  `json:"duplicate_openid"`
	Suppressed      int  `json:"suppressed"`
	Capped          int  `json:"capped"`
	// ExpiresBeforeSend is how many of NoPermit have a permit now that ends before the time.
	ExpiresBeforeSend int `json:"expires_before_send"`
	// Contended is how many of Reachable may not be, because other tasks want their permits too: tasks of the app that are scheduled,
	// sending or paused and in which the person has yet to be sent to, as many as the person has permits, or more.
	Contended int `json:"contended"`
	// Expiring counts, of Reachable, the recipients whose last permit ends on a day.
	Expiring []DayCount `json:"expiring"`
}

// Ends counts recipients by when a permit of theirs ends, in microseconds since 1970.
type Ends map[int64]int

// The ends of nobody's permit, and of one that does not end.
const (
	NoEnd    = int64(0)
	EndNever = int64(math.MaxInt64)
)

// UnmarshalJSON reads what json.Marshal made of a map. A kept count has ten thousand ends, and is read with each look at it: this takes a fifth of
// the time that the general way takes.
func (e *Ends) UnmarshalJSON(text []byte) error {
	pairs, isObject := bytes.CutPrefix(bytes.TrimSpace(text), []byte("{"))
	if isObject {
		pairs, isObject = bytes.CutSuffix(pairs, []byte("}"))
	}
	switch {
	case string(text) == "null":
		return nil
	case !isObject:
		return fmt.Errorf("ends of permits are no object: %.20q", text)
	}
	*e = make(Ends, bytes.Count(pairs, []byte(",")))
	for pair := range bytes.SplitSeq(bytes.TrimSpace(pairs), []byte(",")) {
		if len(pair) == 0 {
			break // there are none
		}
		key, value, _ := bytes.Cut(pair, []byte(":"))
		end, endErr := strconv.ParseInt(string(bytes.Trim(key, "\" \n")), 10, 64)
		n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err := errors.Join(endErr, err); err != nil {
			return fmt.Errorf("ends of permits: %w", err)
		}
		(*e)[end] = n
	}
	return nil
}

// after counts those whose permits end later than t.
func (e Ends) after(t time.Time) (n int) {
	for end, count := range e {
		if end > t.UnixMicro() {
			n += count
		}
	}
	return n
}

func (e Ends) total() (n int) {
	for _, count := range e {
		n += count
	}
	return n
}

// ReachFigures are a count of an audience before a time of sending is asked about. What stands against a recipient whatever the time is a
// number; for the rest it is kept when their permits end, so that one count answers for any time, and goes on being right as time passes.
type ReachFigures struct {
	AsOf            time.Time `json:"as_of"`
	NoUser          int       `json:"no_user"`
	NoOpenID        int       `json:"no_openid"`
	DuplicateOpenID int       `json:"duplicate_openid"`
	Suppressed      int       `json:"suppressed"`
	// Free are those against whom nothing but a want of permits can stand, by the end of their last permit; Capped those who are over the
	// cap of the day of AsOf.
	Free, Capped Ends
	// FreeEnough and CappedEnough are the same by the end of the permit down to which they have more than others want.
	FreeEnough, CappedEnough Ends
}

// At answers for a time of sending, no earlier than now. margin is how long before its end a permit is no longer claimed; loc says
// where days end.
func (f ReachFigures) At(at, now time.Time, margin time.Duration, loc *time.Location) Reach {
	if at.Before(now) {
		at = now
	}
	asOf := f.AsOf
	r := Reach{AsOf: &asOf, NoUser: f.NoUser, NoOpenID: f.NoOpenID, DuplicateOpenID: f.DuplicateOpenID, Suppressed: f.Suppressed}
	// The cap of another day is untouched.
	free, enough := []Ends{f.Free}, []Ends{f.FreeEnough}
	if day(at, loc) == day(f.AsOf, loc) {
		r.Capped = f.Capped.total()
	} else {
		free, enough = append(free, f.Capped), append(enough, f.CappedEnough)
	}
	limit := at.Add(margin)
	days := newDays(loc)
	for _, ends := range free {
		there := ends.after(limit)
		r.Reachable += there
		r.NoPermit += ends.total() - there
		r.ExpiresBeforeSend += ends.after(now.Add(margin)) - there
		for end, n := range ends {
			if end > limit.UnixMicro() && end != EndNever {
				days.add(end, n)
			}
		}
	}
	r.Contended = r.Reachable
	for _, ends := range enough {
		r.Contended -= ends.after(limit)
	}
	r.Expiring = days.counts()
	r.Total = r.Reachable + r.NoPermit + r.NoUser + r.NoOpenID + r.DuplicateOpenID + r.Suppressed + r.Capped
	return r
}

// days adds up by day what ends at some of ten thousand minutes. A quarter of an hour is of one day in every time zone, so that a day is worked out
// for each of those only.
type days struct {
	loc      *time.Location
	quarters map[int64]int64
}

func newDays(loc *time.Location) days { return days{loc: loc, quarters: map[int64]int64{}} }

const quarter = int64(15 * time.Minute / time.Microsecond)

func (d days) add(micros int64, n int) { d.quarters[micros/quarter] += int64(n) }

func (d days) counts() []DayCount {
	byDay := map[string]int64{}
	for q, n := range d.quarters {
		byDay[day(time.UnixMicro(q*quarter), d.loc)] += n
	}
	list := make([]DayCount, 0, len(byDay))
	for _, name := range slices.Sorted(maps.Keys(byDay)) {
		list = append(list, DayCount{Day: name, Count: byDay[name]})
	}
	return list
}

func day(t time.Time, loc *time.Location) string { return t.In(loc).Format(time.DateOnly) }
