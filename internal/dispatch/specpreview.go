package dispatch

import (
	"context"
	"errors"
	"fmt"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

// SpecPreview is the message that a spec would send, however unfinished the spec is.
type SpecPreview struct {
	Preview
	// Product is the product that the spec names as it is now; nil where it names none that there is.
	Product *push.Product
	// HasRow: Seq and UserID are those of a row of the task's list.
	HasRow bool
	// Unusable says what stands against the template itself, such as that the account no longer has it; nil where nothing does.
	Unusable error
	// Faults are what the platform would refuse. What is not written yet is none, nor is what a product would say before there is one.
	Faults []TextFault
}

// TextFault says what the platform would not take.
type TextFault struct {
	// Field is the field of the spec that the text comes from: "topic", "caption", "tips", "product_code"; "template_id" where it is none
	// of them. Key is the field of the template.
	Field, Key string
	ZH, EN     string
}

// PreviewSpec renders the message of a spec that is being written, by the same code that sends it: for the row seq of the list of
// task id, its first one if there is no such row, and for nobody where id is 0. It refuses nothing; a template that is not there has no message.
func (d *Dispatcher) PreviewSpec(ctx context.Context, appID int32, spec push.TaskSpec, id int64, seq int32) (SpecPreview, error) {
	var p SpecPreview
	product, err := d.namedProduct(ctx, appID, spec.ProductCode)
	if err != nil {
		return p, err
	}
	p.Product = product
	stored := store.Content{Task: push.Task{ID: id, TaskSpec: spec, Product: push.Taken(p.Product)}}
	if push.RequireText("template_id", spec.TemplateID, push.MaxTemplateID) != nil {
		return p, nil // none is chosen yet
	}
	stored.Template, err = d.st.Template(ctx, appID, spec.TemplateID)
	if errors.Is(err, push.ErrNotFound) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	compiled, err := stored.Template.Compile()
	if err != nil {
		return p, fmt.Errorf("compile template %s: %w", spec.TemplateID, err)
	}
	row, err := d.previewRow(ctx, id, seq, &stored)
	if err != nil {
		return p, err
	}
	p.TemplateName, p.Unusable = stored.Template.Name, stored.Template.Usable()
	if row != nil {
		p.HasRow, p.Seq, p.UserID = true, row.Seq, row.UserID
	}
	p.render(newContent(stored, compiled), compiled, row)
	return p, nil
}

// namedProduct finds the product of that code; nil if there is none.
func (d *Dispatcher) namedProduct(ctx context.Context, appID int32, code string) (*push.Product, error) {
	if push.RequireText("product_code", code, push.MaxProductCode) != nil {
		return nil, nil //nolint:nilnil,nilerr // there is none of such a code
	}
	product, err := d.st.Product(ctx, appID, code)
	if errors.Is(err, push.ErrNotFound) {
		return nil, nil //nolint:nilnil // as above
	}
	return &product, err
}

// previewRow finds the row to preview, and the names of the list's columns; nil if the task has no list.
func (d *Dispatcher) previewRow(ctx context.Context, id int64, seq int32, stored *store.Content) (*push.Recipient, error) {
	if id == 0 {
		return nil, nil //nolint:nilnil // a message for nobody
	}
	audience, err := d.st.Audience(ctx, id)
	if errors.Is(err, push.ErrNotFound) {
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, err
	}
	stored.Columns = audience.Columns
	for _, after := range []int32{seq - 1, -1} {
		list, err := d.st.Recipients(ctx, id, store.RecipientFilter{After: after, Limit: 1})
		if err != nil || len(list) == 1 {
			return firstOf(list), err
		}
	}
	return nil, nil //nolint:nilnil // as above
}

func firstOf(list []push.Recipient) *push.Recipient {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// render writes the message.
func (p *SpecPreview) render(c *content, compiled push.Compiled, row *push.Recipient) {
	var userID string
	var vars []string
	if row != nil {
		userID, vars = row.UserID, row.Vars
	}
	column := c.column(vars)
	p.Page = c.bound.Page.Render(userID, column)
	for i, f := range c.fields {
		text := c.bound.Fields[i].Value.Render(userID, column)
		value, err := c.channel.Value(f, text)
		if err != nil {
			value = text
		}
		p.Fields = append(p.Fields, PreviewField{Key: f.Key, Label: f.Label, Value: value, Color: f.Color})
		wrong, ok := errors.AsType[*wechat.FieldError](err)
		_, same := c.bound.Fields[i].Value.Static()
		if !ok || wrong.Rule == wechat.RuleEmpty && (same || row == nil) {
			continue // it is yet to be written
		}
		field := writtenIn(compiled.Fields[i].Value)
		if field == "product_code" && p.Product == nil {
			continue // it is yet to be chosen
		}
		p.Faults = append(p.Faults, TextFault{
			Field: field, Key: f.Key,
			ZH: fmt.Sprintf("模板字段“%s”(%s)%s", f.Label, f.Key, wrong.Chinese),
			EN: fmt.Sprintf("The template's field %q (%s) %s", f.Label, f.Key, wrong.English),
		})
	}
}

// writtenIn is the field of a spec that the value of a field of a template comes from.
func writtenIn(value push.Expr) string {
	for _, name := range []string{"topic", "caption", "tips"} {
		if value.Uses(name) {
			return name
		}
	}
	if value.Uses("product.") {
		return "product_code"
	}
	return "template_id"
}
