package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/push"
)

func (c *cli) taskSend() *cobra.Command {
	var in time.Duration
	var at string
	var wait bool
	cmd := &cobra.Command{
		Use: "send ID", Short: "Send a task, now or later; again with another time moves it", Args: cobra.ExactArgs(1),
		Long: `Sends a task now, or at a time. On a scheduled task a new time moves it. It is sent by the worker daemons
(minipush serve): this command only says so to the database, and may end. --wait stays, shows the progress, and ends with
the summary line.`,
		Example: `  minipush task send 98
  minipush task send 98 --in 2m --wait
  minipush task send 98 --at "2026-12-01 10:00"`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			start, err := startTime(s.clock, in, at)
			if err != nil {
				return err
			}
			task, err := changeTask(ctx, s, id, func(ctx context.Context) (push.Task, error) { return s.dispatch.Send(ctx, s.actor, id, start) })
			if invalid, ok := errors.AsType[*push.InvalidError](err); ok && invalid.Rule == "after_not_after" {
				return hintError{err, fmt.Sprintf("Change it: minipush task set %d --not-after TIME (or off)", id)}
			}
			if err != nil {
				return err
			}
			if !wait {
				return c.answer(task, func(w io.Writer) { sent(w, s.clock, task) })
			}
			sent(c.stderr, s.clock, task)
			return c.watch(ctx, s, id)
		}),
	}
	f := cmd.Flags()
	f.DurationVar(&in, "in", 0, "send it after this `TIME`, for example 2m or 1h30m")
	f.StringVar(&at, "at", "", "send it at this `TIME`, in the configured zone, for example \"2026-12-01 10:00\"")
	f.BoolVar(&wait, "wait", false, "stay until it is done, show the progress, end with the summary line")
	cmd.MarkFlagsMutuallyExclusive("in", "at")
	return cmd
}

// startTime is when a task is to start; nil is now.
func startTime(k clock, in time.Duration, at string) (*time.Time, error) {
	if in < 0 {
		return nil, usageError{"--in must not be negative"}
	}
	if in > 0 {
		t := time.Now().Add(in)
		return &t, nil
	}
	if at == "" {
		return nil, nil //nolint:nilnil // nil is now, and no error
	}
	t, err := k.read("at", at)
	return &t, err
}

func sent(w io.Writer, k clock, t push.Task) {
	if t.State == push.TaskScheduled {
		fmt.Fprintf(w, "task %d is scheduled for %s\n", t.ID, k.maybe(t.StartAt))
		return
	}
	fmt.Fprintf(w, "task %d is %s\n", t.ID, stateText(t))
	writeNotes(w, t) // quiet hours: it starts paused
}
