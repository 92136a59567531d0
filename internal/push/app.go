package push

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxAppKey is the length of the key of an app, in characters.
const MaxAppKey = 63

// App is one mini-program. Its secret is not part of it.
type App struct {
	ID      int32  `json:"-"`
	Key     string `json:"app"`
	AppID   string `json:"appid"`
	BaseURL string `json:"base_url"`
	AppSettings
	PausedAt  *time.Time `json:"paused_at"`
	PausedBy  *string    `json:"paused_by"`
	Quota     AppQuota   `json:"quota"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

// AppQuota is what is known of the calls that an app may make on the platform's day, which begins at 00:00 Asia/Shanghai.
type AppQuota struct {
	// Limit and Used are what the platform said last, at AskedAt; nil before it was asked. A Limit of 0 is none.
	Limit   *int64     `json:"limit"`
	Used    *int64     `json:"used"`
	AskedAt *time.Time `json:"asked_at"`
	// BudgetUsed is how much of the app's daily budget was granted today; 0 without a budget.
	BudgetUsed int64 `json:"budget_used"`
	// OutUntil is when an app whose quota or budget is used up tries again; nil while it lasts.
	OutUntil *time.Time `json:"out_until"`
}

// AppSettings are the limits and courtesies of an app. All of them hold over all daemons and tasks together, and a change holds at once.
type AppSettings struct {
	// RatePerSecond is how many calls are made a second, 0 (no limit) to MaxRate.
	RatePerSecond int `json:"rate_per_second"`
	// RampFrom and RampMinutes let each task start at RampFrom calls a second and reach the rate evenly in RampMinutes. Both are 0
	// (no ramp) or neither is.
	RampFrom    int `json:"ramp_from"`
	RampMinutes int `json:"ramp_minutes"`
	// DailyBudget is how many calls are made a day of the platform, which begins at 00:00 Asia/Shanghai; 0 is no budget.
	DailyBudget int `json:"daily_budget"`
	// QuietFrom and QuietTo are a time of day each, "22:00", in the configured zone: between them only urgent tasks send. They may
	// span midnight. Nil is no quiet hours.
	QuietFrom *string `json:"quiet_from"`
	QuietTo   *string `json:"quiet_to"`
	// DailyCap is how many messages a user gets a day, over all tasks; 0 is no cap.
	DailyCap int `json:"daily_cap"`
	// PermitSource says who reports subscriptions: "client", the mini-program by the API, or "events", the platform by its callbacks.
	// Never both, for each acceptance would count twice. Empty is "client".
	PermitSource PermitSource `json:"permit_source"`
	// Approval: a task begins only once a second person has approved its content and audience as they are.
	Approval bool `json:"approval"`
	// Testers are the user ids to whom a task may be sent as a test.
	Testers []string `json:"testers"`
}

// PermitSource is who reports the subscriptions of an app.
type PermitSource string

// The sources of subscriptions.
const (
	PermitsFromClient PermitSource = "client"
	PermitsFromEvents PermitSource = "events"
)

// The limits of an app's settings.
const (
	MaxRate        = 100_000
	MaxRampMinutes = 24 * 60
	MaxDailyBudget = 1_000_000_000
	MaxDailyCap    = 1000
	MaxTesters     = 50
)

// Validate checks every field and returns all that is wrong, joined.
func (s *AppSettings) Validate() error {
	errs := []error{
		within("rate_per_second", s.RatePerSecond, MaxRate), within("ramp_from", s.RampFrom, MaxRate), within("ramp_minutes", s.RampMinutes, MaxRampMinutes),
		within("daily_budget", s.DailyBudget, MaxDailyBudget), within("daily_cap", s.DailyCap, MaxDailyCap),
		checkTimeOfDay("quiet_from", s.QuietFrom), checkTimeOfDay("quiet_to", s.QuietTo),
	}
	if s.PermitSource != "" && s.PermitSource != PermitsFromClient && s.PermitSource != PermitsFromEvents {
		errs = append(errs, &InvalidError{Field: "permit_source", Rule: "unknown_source", Message: `must be "client" or "events"`})
	}
	errs = append(errs, s.checkTesters())
	switch {
	case (s.RampFrom == 0) != (s.RampMinutes == 0):
		errs = append(errs, &InvalidError{Field: "ramp_minutes", Rule: "incomplete", Message: "goes with ramp_from: give both, or 0 for both"})
	case s.RampFrom > 0 && s.RatePerSecond == 0:
		errs = append(errs, &InvalidError{Field: "ramp_from", Rule: "no_rate", Message: "needs a rate_per_second to reach"})
	case s.RampFrom > 0 && s.RatePerSecond > 0 && s.RampFrom >= s.RatePerSecond:
		errs = append(errs, &InvalidError{Field: "ramp_from", Rule: "too_large", Message: "must be below rate_per_second"})
	}
	switch {
	case (s.QuietFrom == nil) != (s.QuietTo == nil):
		errs = append(errs, &InvalidError{Field: "quiet_to", Rule: "incomplete", Message: "goes with quiet_from: give both or neither"})
	case s.QuietFrom != nil && *s.QuietFrom == *s.QuietTo:
		errs = append(errs, &InvalidError{Field: "quiet_to", Rule: "empty", Message: "must differ from quiet_from; the kill switch stops an app for the whole day"})
	}
	return errors.Join(errs...)
}

func (s *AppSettings) checkTesters() error {
	if len(s.Testers) > MaxTesters {
		return &InvalidError{Field: "testers", Rule: "too_many", Message: fmt.Sprintf("has %d user ids; at most %d are allowed", len(s.Testers), MaxTesters)}
	}
	for i, user := range s.Testers {
		field := fmt.Sprintf("testers[%d]", i)
		if err := RequireText(field, user, MaxUserID); err != nil {
			return err
		}
		if slices.Contains(s.Testers[:i], user) {
			return &InvalidError{Field: field, Rule: "duplicate", Message: "stands there already"}
		}
	}
	return nil
}

func within(field string, value, most int) error {
	if value >= 0 && value <= most {
		return nil
	}
	return &InvalidError{Field: field, Rule: "out_of_range", Message: fmt.Sprintf("must be from 0 to %d", most)}
}

func checkTimeOfDay(field string, text *string) error {
	if text == nil {
		return nil
	}
	if t, err := time.Parse("15:04", *text); err != nil || t.Format("15:04") != *text {
		return &InvalidError{Field: field, Rule: "bad_time", Message: `must be a time of day of two digits each, such as "09:00" or "22:00"`}
	}
	return nil
}
