package push

import (
	"errors"
	"time"
)

// The limits of a schedule and of a saved list.
const (
	MaxScheduleName = 64
	MaxCron         = 256
	MaxTimeZone     = 64
	MaxListName     = 64
)

// ScheduleSpec is what a person decides about a schedule: the task that each tick makes, and when. Misfire is the policy for ticks that
// passed while nothing was up; NotAfter ends the schedule: no tick after it.
type ScheduleSpec struct {
	TaskSpec
	Name string `json:"name"`
	// Cron has five fields, or is a descriptor such as @daily.
	Cron string `json:"cron"`
	// TimeZone is the IANA zone of Cron; empty is the configured one.
	TimeZone string `json:"time_zone"`
	// List is the saved list of the audience "list": each tick takes its newest version.
	List string `json:"list"`
}

// Normalize fills in what may be left out. The audience is the saved list if one is named, and all if not.
func (s *ScheduleSpec) Normalize(zone *time.Location) {
	if s.Audience == "" && s.List == "" {
		s.Audience = AudienceAll
	}
	s.TaskSpec.Normalize()
	s.TimeZone = orDefault(s.TimeZone, zone.String())
}

// Validate checks what can be checked without the template, the product and the list, after Normalize. All that is wrong, joined.
func (s *ScheduleSpec) Validate() error {
	errs := []error{
		RequireText("name", s.Name, MaxScheduleName), RequireText("cron", s.Cron, MaxCron), RequireText("time_zone", s.TimeZone, MaxTimeZone),
		CheckText("list", s.List, MaxListName), s.TaskSpec.Validate(),
	}
	switch {
	case s.Audience == AudienceAll && s.List != "":
		errs = append(errs, &InvalidError{Field: "list", Rule: "not_a_list", Message: `must be empty: the audience is "all"`})
	case s.Audience == AudienceList && s.List == "":
		errs = append(errs, &InvalidError{Field: "list", Rule: "required", Message: `must name a saved list: the audience is "list"`})
	}
	if s.WaitForPermitUntil != nil {
		errs = append(errs, &InvalidError{Field: "wait_for_permit_until", Rule: "not_recurring", Message: "must be left out: one time cannot hold for every run"})
	}
	return errors.Join(errs...)
}

// Schedule is a schedule as the API shows it.
type Schedule struct {
	ID    int64 `json:"id"`
	AppID int32 `json:"-"`
	ScheduleSpec
	// ListID is the saved list; nil where there is none.
	ListID *int64 `json:"-"`
	// Enabled says whether it runs.
	Enabled bool `json:"enabled"`
	// NextAt is the first tick that has not been dealt with; nil while it is paused.
	NextAt *time.Time `json:"next_at"`
	// NextRuns are the next five run times, RFC 3339 in the schedule's own zone; while it is paused, those if it were resumed now.
	NextRuns []string `json:"next_runs"`
	// Note says in words why it stopped by itself.
	Note      string    `json:"note"`
	CreatedBy string    `json:"created_by"`
	EnabledBy *string   `json:"enabled_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// TickOutcome is what became of a tick.
type TickOutcome string

// The outcomes of a tick.
const (
	TickSent    TickOutcome = "sent"    // it made a task and sent it
	TickRefused TickOutcome = "refused" // its task could not be sent: Code and Note say why
	TickMissed  TickOutcome = "missed"  // its time passed while nothing was up
)

// ScheduleTick is a tick of a schedule that was dealt with.
type ScheduleTick struct {
	// Tick names it for good: the time on the wall with its zone, or the instant.
	Tick    string      `json:"tick"`
	At      time.Time   `json:"at"`
	Outcome TickOutcome `json:"outcome"`
	TaskID  *int64      `json:"task_id"`
	Code    string      `json:"code"`
	Note    string      `json:"note"`
	// CreatedAt is when it was dealt with.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// SavedList is a named list that many tasks use, with its newest version.
type SavedList struct {
	ID    int64  `json:"-"`
	AppID int32  `json:"-"`
	App   string `json:"app"`
	Name  string `json:"name"`
	// Newest is the version that is taken; nil while the first one is being uploaded.
	Newest    *ListVersion `json:"newest"`
	CreatedBy string       `json:"created_by"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// ListVersion is one upload of a saved list.
type ListVersion struct {
	ID int64 `json:"-"`
	// Version counts the uploads of the list, from 1.
	Version   int       `json:"version"`
	Filename  string    `json:"filename"`
	Columns   []string  `json:"columns"`
	Total     int       `json:"total"`
	Accepted  int       `json:"accepted"`
	Duplicate int       `json:"duplicate"`
	Rejected  int       `json:"rejected"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}
