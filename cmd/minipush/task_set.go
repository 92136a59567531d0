package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"minipush/internal/push"
	"minipush/internal/store"
)

// taskFlags are the flags that say what a task is, of create and of set.
type taskFlags struct {
	spec                push.TaskSpec
	notAfter, waitUntil string
}

func (t *taskFlags) bind(cmd *cobra.Command) {
	contentFlags(cmd, &t.spec)
	f := cmd.Flags()
	f.StringVar((*string)(&t.spec.Audience), "audience", "list", "list (指定用户发送) or all (全部可推送用户发送)")
	f.StringVar(&t.spec.Misfire, "misfire", "late", "if its time passes while nothing is up: late (send then, within schedule.late_grace) or skip (missed)")
	f.StringVar(&t.notAfter, "not-after", "", "do not start after this `TIME`")
	f.StringVar(&t.spec.OnUnknown, "on-unknown", "leave", "if it cannot be learnt whether a message arrived: leave, or resend (it may arrive twice; it needs another permit of the person)")
	f.StringVar(&t.waitUntil, "wait-for-permit-until", "", "let users without a permit wait for their next one until this `TIME`")
}

// readTimes reads the flags that are times; off takes one away.
func (t *taskFlags) readTimes(k clock) (err error) {
	if t.spec.NotAfter, err = k.readBound("not-after", t.notAfter); err != nil {
		return err
	}
	t.spec.WaitForPermitUntil, err = k.readBound("wait-for-permit-until", t.waitUntil)
	return err
}

// over writes what was given over s.
func (t *taskFlags) over(flags *pflag.FlagSet, s *push.TaskSpec) {
	for name, write := range map[string]func(){
		"template":              func() { s.TemplateID = t.spec.TemplateID },
		"topic":                 func() { s.Topic = t.spec.Topic },
		"caption":               func() { s.Caption = t.spec.Caption },
		"tips":                  func() { s.Tips = t.spec.Tips },
		"product":               func() { s.ProductCode = t.spec.ProductCode },
		"rate":                  func() { s.RatePerSecond = t.spec.RatePerSecond },
		"priority":              func() { s.Priority = t.spec.Priority },
		"on-price-change":       func() { s.OnPriceChange = t.spec.OnPriceChange },
		"audience":              func() { s.Audience = t.spec.Audience },
		"misfire":               func() { s.Misfire = t.spec.Misfire },
		"not-after":             func() { s.NotAfter = t.spec.NotAfter },
		"on-unknown":            func() { s.OnUnknown = t.spec.OnUnknown },
		"wait-for-permit-until": func() { s.WaitForPermitUntil = t.spec.WaitForPermitUntil },
	} {
		if flags.Changed(name) {
			write()
		}
	}
}

func (c *cli) taskSet() *cobra.Command {
	var t taskFlags
	cmd := &cobra.Command{
		Use: "set ID", Short: "Change a draft, or a task that was missed", Args: cobra.ExactArgs(1),
		Long: `Changes what is given and keeps the rest, of a draft or of a task that was missed. A time is taken away by off. A scheduled task is
taken back first (task unschedule); of one that is being sent only the limit can be changed (task rate).`,
		Example: `  minipush task set 98 --topic 健康助利 --tips 点击查看详情
  minipush task set 98 --not-after "2026-12-01 18:00" --priority urgent
  minipush task set 98 --not-after off`,
	}
	run := c.onTask(func(ctx context.Context, s *session, id int64) error {
		if err := t.readTimes(s.clock); err != nil {
			return err
		}
		task, err := changeTask(ctx, s, id, func(ctx context.Context) (push.Task, error) {
			return s.dispatch.ChangeTask(ctx, s.actor, id, func(spec *push.TaskSpec) error {
				t.over(cmd.Flags(), spec)
				return nil
			})
		})
		if err != nil {
			return hintError{err, changeHint(id, err)}
		}
		return c.answer(task, func(w io.Writer) {
			fmt.Fprintf(w, "task %d is changed, %s\n", id, stateText(task))
			if task.State == push.TaskMissed {
				fmt.Fprintf(w, "next: minipush task send %d\n", id)
			}
		})
	})
	t.bind(cmd)
	local := cmd.Flags()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if given := local.NFlag() - inherited(cmd); given == 0 {
			return usageError{"nothing to change was given; see: " + cmd.CommandPath() + " --help"}
		}
		return run(cmd, args)
	}
	keepDefaults(local)
	return cmd
}

// inherited counts the flags given that every command has.
func inherited(cmd *cobra.Command) (n int) {
	cmd.InheritedFlags().Visit(func(*pflag.Flag) { n++ })
	return n
}

// keepDefaults takes the defaults out of the help of a command that keeps what is not given.
func keepDefaults(f *pflag.FlagSet) {
	f.VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() == "string" {
			f.DefValue = ""
		}
	})
}

// changeHint says what must come before a change that was refused for the task's state.
func changeHint(id int64, err error) string {
	refusal, ok := errors.AsType[*push.Refusal](err)
	if !ok || refusal.Code != push.RefusedWrongState {
		return ""
	}
	switch refusal.State {
	case push.TaskScheduled:
		return fmt.Sprintf("Take it back first: minipush task unschedule %d", id)
	case push.TaskSending, push.TaskPaused:
		return fmt.Sprintf("Only its limit can be changed now: minipush task rate %d N", id)
	case push.TaskDraft, push.TaskMissed, push.TaskDone, push.TaskCanceled:
	}
	return fmt.Sprintf("Write a new one with its content: minipush task clone %d", id)
}

func (c *cli) taskDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete a draft with its list", Args: cobra.ExactArgs(1),
		Long: "Deletes a draft with its list. What was scheduled or sent is kept; a scheduled task can be taken back into a draft (task unschedule).",
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			_, err := aboutTask(ctx, s, id, func(ctx context.Context, t push.Task, e *store.AuditEntry) (struct{}, error) {
				e.Detail = store.Changed(t.TaskSpec, nil)
				return struct{}{}, s.dispatch.DeleteTask(ctx, id)
			})
			if err != nil {
				return err
			}
			return c.answer(map[string]int64{"deleted": id}, func(w io.Writer) { fmt.Fprintf(w, "task %d is deleted\n", id) })
		}),
	}
}
