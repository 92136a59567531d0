package console

import (
	"context"
	"time"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// reachPage is how many of a task's audience can be reached, and what can be done about the others.
type reachPage struct {
	push.Reach
	Path, State string
	// At asks about a time of sending.
	At       field
	Segments []reachPart
	Percent  int
	// CanRecount: the account may have it counted anew.
	CanRecount bool
}

// reachPart is a part of the audience, and a stretch of the bar in percent of its width.
type reachPart struct {
	Code  string
	Count int
	X, W  float64
}

func (k *Console) reachRoutes(t *table) {
	t.page("/console/tasks/{id}/reach", auth.Viewer, k.showReach)
	t.page("/console/tasks/{id}/reach/panel", auth.Viewer, k.showReachPanel)
	t.change("/console/tasks/{id}/reach", auth.Author, "task.reach", k.recountReach)
}

func (k *Console) showReach(ctx context.Context, c *call) (reply, error) {
	p, err := k.countReach(ctx, c)
	return page("reach", p, c.task.ID).under(taskCrumbs(c)...), err
}

// showReachPanel is the panel alone, for the pages that show it beside something else: they do not wait for the count.
func (k *Console) showReachPanel(ctx context.Context, c *call) (reply, error) {
	p, err := k.countReach(ctx, c)
	return part("reach", "reach", p), err
}

// recountReach has a long list counted anew; a short one is counted with each look.
func (k *Console) recountReach(ctx context.Context, c *call) (reply, error) {
	_, err := k.d.AskReach(ctx, c.task.ID, time.Time{})
	return redirect(taskPath(c.task.ID) + "/reach"), err
}

func (k *Console) countReach(ctx context.Context, c *call) (reachPage, error) {
	p := reachPage{Path: taskPath(c.task.ID) + "/reach", CanRecount: c.may(auth.Author)}
	p.At = field{Name: "at", Label: "reach.at", Hint: "reach.at_hint", Type: "datetime-local", Value: c.value("at")}
	var at time.Time
	if p.At.Value == "" && c.task.StartAt != nil && c.task.State == push.TaskScheduled {
		at = *c.task.StartAt
		p.At.Value = at.In(k.cfg.Location).Format(formTime)
	} else if p.At.Value != "" {
		t, err := time.ParseInLocation(formTime, p.At.Value, k.cfg.Location)
		if err != nil || push.CheckTime("at", &t) != nil {
			p.At.Rules = append(p.At.Rules, "bad_time")
		} else {
			at = t
		}
	}
	var err error
	p.Reach, err = k.d.Reach(ctx, c.task.ID, at)
	p.draw()
	return p, err
}

// draw makes the bar.
func (p *reachPage) draw() {
	x := 0.0
	for _, s := range []reachPart{
		{Code: "reachable", Count: p.Reachable}, {Code: "no_permit", Count: p.NoPermit}, {Code: "no_user", Count: p.NoUser}, {Code: "no_openid", Count: p.NoOpenID},
		{Code: "duplicate_openid", Count: p.DuplicateOpenID}, {Code: "suppressed", Count: p.Suppressed}, {Code: "capped", Count: p.Capped},
	} {
		if p.Total > 0 {
			s.X, s.W = x, float64(s.Count)*100/float64(p.Total)
			x += s.W
		}
		p.Segments = append(p.Segments, s)
	}
	if p.Total > 0 {
		p.Percent = p.Reachable * 100 / p.Total
	}
}

// reachCodes are the parts of an audience: each has a text, and one that says what can be done about it.
func reachCodes() []string {
	return []string{"reachable", "no_permit", "no_user", "no_openid", "duplicate_openid", "suppressed", "capped"}
}
