package console

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// tasksPerPage is what a screen of 1280 × 800 shows.
const tasksPerPage = 20

// What the list can show beside the states of tasks: those that wait for an approval, of anybody or of the one who is logged in.
const (
	waiting = "waiting"
	mine    = "mine"
)

// tasksPage is the original's list, 小程序推送任务配置, with what has been added to it.
type tasksPage struct {
	Search, State, From, To field
	// Filtered: something was searched for.
	Filtered bool
	Tasks    []taskRow
	Pager    pager
	// ManyApps: the list shows the tasks of several apps.
	ManyApps bool
	// CanCreate: the account may write a new task.
	CanCreate bool
}

// taskRow is one line of it.
type taskRow struct {
	push.Task
	Progress progress
	// Send: the account may send it, which is what its button does.
	Send bool
	// Judge: it waits for the approval of the account, which comes first.
	Judge bool
}

// Moment is when the task goes or went out: the time that it is scheduled for, or that it started.
func (r taskRow) Moment() *time.Time {
	if r.StartedAt != nil {
		return r.StartedAt
	}
	return r.StartAt
}

// pager leads through a list that is paged by key: the dot of the partial pager. Empty links are not shown.
type pager struct{ First, Next string }

func (k *Console) taskListRoutes(t *table) {
	t.page("/console/tasks", auth.Viewer, k.showTasks)
}

func (k *Console) showTasks(ctx context.Context, c *call) (reply, error) {
	states := append([]string{""}, families()["state.task_"]...)
	if c.asksForApproval() {
		states = slices.Insert(states, 1, waiting)
	}
	if c.asksForApproval() && c.may(auth.Approver) {
		states = slices.Insert(states, 1, mine)
	}
	p := tasksPage{
		Search: field{Name: "q", Label: "tasks.search", Type: "search", Value: c.value("q")},
		State:  field{Name: "state", Label: "tasks.state", Value: c.value("state")},
		From:   field{Name: "from", Label: "tasks.from", Type: "date", Value: c.value("from")},
		To:     field{Name: "to", Label: "tasks.to", Type: "date", Value: c.value("to")},
	}
	for _, s := range states {
		key := "state.task_" + s
		switch s {
		case "":
			key = "tasks.all_states"
		case mine:
			key = "tasks.awaits_me"
		case waiting:
			key = "tasks.awaits"
		}
		p.State.Options = append(p.State.Options, option{Value: s, Key: key, Selected: s == p.State.Value})
	}
	filter := store.TaskFilter{AppIDs: c.appIDs(), Search: p.Search.Value, Limit: tasksPerPage + 1}
	if state := push.TaskState(p.State.Value); state.Valid() {
		filter.State = state
	}
	if state := p.State.Value; state == waiting || state == mine {
		filter.Awaiting = slices.Contains(states, state)
		if filter.Awaiting && state == mine {
			filter.Judge = c.actor()
		}
	}
	filter.From, filter.To = k.day(&p.From, 0), k.day(&p.To, 1)
	filter.Before, _ = strconv.ParseInt(c.value("before"), 10, 64) // what is no number is the first page
	rows, err := k.store.Tasks(ctx, filter)
	if err != nil {
		return reply{}, err
	}
	p.Filtered = p.Search.Value != "" || filter.State != "" || filter.Awaiting || filter.From != nil || filter.To != nil
	_, one := c.chosenApp()
	p.ManyApps = len(c.apps) > 1 && !one
	p.CanCreate = c.may(auth.Author)
	p.Pager = k.pageLinks(c, len(rows) > tasksPerPage, func() string { return strconv.FormatInt(rows[tasksPerPage-1].ID, 10) })
	for _, task := range rows[:min(len(rows), tasksPerPage)] {
		send := (task.State == push.TaskDraft || task.State == push.TaskMissed) && c.may(auth.Approver)
		p.Tasks = append(p.Tasks, taskRow{Task: task, Progress: progressOf(task.Counts), Send: send, Judge: task.Approval.Awaited && c.mayJudge(task)})
	}
	return page("tasks", p), nil
}

// day reads a date in the configured zone and returns its beginning, days later; nil if there is none, or if it is no date, which is
// then said at the field.
func (k *Console) day(f *field, days int) *time.Time {
	if f.Value == "" {
		return nil
	}
	t, err := time.ParseInLocation(time.DateOnly, f.Value, k.cfg.Location)
	if err != nil {
		f.Rules = append(f.Rules, "bad_time")
		return nil
	}
	t = t.AddDate(0, 0, days)
	return &t
}

// pageLinks makes the links of a list that is paged by key. last is the key of the last row that is shown, where there are more.
func (k *Console) pageLinks(c *call, more bool, last func() string) (p pager) {
	link := func(before string) string {
		q := c.r.URL.Query()
		q.Del("before")
		if before != "" {
			q.Set("before", before)
		}
		return (&url.URL{Path: c.r.URL.Path, RawQuery: q.Encode()}).String()
	}
	if c.value("before") != "" {
		p.First = link("")
	}
	if more {
		p.Next = link(last())
	}
	return p
}

func taskPath(id int64) string { return fmt.Sprintf("/console/tasks/%d", id) }
