package console

import (
	"context"
	"errors"
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

// maxTemplatesShown bounds the choice of templates; an app of the platform has at most 50.
const maxTemplatesShown = 200

// editPage is the form of a task: a new one, or a draft that is written on.
type editPage struct {
	// ID is the task; 0 of a new one. Action is where the form is sent, PreviewPath where its preview comes from.
	ID                  int64
	Action, PreviewPath string
	App                 string
	// Apps are those to choose from, where none has been chosen yet: then there is no form.
	Apps []push.App
	// Missed: the task was missed, and whom it goes to is fixed.
	Missed bool
	// NoTemplates: the app has none, so that no task can be written.
	NoTemplates bool

	Template, Topic, Caption, Tips, Product liveField

	Audience, Priority, Misfire, OnUnknown, OnPriceChange field
	Rate, NotAfter, Wait                                  field

	// Shown is what the form was made from, of a task that exists. HasList: it has a list, which goes if it comes to go to all.
	Shown   formState
	HasList bool

	Preview previewView
}

// liveField is a field beside which the server says while it is written what the platform would not take: the dot of the partial live_field.
type liveField struct {
	field
	Faults []both
	// Live: it is written in an answer to htmx, which puts it in its place.
	Live bool
}

// DescribedBy names what a screen reader says beside the label.
func (f liveField) DescribedBy() string {
	return strings.TrimSpace(f.field.DescribedBy() + " " + f.Name + "-fault")
}

// previewView is the message as the user's phone shows it, with the product as it is now: the dot of the partial phone.
type previewView struct {
	dispatch.SpecPreview
	// Live: it is written in an answer to htmx. The fields then bring what is wrong with them.
	Live   bool
	Fields []previewRow
	// Row is the number of the row of the list that is shown, from 1; RowPath shows another one. Empty where the task has no list.
	Row     int
	HasList bool
	Lives   []liveField
}

// previewRow is one line of the message.
type previewRow struct {
	dispatch.PreviewField
	// Wrong: the platform would refuse it.
	Wrong bool
}

func (k *Console) editRoutes(t *table) {
	t.page("/console/tasks/new", auth.Author, k.showNew)
	t.page("/console/tasks/new/preview", auth.Author, k.showNewPreview)
	t.change("/console/tasks/new", auth.Author, "task.create", k.createTask)
	t.page("/console/tasks/{id}/edit", auth.Author, k.showEdit)
	t.page("/console/tasks/{id}/edit/preview", auth.Author, k.showEditPreview)
	t.change("/console/tasks/{id}/edit", auth.Author, "task.change", k.changeTask)
}

// appOf finds the app that a new task is for: the one that the form names, or that was chosen in the header, or the only one.
func (c *call) appOf() (app push.App, ok bool, err error) {
	if key := c.value("app"); key != "" {
		app, err = c.appNamed(key)
		return app, err == nil, err
	}
	if len(c.apps) == 1 {
		return c.apps[0], true, nil
	}
	app, ok = c.chosenApp()
	return app, ok, nil
}

func (k *Console) showNew(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOf()
	if err != nil {
		return reply{}, err
	}
	crumbs := crumb{Key: "tasks.title", Href: home}
	if !ok {
		return page("edit", editPage{Apps: c.apps}).under(crumbs), nil
	}
	spec := push.TaskSpec{App: app.Key, TemplateID: c.value("template_id")}
	p, err := k.newEditPage(ctx, app, push.Task{TaskSpec: spec}, spec, 0)
	return page("edit", p).under(crumbs), err
}

func (k *Console) showEdit(ctx context.Context, c *call) (reply, error) {
	if err := editable(c.task); err != nil {
		return reply{}, err
	}
	p, err := k.newEditPage(ctx, c.taskApp(), c.task, c.task.TaskSpec, 0)
	return k.editReply(c, p, http.StatusOK), err
}

// editReply answers with the form of a task that exists.
func (k *Console) editReply(c *call, p editPage, status int) reply {
	out := page("edit", p)
	out.status = status
	crumbs := []crumb{{Key: "tasks.title", Href: home}}
	if p.ID != 0 {
		crumbs = append(crumbs, crumb{Key: "task.title", Args: []any{p.ID}, Href: taskPath(p.ID)})
		out.titleKey, out.titleArgs = "edit.title_of", []any{p.ID}
	}
	return out.under(crumbs...)
}

// taskApp is the app of the task that the path names.
func (c *call) taskApp() push.App {
	i := slices.IndexFunc(c.apps, func(a push.App) bool { return a.ID == c.task.AppID })
	return c.apps[i] // the guard has seen to it
}

// editable refuses a task that is no longer written on.
func editable(t push.Task) error {
	if t.State == push.TaskDraft || t.State == push.TaskMissed {
		return nil
	}
	return &push.Refusal{Code: push.RefusedWrongState, TaskID: t.ID, State: t.State}
}

// newEditPage makes the form of a task as it is, filled with a spec.
func (k *Console) newEditPage(ctx context.Context, app push.App, task push.Task, spec push.TaskSpec, row int) (editPage, error) {
	spec.Normalize()
	p := editPage{ID: task.ID, App: app.Key, Action: "/console/tasks/new", PreviewPath: "/console/tasks/new/preview", Missed: task.State == push.TaskMissed}
	if task.ID != 0 {
		p.Action = taskPath(task.ID) + "/edit"
		p.PreviewPath = p.Action + "/preview"
		p.Shown.Seen, p.HasList = seenOf(specSeen(task.TaskSpec)), task.AudienceID != 0 || task.SourceID != 0
	}
	templates, err := k.store.Templates(ctx, app.ID, "", maxTemplatesShown)
	if err != nil {
		return p, err
	}
	p.NoTemplates = len(templates) == 0
	if spec.TemplateID == "" && len(templates) == 1 {
		spec.TemplateID = templates[0].TemplateID
	}
	p.fill(spec, k.cfg.Location)
	p.Template.Options = templateOptions(templates, spec.TemplateID)
	p.Preview, err = k.preview(ctx, app.ID, spec, task, row)
	p.say()
	return p, err
}

// templateOptions is the choice of a template, each by its name, its id and its channel.
func templateOptions(templates []push.Template, selected string) []option {
	options := []option{{Value: "", Key: "edit.template_none", Selected: selected == ""}}
	for _, t := range templates {
		options = append(options, option{Value: t.TemplateID, Text: t.Name + " (" + t.TemplateID + ")", Key: "edit.channel_" + string(t.Channel), Selected: t.TemplateID == selected})
	}
	return options
}

// fill writes a spec into the fields.
func (p *editPage) fill(s push.TaskSpec, loc *time.Location) {
	moment := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.In(loc).Format(formTime)
	}
	live := func(f field) liveField { f.Type = "text"; return liveField{field: f} }
	p.Template = live(field{Name: "template_id", Label: "task.template_id", Hint: "edit.template_hint", Value: s.TemplateID, Required: true})
	p.Topic = live(field{Name: "topic", Label: "task.topic", Hint: "edit.topic_hint", Value: s.Topic, Max: push.MaxTopic})
	p.Caption = live(field{Name: "caption", Label: "task.caption", Hint: "edit.caption_hint", Value: s.Caption, Max: push.MaxCaption})
	p.Tips = live(field{Name: "tips", Label: "task.tips", Hint: "edit.tips_hint", Value: s.Tips, Max: push.MaxTips})
	p.Product = live(field{Name: "product_code", Label: "task.product_code", Hint: "edit.product_hint", Value: s.ProductCode})
	p.Audience = field{Name: "audience", Label: "tasks.audience", Hint: "edit.audience_hint", Options: choose("state.audience_", string(s.Audience), "list", "all")}
	p.Priority = field{Name: "priority", Label: "edit.priority", Hint: "edit.priority_hint", Options: choose("edit.priority_", s.Priority, "urgent", "normal", "bulk")}
	p.Misfire = field{Name: "misfire", Label: "edit.misfire", Hint: "edit.misfire_hint", Options: choose("edit.misfire_", s.Misfire, "late", "skip")}
	p.OnUnknown = field{Name: "on_unknown", Label: "edit.on_unknown", Hint: "edit.on_unknown_hint", Options: choose("edit.on_unknown_", s.OnUnknown, "leave", "resend")}
	p.OnPriceChange = field{Name: "on_price_change", Label: "edit.on_price_change", Hint: "edit.on_price_change_hint",
		Options: choose("edit.on_price_change_", s.OnPriceChange, "pause", "accept")}
	p.Rate = field{Name: "rate_per_second", Label: "edit.rate", Hint: "edit.rate_hint", Type: "number", Value: strconv.Itoa(s.RatePerSecond)}
	p.NotAfter = field{Name: "not_after", Label: "edit.not_after", Hint: "edit.not_after_hint", Type: "datetime-local", Value: moment(s.NotAfter)}
	p.Wait = field{Name: "wait_for_permit_until", Label: "edit.wait", Hint: "edit.wait_hint", Type: "datetime-local", Value: moment(s.WaitForPermitUntil)}
}

// lives are the fields that are checked while they are written.
func (p *editPage) lives() []*liveField {
	return []*liveField{&p.Template, &p.Topic, &p.Caption, &p.Tips, &p.Product}
}

// say puts what the platform would not take at the fields that it comes from.
func (p *editPage) say() {
	if wrong, ok := push.InvalidFields(p.Preview.Unusable); ok {
		p.Template.Rules = append(p.Template.Rules, wrong[0].Rule)
	}
	for _, f := range p.lives() {
		f.Faults = nil
		for _, fault := range p.Preview.Faults {
			if fault.Field == f.Name {
				f.Faults = append(f.Faults, both{fault.ZH, fault.EN})
			}
		}
	}
}

// AdvancedOpen says whether something is wrong in the part of the form that is folded away.
func (p editPage) AdvancedOpen() bool {
	return slices.ContainsFunc([]field{p.Priority, p.Misfire, p.OnUnknown, p.OnPriceChange, p.Rate, p.NotAfter, p.Wait}, field.Invalid)
}

func (k *Console) createTask(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOf()
	if err == nil && !ok {
		err = push.ErrNotFound
	}
	if err != nil {
		return reply{}, err
	}
	spec, wrong := k.readSpec(c, push.TaskSpec{App: app.Key})
	var task push.Task
	switch {
	case wrong != nil, c.value("do") != "":
		err = wrong
	default:
		task, err = k.d.CreateTask(ctx, c.actor(), spec)
	}
	if err != nil || task.ID == 0 {
		return k.editAgain(ctx, c, app, push.Task{TaskSpec: spec}, spec, err)
	}
	c.audit.Object, c.audit.AppID = "task:"+strconv.FormatInt(task.ID, 10), &task.AppID
	next := taskPath(task.ID)
	if task.Audience == push.AudienceList {
		next += "/audience"
	}
	return redirect(next).saying("edit.flash_created", strconv.FormatInt(task.ID, 10)), nil
}

// changeTask saves a draft. Its product is taken as it is now, which the form has shown.
func (k *Console) changeTask(ctx context.Context, c *call) (reply, error) {
	if err := editable(c.task); err != nil {
		return reply{}, err
	}
	spec, err := k.readSpec(c, c.task.TaskSpec)
	again := err != nil || c.value("do") != ""
	if !again {
		var after push.Task
		after, err = k.d.ChangeTask(ctx, c.actor(), c.task.ID, func(s *push.TaskSpec) error {
			c.task.TaskSpec = *s
			if err := c.checkSeen(specSeen(*s)); err != nil {
				return err
			}
			*s = spec
			return nil
		})
		c.audit.Detail = store.Changed(specSeen(c.task.TaskSpec), specSeen(after.TaskSpec))
		if err == nil && spec.ProductCode != "" && c.task.State == push.TaskDraft {
			_, err = k.d.RefreshProduct(ctx, c.actor(), c.task.ID)
		}
	}
	if again || err != nil {
		return k.editAgain(ctx, c, c.taskApp(), c.task, spec, err)
	}
	return redirect(taskPath(c.task.ID)).saying("edit.flash_saved", strconv.FormatInt(c.task.ID, 10)), nil
}

// editAgain shows the form again as it was sent, with what is wrong at its fields. Without an error it was sent only to be looked at.
func (k *Console) editAgain(ctx context.Context, c *call, app push.App, task push.Task, spec push.TaskSpec, err error) (reply, error) {
	p, perr := k.newEditPage(ctx, app, task, spec, c.row())
	if perr != nil {
		return reply{}, perr
	}
	p.keep(c)
	status := http.StatusUnprocessableEntity
	if p.Shown.Stale, perr = k.staleOf(ctx, err, app.ID, "task:"+strconv.FormatInt(task.ID, 10), storedFields(task.TaskSpec, k.cfg.Location)...); perr != nil {
		return reply{}, perr
	}
	if p.Shown.Stale != nil {
		return k.editReply(c, p, http.StatusConflict), nil
	}
	if err == nil { // the button 更新, or that of the preview, without JavaScript
		return k.editReply(c, p, status), nil
	}
	if refusal, ok := errors.AsType[*push.Refusal](err); ok && refusal.Code == push.RefusedProductOffShelf {
		p.Product.Faults = append(p.Product.Faults, both{refusal.ZH(), refusal.EN()})
		return k.editReply(c, p, status), nil
	}
	wrong, ok := push.InvalidFields(err)
	if !ok {
		return reply{}, err
	}
	for _, w := range wrong {
		p.refuse(w)
	}
	return k.editReply(c, p, status), nil
}

// storedFields are the fields of the form as a spec fills them.
func storedFields(s push.TaskSpec, loc *time.Location) []*field {
	var p editPage
	p.fill(s, loc)
	all := []*field{&p.Audience, &p.Priority, &p.Misfire, &p.OnUnknown, &p.OnPriceChange, &p.Rate, &p.NotAfter, &p.Wait}
	for _, f := range p.lives() {
		all = append(all, &f.field)
	}
	return all
}

// keep writes what was sent into the fields whose value may be none of a spec.
func (p *editPage) keep(c *call) {
	p.Rate.Value, p.NotAfter.Value, p.Wait.Value = c.value("rate_per_second"), c.value("not_after"), c.value("wait_for_permit_until")
}

// refuse puts what is wrong at its field. What the template does not take is said in words already, by the preview.
func (p *editPage) refuse(w *push.InvalidError) {
	for _, f := range p.lives() {
		if f.Name == w.Field && len(f.Faults) == 0 && !slices.Contains(f.Rules, w.Rule) {
			f.Rules = append(f.Rules, w.Rule)
		}
		if f.Name == w.Field {
			return
		}
	}
	for _, f := range []*field{&p.Audience, &p.Priority, &p.Misfire, &p.OnUnknown, &p.OnPriceChange, &p.Rate, &p.NotAfter, &p.Wait} {
		if f.Name == w.Field {
			f.Rules = append(f.Rules, w.Rule)
			return
		}
	}
	if first, _, _ := strings.Cut(w.Field, "."); (first == "product" || first == "price") && len(p.Product.Faults) == 0 {
		p.Product.Rules = append(p.Product.Rules, w.Rule)
	} else if len(p.Template.Faults) == 0 {
		p.Template.Rules = append(p.Template.Rules, w.Rule) // the rest is the template's
	}
}

// readSpec reads the form over a spec. What is no number or no time is an error for its field, with all else that a look at the spec finds.
func (k *Console) readSpec(c *call, spec push.TaskSpec) (push.TaskSpec, error) {
	var errs []error
	moment := func(name string) *time.Time {
		text := c.value(name)
		if text == "" {
			return nil
		}
		t, err := parseMoment(name, text, k.cfg.Location)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		return &t
	}
	spec.TemplateID, spec.Topic, spec.Caption, spec.Tips = c.value("template_id"), c.value("topic"), c.value("caption"), c.value("tips")
	spec.ProductCode = c.value("product_code")
	if kind := c.value("audience"); kind != "" {
		spec.Audience = push.AudienceKind(kind)
	}
	spec.Priority, spec.Misfire, spec.OnUnknown, spec.OnPriceChange = c.value("priority"), c.value("misfire"), c.value("on_unknown"), c.value("on_price_change")
	spec.NotAfter, spec.WaitForPermitUntil = moment("not_after"), moment("wait_for_permit_until")
	spec.RatePerSecond = 0
	if text := c.value("rate_per_second"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			errs = append(errs, &push.InvalidError{Field: "rate_per_second", Rule: "out_of_range", Message: "must be a whole number"})
		}
		spec.RatePerSecond = n
	}
	spec.Normalize()
	if len(errs) > 0 {
		errs = append(errs, spec.Validate())
	}
	return spec, errors.Join(errs...)
}

// row is the row of the list that the preview shows, counted from 0; what is no number is the first.
func (c *call) row() int {
	n, err := strconv.Atoi(c.value("row"))
	if err != nil || n < 1 || n > 1<<30 {
		return 0
	}
	return n - 1
}

// preview renders the message of a spec.
func (k *Console) preview(ctx context.Context, appID int32, spec push.TaskSpec, task push.Task, row int) (previewView, error) {
	shown, err := k.d.PreviewSpec(ctx, appID, spec, task.ID, int32(row)) //nolint:gosec // row is bounded
	v := previewView{SpecPreview: shown, Row: int(shown.Seq) + 1, HasList: shown.HasRow}
	for _, f := range shown.Fields {
		wrong := slices.ContainsFunc(shown.Faults, func(t dispatch.TextFault) bool { return t.Key == f.Key })
		v.Fields = append(v.Fields, previewRow{PreviewField: f, Wrong: wrong})
	}
	return v, err
}

func (k *Console) showNewPreview(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOf()
	if err == nil && !ok {
		err = push.ErrNotFound
	}
	if err != nil {
		return reply{}, err
	}
	return k.livePreview(ctx, c, app, push.Task{TaskSpec: push.TaskSpec{App: app.Key}})
}

func (k *Console) showEditPreview(ctx context.Context, c *call) (reply, error) {
	return k.livePreview(ctx, c, c.taskApp(), c.task)
}

// livePreview is the part of the form that follows what is written: the message, the product, and what is wrong at each field.
func (k *Console) livePreview(ctx context.Context, c *call, app push.App, task push.Task) (reply, error) {
	spec, _ := k.readSpec(c, task.TaskSpec) // what is no number yet is said when the form is sent
	p := editPage{}
	p.fill(spec, k.cfg.Location)
	var err error
	if p.Preview, err = k.preview(ctx, app.ID, spec, task, c.row()); err != nil {
		return reply{}, err
	}
	p.say()
	if spec.ProductCode != "" && p.Preview.Product == nil {
		p.Product.Rules = []string{"unknown_product"}
	}
	p.Preview.Live = true
	for _, f := range p.lives() {
		f.Live = true
		p.Preview.Lives = append(p.Preview.Lives, *f)
	}
	return part("edit", "phone", p.Preview), nil
}
