package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// templatesPage lists the templates of an app.
type templatesPage struct {
	App       string
	Choose    field
	Many      bool
	Templates []templateRow
	Pager     pager
	// New is where one is added, Sync where the account's are fetched; empty where the account may not.
	New, Sync string
	// Synced is what the fetch brought; nil before it. Failed is why it brought nothing.
	Synced *dispatch.TemplateSync
	Failed *both
}

// templateRow is one line of it.
type templateRow struct {
	push.Template
	Path string
}

// templatePage shows and changes one template, or adds one.
type templatePage struct {
	push.Template
	// Action is where the form is sent; empty where the account may only look.
	Action              string
	ID, Title, PagePath field
	Way                 field
	Long                check
	// All carries what is wrong with the fields together, Term what is with the box.
	All, Term field
	Rows      []templateField
	// Shown is what the form was made from, of a template that exists.
	Shown formState
	// Variables are the names that a value may use.
	Variables []string
}

// templateField is one field of a template in the form.
type templateField struct {
	No                                int
	Key, Label, Value, Color, TooLong field
}

// fields are all inputs of it.
func (f *templateField) fields() []*field {
	return []*field{&f.Key, &f.Label, &f.Value, &f.Color, &f.TooLong}
}

func (k *Console) templateRoutes(t *table) {
	t.page("/console/templates", auth.Viewer, k.showTemplates)
	t.page("/console/apps/{app}/new-template", auth.Operator, k.showNewTemplate)
	t.change("/console/apps/{app}/new-template", auth.Operator, didTemplateAdd, k.addTemplate)
	// It asks the platform, and so runs in no transaction; its entry in the audit log is written after it.
	t.row(Route{Method: http.MethodPost, Pattern: "/console/apps/{app}/sync-templates", Role: auth.Operator}, k.syncTemplates)
	t.page("/console/apps/{app}/templates/{template_id}", auth.Viewer, k.showTemplate)
	t.change("/console/apps/{app}/templates/{template_id}", auth.Operator, didTemplateSet, k.setTemplate)
}

func (k *Console) showTemplates(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOfList()
	if err != nil || !ok {
		return page("templates", &templatesPage{}).under(manage()), err
	}
	p, err := k.templatesPage(ctx, c, app)
	return page("templates", p).under(manage()), err
}

func (k *Console) templatesPage(ctx context.Context, c *call, app push.App) (*templatesPage, error) {
	p := &templatesPage{App: app.Key, Choose: c.appChoice("templates.app", app.Key), Many: len(c.apps) > 1}
	if c.may(auth.Operator) {
		p.New, p.Sync = pathOf("apps", app.Key, "new-template"), pathOf("apps", app.Key, "sync-templates")
	}
	rows, err := k.store.Templates(ctx, app.ID, c.value("before"), listed+1)
	if err != nil {
		return nil, err
	}
	p.Pager = k.pageLinks(c, len(rows) > listed, func() string { return rows[listed-1].TemplateID })
	for _, t := range rows[:min(len(rows), listed)] {
		p.Templates = append(p.Templates, templateRow{Template: t, Path: templatePath(app.Key, t.TemplateID)})
	}
	return p, nil
}

// syncTemplates brings the subscribe templates up to those of the account at the platform, and shows what came of it.
func (k *Console) syncTemplates(ctx context.Context, c *call) (reply, error) {
	got, err := k.d.SyncTemplates(ctx, c.actor(), c.app.Key, func(ctx context.Context, got dispatch.TemplateSync) error {
		return k.store.InsertAuditEntry(ctx, store.AuditEntry{
			Action: didTemplateSync, AppID: &c.app.ID, Object: "app:" + c.app.Key, Detail: got.Counts(),
		})
	})
	failed, asked := errors.AsType[*push.CallError](err)
	if err != nil && !asked {
		return reply{}, err
	}
	p, err := k.templatesPage(ctx, c, c.app)
	if err != nil {
		return reply{}, err
	}
	if asked {
		p.Failed = &both{failed.ZH, failed.EN}
	} else {
		p.Synced = &got
	}
	return page("templates", p).under(manage()), nil
}

func templatePath(app, id string) string { return pathOf("apps", app, "templates", id) }

func upToTemplates(app string) []crumb {
	return []crumb{manage(), {Key: "templates.title", Href: "/console/templates?app=" + app}}
}

// newTemplatePage makes the form of a template with empty rows below its fields.
func newTemplatePage(t push.Template, empty int) *templatePage {
	channels := choose("templates.channel_", string(t.Channel), string(push.ChannelFormID), string(push.ChannelSubscribe))
	p := &templatePage{
		Template: t,
		ID:       field{Name: "template_id", Label: "templates.id", Hint: "templates.id_hint", Type: "text", Value: t.TemplateID, Required: true},
		Title:    field{Name: "name", Label: "templates.name", Type: "text", Value: t.Name, Required: true},
		PagePath: field{Name: "page", Label: "templates.page", Hint: "templates.page_hint", Type: "text", Value: t.Page},
		Way:      field{Name: "channel", Label: "templates.channel", Hint: "templates.channel_hint", Options: channels},
		Long:     check{Name: "long_term", Value: "true", Label: "templates.long_term", Hint: "templates.long_term_hint", Checked: t.LongTerm},
		All:      field{Name: "fields"}, Term: field{Name: "long_term"}, Variables: append(push.TaskNames(), "recipient.user_id"),
	}
	for i := range len(t.Fields) + empty {
		var f push.Field
		if i < len(t.Fields) {
			f = t.Fields[i]
		}
		at := fmt.Sprintf("fields[%d].", i)
		p.Rows = append(p.Rows, templateField{
			No:    i + 1,
			Key:   field{Name: at + "key", Label: "templates.field_key", Type: "text", Value: f.Key},
			Label: field{Name: at + "label", Label: "templates.field_label", Type: "text", Value: f.Label},
			Value: field{Name: at + "value", Label: "templates.field_value", Type: "text", Value: f.Value},
			Color: field{Name: at + "color", Label: "templates.field_color", Type: "text", Value: f.Color},
			TooLong: field{Name: at + "too_long", Label: "templates.field_too_long", Options: []option{
				{Value: "", Key: "templates.too_long_refuse", Selected: f.TooLong == ""},
				{Value: push.TooLongCut, Key: "templates.too_long_cut", Selected: f.TooLong == push.TooLongCut},
			}},
		})
	}
	return p
}

func (p *templatePage) fields() []*field {
	all := []*field{&p.ID, &p.Title, &p.PagePath, &p.Way, &p.All, &p.Term}
	for i := range p.Rows {
		all = append(all, p.Rows[i].fields()...)
	}
	return all
}

func (k *Console) showNewTemplate(_ context.Context, c *call) (reply, error) {
	p := newTemplatePage(push.Template{Channel: push.ChannelFormID}, 5)
	p.Action = pathOf("apps", c.app.Key, "new-template")
	return page("template", p, c.app.Key).under(upToTemplates(c.app.Key)...), nil
}

func (k *Console) showTemplate(ctx context.Context, c *call) (reply, error) {
	t, err := k.store.Template(ctx, c.app.ID, c.r.PathValue("template_id"))
	p := newTemplatePage(t, 0)
	p.Shown.Seen = seenOf(t)
	if c.may(auth.Operator) {
		p.Action = templatePath(c.app.Key, t.TemplateID)
	}
	return page("template", p, t.Name).under(upToTemplates(c.app.Key)...), err
}

func (k *Console) addTemplate(ctx context.Context, c *call) (reply, error) {
	id := c.value("template_id")
	if _, err := k.store.LockApp(ctx, c.app.Key); err != nil { // nobody adds one meanwhile
		return reply{}, err
	}
	_, err := k.store.Template(ctx, c.app.ID, id)
	switch {
	case err == nil:
		err = &push.InvalidError{Field: "template_id", Rule: "taken", Message: "is the id of another template of this app"}
	case errors.Is(err, push.ErrNotFound):
		err = nil
	}
	return k.putTemplate(ctx, c, nil, id, pathOf("apps", c.app.Key, "new-template"), err)
}

func (k *Console) setTemplate(ctx context.Context, c *call) (reply, error) {
	if _, err := k.store.LockApp(ctx, c.app.Key); err != nil { // nobody writes one meanwhile, nor syncs them
		return reply{}, err
	}
	before, err := k.store.Template(ctx, c.app.ID, c.r.PathValue("template_id"))
	if err != nil {
		return reply{}, err
	}
	return k.putTemplate(ctx, c, &before, before.TemplateID, templatePath(c.app.Key, before.TemplateID), nil)
}

// putTemplate writes what the form says of a template, unless something is wrong with it, or was before. The button "more" only asks
// for another row.
func (k *Console) putTemplate(ctx context.Context, c *call, before *push.Template, id, action string, wrong error) (reply, error) {
	t := c.readTemplate(id)
	more := c.value("more") != ""
	var was any
	if before != nil {
		was = *before
		if !more {
			wrong = c.checkSeen(*before)
		}
	}
	if !more && wrong == nil {
		after, err := k.d.PutTemplate(ctx, c.actor(), t)
		if err == nil {
			c.audit.Object, c.audit.Detail = "template:"+id, store.Changed(was, after)
			return redirect("/console/templates?app="+c.app.Key).saying("templates.flash_saved", after.Name), nil
		}
		wrong = err
	}
	p := newTemplatePage(t, 1)
	p.Action = action
	out := invalid("template", p, t.Name).under(upToTemplates(c.app.Key)...)
	if before != nil {
		if p.Shown.Seen = seenOf(*before); more { // another row is not another look
			p.Shown.Seen = c.value("seen")
		}
		p.CreatedAt = before.CreatedAt
		now := newTemplatePage(*before, 0)
		now.All.Label, now.All.Value = "templates.fields", strconv.Itoa(len(before.Fields))
		var err error
		if p.Shown.Stale, err = k.staleOf(ctx, wrong, c.app.ID, "template:"+id, now.fields()...); err != nil {
			return reply{}, err
		}
	}
	if p.Shown.Stale != nil {
		out.status = http.StatusConflict
		return out, nil
	}
	if more {
		return out, nil
	}
	return out, refuse(wrong, p.fields()...)
}

// readTemplate reads the form. Rows in which nothing is written do not count.
func (c *call) readTemplate(id string) push.Template {
	t := push.Template{
		App: c.app.Key, TemplateID: id, Name: c.value("name"), Page: c.value("page"), Channel: push.Channel(c.value("channel")), LongTerm: c.value("long_term") == "true",
	}
	for i := range push.MaxFields + 1 {
		at := fmt.Sprintf("fields[%d].", i)
		f := push.Field{Key: c.value(at + "key"), Label: c.value(at + "label"), Value: c.value(at + "value"), Color: c.value(at + "color"), TooLong: c.value(at + "too_long")}
		if f.Key+f.Label+f.Value+f.Color != "" {
			t.Fields = append(t.Fields, f)
		}
	}
	return t
}
