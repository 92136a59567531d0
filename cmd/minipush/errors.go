package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"minipush/internal/intake"
	"minipush/internal/push"
)

// usageError is a command line that cannot be carried out as it stands.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// hintError adds to an error what the person can do about it.
type hintError struct {
	err  error
	hint string
}

func (e hintError) Error() string { return e.err.Error() }
func (e hintError) Unwrap() error { return e.err }

// exitCode is 0 done, 1 failed, 2 wrong use.
func (c *cli) exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case !c.running, errors.As(err, &usage):
		return 2
	}
	return 1
}

// problem is one thing that is wrong, as programs read it.
type problem struct {
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	ZH      string `json:"message_zh,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// report writes what went wrong to standard error: what, which field, which rule, and how to mend it.
func (c *cli) report(err error) {
	if err == nil {
		return
	}
	problems := c.problems(err)
	if c.output == "json" {
		_ = json.NewEncoder(c.stderr).Encode(map[string]any{"errors": problems})
		return
	}
	for _, p := range problems {
		line := "minipush: " + p.Message
		if p.ZH != "" {
			line = "minipush: " + p.ZH + " · " + p.Message
		}
		fmt.Fprintln(c.stderr, line)
		if p.Hint != "" {
			fmt.Fprintln(c.stderr, "  "+p.Hint)
		}
	}
}

func (c *cli) problems(err error) []problem {
	// A joined error is one problem a part; errors.As would find the first only.
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []problem
		for _, e := range joined.Unwrap() {
			all = append(all, c.problems(e)...)
		}
		return all
	}
	p := problem{Code: "failed", Message: err.Error()}
	if hint, ok := errors.AsType[hintError](err); ok {
		p.Hint = hint.hint
	}
	var (
		invalid *push.InvalidError
		refusal *push.Refusal
		file    *intake.FileError
		usage   usageError
	)
	switch {
	case errors.As(err, &invalid):
		p.Code, p.Field = invalid.Rule, invalid.Field // its text names both, after the place that the caller put before it
	case errors.As(err, &refusal):
		p.Code, p.Message, p.ZH = string(refusal.Code), refusal.EN()+" ("+string(refusal.Code)+")", refusal.ZH()
		p.Hint = refusalHint(refusal)
	case errors.As(err, &file):
		p.Code, p.ZH = string(file.Code), file.Code.ZH()
	case errors.Is(err, push.ErrNotFound):
		p.Code = "not_found"
	case errors.Is(err, context.Canceled):
		p.Code, p.Message = "interrupted", "interrupted"
	case errors.As(err, &usage), !c.running:
		p.Code, p.Message = "usage", strings.TrimSuffix(err.Error(), "\n")
	}
	return []problem{p}
}

// refusalHint says what to do about a refusal.
func refusalHint(r *push.Refusal) string {
	id := r.TaskID
	switch r.Code {
	case push.RefusedAlreadySent:
		if r.State == push.TaskPaused {
			return fmt.Sprintf("It is paused. Let it go on: minipush task resume %d", id)
		}
		return fmt.Sprintf("See how it went: minipush task show %d", id)
	case push.RefusedAlreadyScheduled:
		return fmt.Sprintf("Move it: minipush task send %d --in 2m · take it back: minipush task unschedule %d", id, id)
	case push.RefusedEmptyAudience:
		return fmt.Sprintf("Upload a list: minipush task audience %d FILE", id)
	case push.RefusedNoPermit:
		return fmt.Sprintf("See who lacks what: minipush task reach %d", id)
	case push.RefusedProductOffShelf:
		return "Put it back on the shelf: minipush product set --app KEY --code CODE --on-shelf …"
	case push.RefusedUnknownVariable:
		return "Upload a list that has the column, or change the template."
	case push.RefusedAppPaused:
		return "Let it go on: minipush app resume KEY"
	case push.RefusedWrongState:
		return fmt.Sprintf("See where it stands: minipush task show %d", id)
	case push.RefusedNotUnknown:
		return fmt.Sprintf("See which are: minipush task export %d --state unknown", id)
	case push.RefusedListGone:
		return "Its rows were purged after their retention, or its list was replaced. Write a task with a list of its own."
	case push.RefusedScheduleRuns:
		return "Pause it: minipush schedule pause ID"
	case push.RefusedTooManyRequests, push.RefusedInUse:
	}
	return ""
}
