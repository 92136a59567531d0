package push

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TemplateChange is one thing in which a template differs from what it was.
type TemplateChange struct {
	// Field is "name", "long_term", "gone_at", "fields" (their order), "fields.thing1", "fields.thing1.label" or "fields.thing1.enum".
	Field string `json:"field"`
	// What is "added", "removed" or "changed".
	What string `json:"what"`
	// Was is what stood there: of a field that was removed the value that an operator had written.
	Was string `json:"was,omitempty"`
}

// The kinds of change.
const (
	ChangeAdded   = "added"
	ChangeRemoved = "removed"
	ChangeChanged = "changed"
)

// Account is a template as the app's account at the platform has it: its name, its fields with their labels and allowed values in the
// order of the card, and whether one acceptance is for good. It holds nothing that an operator writes.
type Account struct {
	TemplateID string
	Name       string
	Fields     []Field
	LongTerm   bool
}

// Validate checks whether it can be kept. It returns all that stands against it, joined.
func (a *Account) Validate() error {
	errs := []error{RequireText("template_id", a.TemplateID, MaxTemplateID), RequireText("name", a.Name, MaxTemplateName)}
	if len(a.Fields) == 0 || len(a.Fields) > MaxFields {
		errs = append(errs, fieldCount())
	}
	for i, f := range a.Fields {
		at := fmt.Sprintf("fields[%d].", i)
		if slices.ContainsFunc(a.Fields[:i], func(o Field) bool { return o.Key == f.Key }) {
			errs = append(errs, duplicateKey(at, f.Key))
		}
		errs = append(errs, f.validate(at))
	}
	return errors.Join(errs...)
}

// New makes a template of it. Its fields have no values yet.
func (a *Account) New(app string) Template {
	return Template{App: app, TemplateID: a.TemplateID, Channel: ChannelSubscribe, Name: a.Name, Fields: a.Fields, LongTerm: a.LongTerm}
}

// Update brings t up to the account, and says in what it differed. What an operator wrote stays: the values, colors and what to do with
// what is too long, and the page. A field that the account has no more goes, for every message with it would be refused.
func (a *Account) Update(t Template) (Template, []TemplateChange) {
	var changes []TemplateChange
	add := func(field, what, was string) {
		changes = append(changes, TemplateChange{Field: field, What: what, Was: was})
	}
	if t.GoneAt != nil {
		add("gone_at", ChangeRemoved, "")
	}
	if t.Name != a.Name {
		add("name", ChangeChanged, t.Name)
	}
	if t.LongTerm != a.LongTerm {
		add("long_term", ChangeChanged, fmt.Sprint(t.LongTerm))
	}
	t.Name, t.LongTerm, t.GoneAt = a.Name, a.LongTerm, nil
	old := t.Fields
	t.Fields = make([]Field, 0, len(a.Fields))
	for _, f := range a.Fields {
		i := slices.IndexFunc(old, func(o Field) bool { return o.Key == f.Key })
		if i < 0 {
			add("fields."+f.Key, ChangeAdded, "")
			t.Fields = append(t.Fields, f)
			continue
		}
		was := old[i]
		f.Label = cmp.Or(f.Label, was.Label)
		if f.Label != was.Label {
			add("fields."+f.Key+".label", ChangeChanged, was.Label)
		}
		if !slices.Equal(f.Enum, was.Enum) {
			add("fields."+f.Key+".enum", ChangeChanged, strings.Join(was.Enum, ", "))
		}
		was.Label, was.Enum = f.Label, f.Enum
		t.Fields = append(t.Fields, was)
	}
	for _, o := range old {
		if !slices.ContainsFunc(a.Fields, func(f Field) bool { return f.Key == o.Key }) {
			add("fields."+o.Key, ChangeRemoved, o.Value)
		}
	}
	if !sameOrder(old, t.Fields) {
		add("fields", ChangeChanged, "")
	}
	return t, changes
}

// sameOrder says whether the keys that both lists have come in the same order.
func sameOrder(a, b []Field) bool {
	common := func(list, other []Field) (keys []string) {
		for _, f := range list {
			if slices.ContainsFunc(other, func(o Field) bool { return o.Key == f.Key }) {
				keys = append(keys, f.Key)
			}
		}
		return keys
	}
	return slices.Equal(common(a, b), common(b, a))
}

// Keep makes t, as an operator writes it, keep what the account said of the same template: stored is what stands there. The fields of one
// that was found in the account are the account's: none may be missing, and there are no others. So is whether one acceptance is for good.
func (t *Template) Keep(stored Template) error {
	if t.Channel != ChannelSubscribe || stored.Channel != ChannelSubscribe {
		return nil
	}
	t.SyncedAt, t.GoneAt, t.Fields = stored.SyncedAt, stored.GoneAt, slices.Clone(t.Fields)
	var errs []error
	for i := range t.Fields {
		f := &t.Fields[i]
		j := slices.IndexFunc(stored.Fields, func(s Field) bool { return s.Key == f.Key })
		if j < 0 {
			if stored.SyncedAt != nil {
				errs = append(errs, &InvalidError{Field: fmt.Sprintf("fields[%d].key", i), Rule: "unknown_key", Message: fmt.Sprintf(
					"%q is no field of this template in the platform's account; it has %s", f.Key, keysOf(stored.Fields))})
			}
			continue
		}
		f.Label = cmp.Or(f.Label, stored.Fields[j].Label)
		if f.Enum == nil {
			f.Enum = stored.Fields[j].Enum
		}
	}
	if stored.SyncedAt == nil {
		return nil
	}
	t.LongTerm = stored.LongTerm
	var missing []Field
	for _, s := range stored.Fields {
		if !slices.ContainsFunc(t.Fields, func(f Field) bool { return f.Key == s.Key }) {
			missing = append(missing, s)
		}
	}
	if len(missing) > 0 {
		errs = append(errs, &InvalidError{Field: "fields", Rule: "missing_key", Message: "must have every field of this template; missing: " + keysOf(missing)})
	}
	return errors.Join(errs...)
}

// Unfilled lists the fields that have no value yet.
func (t *Template) Unfilled() []Field {
	var list []Field
	for _, f := range t.Fields {
		if strings.TrimSpace(f.Value) == "" {
			list = append(list, f)
		}
	}
	return list
}

// Usable says what stands against a task that uses t: it has fields without a value, or is gone from the account.
func (t *Template) Usable() error {
	if t.GoneAt != nil {
		return &InvalidError{Field: "template_id", Rule: "template_gone", Message: fmt.Sprintf(
			"names a template that the platform's account no longer has (found missing %s); choose another, or sync the templates again: 平台账号中已没有此模板", t.GoneAt.UTC().Format("2006-01-02 15:04 MST"))}
	}
	if missing := t.Unfilled(); len(missing) > 0 {
		return &InvalidError{Field: "template_id", Rule: "no_value", Message: "names a template whose fields have no value yet: " + keysOf(missing) +
			"; an operator writes them: 模板字段尚未设置内容，请运营人员先设置"}
	}
	return nil
}

// keysOf lists fields for a person: thing1 (活动主题), amount2 (商品金额).
func keysOf(fields []Field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.Key
		if f.Label != "" {
			list[i] += " (" + f.Label + ")"
		}
	}
	return strings.Join(list, ", ")
}
