package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"minipush/internal/push"
)

func (c *cli) taskRate() *cobra.Command {
	return &cobra.Command{
		Use: "rate ID PER-SECOND", Short: "Change the limit of a task, also while it is sending; 0 is the app's own", Args: cobra.ExactArgs(2),
		Example: `  minipush task rate 98 200`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			id, err := taskID(args[0])
			if err != nil {
				return err
			}
			rate, err := strconv.Atoi(args[1])
			if err != nil {
				return &push.InvalidError{Field: "rate_per_second", Rule: "wrong_type", Message: "must be a whole number"}
			}
			task, err := changeTask(ctx, s, id, func(ctx context.Context) (push.Task, error) { return s.dispatch.SetTaskRate(ctx, s.actor, id, rate) })
			if err != nil {
				return err
			}
			return c.answer(task, func(w io.Writer) {
				if task.RatePerSecond == 0 {
					fmt.Fprintf(w, "task %d has the limit of its app\n", id)
					return
				}
				fmt.Fprintf(w, "task %d is limited to %d calls a second\n", id, task.RatePerSecond)
			})
		}),
	}
}
