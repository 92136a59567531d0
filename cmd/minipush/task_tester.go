package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) taskTesters() *cobra.Command {
	return &cobra.Command{
		Use: "testers ID", Short: "List the testers of a task's app, with the permits that a test could spend", Args: cobra.ExactArgs(1),
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			testers, err := s.dispatch.Testers(ctx, id)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"testers": testers}, func(w io.Writer) {
				rows := make([][]string, len(testers))
				for i, t := range testers {
					rows[i] = []string{t.UserID, strconv.FormatInt(t.Permits, 10), s.clock.maybe(t.LastsUntil), t.ZH, t.EN}
				}
				table(w, []string{"USER", "PERMITS", "UNTIL", "提示", "WHAT TO DO"}, rows)
			})
		}),
	}
}

func (c *cli) taskTest() *cobra.Command {
	var spec dispatch.TestSpec
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "test ID", Short: "Send the message of a task that has not begun to a tester, for real", Args: cobra.ExactArgs(1),
		Long: `Sends one real message with the content of a draft, a scheduled or a missed task to one of the app's testers, which spends one of the
tester's own permits. It is sent by the worker daemons (minipush serve) like any other and counts nowhere in the task. Testers are added by
app set --testers.`,
		Example: `  minipush task testers 98
  minipush task test 98 --user 42
  minipush task test 98 --user 42 --seq 17`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			trial, err := aboutTask(ctx, s, id, func(ctx context.Context, _ push.Task, e *store.AuditEntry) (push.Trial, error) {
				trial, err := s.dispatch.StartTest(ctx, s.actor, id, spec)
				e.Detail = map[string]any{"test": trial.ID}
				return trial, err
			})
			if err != nil {
				return err
			}
			if trial, err = s.dispatch.AwaitTest(ctx, trial.ID, wait); err != nil {
				return err
			}
			if err := c.answer(trial, func(w io.Writer) { trialText(w, trial) }); err != nil {
				return err
			}
			if trial.State != push.Sent {
				return fmt.Errorf("the test is not sent, but %s", trial.State)
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&spec.UserID, "user", "", "the `ID` of the tester")
	cmd.Flags().Int32Var(&spec.Seq, "seq", 0, "`NUMBER` of the user in the list whose columns it shows, from 0")
	cmd.Flags().DurationVar(&wait, "wait", 20*time.Second, "how long to wait for the outcome")
	mustHave(cmd, "user")
	return cmd
}

func trialText(w io.Writer, t push.Trial) {
	rows := [][2]string{{"test", strconv.FormatInt(t.ID, 10)}, {"to", t.UserID}, {"state", t.State.String()}}
	if t.Reason != push.NoReason {
		rows = append(rows, [2]string{"原因", t.ZH}, [2]string{"reason", t.EN})
	}
	if t.Note != "" {
		rows = append(rows, [2]string{"note", t.Note})
	}
	pairs(w, rows)
}
