package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) taskList() *cobra.Command {
	var filter store.TaskFilter
	var app, from, to string
	cmd := &cobra.Command{
		Use: "list", Short: "List tasks, newest first", Args: cobra.NoArgs,
		Example: `  minipush task list
  minipush task list --app health_applet --state scheduled --from 2026-11-01`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			if err := readFilter(ctx, s, &filter, app, from, to); err != nil {
				return err
			}
			tasks, err := s.store.Tasks(ctx, filter)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"tasks": tasks}, func(w io.Writer) { taskTable(w, s.clock, tasks) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&app, "app", "", "only of the app with this `KEY`")
	f.StringVar((*string)(&filter.State), "state", "", "only in this `STATE`: draft, scheduled, sending, paused, done, missed, canceled")
	f.StringVar((*string)(&filter.Approval), "approval", "", "only with this `APPROVAL`: none, approved, rejected, void")
	f.StringVar(&from, "from", "", "only created at or after this `TIME`")
	f.StringVar(&to, "to", "", "only created before this `TIME`")
	f.Int64Var(&filter.Before, "before", 0, "only older than task `ID`: the next page")
	f.IntVar(&filter.Limit, "limit", 100, "at most `N`")
	return cmd
}

func readFilter(ctx context.Context, s *session, f *store.TaskFilter, app, from, to string) error {
	if f.State != "" && !f.State.Valid() {
		return usageError{fmt.Sprintf("--state is %q; it must be draft, scheduled, sending, paused, done, missed or canceled", f.State)}
	}
	if f.Approval != "" && !f.Approval.Valid() {
		return usageError{fmt.Sprintf("--approval is %q; it must be none, approved, rejected or void", f.Approval)}
	}
	if app != "" {
		a, err := s.store.App(ctx, app)
		if err != nil {
			return err
		}
		f.AppIDs = []int32{a.ID}
	}
	for _, bound := range []struct {
		flag, text string
		at         **time.Time
	}{{"from", from, &f.From}, {"to", to, &f.To}} {
		if bound.text == "" {
			continue
		}
		t, err := s.clock.read(bound.flag, bound.text)
		if err != nil {
			return err
		}
		*bound.at = &t
	}
	return nil
}

// taskTable has the columns of the original's list, in its order, and two of ours: the state and the progress.
func taskTable(w io.Writer, k clock, tasks []push.Task) {
	rows := make([][]string, len(tasks))
	for i, t := range tasks {
		code, title, shelf := "–", "–", "–"
		if p := t.Product; p != nil {
			code, title, shelf = p.Code, p.Title, shelfText(p.OnShelf)
		}
		rows[i] = []string{
			strconv.FormatInt(t.ID, 10), k.minute(t.CreatedAt), t.TemplateID, t.TemplateName, code, title, shelf,
			strconv.Itoa(t.Counts.Total), audienceText(t.Audience), stateText(t), progressText(t.Counts),
		}
	}
	table(w, []string{
		"序号", "任务创建时间", "模板ID", "模板名称", "关联商品编码", "关联商品标题", "关联商品前台状态", "推送用户量", "任务类型", "状态", "进度",
	}, rows)
}

func shelfText(on bool) string { return yesNo(on, "上架", "下架") }

func audienceText(k push.AudienceKind) string {
	return yesNo(k == push.AudienceAll, "全部可推送用户发送", "指定用户发送")
}

// stateText is the state with what marketing calls it; done has the original's word.
func stateText(t push.Task) string {
	zh := map[push.TaskState]string{
		push.TaskDraft: "未发送", push.TaskScheduled: "已排期", push.TaskSending: "发送中", push.TaskPaused: "已暂停",
		push.TaskDone: "发送完成", push.TaskMissed: "已错过", push.TaskCanceled: "已取消",
	}[t.State]
	text := fmt.Sprintf("%s %s", t.State, zh)
	if len(t.Causes) > 0 {
		causes := make([]string, len(t.Causes))
		for i, cause := range t.Causes {
			causes[i] = string(cause)
		}
		text += " (" + strings.Join(causes, ", ") + ")"
	}
	return text
}

func progressText(n push.Counts) string {
	if n.Total == 0 {
		return "–"
	}
	text := fmt.Sprintf("%d%%", 100*(n.Total-n.Open())/n.Total)
	if n.Waiting > 0 {
		text += fmt.Sprintf(" 等待%d", n.Waiting)
	}
	if n.Unknown > 0 {
		text += fmt.Sprintf(" 未知%d", n.Unknown)
	}
	return text
}

func (c *cli) taskShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a task: what it sends, where it stands, and why some did not get it", Args: cobra.ExactArgs(1),
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			t, err := s.store.Task(ctx, id)
			if err != nil {
				return err
			}
			queues, err := s.store.PausedQueues(ctx)
			if err != nil {
				return err
			}
			return c.answer(t, func(w io.Writer) {
				taskDetail(w, s.clock, t)
				if len(queues) > 0 && t.State == push.TaskSending {
					fmt.Fprintln(w, "\n"+queuesText(queues))
				}
			})
		}),
	}
}

func taskDetail(w io.Writer, k clock, t push.Task) {
	rows := [][2]string{
		{"序号", strconv.FormatInt(t.ID, 10)},
		{"状态", stateText(t)},
		{"小程序", t.App},
		{"模板ID", t.TemplateID},
		{"模板名称", t.TemplateName},
		{"活动主题", t.Topic},
		{"活动说明", t.Caption},
		{"温馨提示", t.Tips},
		{"任务类型", audienceText(t.Audience)},
	}
	if p := t.Product; p != nil {
		rows = append(rows, [][2]string{
			{"商品编码", p.Code}, {"商品标题", p.Title}, {"商品金额", p.Price.String()}, {"商品前台状态", shelfText(p.OnShelf)},
		}...)
	}
	if t.WaitForPermitUntil != nil {
		rows = append(rows, [2]string{"等待推送机会至", k.minute(*t.WaitForPermitUntil)})
	}
	rows = append(rows, settings(t.TaskSpec)...)
	if t.Misfire != push.MisfireLate {
		rows = append(rows, [2]string{"错过时 misfire", t.Misfire})
	}
	if t.NotAfter != nil {
		rows = append(rows, [2]string{"最晚开始 not-after", k.minute(*t.NotAfter)})
	}
	if t.SourceTaskID != nil {
		rows = append(rows, [2]string{"来源任务", strconv.FormatInt(*t.SourceTaskID, 10)})
	}
	rows = append(rows, approvalRows(k, t)...)
	for _, note := range notes(t) {
		rows = append(rows, [2]string{"备注", note})
	}
	rows = append(rows, [][2]string{
		{"创建", k.minute(t.CreatedAt) + " " + t.CreatedBy}, {"排期", k.maybe(t.StartAt)}, {"开始", k.maybe(t.StartedAt)}, {"结束", k.maybe(t.EndedAt)},
	}...)
	if t.SentBy != nil {
		rows = append(rows, [2]string{"发送人", *t.SentBy})
	}
	pairs(w, rows)
	n := t.Counts
	fmt.Fprintln(w)
	table(w, []string{"total", "pending", "waiting", "sending", "sent", "failed", "skipped", "unknown"}, [][]string{{
		strconv.Itoa(n.Total), strconv.Itoa(n.Pending), strconv.Itoa(n.Waiting), strconv.Itoa(n.Sending),
		strconv.Itoa(n.Sent), strconv.Itoa(n.Failed), strconv.Itoa(n.Skipped), strconv.Itoa(n.Unknown),
	}})
	reasonTable(w, t.Reasons)
	switch {
	case settled(t) && t.State.Final():
		fmt.Fprintln(w, "\n"+n.Summary())
		if doubt := n.Doubt(); doubt != "" {
			fmt.Fprintln(w, doubt)
		}
	case t.State.Final():
		fmt.Fprintln(w, "\n"+underWay(t))
	}
}

// recipients counts recipients.
func recipients(n int) string { return plural(n, "recipient", "recipients") }

// underWay says of a task that was canceled what is still to come before its figures are final.
func underWay(t push.Task) string {
	var parts []string
	if n := t.Counts.Pending + t.Counts.Waiting; n > 0 {
		parts = append(parts, recipients(n)+yesNo(n == 1, " is", " are")+" being skipped")
	}
	if n := t.Counts.Sending; n > 0 {
		parts = append(parts, plural(n, "call is", "calls are")+" being finished")
	}
	return fmt.Sprintf("%s; the final figures: minipush task watch %d", strings.Join(parts, ", "), t.ID)
}

// settings are what a task or a schedule has other than by default, by flag.
func settings(spec push.TaskSpec) (rows [][2]string) {
	usual := push.TaskSpec{}
	usual.Normalize()
	if spec.Priority != usual.Priority {
		rows = append(rows, [2]string{"优先级 priority", spec.Priority})
	}
	if spec.RatePerSecond != 0 {
		rows = append(rows, [2]string{"限速 rate", fmt.Sprintf("%d/s", spec.RatePerSecond)})
	}
	if spec.OnUnknown != usual.OnUnknown {
		rows = append(rows, [2]string{"结果未知时 on-unknown", spec.OnUnknown})
	}
	if spec.OnPriceChange != usual.OnPriceChange {
		rows = append(rows, [2]string{"变价时 on-price-change", spec.OnPriceChange})
	}
	return rows
}

// notes say why a task stands still, and what to do.
func notes(t push.Task) (notes []string) {
	if t.Note != "" {
		notes = append(notes, t.Note)
	}
	if slices.Contains(t.Causes, push.CauseAppPaused) {
		notes = append(notes, "小程序已暂停推送 "+pausedApp(t.App))
	}
	return notes
}

// reasonTable says why recipients were not sent, if any were not.
func reasonTable(w io.Writer, reasons []push.Count) {
	if len(reasons) == 0 {
		return
	}
	rows := make([][]string, len(reasons))
	for i, r := range reasons {
		rows[i] = []string{r.Code, strconv.Itoa(r.Count), r.ZH, r.EN}
	}
	fmt.Fprintln(w)
	table(w, []string{"REASON", "COUNT", "原因", "MEANING"}, rows)
}
