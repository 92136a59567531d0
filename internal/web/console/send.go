package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// sendPage shows everything that whoever sends a task must see, and sends it: now, or at a time.
type sendPage struct {
	push.Task
	Path    string
	Message messageView
	Checks  []finding
	// Approving is what was said of it, where the app asks for an approval.
	Approving approvalView
	// Now is the product as it is now; nil if there is none, or if it is gone. ProductMoved: it is not what the task has.
	Now          *push.Product
	ProductMoved bool
	App          push.App
	// Refused is why it was not sent; empty before it was tried. Todo is the key of what to do about it.
	Refused both
	Todo    string
	// Wrong is what of the task itself stands against it, which is put right in its own form.
	Wrong []wrongPart
	// Shown is what the page shows: what is sent is that, or nothing.
	Shown formState
	// Zone is the time zone of the times, Clock the time there.
	Zone  string
	Clock time.Time
	// The form.
	When              string
	WhenWrong         field
	At, Minutes       field
	Misfire, Rate     field
	Scheduled, CanSet bool
	// MaySend: the account may. Blocked: something stands against it that this page knows.
	MaySend, Blocked bool
	// MayEdit: the account may put right what is wrong with the task.
	MayEdit bool
	// Reach is where the page shows who can be reached.
	Reach reachPlace
}

// wrongPart is a part of a task that is wrong: the key of what it is called, and the text of the rule or of a refusal.
type wrongPart struct {
	Label, Rule string
	Said        both
}

// MoreOpen says whether something is wrong in the part of the form that is folded away.
func (p sendPage) MoreOpen() bool { return p.Misfire.Invalid() || p.Rate.Invalid() }

// messageView is the first message of a task as it will be: the dot of the partial message. Preview is nil where it cannot be made, and
// Broken says why; Edit is where that is put right, empty for one who may not.
type messageView struct {
	Preview *dispatch.Preview
	Broken  []wrongPart
	Edit    string
}

// finding is one line of what is looked at before sending. Level is "ok", "warn" or "stop".
type finding struct {
	Level string
	Key   string
	Args  []any
	// Text is the line in words.
	Text string
}

func (k *Console) sendRoutes(t *table) {
	t.page("/console/tasks/{id}/send", auth.Viewer, k.showSend)
	t.change("/console/tasks/{id}/send", auth.Approver, "task.send", k.sendTask)
	k.repeatRoutes(t)
}

func (k *Console) newSendPage(ctx context.Context, c *call) (sendPage, error) {
	t := c.task
	p := sendPage{
		Task: t, Path: taskPath(t.ID), Zone: k.cfg.Location.String(), Clock: k.cfg.Now(), When: "now", Scheduled: t.State == push.TaskScheduled,
		CanSet: t.State == push.TaskDraft || t.State == push.TaskMissed, MaySend: c.may(auth.Approver),
		MayEdit: c.may(auth.Author) && editable(t) == nil, Shown: formState{Seen: seenOf(specSeen(t.TaskSpec))}, WhenWrong: field{Name: "when"},
		Reach:   reachPlace{Path: taskPath(t.ID) + "/reach"},
		At:      field{Name: "at", Label: "send.at", Hint: "send.at_hint", Type: "datetime-local", Value: c.value("at")},
		Minutes: field{Name: "minutes", Label: "send.minutes", Type: "number", Value: c.value("minutes")},
		Misfire: field{Name: "misfire", Label: "send.misfire", Hint: "send.misfire_hint", Options: choose("send.misfire_", t.Misfire, push.MisfireLate, push.MisfireSkip)},
		Rate:    field{Name: "rate_per_second", Label: "send.rate", Hint: "send.rate_hint", Type: "number", Value: strconv.Itoa(t.RatePerSecond)},
	}
	if p.Scheduled {
		p.When = "at"
	}
	if p.Scheduled && p.At.Value == "" {
		p.At.Value = t.StartAt.In(k.cfg.Location).Format(formTime) // a scheduled task has one
	}
	var err error
	if p.App, err = k.store.App(ctx, t.App); err != nil {
		return p, err
	}
	if t.Product != nil {
		now, err := k.store.Product(ctx, t.AppID, t.Product.Code)
		if err != nil && !errors.Is(err, push.ErrNotFound) {
			return p, err
		}
		if err == nil {
			p.Now = &now
			p.ProductMoved = now.Title != t.Product.Title || now.Price != t.Product.Price || now.OnShelf != t.Product.OnShelf
		}
	}
	if p.Message, err = k.firstMessage(ctx, c); err != nil {
		return p, err
	}
	if p.Approving, err = k.approvalOf(ctx, c); err != nil {
		return p, err
	}
	p.Checks = k.checks(&p)
	for i := range p.Checks {
		line := &p.Checks[i]
		line.Text, p.Blocked = k.sentence(c, line.Key, line.Args...), p.Blocked || line.Level == "stop"
	}
	return p, nil
}

// firstMessage renders the message to the first user of the list.
func (k *Console) firstMessage(ctx context.Context, c *call) (v messageView, err error) {
	if c.may(auth.Author) && editable(c.task) == nil {
		v.Edit = taskPath(c.task.ID) + "/edit"
	}
	preview, err := k.d.Preview(ctx, c.task.ID, 0)
	if err == nil {
		v.Preview = &preview
		return v, nil
	}
	if v.Broken = brokenBy(err); v.Broken == nil {
		return v, err
	}
	return v, nil
}

// brokenBy says why a message cannot be made; nil of an error that is none of a person's.
func brokenBy(err error) (parts []wrongPart) {
	wrong, _ := push.InvalidFields(err)
	for _, w := range wrong {
		parts = append(parts, wrongPart{Label: partOf(w.Field), Rule: w.Rule})
	}
	if refusal, ok := errors.AsType[*push.Refusal](err); ok {
		parts = append(parts, wrongPart{Label: "send.message", Said: both{refusal.ZH(), refusal.EN()}})
	}
	if errors.Is(err, push.ErrNotFound) {
		parts = append(parts, wrongPart{Label: partOf("template_id"), Rule: "unknown_template"})
	}
	return parts
}

// partOf is what the part of a task is called that a field belongs to: its own name, or the template, whose field it then is.
func partOf(name string) string {
	label, ok := map[string]string{
		"topic": "task.topic", "caption": "task.caption", "tips": "task.tips", "product_code": "task.product_code", "product": "task.product_code",
		"price": "task.product_code", "audience": "tasks.audience", "priority": "edit.priority", "misfire": "edit.misfire", "on_unknown": "edit.on_unknown",
		"on_price_change": "edit.on_price_change", "rate_per_second": "edit.rate", "not_after": "edit.not_after", "wait_for_permit_until": "edit.wait",
	}[strings.SplitN(name, ".", 2)[0]]
	if !ok {
		return "task.template_id"
	}
	return label
}

// checks are what a look at the rows tells before anybody presses the button; the button looks again at all of it.
func (k *Console) checks(p *sendPage) []finding {
	return append(append(k.checkWhom(p), checkProduct(p)...), k.checkWhen(p)...)
}

func (k *Console) checkWhom(p *sendPage) []finding {
	switch {
	case p.Audience == push.AudienceAll:
		return []finding{{Level: "warn", Key: "send.check_all"}}
	case p.SourceID != 0:
		return []finding{{Level: "ok", Key: "send.check_saved_list"}}
	case p.Counts.Total == 0:
		return []finding{{Level: "stop", Key: "send.check_empty"}}
	}
	return []finding{{Level: "ok", Key: "send.check_list", Args: []any{p.Counts.Total}}}
}

func checkProduct(p *sendPage) []finding {
	switch {
	case p.Product == nil:
		return []finding{{Level: "ok", Key: "send.check_no_product"}}
	case p.Now == nil:
		return []finding{{Level: "stop", Key: "send.check_product_gone"}}
	case !p.Now.OnShelf || !p.Product.OnShelf:
		return []finding{{Level: "stop", Key: "send.check_off_shelf"}}
	case p.Now.Price != p.Product.Price:
		return []finding{{Level: "warn", Key: "send.check_price", Args: []any{p.Product.Price.String(), p.Now.Price.String()}}}
	case p.Now.Title != p.Product.Title:
		return []finding{{Level: "warn", Key: "send.check_title", Args: []any{p.Now.Title}}}
	}
	return []finding{{Level: "ok", Key: "send.check_product", Args: []any{p.Product.Price.String()}}}
}

// checkWhen looks at the limits of the app and at the times of the task.
func (k *Console) checkWhen(p *sendPage) (lines []finding) {
	if p.App.PausedAt != nil {
		lines = append(lines, finding{Level: "warn", Key: "send.check_app_paused", Args: []any{p.App.Key}})
	}
	if until, quiet := p.App.QuietAt(p.Clock, k.cfg.Location); quiet && p.Priority != "urgent" {
		lines = append(lines, finding{Level: "warn", Key: "send.check_quiet", Args: []any{until.In(k.cfg.Location).Format("15:04")}})
	}
	if p.App.Quota.OutUntil != nil {
		lines = append(lines, finding{Level: "warn", Key: "send.check_quota_out", Args: []any{p.App.Quota.OutUntil.In(k.cfg.Location).Format("2006-01-02 15:04")}})
	} else if left, limited := quotaLeft(p.App); limited && left < int64(p.Counts.Total) {
		lines = append(lines, finding{Level: "warn", Key: "send.check_quota", Args: []any{left}})
	}
	if p.NotAfter != nil && p.NotAfter.Before(p.Clock) {
		lines = append(lines, finding{Level: "stop", Key: "send.check_not_after", Args: []any{p.NotAfter.In(k.cfg.Location).Format("2006-01-02 15:04")}})
	}
	per := p.RatePerSecond
	if per == 0 || p.App.RatePerSecond > 0 && p.App.RatePerSecond < per {
		per = p.App.RatePerSecond
	}
	if per > 0 && p.Counts.Total > 0 {
		minutes := (p.Counts.Total/per + 59) / 60
		lines = append(lines, finding{Level: "ok", Key: "send.check_rate", Args: []any{per, minutes}})
	} else {
		lines = append(lines, finding{Level: "ok", Key: "send.check_no_rate"})
	}
	if p.Approval.Missing() {
		lines = append(lines, finding{Level: "warn", Key: "send.check_approval"})
	} else if p.Approval.Required {
		lines = append(lines, finding{Level: "ok", Key: "send.check_approved"})
	}
	if p.OnUnknown == "resend" {
		lines = append(lines, finding{Level: "warn", Key: "send.check_twice"})
	}
	return lines
}

// quotaLeft is how many calls are left today, by the budget of the app and by what the platform said last, as far as either is known.
func quotaLeft(a push.App) (left int64, limited bool) {
	if a.DailyBudget > 0 {
		left, limited = max(0, int64(a.DailyBudget)-a.Quota.BudgetUsed), true
	}
	if a.Quota.Limit != nil && *a.Quota.Limit > 0 && a.Quota.Used != nil {
		if platform := max(0, *a.Quota.Limit-*a.Quota.Used); !limited || platform < left {
			left, limited = platform, true
		}
	}
	return left, limited
}

func (k *Console) showSend(ctx context.Context, c *call) (reply, error) {
	if c.task.State != push.TaskDraft && c.task.State != push.TaskMissed && c.task.State != push.TaskScheduled {
		return reply{}, &push.Refusal{Code: push.RefusedAlreadySent, TaskID: c.task.ID, State: c.task.State}
	}
	p, err := k.newSendPage(ctx, c)
	return page("send", &p, c.task.ID).under(taskCrumbs(c)...), err
}

// sendTask sends a task, or gives a scheduled one another time. It holds the task's lock from its first look on: what the page shows, what
// is checked and what is sent are one.
func (k *Console) sendTask(ctx context.Context, c *call) (reply, error) {
	if _, err := k.store.LockTask(ctx, c.task.ID); err != nil {
		return reply{}, err
	}
	task, err := k.store.Task(ctx, c.task.ID)
	if err != nil {
		return reply{}, err
	}
	c.task = task
	p, err := k.newSendPage(ctx, c)
	if err != nil {
		return reply{}, err
	}
	p.When = c.value("when")
	at, err := k.sendTime(&p)
	if err == nil && p.CanSet {
		err = k.setBeforeSend(ctx, c)
	}
	var t push.Task
	if err == nil {
		t, err = k.d.SendSeen(ctx, c.actor(), c.task.ID, at, c.value("hash"))
	}
	if err != nil {
		return k.sendRefused(c, p, err)
	}
	c.audit.Detail = store.Changed(sentAs(task), sentAs(t))
	if at == nil {
		return redirect(p.Path).saying("task.flash_sent", strconv.FormatInt(t.ID, 10)), nil
	}
	return redirect(p.Path).saying("send.flash_scheduled", at.In(k.cfg.Location).Format("2006-01-02 15:04")+" "+p.Zone), nil
}

// sentAs is what the audit log says of a task before and after it is sent.
func sentAs(t push.Task) map[string]any {
	said := map[string]any{"state": t.State, "start_at": nil, "misfire": t.Misfire, "rate_per_second": t.RatePerSecond, "content_hash": t.ContentHash}
	if t.StartAt != nil {
		said["start_at"] = t.StartAt.UTC().Format(time.RFC3339)
	}
	return said
}

// sendTime reads when the task is to go out; nil is now.
func (k *Console) sendTime(p *sendPage) (*time.Time, error) {
	switch p.When {
	case "now":
		if p.Minutes.Value != "" || p.At.Value != "" {
			// Whoever wrote a time does not mean now.
			return nil, &push.InvalidError{Field: "at", Rule: "one_of", Message: "must be empty to send now"}
		}
		return nil, nil //nolint:nilnil // now
	case "in":
		n, err := strconv.Atoi(p.Minutes.Value)
		if err != nil || n < 1 || n > 366*24*60 {
			return nil, &push.InvalidError{Field: "minutes", Rule: "out_of_range", Message: "must be from 1 to a year"}
		}
		at := k.cfg.Now().Add(time.Duration(n) * time.Minute).Truncate(time.Second)
		return &at, nil
	case "at":
		at, err := parseMoment("at", p.At.Value, k.cfg.Location)
		return &at, err
	case "":
		return nil, &push.InvalidError{Field: "when", Rule: "required", Message: "must be chosen"}
	}
	return nil, &push.InvalidError{Field: "when", Rule: "unknown_value", Message: "must be now, in or at"}
}

// setBeforeSend writes what the form says about a task that has not been sent. What somebody else changed of it since the page was opened is
// neither sent nor written over; the caller holds the task's lock.
func (k *Console) setBeforeSend(ctx context.Context, c *call) error {
	if err := c.checkSeen(specSeen(c.task.TaskSpec)); err != nil {
		return &push.Refusal{Code: push.RefusedContentChanged, TaskID: c.task.ID, State: c.task.State}
	}
	rate, misfire := c.task.RatePerSecond, c.task.Misfire
	if c.form.Has("rate_per_second") {
		n, err := c.number("rate_per_second")
		if err != nil {
			return err
		}
		rate = n
	}
	if c.form.Has("misfire") {
		misfire = c.value("misfire")
	}
	if rate == c.task.RatePerSecond && misfire == c.task.Misfire {
		return nil
	}
	_, err := k.d.ChangeTask(ctx, c.actor(), c.task.ID, func(spec *push.TaskSpec) error {
		spec.RatePerSecond, spec.Misfire = rate, misfire
		return nil
	})
	return err
}

// sendRefused shows the page again with what stands against it, in the words of the refusal, and what to do. What the form has no field for
// is said above it.
func (k *Console) sendRefused(c *call, p sendPage, err error) (reply, error) {
	if c.form.Has("rate_per_second") {
		p.Rate.Value = c.value("rate_per_second")
	}
	if c.form.Has("misfire") {
		p.Misfire.Options = choose("send.misfire_", c.value("misfire"), push.MisfireLate, push.MisfireSkip)
	}
	out := invalid("send", &p, c.task.ID).under(taskCrumbs(c)...)
	if refusal, refused := errors.AsType[*push.Refusal](err); refused {
		p.Refused, p.Todo = both{refusal.ZH(), refusal.EN()}, "other"
		for _, code := range sendRefusals() {
			if code == refusal.Code {
				p.Todo = string(code)
			}
		}
		out.status = http.StatusConflict
		return out, nil
	}
	wrong, ok := push.InvalidFields(err)
	if !ok {
		return reply{}, err
	}
	fields := []*field{&p.WhenWrong, &p.At, &p.Minutes, &p.Misfire, &p.Rate}
	for _, w := range wrong {
		if w.Field == "at" && p.When == "in" {
			w.Field = "minutes"
		}
		if i := slices.IndexFunc(fields, func(f *field) bool { return f.Name == w.Field }); i >= 0 {
			fields[i].Rules = append(fields[i].Rules, w.Rule)
		} else {
			p.Wrong = append(p.Wrong, wrongPart{Label: partOf(w.Field), Rule: w.Rule})
		}
	}
	return out, nil
}

// sendRefusals are those of which the page says what to do.
func sendRefusals() []push.RefusalCode {
	return []push.RefusalCode{
		push.RefusedAlreadySent, push.RefusedAlreadyScheduled, push.RefusedEmptyAudience, push.RefusedNoPermit, push.RefusedProductOffShelf,
		push.RefusedUnknownVariable, push.RefusedAppPaused, push.RefusedNotApproved, push.RefusedContentChanged,
	}
}

// sentence is a text of the catalogue in the language of a page, with its arguments: lines of a list that are made in code.
func (k *Console) sentence(c *call, key string, args ...any) string {
	text, err := k.templates.texts[c.lang].text(key, args...)
	if err != nil {
		return fmt.Sprint(key)
	}
	return text
}
