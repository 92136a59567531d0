package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"minipush/internal/cronspec"
	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// nextRuns is how many of the times to come are shown.
const nextRuns = 5

// repeatPage makes a schedule of a task: the same content, again and again.
type repeatPage struct {
	Topic string
	Path  string
	Zone  string
	// How is "daily", "workdays", "weekly" or "cron"; the fields beside it are those that it takes.
	How                       string
	Name, Time, Weekday, Cron field
	List, Misfire             field
	// Next are the next times; empty until they can be told.
	Next []time.Time
	// MayRun: the account may let it run, and not only prepare it.
	MayRun bool
	// Mine: the task goes to a list of its own, which a schedule cannot take.
	Mine bool
}

func (k *Console) repeatRoutes(t *table) {
	t.page("/console/tasks/{id}/repeat", auth.Author, k.showRepeat)
	t.change("/console/tasks/{id}/repeat", auth.Author, "schedule.create", k.repeatTask)
}

// weekdays are those of cron, in the order of the week.
func weekdays() []string { return []string{"1", "2", "3", "4", "5", "6", "0"} }

func (k *Console) newRepeatPage(ctx context.Context, c *call) (repeatPage, error) {
	t := c.task
	value := func(name, otherwise string) string {
		if v := c.value(name); v != "" {
			return v
		}
		return otherwise
	}
	p := repeatPage{
		Topic: t.Topic, Path: taskPath(t.ID), Zone: k.cfg.Location.String(), How: value("how", "daily"), MayRun: c.may(auth.Approver),
		Name: field{
			Name: "name", Label: "repeat.name", Hint: "repeat.name_hint", Type: "text", Max: push.MaxScheduleName, Required: true,
			Value: value("name", fmt.Sprintf("%s %d", t.Topic, t.ID)),
		},
		Time:    field{Name: "time", Label: "repeat.time", Type: "time", Value: value("time", "10:00")},
		Weekday: field{Name: "weekday", Label: "repeat.weekday", Options: choose("repeat.weekday_", value("weekday", "1"), weekdays()...)},
		Cron:    field{Name: "cron", Label: "repeat.cron", Hint: "repeat.cron_hint", Type: "text", Value: c.value("cron")},
		Misfire: field{Name: "misfire", Label: "send.misfire", Hint: "send.misfire_hint", Options: choose("send.misfire_", value("misfire", t.Misfire), push.MisfireLate, push.MisfireSkip)},
	}
	lists, err := k.store.SavedLists(ctx, t.AppID, "", 1000)
	if err != nil {
		return p, err
	}
	chosen := c.value("list")
	if t.SourceID != 0 && chosen == "" && c.value("how") == "" {
		if _, chosen, err = k.store.ListVersion(ctx, t.SourceID); err != nil && !errors.Is(err, push.ErrNotFound) {
			return p, err
		}
	}
	p.Mine = t.Audience == push.AudienceList && t.SourceID == 0
	p.List = field{Name: "list", Label: "repeat.list", Hint: "repeat.list_hint", Options: []option{{Key: "repeat.list_all"}}}
	for _, l := range lists {
		p.List.Options = append(p.List.Options, option{Value: l.Name, Text: l.Name, Selected: l.Name == chosen})
	}
	p.showNext(k.cfg.Now(), k.cfg.Location)
	return p, nil
}

// spec is the cron spec of what was chosen.
func (p *repeatPage) spec() (string, error) {
	if p.How == "cron" {
		if p.Cron.Value == "" {
			return "", &push.InvalidError{Field: "cron", Rule: "required", Message: "must not be empty"}
		}
		return p.Cron.Value, nil
	}
	at, err := time.Parse("15:04", p.Time.Value)
	if err != nil {
		return "", &push.InvalidError{Field: "time", Rule: "bad_time", Message: "must be a time of day"}
	}
	days := "*"
	switch p.How {
	case "workdays":
		days = "1-5"
	case "weekly":
		i := slices.IndexFunc(p.Weekday.Options, func(o option) bool { return o.Selected })
		if i < 0 {
			return "", &push.InvalidError{Field: "weekday", Rule: "unknown_value", Message: "must be a day of the week"}
		}
		days = p.Weekday.Options[i].Value
	}
	return fmt.Sprintf("%d %d * * %s", at.Minute(), at.Hour(), days), nil
}

// showNext works out the next times, or says at the field why there are none.
func (p *repeatPage) showNext(now time.Time, loc *time.Location) {
	spec, err := p.spec()
	var r *cronspec.Recurrence
	if err == nil {
		if r, err = cronspec.Recur(spec, loc); err != nil {
			err = &push.InvalidError{Field: "cron", Rule: "bad_cron", Message: err.Error()}
		}
	}
	if err != nil {
		_ = refuse(err, &p.Time, &p.Weekday, &p.Cron) // it is at one of them
		return
	}
	for tick := range r.After(now) {
		if p.Next = append(p.Next, tick.At.In(loc)); len(p.Next) == nextRuns {
			return
		}
	}
}

func (k *Console) showRepeat(ctx context.Context, c *call) (reply, error) {
	p, err := k.newRepeatPage(ctx, c)
	return page("repeat", p, c.task.ID).under(taskCrumbs(c)...), err
}

// repeatTask makes the schedule, and lets it run if that was asked for and the account may.
func (k *Console) repeatTask(ctx context.Context, c *call) (reply, error) {
	p, err := k.newRepeatPage(ctx, c)
	if err != nil {
		return reply{}, err
	}
	run := c.value("run") != "" && p.MayRun
	s, err := k.makeSchedule(ctx, c, &p)
	if err == nil && run {
		s, err = k.d.ResumeSchedule(ctx, c.actor(), s.ID)
	}
	if err != nil {
		p.Time.Rules, p.Weekday.Rules, p.Cron.Rules = nil, nil, nil
		if err := refuse(err, &p.Name, &p.Time, &p.Weekday, &p.Cron, &p.List, &p.Misfire); err != nil {
			return reply{}, err
		}
		return invalid("repeat", p, c.task.ID).under(taskCrumbs(c)...), nil
	}
	c.audit.Object, c.audit.Detail = "schedule:"+strconv.FormatInt(s.ID, 10), map[string]any{"name": s.Name, "cron": s.Cron, "from_task": c.task.ID, "runs": run}
	if !run {
		return redirect(p.Path).saying("repeat.flash_paused", s.Name), nil
	}
	return redirect(p.Path).saying("repeat.flash_runs", s.NextAt.In(k.cfg.Location).Format("2006-01-02 15:04")+" "+p.Zone), nil
}

func (k *Console) makeSchedule(ctx context.Context, c *call, p *repeatPage) (push.Schedule, error) {
	cron, err := p.spec()
	if err != nil {
		return push.Schedule{}, err
	}
	spec := push.ScheduleSpec{TaskSpec: c.task.TaskSpec, Name: c.value("name"), Cron: cron, TimeZone: p.Zone, List: c.value("list")}
	spec.Audience, spec.Misfire = push.AudienceAll, c.value("misfire")
	if spec.List != "" {
		spec.Audience = push.AudienceList
	}
	spec.WaitForPermitUntil, spec.NotAfter = nil, nil // a time of one task
	return k.d.CreateSchedule(ctx, c.actor(), spec)
}
