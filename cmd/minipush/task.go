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

func (c *cli) taskCommand() *cobra.Command {
	return group("task", "Write, schedule, send and follow tasks",
		c.taskCreate(), c.taskSet(), c.taskDelete(), c.taskAudience(), c.taskReach(), c.taskPreview(), c.taskTesters(), c.taskTest(), c.taskDryRun(), c.taskSend(), c.taskList(), c.taskShow(), c.taskWatch(),
		c.taskMove("pause", "Pause a task that is being sent", taskPause), c.taskMove("resume", "Let a paused task go on", taskResume), c.taskRate(),
		c.taskMove("cancel", "Cancel a task for good; who has not been sent to is skipped", taskCancel),
		c.taskMove("unschedule", "Take a scheduled task back into a draft", taskUnschedule), c.taskJudge("approve", "Approve a task as it is, which somebody else wrote", taskApprove),
		c.taskJudge("reject", "Reject a task as it is, with a note", taskReject), c.taskClone(), c.taskResend(), c.taskResolve(), c.taskExport())
}

// taskID reads the id that a command was given.
func taskID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, usageError{fmt.Sprintf("%q is not the id of a task; see: minipush task list", text)}
	}
	return id, nil
}

// onTask is a command whose first argument is a task's id.
func (c *cli) onTask(fn func(ctx context.Context, s *session, id int64) error) func(*cobra.Command, []string) error {
	return c.session(func(ctx context.Context, s *session, args []string) error {
		id, err := taskID(args[0])
		if err != nil {
			return err
		}
		return fn(ctx, s, id)
	})
}

func (c *cli) taskCreate() *cobra.Command {
	var t taskFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Write a task (a draft)", Args: cobra.NoArgs,
		Example: `  minipush task create --app health_applet --template 895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0 \
      --product 1989 --topic 健康助利 --caption 您已成功加入活动 --tips 点击查看详情`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			if err := t.readTimes(s.clock); err != nil {
				return err
			}
			task, err := change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (push.Task, error) {
				made, err := s.dispatch.CreateTask(ctx, s.actor, t.spec)
				e.AboutTask(made)
				e.Detail = store.Changed(nil, made.TaskSpec)
				return made, err
			})
			if err != nil {
				return err
			}
			return c.answer(task, func(w io.Writer) {
				fmt.Fprintf(w, "task %d created\n", task.ID)
				if task.Audience == push.AudienceList {
					fmt.Fprintf(w, "next: minipush task audience %d FILE\n", task.ID)
				}
			})
		}),
	}
	appFlag(cmd, &t.spec)
	t.bind(cmd)
	mustHave(cmd, "app", "template")
	return cmd
}

type taskDeed func(s *session, ctx context.Context, id int64) (push.Task, error)

func taskPause(s *session, ctx context.Context, id int64) (push.Task, error) {
	return s.dispatch.Pause(ctx, s.actor, id)
}

func taskResume(s *session, ctx context.Context, id int64) (push.Task, error) {
	return s.dispatch.Resume(ctx, s.actor, id)
}

func taskCancel(s *session, ctx context.Context, id int64) (push.Task, error) {
	return s.dispatch.Cancel(ctx, s.actor, id)
}

func taskUnschedule(s *session, ctx context.Context, id int64) (push.Task, error) {
	return s.dispatch.Unschedule(ctx, s.actor, id)
}

func writeNotes(w io.Writer, t push.Task) {
	for _, note := range notes(t) {
		fmt.Fprintln(w, note)
	}
}

// taskMove is a command that only moves a task to another state. Canceling cannot be undone and asks for --yes.
func (c *cli) taskMove(name, short string, deed taskDeed) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			if name == "cancel" && !yes {
				return usageError{fmt.Sprintf("canceling task %d cannot be undone; say so: minipush task cancel %d --yes", id, id)}
			}
			task, err := changeTask(ctx, s, id, func(ctx context.Context) (push.Task, error) { return deed(s, ctx, id) })
			if err != nil {
				return err
			}
			return c.answer(task, func(w io.Writer) {
				fmt.Fprintf(w, "task %d is %s\n", task.ID, stateText(task))
				if name == "resume" && task.State == push.TaskPaused {
					writeNotes(w, task)
				}
				if task.State == push.TaskCanceled && task.Counts.Open() > 0 {
					fmt.Fprintln(w, underWay(task))
				}
			})
		}),
	}
	if name == "cancel" {
		cmd.Flags().BoolVar(&yes, "yes", false, "yes, cancel it for good")
	}
	return cmd
}
