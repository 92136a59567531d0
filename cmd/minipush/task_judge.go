package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

type judgeDeed func(s *session, ctx context.Context, id int64, j dispatch.Judgment) (push.Task, error)

func taskApprove(s *session, ctx context.Context, id int64, j dispatch.Judgment) (push.Task, error) {
	return s.dispatch.Approve(ctx, s.actor, id, j)
}

func taskReject(s *session, ctx context.Context, id int64, j dispatch.Judgment) (push.Task, error) {
	return s.dispatch.Reject(ctx, s.actor, id, j)
}

// taskJudge says what a second person thinks of a task, by the hash of what was looked at.
func (c *cli) taskJudge(name, short string, deed judgeDeed) *cobra.Command {
	var j dispatch.Judgment
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Args: cobra.ExactArgs(1),
		Long: `Look at the task first: task show ID, task preview ID. It shows a hash of content and audience; give its first 12 digits or
more, so that what was looked at is what is judged. A later change of either makes the approval void. It takes another person than who made the
task or changed it last.`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			task, err := deed(s, ctx, id, j)
			if err != nil {
				return err
			}
			return c.answer(task, func(w io.Writer) {
				fmt.Fprintf(w, "task %d is %s\n", id, approvalText(task.Approval))
			})
		}),
	}
	cmd.Flags().StringVar(&j.Hash, "hash", "", "`HASH` of what was looked at, from task show")
	cmd.Flags().StringVar(&j.Note, "note", "", "a `NOTE` for who made it")
	mustHave(cmd, "hash")
	if name == "reject" {
		mustHave(cmd, "note")
	}
	return cmd
}

// approvalText is an approval with what marketing calls it.
func approvalText(a push.Approval) string {
	zh := map[push.ApprovalState]string{
		push.ApprovalNone: "未审批", push.Approved: "已审批", push.Rejected: "已驳回", push.ApprovalVoid: "审批已失效",
	}[a.State]
	return string(a.State) + " " + zh
}

// approvalRows show an approval where there is one, or where the app asks for it.
func approvalRows(k clock, t push.Task) (rows [][2]string) {
	a := t.Approval
	if !a.Required && a.State == push.ApprovalNone {
		return nil
	}
	text := approvalText(a)
	if a.By != nil {
		text += ", " + *a.By + " " + k.maybe(a.At)
	}
	rows = append(rows, [2]string{"审批", text})
	if a.Note != "" {
		rows = append(rows, [2]string{"审批意见", a.Note})
	}
	const shown = 12
	return append(rows, [2]string{"内容校验 hash", t.ContentHash[:shown]}, [2]string{"最后修改", t.ChangedBy})
}
