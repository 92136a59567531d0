package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	recipients, perUser, inFlight int
	perJobRecipients              int
	pairs                         int
	only                          []string
	regimes                       bool
	regimeRecipients              int
	rows                          int           // of an import
	limits                        *limitOptions // nil: not measured
	reach                         *reachOptions // nil: not measured
	pages                         *pageOptions  // nil: not measured
	asJSON, verbose               bool
	// strict: a bar that is missed is an error.
	strict  bool
	timeout time.Duration
	// binary is a minipush that was built elsewhere; empty: the bench builds the working tree.
	binary string
	// keep is a directory that is left with its databases at the end, and whose databases are used again; empty: a temporary one.
	keep string
	// settle is how long to wait for the counters of idle connections.
	settle time.Duration
	// statements is how many of the dearest are named.
	statements int
}

// check refuses what cannot be measured.
func (o options) check() error {
	switch {
	case o.recipients < 1 || o.perUser < 1 || o.inFlight < 1 || o.perJobRecipients < 1 || o.regimeRecipients < 1 || o.pairs < 0:
		return fmt.Errorf("counts must be positive")
	case o.perUser > 1<<8:
		return fmt.Errorf("--per-user is at most %d", 1<<8)
	}
	for _, name := range o.only {
		if !slices.Contains(variants(), variant(name)) {
			return fmt.Errorf("--only knows 0, a, b, c and d, not %q", name)
		}
	}
	return nil
}

// keepLog is how much of Postgres's log is read back.
func (o options) keepLog() string {
	if o.pages != nil {
		return "0" // none: the tables take the disk
	}
	return "8GB"
}

// directory is where the database and the files of the run lie.
func (o options) directory() (dir string, err error) {
	if o.keep == "" {
		if dir, err = os.MkdirTemp("", "minipush-bench-"); err != nil {
			return "", fmt.Errorf("make directory: %w", err)
		}
		return dir, nil
	}
	if err := os.MkdirAll(o.keep, 0o700); err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	return o.keep, nil
}

// chosen says whether a variant takes part.
func (o options) chosen(v variant) bool {
	return len(o.only) == 0 || slices.Contains(o.only, string(v))
}

func (o options) load() workload { return workload{Recipients: o.recipients, PerUser: o.perUser} }

// perJobLoad is that of (c), which is too slow for all recipients.
func (o options) perJobLoad() workload {
	return workload{Recipients: min(o.recipients, o.perJobRecipients), PerUser: o.perUser}
}

// String says what is measured, for the head of the report.
func (o options) String() string {
	if o.limits != nil {
		return fmt.Sprintf("rates of an app %v a second over %v daemons, %s of work each", o.limits.rates, o.limits.daemons, o.limits.work)
	}
	if o.reach != nil {
		return fmt.Sprintf("reach of %d recipients with %d permits each of both channels, %d answers while it is counted", o.recipients, o.perUser, o.reach.answers)
	}
	if o.pages != nil {
		return fmt.Sprintf("%d tasks of %d recipients, each page %d times, one after the other; %d who watch a task", o.pages.tasks, o.recipients, o.pages.each, o.pages.viewers)
	}
	if o.rows > 0 {
		return fmt.Sprintf("import of %d CSV rows, one in %d a repetition, through the API of serve", o.rows, repeatEvery)
	}
	text := fmt.Sprintf("%d recipients, %d formIds each in random order, %d calls in flight, default chunk size; (c) with %d recipients",
		o.recipients, o.perUser, o.inFlight, o.perJobLoad().Recipients)
	if len(o.only) > 0 {
		text += "; only " + strings.Join(o.only, ", ")
	}
	if o.regimes {
		text += fmt.Sprintf("; exact figures with %d recipients", o.regimeRecipients)
	}
	return text
}
