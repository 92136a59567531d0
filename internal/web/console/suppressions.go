package console

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// suppressionsPage is who gets no message: the list, the search, and the form that adds one or many.
type suppressionsPage struct {
	Search, Scope field
	Filtered      bool
	Entries       []suppressionRow
	Pager         pager
	// The form; CanAdd says whether it is shown.
	CanAdd       bool
	For, By      field
	People, Note field
	// Rejected are the lines that could not be taken.
	Rejected []rejectedRow
}

// suppressionRow is one line of the list.
type suppressionRow struct {
	push.Suppression
	// Masked is the openid as the account sees it; empty where the entry is of a user id.
	Masked string
	// Remove takes the entry off the list; its Action is empty where the account may not.
	Remove sure
}

// rejectedRow is a line of what was entered that was not taken.
type rejectedRow struct {
	Line   int
	Text   string
	Reason both
}

func (k *Console) suppressionRoutes(t *table) {
	t.page("/console/suppressions", auth.Viewer, k.showSuppressions)
	t.change("/console/suppressions", auth.Author, didSuppressionAdd, k.addSuppressions)
	t.change("/console/suppressions/{suppression}/remove", auth.Operator, didSuppressionRemove, k.removeSuppression)
}

// scopes are the lists that the account may see or (write) change: of each app, and of all.
func (c *call) scopes(label, selected string, write bool) field {
	f := c.appChoice(label, selected)
	if !write {
		f.Options = append([]option{{Value: "", Key: "suppressions.any", Selected: selected == ""}}, f.Options...)
	}
	if !write || c.session.Principal.SeesAll() {
		f.Options = append(f.Options, option{Value: push.AllApps, Key: "suppressions.all_apps", Selected: selected == push.AllApps})
	}
	return f
}

func (k *Console) suppressionsPage(ctx context.Context, c *call) (*suppressionsPage, error) {
	query := c.r.URL.Query()
	search, scope := strings.TrimSpace(query.Get("q")), query.Get("app")
	p := &suppressionsPage{
		Search: field{Name: "q", Label: "suppressions.search", Type: "search", Value: search},
		Scope:  c.scopes("suppressions.scope", scope, false), CanAdd: c.may(auth.Author), Filtered: search != "" || scope != "",
		By:     field{Name: "by", Label: "suppressions.by", Options: choose("suppressions.by_", c.value("by"), "user_id", "openid")},
		People: field{Name: "people", Label: "suppressions.people", Hint: "suppressions.people_hint", Required: true},
		Note:   field{Name: "note", Label: "suppressions.note", Type: "text", Max: push.MaxSuppressionNote},
	}
	p.For = c.scopes("suppressions.for", c.formOnly("for"), true)
	p.For.Name = "for"
	filter := store.SuppressionFilter{AppIDs: c.appIDs(), OnlyAll: scope == push.AllApps, UserID: search, Limit: listed + 1}
	if scope != "" && !filter.OnlyAll {
		app, err := c.appNamed(scope)
		if err != nil {
			return nil, err
		}
		filter.AppIDs = []int32{app.ID}
	}
	filter.After, _ = strconv.ParseInt(query.Get("before"), 10, 64) // what is no number is the first page
	rows, err := k.store.Suppressions(ctx, filter)
	if err == nil && len(rows) == 0 && search != "" {
		filter.UserID, filter.OpenID = "", search
		rows, err = k.store.Suppressions(ctx, filter)
	}
	if err != nil {
		return nil, err
	}
	p.Pager = k.pageLinks(c, len(rows) > listed, func() string { return strconv.FormatInt(rows[listed-1].ID, 10) })
	for _, s := range rows[:min(len(rows), listed)] {
		row := suppressionRow{Suppression: s}
		if s.OpenID != nil {
			row.Masked = c.mask(*s.OpenID)
		}
		if c.may(auth.Operator) && (s.AppID != 0 || c.session.Principal.SeesAll()) {
			row.Remove = sure{Action: fmt.Sprintf("/console/suppressions/%d/remove", s.ID), Button: "suppressions.remove", Question: "suppressions.remove_sure", Yes: "suppressions.remove_yes"}
		}
		p.Entries = append(p.Entries, row)
	}
	return p, nil
}

// formOnly is a field of what was posted; empty of a GET.
func (c *call) formOnly(name string) string { return strings.TrimSpace(c.form.Get(name)) }

func (k *Console) showSuppressions(ctx context.Context, c *call) (reply, error) {
	p, err := k.suppressionsPage(ctx, c)
	return page("suppressions", p).under(manage()), err
}

// maySuppress lets an account of some apps change the lists of those only.
func (c *call) maySuppress(scope string) error {
	if scope == push.AllApps {
		return c.forAll()
	}
	_, err := c.appNamed(scope)
	return err
}

// addSuppressions puts the people on the list who were entered, one a line. If a line is wrong, nobody is.
func (k *Console) addSuppressions(ctx context.Context, c *call) (reply, error) {
	scope := c.value("for")
	if err := c.maySuppress(scope); err != nil {
		return reply{}, err
	}
	var list []dispatch.SuppressionReport
	var at []int
	for i, line := range strings.Split(c.form.Get("people"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		r := dispatch.SuppressionReport{UserID: line, Note: c.value("note")}
		if c.value("by") == "openid" {
			r.UserID, r.OpenID = "", line
		}
		list, at = append(list, r), append(at, i+1)
	}
	got, err := k.suppress(ctx, c, scope, list)
	if err == nil && len(got.Rejected) == 0 {
		c.audit.Object = "suppressions"
		c.audit.Detail = map[string]any{"app": scope, "by": c.value("by"), "added": got.Accepted, "already": got.Duplicate}
		if scope != push.AllApps {
			app, _ := c.appNamed(scope) // maySuppress has found it
			c.audit.Object, c.audit.AppID = "app:"+app.Key, &app.ID
		}
		return redirect("/console/suppressions").saying("suppressions.flash_added", strconv.Itoa(got.Accepted)), nil
	}
	p, pageErr := k.suppressionsPage(ctx, c)
	if pageErr != nil {
		return reply{}, pageErr
	}
	p.People.Value, p.Note.Value = c.form.Get("people"), c.value("note")
	for _, r := range got.Rejected {
		text := list[r.Index].UserID + list[r.Index].OpenID
		p.Rejected = append(p.Rejected, rejectedRow{Line: at[r.Index], Text: text, Reason: both{r.MessageZH, r.Message}})
	}
	out := invalid("suppressions", p).under(manage())
	if err != nil {
		return out, refuse(err, &p.People, &p.Note)
	}
	return out, nil
}

// suppress checks what is the same for all before it asks for each.
func (k *Console) suppress(ctx context.Context, c *call, scope string, list []dispatch.SuppressionReport) (dispatch.Received, error) {
	switch {
	case len(list) == 0:
		return dispatch.Received{}, &push.InvalidError{Field: "people", Rule: "required", Message: "must name somebody"}
	case len(list) > dispatch.MaxBatch:
		return dispatch.Received{}, &push.InvalidError{Field: "people", Rule: "batch_size", Message: fmt.Sprintf("has more than %d lines", dispatch.MaxBatch)}
	}
	if err := push.CheckText("note", c.value("note"), push.MaxSuppressionNote); err != nil {
		return dispatch.Received{}, err
	}
	return k.d.Suppress(ctx, c.actor(), scope, list)
}

func (k *Console) removeSuppression(ctx context.Context, c *call) (reply, error) {
	id, err := strconv.ParseInt(c.r.PathValue("suppression"), 10, 64)
	if err != nil {
		return reply{}, fmt.Errorf("suppression: %w", push.ErrNotFound)
	}
	entry, err := k.store.Suppression(ctx, id)
	if err != nil {
		return reply{}, err
	}
	if err := c.maySuppress(entry.App); err != nil {
		return reply{}, err
	}
	c.audit.Object = fmt.Sprintf("suppression:%d", id)
	if entry.AppID != 0 {
		c.audit.AppID = &entry.AppID
	}
	return redirect("/console/suppressions").saying("suppressions.flash_removed"), k.d.Unsuppress(ctx, c.actor(), id)
}
