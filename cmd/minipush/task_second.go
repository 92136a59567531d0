package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) taskClone() *cobra.Command {
	var noList bool
	cmd := &cobra.Command{
		Use: "clone ID", Short: "Write a draft with the content and the list of a task", Args: cobra.ExactArgs(1),
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			task, err := aboutTask(ctx, s, id, func(ctx context.Context, _ push.Task, e *store.AuditEntry) (push.Task, error) {
				draft, err := s.dispatch.Clone(ctx, s.actor, id, !noList)
				e.Detail = map[string]any{"draft": draft.ID}
				return draft, err
			})
			if err != nil {
				return err
			}
			return c.made(ctx, s, task)
		}),
	}
	cmd.Flags().BoolVar(&noList, "no-list", false, "the content only")
	return cmd
}

func (c *cli) taskResend() *cobra.Command {
	var reasons []string
	cmd := &cobra.Command{
		Use: "resend ID", Short: "Write a draft for those who did not get a task, for chosen reasons", Args: cobra.ExactArgs(1),
		Long: `Writes a draft with the content of a task that has ended. Its list are the recipients that ended for one of the reasons,
with their columns. To name unsure is to know that those may get the message twice.`,
		Example: `  minipush task resend 98 --reason no_permit --reason platform_error
  minipush task resend 98 --reason no_permit,platform_error`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			if len(reasons) == 0 {
				return usageError{"give --reason, one or more of " + reasonCodes()}
			}
			chosen := make([]push.Reason, len(reasons))
			for i, code := range reasons {
				reason, known := push.ParseReason(code)
				if !known || reason == push.NoReason {
					return usageError{fmt.Sprintf("--reason is %q; it must be one of %s", code, reasonCodes())}
				}
				chosen[i] = reason
			}
			task, err := aboutTask(ctx, s, id, func(ctx context.Context, _ push.Task, e *store.AuditEntry) (push.Task, error) {
				draft, err := s.dispatch.Resend(ctx, s.actor, id, chosen)
				e.Detail = map[string]any{"reasons": reasons, "draft": draft.ID}
				return draft, err
			})
			if err != nil {
				return err
			}
			return c.made(ctx, s, task)
		}),
	}
	cmd.Flags().StringSliceVar(&reasons, "reason", nil, "recipients that ended with this `REASON`; may be repeated")
	return cmd
}

func reasonCodes() string {
	codes := make([]string, 0, len(push.Reasons()))
	for _, r := range push.Reasons() {
		codes = append(codes, r.String())
	}
	return strings.Join(codes, ", ")
}

// made copies what is left of a draft's list, and says what to do next.
func (c *cli) made(ctx context.Context, s *session, task push.Task) error {
	b := c.bar(-1, "copying the list")
	task, err := s.dispatch.CopyList(ctx, task.ID, func(n int) { b.set(int64(n)) })
	b.finish()
	if err != nil {
		return err
	}
	return c.answer(task, func(w io.Writer) {
		fmt.Fprintf(w, "task %d created, %s\n", task.ID, recipients(task.Counts.Total))
		switch {
		case task.Note != "":
			fmt.Fprintln(w, task.Note)
		case task.Audience == push.AudienceList && task.Counts.Total == 0:
			fmt.Fprintf(w, "next: minipush task audience %d FILE\n", task.ID)
		default:
			fmt.Fprintf(w, "next: minipush task send %d\n", task.ID)
		}
	})
}

func (c *cli) taskResolve() *cobra.Command {
	var r dispatch.Resolution
	cmd := &cobra.Command{
		Use: "resolve ID", Short: "Settle recipients whose outcome is unknown by hand", Args: cobra.ExactArgs(1),
		Long: `Settles recipients whose outcome is unknown, after somebody found out: as sent or as failed. Their permits are not free again.
Find them with: minipush task export ID --state unknown`,
		Example: `  minipush task resolve 98 --as sent --seq 17,23
  minipush task resolve 98 --as failed --all`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			resolved, err := aboutTask(ctx, s, id, func(ctx context.Context, _ push.Task, e *store.AuditEntry) (dispatch.Resolved, error) {
				resolved, err := s.dispatch.Resolve(ctx, s.actor, id, r)
				e.Detail = map[string]any{"as": r.As, "resolved": resolved.Resolved, "all": r.All}
				return resolved, err
			})
			if err != nil {
				return err
			}
			return c.answer(resolved, func(w io.Writer) {
				fmt.Fprintf(w, "%s of task %d settled as %s, %d unknown left\n", recipients(resolved.Resolved), id, r.As, resolved.Task.Counts.Unknown)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&r.As, "as", "", "sent or failed")
	f.Int32SliceVar(&r.Seqs, "seq", nil, "the recipient with this `NUMBER` in the list; may be repeated")
	f.BoolVar(&r.All, "all", false, "all of the task's unknown ones")
	cmd.MarkFlagsMutuallyExclusive("seq", "all")
	cmd.MarkFlagsOneRequired("seq", "all")
	mustHave(cmd, "as")
	return cmd
}
