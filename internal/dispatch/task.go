package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

// CreateTask makes a draft. The product is copied as it is; it must exist and be on the shelf.
func (d *Dispatcher) CreateTask(ctx context.Context, actor string, spec push.TaskSpec) (push.Task, error) {
	spec.Normalize()
	app, err := d.st.App(ctx, spec.App)
	if err != nil {
		return push.Task{}, err
	}
	product, err := d.checkSpec(ctx, app.ID, spec)
	if err != nil {
		return push.Task{}, err
	}
	if err := checkEnd(spec, time.Now()); err != nil {
		return push.Task{}, err
	}
	var t push.Task
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		id, err := d.st.InsertTask(ctx, app.ID, spec, product, actor)
		if err != nil {
			return err
		}
		t, err = d.st.Task(ctx, id)
		return err
	})
	if err == nil {
		d.log.InfoContext(ctx, "task created", slog.Any("task_id", t.ID), slog.Any("actor", actor))
	}
	return t, err
}

// checkSpec checks a spec against itself, its template and its product, and returns the product.
func (d *Dispatcher) checkSpec(ctx context.Context, appID int32, spec push.TaskSpec) (*push.Product, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := checkWait(spec, time.Now(), maxAhead+maxWait); err != nil {
		return nil, err
	}
	template, err := d.st.Template(ctx, appID, spec.TemplateID)
	if errors.Is(err, push.ErrNotFound) {
		return nil, &push.InvalidError{Field: "template_id", Rule: "unknown_template", Message: "is not a template of this app"}
	}
	if err != nil {
		return nil, err
	}
	if err := template.Usable(); err != nil {
		return nil, err
	}
	compiled, err := template.Compile()
	if err != nil {
		return nil, err
	}
	if err := spec.ValidateFor(compiled); err != nil {
		return nil, err
	}
	var product *push.Product
	if spec.ProductCode != "" {
		if product, err = d.shelved(ctx, appID, spec); err != nil {
			return nil, err
		}
	}
	if err := checkTexts(template, compiled, &push.Task{TaskSpec: spec, Product: push.Taken(product)}); err != nil {
		return nil, err
	}
	if spec.Audience == push.AudienceAll && len(compiled.Columns()) > 0 {
		return nil, &push.InvalidError{Field: "audience", Rule: "unknown_variable", Message: fmt.Sprintf(
			"is %q, which has no columns; the template uses recipient.%s", spec.Audience, compiled.Columns()[0])}
	}
	return product, nil
}

// checkTexts holds what a task says, as far as it is the same for all, against the fields of its template.
func checkTexts(template push.Template, compiled push.Compiled, t *push.Task) error {
	return provider.For(template.Channel).CheckTask(template, compiled.Bind(t))
}

// checkEnd refuses a not_after that has passed: the task could never start.
func checkEnd(spec push.TaskSpec, now time.Time) error {
	if spec.NotAfter != nil && !spec.NotAfter.After(now) {
		return &push.InvalidError{Field: "not_after", Rule: "bad_time", Message: "must lie in the future"}
	}
	return nil
}

// shelved finds the product of a spec, which must be on the shelf.
func (d *Dispatcher) shelved(ctx context.Context, appID int32, spec push.TaskSpec) (*push.Product, error) {
	p, err := d.st.Product(ctx, appID, spec.ProductCode)
	if errors.Is(err, push.ErrNotFound) {
		return nil, &push.InvalidError{Field: "product_code", Rule: "unknown_product", Message: "is not a product of this app"}
	}
	if err == nil && !p.OnShelf {
		return nil, &push.Refusal{Code: push.RefusedProductOffShelf, App: spec.App, Product: p.Code, Detail: "product " + p.Code}
	}
	return &p, err
}

// ChangeTask hands the spec of a draft, or of a task that was missed, to change and writes it back. The app cannot be changed, and of a
// missed task not whom it goes to. The product is taken anew if its code changes.
func (d *Dispatcher) ChangeTask(ctx context.Context, actor string, id int64, change func(*push.TaskSpec) error) (push.Task, error) {
	return d.changeContent(ctx, actor, id, func(ctx context.Context, t push.Task) error {
		if t.State != push.TaskDraft && t.State != push.TaskMissed {
			return wrongState(t)
		}
		spec := t.TaskSpec
		if err := change(&spec); err != nil {
			return err
		}
		if spec.App != t.App {
			return &push.InvalidError{Field: "app", Rule: "fixed", Message: "cannot be changed"}
		}
		spec.Normalize()
		if t.State == push.TaskMissed && spec.Audience != t.Audience {
			return &push.InvalidError{Field: "audience", Rule: "fixed", Message: "of a missed task cannot be changed; clone it"}
		}
		product, err := d.checkSpec(ctx, t.AppID, spec)
		if err != nil {
			return err
		}
		if err := checkEnd(spec, time.Now()); err != nil {
			return err
		}
		if spec.ProductCode != t.ProductCode {
			if err := d.st.SetTaskProduct(ctx, id, product); err != nil {
				return err
			}
		}
		if _, err := d.st.UpdateTask(ctx, id, spec); err != nil {
			return err
		}
		if t.State == push.TaskMissed && spec.TemplateID != t.TemplateID {
			return d.refreeze(ctx, t, spec.TemplateID) // it shows what it would send
		}
		return nil
	})
}

// refreeze writes another template into a task that has one frozen.
func (d *Dispatcher) refreeze(ctx context.Context, t push.Task, templateID string) error {
	template, err := d.st.Template(ctx, t.AppID, templateID)
	if err != nil {
		return err
	}
	by := t.CreatedBy
	if t.SentBy != nil {
		by = *t.SentBy
	}
	return d.st.FreezeTask(ctx, t.ID, template, by)
}

// SetTaskRate changes the limit of a task that has not ended, also while it is sending; every daemon obeys it within a second. 0 is
// the app's.
func (d *Dispatcher) SetTaskRate(ctx context.Context, actor string, id int64, rate int) (push.Task, error) {
	t, err := d.changeTask(ctx, id, func(ctx context.Context, t push.Task) error {
		spec := t.TaskSpec
		spec.RatePerSecond = rate
		if err := spec.Validate(); err != nil {
			return err
		}
		return moved(t)(d.st.SetTaskRate(ctx, id, rate))
	})
	return d.logged(ctx, t, err, "task rate changed", actor)
}

// DeleteTask removes a draft with its list.
func (d *Dispatcher) DeleteTask(ctx context.Context, id int64) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		t, err := d.st.Task(ctx, id)
		if err != nil {
			return err
		}
		return moved(t)(d.st.DeleteTask(ctx, id))
	})
}

// RefreshProduct (更新) takes title, price and shelf state of the task's product anew: of a draft, and of a task that was paused
// before its first message because its product had changed.
func (d *Dispatcher) RefreshProduct(ctx context.Context, actor string, id int64) (push.Task, error) {
	return d.changeContent(ctx, actor, id, func(ctx context.Context, t push.Task) error {
		p, err := d.st.LockPlan(ctx, id)
		if err != nil {
			return err
		}
		if t.State != push.TaskDraft && (t.State != push.TaskPaused || p.Planned) {
			return wrongState(t)
		}
		if t.ProductCode == "" {
			return &push.InvalidError{Field: "product_code", Rule: "required", Message: "is empty: the task has no product"}
		}
		product, err := d.st.Product(ctx, t.AppID, t.ProductCode)
		if err != nil {
			return err
		}
		if err := d.checkProductText(ctx, t, &product); err != nil {
			return err
		}
		return d.st.SetTaskProduct(ctx, id, &product)
	})
}

// checkProductText holds what the task would say with the product as it is now against its template.
func (d *Dispatcher) checkProductText(ctx context.Context, t push.Task, product *push.Product) error {
	content, err := d.st.Content(ctx, t.ID)
	if err != nil {
		return err
	}
	compiled, err := content.Template.Compile()
	if err != nil {
		return err
	}
	t.Product = push.Taken(product)
	return checkTexts(content.Template, compiled, &t)
}

// Preview is the message of one recipient as it would be sent.
type Preview struct {
	Seq          int32          `json:"seq"`
	UserID       string         `json:"user_id"`
	TemplateName string         `json:"template_name"`
	Page         string         `json:"page"`
	Fields       []PreviewField `json:"fields"`
}

// PreviewField is one field of a message.
type PreviewField struct {
	Key   string `json:"key"`
	Label string `json:"label"`
	Value string `json:"value"`
	Color string `json:"color"`
}

// Preview renders the message of the recipient seq, by the same code that sends it. A task without a list is previewed without one.
func (d *Dispatcher) Preview(ctx context.Context, id int64, seq int32) (Preview, error) {
	stored, err := d.st.Content(ctx, id)
	if err != nil {
		return Preview{}, err
	}
	c, err := loadContent(ctx, d.st, id)
	if err != nil {
		return Preview{}, unfit(err)
	}
	list, err := d.st.Recipients(ctx, id, store.RecipientFilter{After: seq - 1, Limit: 1})
	if err != nil {
		return Preview{}, err
	}
	claimed := store.Claimed{Seq: seq}
	switch {
	case len(list) == 1 && list[0].Seq == seq:
		claimed.UserID = list[0].UserID
		claimed.Vars, _ = json.Marshal(list[0].Vars) // a slice of strings always marshals
	case seq != 0:
		return Preview{}, fmt.Errorf("recipient %d of task %d: %w", seq, id, push.ErrNotFound)
	}
	m, err := c.message(&claimed)
	if err != nil {
		return Preview{}, unfit(err)
	}
	p := Preview{Seq: seq, UserID: claimed.UserID, TemplateName: stored.Template.Name, Page: m.Page}
	for i, f := range m.Data {
		p.Fields = append(p.Fields, PreviewField{Key: f.Key, Label: stored.Template.Fields[i].Label, Value: f.Value, Color: f.Color})
	}
	return p, nil
}

// unfit says of a message that the platform would not take that this is so; any other error stays as it is.
func unfit(err error) error {
	if e, ok := errors.AsType[*wechat.FieldError](err); ok {
		return &push.InvalidError{Field: "template", Rule: string(e.Rule), Message: "does not take this message: " + err.Error() + ": 内容不符合模板要求"}
	}
	return err
}
