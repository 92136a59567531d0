// Package cronspec reads the cron specs of the settings, for the check at the start and for the entries themselves.
//
// The parser is robfig/cron's. Its traps are closed here, because a spec comes from an operator and a bad one must stop
// the start with a clear message instead of running at a wrong time, never, or not at all:
//
//  1. A spec has 5 fields, or 6 with seconds first, or is a descriptor such as @hourly or "@every 10s".
//  2. A spec runs in the zone of its CRON_TZ= or TZ= prefix, else in the zone that the caller names, never in the zone of
//     the machine. (The parser panics on a prefix without a spec and takes an empty zone for UTC.)
//  3. A spec that no date matches, such as 30 February, is refused. (Its Next is the zero time.)
//  4. @every takes whole seconds, at least one. (The parser rounds 500ms, -5s and 1500ms to 1s.)
package cronspec

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Parse reads one spec. A spec without a zone prefix runs in loc, which must not be nil. The error says what is wrong
// with the spec, not which setting it is: the caller names the key.
//
// Where clocks change: a time that is skipped in spring waits for the next day, one that comes twice in autumn runs twice.
func Parse(spec string, loc *time.Location) (cron.Schedule, error) {
	rest, loc, err := cutZone(strings.TrimSpace(spec), loc)
	if err != nil {
		return nil, err
	}
	if rest == "" {
		return nil, errors.New("it is empty")
	}
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	schedule, err := parser.Parse(rest)
	if err != nil {
		return nil, readable(rest, err)
	}
	switch s := schedule.(type) {
	case *cron.SpecSchedule:
		s.Location = loc
	case cron.ConstantDelaySchedule:
		if err := checkEvery(rest); err != nil {
			return nil, err
		}
	}
	// The parser looks five years ahead; from here that includes a 29 February.
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("no date ever matches %q", rest)
	}
	return schedule, nil
}

// cutZone takes the zone prefix off a spec. The parser must not see it: it slices without looking.
func cutZone(spec string, loc *time.Location) (string, *time.Location, error) {
	prefixed := strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=")
	if !prefixed {
		return spec, loc, nil
	}
	prefix, rest, _ := strings.Cut(spec, " ")
	_, name, _ := strings.Cut(prefix, "=")
	if name == "" || name == "Local" {
		return "", nil, fmt.Errorf("%s names no zone; write for example CRON_TZ=Asia/Shanghai", prefix)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return "", nil, fmt.Errorf("time zone %q is not known", name)
	}
	return strings.TrimSpace(rest), zone, nil
}

func checkEvery(spec string) error {
	text := strings.TrimPrefix(spec, "@every ")
	every, err := time.ParseDuration(text)
	if err != nil {
		return readable(spec, err)
	}
	if every < time.Second || every%time.Second != 0 {
		return fmt.Errorf("@every takes whole seconds, at least 1s, not %s", text)
	}
	return nil
}
