package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) taskDryRun() *cobra.Command {
	var last bool
	cmd := &cobra.Command{
		Use: "dry-run ID", Short: "Do everything but the calls for a task that has not begun, and show what it would come to", Args: cobra.ExactArgs(1),
		Long: `Finds for every recipient what a send would find before its call: openid, suppression, daily cap, permit, and the message with its
fields. Nothing is claimed, spent or written to the recipients; the result is kept apart. It needs no worker daemon. --last shows the last one.`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			found, err := c.dryRun(ctx, s, id, last)
			if err != nil {
				return err
			}
			return c.answer(found, func(w io.Writer) { dryRunText(w, s.clock, found) })
		}),
	}
	cmd.Flags().BoolVar(&last, "last", false, "show the last one, and begin none")
	return cmd
}

func (c *cli) dryRun(ctx context.Context, s *session, id int64, last bool) (push.DryRun, error) {
	if last {
		return s.store.DryRun(ctx, id)
	}
	found, err := aboutTask(ctx, s, id, func(ctx context.Context, _ push.Task, _ *store.AuditEntry) (push.DryRun, error) {
		return s.dispatch.DryRun(ctx, s.actor, id, nil)
	})
	if err != nil || found.State != push.DryRunning {
		return found, err
	}
	b := c.bar(-1, "looking at recipients")
	defer b.finish()
	return s.dispatch.FinishDryRun(ctx, id, func(n int) { b.set(int64(n)) })
}

func dryRunText(w io.Writer, k clock, d push.DryRun) {
	state := string(d.State)
	if d.Stale {
		state += ", stale: content or audience changed since"
	}
	rows := [][2]string{{"state", state}, {"for", k.minute(d.At)}, {"as of", k.minute(d.AsOf)}, {"total", strconv.Itoa(d.Total)}, {"would be sent", strconv.Itoa(d.WouldSend)}}
	if d.WouldWait > 0 {
		rows = append(rows, [2]string{"would wait for a permit", strconv.Itoa(d.WouldWait)})
	}
	if d.Note != "" {
		rows = append(rows, [2]string{"note", d.Note})
	}
	pairs(w, rows)
	reasonTable(w, d.Reasons)
	if len(d.Examples) == 0 {
		return
	}
	lines := make([][]string, len(d.Examples))
	for i, e := range d.Examples {
		seq := "-"
		if e.Seq != nil {
			seq = strconv.Itoa(int(*e.Seq))
		}
		lines[i] = []string{seq, e.UserID, e.Reason.String(), e.Note}
	}
	fmt.Fprintln(w)
	table(w, []string{"SEQ", "USER", "REASON", "RULE"}, lines)
}
