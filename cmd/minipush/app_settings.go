package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/push"
)

// appSettings are the flags of app set that change limits and courtesies; one that was not given changes nothing.
type appSettings struct {
	cmd                   *cobra.Command
	rate, budget, userCap int
	ramp, quiet           string
	permitSource          string
	approval, testers     string

	before push.AppSettings // as they were
}

func bindAppSettings(cmd *cobra.Command) *appSettings {
	f := &appSettings{cmd: cmd}
	cmd.Flags().IntVar(&f.rate, "rate", 0, "calls a second over all daemons; 0 is no limit")
	cmd.Flags().StringVar(&f.ramp, "ramp", "", "`FROM:TIME`, for example 50:10m: each task starts at 50 calls a second and reaches the rate in 10 minutes; off is no ramp")
	cmd.Flags().IntVar(&f.budget, "budget", 0, "calls a day, which begins at 00:00 Asia/Shanghai, counted from when a budget is set; 0 is no budget")
	cmd.Flags().StringVar(&f.quiet, "quiet", "", "quiet hours `FROM-TO`, for example 22:00-08:00: only urgent tasks send in them; off is none")
	cmd.Flags().IntVar(&f.userCap, "daily-cap", 0, "messages a user gets a day, over all tasks; 0 is no cap")
	cmd.Flags().StringVar(&f.permitSource, "permit-source", "", "who counts subscriptions: `client`, the mini-program by the API, or events, the platform by its message push")
	cmd.Flags().StringVar(&f.approval, "approval", "", "`on`: a task begins only once a second person has approved it as it is; or off")
	cmd.Flags().StringVar(&f.testers, "testers", "", "`USER,…`: whom a task may be sent to as a test, in place of those before; off is nobody")
	return f
}

func (f *appSettings) given() bool {
	for _, name := range []string{"rate", "ramp", "budget", "quiet", "daily-cap", "permit-source", "approval", "testers"} {
		if f.cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// apply writes what was given over s.
func (f *appSettings) apply(s *push.AppSettings) error {
	f.before = *s
	changed := f.cmd.Flags().Changed
	if changed("rate") {
		s.RatePerSecond = f.rate
	}
	if changed("budget") {
		s.DailyBudget = f.budget
	}
	if changed("daily-cap") {
		s.DailyCap = f.userCap
	}
	if changed("permit-source") {
		s.PermitSource = push.PermitSource(f.permitSource)
	}
	if changed("testers") {
		s.Testers = []string{}
		if f.testers != off {
			s.Testers = strings.Split(f.testers, ",")
		}
	}
	if changed("approval") {
		if f.approval != on && f.approval != off {
			return &push.InvalidError{Field: "approval", Rule: "not_a_switch", Message: `must be "on" or "off"`}
		}
		s.Approval = f.approval == on
	}
	if changed("ramp") {
		if err := readRamp(f.ramp, s); err != nil {
			return err
		}
	}
	if changed("quiet") {
		return readQuiet(f.quiet, s)
	}
	return nil
}

// explain says which flags mend a rate that does not go with the ramp that the app has.
func (f *appSettings) explain(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // each part is looked at in turn
		var parts []error
		for _, part := range joined.Unwrap() {
			parts = append(parts, f.explain(part))
		}
		return errors.Join(parts...)
	}
	invalid, ok := errors.AsType[*push.InvalidError](err)
	if !ok || invalid.Field != "ramp_from" || f.cmd.Flags().Changed("ramp") || !f.cmd.Flags().Changed("rate") {
		return err
	}
	message := fmt.Sprintf("is %d, but this app ramps from %d/s: add --ramp off", f.rate, f.before.RampFrom)
	if f.rate > 1 {
		message += fmt.Sprintf(", or --ramp %d:%dm", f.rate/2, f.before.RampMinutes)
	}
	return &push.InvalidError{Field: "rate_per_second", Rule: invalid.Rule, Message: message}
}

const on, off = "on", "off"

func readRamp(text string, s *push.AppSettings) error {
	if text == off {
		s.RampFrom, s.RampMinutes = 0, 0
		return nil
	}
	from, long, ok := strings.Cut(text, ":")
	rate, err := strconv.Atoi(from)
	d, err2 := time.ParseDuration(long)
	if !ok || err != nil || err2 != nil || rate < 1 || d < time.Minute || d%time.Minute != 0 {
		return &push.InvalidError{Field: "ramp", Rule: "bad_ramp", Message: `must be calls a second and whole minutes, such as "50:10m", or "off"`}
	}
	s.RampFrom, s.RampMinutes = rate, int(d/time.Minute)
	return nil
}

func readQuiet(text string, s *push.AppSettings) error {
	if text == off {
		s.QuietFrom, s.QuietTo = nil, nil
		return nil
	}
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return &push.InvalidError{Field: "quiet", Rule: "bad_time", Message: `must be two times of day, such as "22:00-08:00", or "off"`}
	}
	s.QuietFrom, s.QuietTo = &from, &to
	return nil
}

// limits says in a few words what an app's settings bound.
func limits(s push.AppSettings) string {
	var parts []string
	if s.RatePerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%d/s", s.RatePerSecond))
	}
	if s.RampFrom > 0 {
		parts = append(parts, fmt.Sprintf("from %d in %dm", s.RampFrom, s.RampMinutes))
	}
	if s.DailyBudget > 0 {
		parts = append(parts, fmt.Sprintf("%d/day", s.DailyBudget))
	}
	if s.DailyCap > 0 {
		parts = append(parts, fmt.Sprintf("%d/user/day", s.DailyCap))
	}
	if s.QuietFrom != nil {
		parts = append(parts, "quiet "+*s.QuietFrom+"-"+*s.QuietTo)
	}
	if s.Approval {
		parts = append(parts, "with approval")
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// quotaText says what is used of the day's calls: by the platform's word, and of the budget.
func quotaText(a push.App) string {
	var parts []string
	if q := a.Quota; q.Limit != nil && q.Used != nil && *q.Limit > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d", *q.Used, *q.Limit))
	}
	if a.DailyBudget > 0 {
		parts = append(parts, fmt.Sprintf("budget %d/%d", a.Quota.BudgetUsed, a.DailyBudget))
	}
	if a.Quota.OutUntil != nil {
		parts = append(parts, "used up")
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}
