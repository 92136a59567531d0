package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
			for _, p := range c.problems(e) {
				if !slices.ContainsFunc(all, func(said problem) bool { return said.Message == p.Message }) {
					all = append(all, p) // two fields may be one flag
				}
			}
		}
		return all
	}
	p := problem{Code: "failed", Message: c.inFlags(err)}
	if hint, ok := errors.AsType[hintError](err); ok {
		p.Hint = hint.hint
	}
	var (
		invalid  *push.InvalidError
		refusal  *push.Refusal
		file     *intake.FileError
		platform *push.CallError
		usage    usageError
	)
	switch {
	case errors.As(err, &invalid):
		p.Code, p.Field = invalid.Rule, invalid.Field // its text names both, after the place that the caller put before it
	case errors.As(err, &refusal):
		p.Code, p.Message, p.ZH = string(refusal.Code), refusal.EN()+" ("+string(refusal.Code)+")", refusal.ZH()
		p.Hint = cmp.Or(p.Hint, refusalHint(refusal))
	case errors.As(err, &file):
		p.Code, p.ZH = string(file.Code), file.Code.ZH()
	case errors.As(err, &platform):
		p.Code, p.ZH = string(platform.Code), platform.ZH
	case errors.Is(err, push.ErrNotFound):
		p.Code = "not_found"
	case errors.Is(err, context.Canceled):
		p.Code, p.Message = "interrupted", "interrupted"
	case errors.As(err, &usage), !c.running:
		p.Code, p.Message = "usage", readableUsage(strings.TrimSuffix(err.Error(), "\n"))
	}
	return []problem{p}
}

// refusalHint says what to do about a refusal.
func refusalHint(r *push.Refusal) string {
	id := r.TaskID
	switch r.Code {
	case push.RefusedAlreadySent:
		if r.App != "" {
			return pausedApp(r.App)
		}
		if r.State == push.TaskPaused {
			return fmt.Sprintf("It is paused. Let it go on: minipush task resume %d", id)
		}
		return fmt.Sprintf("See how it went: minipush task show %d", id)
	case push.RefusedAlreadyScheduled:
		return fmt.Sprintf("Move it: minipush task send %d --in 2m · take it back: minipush task unschedule %d", id, id)
	case push.RefusedEmptyAudience:
		if r.State.Final() {
			return fmt.Sprintf("See how they ended: minipush task show %d", id)
		}
		return fmt.Sprintf("Upload a list: minipush task audience %d FILE", id)
	case push.RefusedNotATester:
		return fmt.Sprintf("See who is: minipush task testers %d · set them: minipush app set --key %s --testers %s,…", id, r.App, r.Tester)
	case push.RefusedNoPermit:
		if r.Tester != "" {
			return fmt.Sprintf("See what each tester has: minipush task testers %d", id)
		}
		return fmt.Sprintf("See who lacks what: minipush task reach %d · let them wait for permits: minipush task set %d --wait-for-permit-until TIME", id, id)
	case push.RefusedProductOffShelf:
		return fmt.Sprintf("Put it back on the shelf: minipush product set --app %s --code %s --title … --price … --on-shelf", r.App, r.Product)
	case push.RefusedUnknownVariable:
		return "Upload a list that has the column, or change the template."
	case push.RefusedAppPaused:
		return pausedApp(r.App)
	case push.RefusedWrongState:
		return fmt.Sprintf("See where it stands: minipush task show %d", id)
	case push.RefusedNotUnknown:
		return fmt.Sprintf("See which are: minipush task export %d --state unknown", id)
	case push.RefusedListGone:
		return "Its rows were purged after their retention, or its list was replaced. Write a task with a list of its own."
	case push.RefusedNotApproved, push.RefusedOwnTask, push.RefusedContentChanged:
		if id == 0 {
			return fmt.Sprintf("Schedule each task by itself, or do without approval: minipush app set --key %s --approval off", r.App)
		}
		return fmt.Sprintf("Look at it: minipush task show %d, then, another person: minipush task approve %d --hash HASH", id, id)
	case push.RefusedTooManyRequests, push.RefusedInUse, push.RefusedScheduleRuns, push.RefusedSourceDisabled:
	}
	return ""
}

// pausedApp says how an app that is paused goes on; nothing of a task does before.
func pausedApp(key string) string {
	return fmt.Sprintf("app %s is paused; minipush app resume %s", key, key)
}

// hintOn adds a hint to a refusal with the code; any other error stays as it is.
func hintOn(err error, code push.RefusalCode, hint string) error {
	if refusal, ok := errors.AsType[*push.Refusal](err); ok && refusal.Code == code {
		return hintError{err, hint}
	}
	return err
}

// inFlags is what an error says, with the flags of the command in place of the fields of the API that they stand for.
func (c *cli) inFlags(err error) string {
	text := err.Error()
	invalid, ok := errors.AsType[*push.InvalidError](err)
	if !ok || c.command == nil {
		return text
	}
	said := *invalid
	said.Message = fieldName.ReplaceAllStringFunc(said.Message, c.flagOf)
	said.Field = c.flagOf(said.Field)
	return strings.Replace(text, invalid.Error(), said.Error(), 1)
}

// fieldName is a field of the API within a sentence: no other word there has an underscore.
var fieldName = regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b`)

// flagOf is the flag of the running command that stands for a field of the API, or the field.
func (c *cli) flagOf(field string) string {
	name := strings.ReplaceAll(field, "_", "-")
	switch field {
	case "template_id":
		name = "template"
	case "product_code":
		name = "product"
	case "rate_per_second":
		name = "rate"
	case "ramp_from", "ramp_minutes":
		name = "ramp"
	case "quiet_from", "quiet_to":
		name = "quiet"
	case "daily_budget":
		name = "budget"
	case "reasons":
		name = "reason"
	}
	if c.command.Flags().Lookup(name) == nil {
		return field
	}
	return "--" + name
}

// readableUsage says in our words what cobra says of flags that go together, or do not.
func readableUsage(text string) string {
	if m := onlyOneOf.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("give only one of %s", flagNames(m[1]))
	}
	if m := atLeastOneOf.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("give %s", strings.ReplaceAll(flagNames(m[1]), " and ", " or "))
	}
	if m := required.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("give --%s", strings.ReplaceAll(strings.ReplaceAll(m[1], `", "`, ", --"), `"`, ""))
	}
	return text
}

var (
	onlyOneOf    = regexp.MustCompile(`^if any flags in the group \[(.*)\] are set none of the others can be`)
	atLeastOneOf = regexp.MustCompile(`^at least one of the flags in the group \[(.*)\] is required$`)
	required     = regexp.MustCompile(`^required flag\(s\) (.*) not set$`)
)

func flagNames(list string) string {
	return "--" + strings.Join(strings.Fields(list), " and --")
}
