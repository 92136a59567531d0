package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) scheduleCommand() *cobra.Command {
	return group("schedule", "Send again and again: a task each time that a cron spec says",
		c.scheduleCreate(), c.scheduleList(), c.scheduleShow(),
		c.scheduleTurn("resume", "Let a schedule run, from its next time on", func(s *session, ctx context.Context, id int64) (push.Schedule, error) {
			return s.dispatch.ResumeSchedule(ctx, s.actor, id)
		}),
		c.scheduleTurn("pause", "Let a schedule run no more; a task that it has made goes on", func(s *session, ctx context.Context, id int64) (push.Schedule, error) {
			return s.dispatch.PauseSchedule(ctx, s.actor, id)
		}),
		c.scheduleDelete())
}

func (c *cli) scheduleCreate() *cobra.Command {
	var spec push.ScheduleSpec
	var notAfter string
	cmd := &cobra.Command{
		Use: "create", Short: "Write a schedule (paused until it is resumed)", Args: cobra.NoArgs,
		Long: `Writes a schedule: at each time of the cron spec it makes a task and sends it, to the newest version of a saved list (--list) or to
all who can be reached then. It is paused until it is resumed.

The spec has five fields: minute, hour, day, month, weekday (Sunday is 0), or is a descriptor such as @daily. A time of day that a
change of summer time skips or repeats comes once.`,
		Example: `  minipush schedule create --app health_applet --name 会员日 --cron "0 10 * * 4" --list vip \
      --template 895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0 --product 1989 --topic 会员日 --caption 今天有新商品 --tips 点击查看详情
  minipush schedule resume 3`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			var err error
			if spec.NotAfter, err = s.clock.readBound("not-after", notAfter); err != nil {
				return err
			}
			schedule, err := change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (push.Schedule, error) {
				made, err := s.dispatch.CreateSchedule(ctx, s.actor, spec)
				e.AboutSchedule(made)
				e.Detail = store.Changed(nil, made.ScheduleSpec)
				return made, err
			})
			if err != nil {
				return err
			}
			return c.answer(schedule, func(w io.Writer) {
				fmt.Fprintf(w, "schedule %d created, paused\n", schedule.ID)
				writeRuns(w, schedule)
				fmt.Fprintf(w, "next: minipush schedule resume %d\n", schedule.ID)
			})
		}),
	}
	appFlag(cmd, &spec.TaskSpec)
	contentFlags(cmd, &spec.TaskSpec)
	f := cmd.Flags()
	f.StringVar(&spec.Name, "name", "", "`NAME` of the schedule")
	f.StringVar(&spec.Cron, "cron", "", "when: a cron `SPEC` of five fields, for example \"0 10 * * 4\"")
	f.StringVar(&spec.TimeZone, "time-zone", "", "IANA `ZONE` of the spec; empty is the configured one")
	f.StringVar(&spec.List, "list", "", "send to the newest version of the saved list `NAME`; empty is all (全部可推送用户发送)")
	f.StringVar(&spec.Misfire, "misfire", "late", "if times pass while nothing is up: late (the latest runs then, within schedule.late_grace) or skip")
	f.StringVar(&notAfter, "not-after", "", "no run after this `TIME`")
	mustHave(cmd, "app", "template", "name", "cron")
	return cmd
}

func appFlag(cmd *cobra.Command, spec *push.TaskSpec) {
	cmd.Flags().StringVar(&spec.App, "app", "", "`KEY` of the app")
}

// contentFlags are the flags that say what a task sends.
func contentFlags(cmd *cobra.Command, spec *push.TaskSpec) {
	f := cmd.Flags()
	f.StringVar(&spec.TemplateID, "template", "", "`ID` of the template (模板ID)")
	f.StringVar(&spec.Topic, "topic", "", "活动主题, at most 10 characters")
	f.StringVar(&spec.Caption, "caption", "", "活动说明, at most 30 characters")
	f.StringVar(&spec.Tips, "tips", "", "温馨提示, at most 30 characters")
	f.StringVar(&spec.ProductCode, "product", "", "`CODE` of the product (商品编码); it must be on the shelf")
	f.IntVar(&spec.RatePerSecond, "rate", 0, "messages a second at most; 0 is the app's own limit")
	f.StringVar(&spec.Priority, "priority", "normal", "urgent, normal or bulk")
	f.StringVar(&spec.OnPriceChange, "on-price-change", "pause", "if the price changes before a scheduled start: pause or accept")
}

// writeRuns writes the next run times of a schedule, as its zone shows them.
func writeRuns(w io.Writer, s push.Schedule) {
	for i, run := range s.NextRuns {
		fmt.Fprintf(w, "%s  %s\n", yesNo(i == 0, "runs", "    "), run)
	}
}

func (c *cli) scheduleList() *cobra.Command {
	var app string
	var after int64
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List schedules", Args: cobra.NoArgs,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			var apps []int32
			if app != "" {
				a, err := s.store.App(ctx, app)
				if err != nil {
					return err
				}
				apps = []int32{a.ID}
			}
			list, err := s.dispatch.Schedules(ctx, apps, after, limit)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"schedules": list}, func(w io.Writer) {
				rows := make([][]string, len(list))
				for i, e := range list {
					next := "–"
					if e.Enabled && len(e.NextRuns) > 0 {
						next = e.NextRuns[0]
					}
					rows[i] = []string{strconv.FormatInt(e.ID, 10), e.App, e.Name, e.Cron, e.TimeZone, cmp.Or(e.List, "all"), scheduleState(e), next}
				}
				table(w, []string{"ID", "APP", "NAME", "CRON", "ZONE", "TO", "STATE", "NEXT"}, rows)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&app, "app", "", "only of the app with this `KEY`")
	f.Int64Var(&after, "after", 0, "only after schedule `ID`: the next page")
	f.IntVar(&limit, "limit", 100, "at most `N`")
	return cmd
}

func scheduleState(s push.Schedule) string {
	return yesNo(s.Enabled, "runs 运行中", "paused 已暂停")
}

// onSchedule is a command whose argument is a schedule's id.
func (c *cli) onSchedule(fn func(ctx context.Context, s *session, id int64) error) func(*cobra.Command, []string) error {
	return c.session(func(ctx context.Context, s *session, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || id <= 0 {
			return usageError{fmt.Sprintf("%q is not the id of a schedule; see: minipush schedule list", args[0])}
		}
		return fn(ctx, s, id)
	})
}

func (c *cli) scheduleShow() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a schedule, its next five run times, and what became of the last", Args: cobra.ExactArgs(1),
		RunE: c.onSchedule(func(ctx context.Context, s *session, id int64) error {
			schedule, err := s.dispatch.Schedule(ctx, id)
			if err != nil {
				return err
			}
			ticks, err := s.store.Ticks(ctx, id, nil, limit)
			if err != nil {
				return err
			}
			answer := struct {
				push.Schedule
				Ticks []push.ScheduleTick `json:"ticks"`
			}{schedule, append([]push.ScheduleTick{}, ticks...)}
			return c.answer(answer, func(w io.Writer) { writeSchedule(w, s.clock, schedule, ticks) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 10, "what became of the last `N` times")
	return cmd
}

func writeSchedule(w io.Writer, k clock, s push.Schedule, ticks []push.ScheduleTick) {
	rows := [][2]string{
		{"schedule", fmt.Sprintf("%d %s (%s)", s.ID, s.Name, s.App)}, {"state", scheduleState(s)}, {"note", cmp.Or(s.Note, "–")},
		{"when", s.Cron + " " + s.TimeZone}, {"to", cmp.Or(s.List, "all")}, {"misfire", s.Misfire}, {"not after", k.maybe(s.NotAfter)},
		{"模板ID", s.TemplateID}, {"活动主题", s.Topic}, {"活动说明", s.Caption}, {"温馨提示", s.Tips}, {"商品编码", cmp.Or(s.ProductCode, "–")},
		{"created by", s.CreatedBy},
	}
	pairs(w, append(rows, settings(s.TaskSpec)...))
	writeRuns(w, s)
	if len(ticks) == 0 {
		return
	}
	fmt.Fprintln(w)
	lines := make([][]string, len(ticks))
	for i, t := range ticks {
		task := "–"
		if t.TaskID != nil {
			task = strconv.FormatInt(*t.TaskID, 10)
		}
		lines[i] = []string{tickTime(s, t), string(t.Outcome), task, t.Note}
	}
	table(w, []string{"TIME", "OUTCOME", "TASK", "NOTE"}, lines)
}

// tickTime is the time of a tick as the zone of its schedule shows it, like the runs to come.
func tickTime(s push.Schedule, t push.ScheduleTick) string {
	loc, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return t.Tick // a zone that this system no longer knows
	}
	return t.At.In(loc).Format(time.RFC3339)
}

func (c *cli) scheduleTurn(name, short string, turn func(s *session, ctx context.Context, id int64) (push.Schedule, error)) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: c.onSchedule(func(ctx context.Context, s *session, id int64) error {
			schedule, err := changeSchedule(ctx, s, id, func(ctx context.Context) (push.Schedule, error) { return turn(s, ctx, id) })
			if err != nil {
				return err
			}
			return c.answer(schedule, func(w io.Writer) {
				fmt.Fprintf(w, "schedule %d: %s\n", schedule.ID, scheduleState(schedule))
				if schedule.Enabled {
					writeRuns(w, schedule)
				}
			})
		}),
	}
}

func (c *cli) scheduleDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete a paused schedule; its tasks stay", Args: cobra.ExactArgs(1),
		RunE: c.onSchedule(func(ctx context.Context, s *session, id int64) error {
			_, err := change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (struct{}, error) {
				before, err := s.dispatch.Schedule(ctx, id)
				if err != nil {
					return struct{}{}, err
				}
				e.AboutSchedule(before)
				e.Detail = store.Changed(before, nil)
				return struct{}{}, s.dispatch.DeleteSchedule(ctx, id)
			})
			if err != nil {
				return hintOn(err, push.RefusedScheduleRuns, fmt.Sprintf("Pause it: minipush schedule pause %d", id))
			}
			return c.answer(map[string]int64{"deleted": id}, func(w io.Writer) { fmt.Fprintf(w, "schedule %d is deleted\n", id) })
		}),
	}
}
