package api

import (
	"context"
	"errors"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

type productList struct {
	Products   []push.Product `json:"products"`
	NextCursor *string        `json:"next_cursor"`
}

func (a *API) listProducts(ctx context.Context, c *call, _ *none) (*productList, error) {
	limit, after := c.limit(), c.after("products")
	if err := c.err(); err != nil {
		return nil, err
	}
	rows, err := a.store.Products(ctx, c.app.ID, after, limit+1)
	if err != nil {
		return nil, err
	}
	products, next := cut(rows, limit, "products", func(p push.Product) string { return p.Code })
	return &productList{Products: products, NextCursor: next}, nil
}

func (a *API) showProduct(ctx context.Context, c *call, _ *none) (*push.Product, error) {
	product, err := a.store.Product(ctx, c.app.ID, c.path("code"))
	return &product, err
}

// productBody is a product without what the path says. Whether it is on the shelf must be said: a field that was left out
// would take it off.
type productBody struct {
	Title   string      `json:"title"`
	Price   *push.Price `json:"price"`
	OnShelf *bool       `json:"on_shelf"`
}

func (a *API) putProduct(ctx context.Context, c *call, body *productBody) (*push.Product, error) {
	var errs []error
	if body.Price == nil {
		errs = append(errs, &push.InvalidError{Field: "price", Rule: "required", Message: "must be given"})
	}
	if body.OnShelf == nil {
		errs = append(errs, &push.InvalidError{Field: "on_shelf", Rule: "required", Message: "must be given"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	before, err := store.Existing(a.store.Product(ctx, c.app.ID, c.path("code")))
	if err != nil {
		return nil, err
	}
	product, err := a.d.PutProduct(ctx, push.Product{
		App: c.app.Key, Code: c.path("code"), Title: body.Title, Price: *body.Price, OnShelf: *body.OnShelf,
	})
	c.put("product:"+product.Code, before, product)
	return &product, err
}

// put notes what became of a thing that was put. One that is as it was is no change: programs put theirs again and again.
func (c *call) put(object string, before, after any) {
	c.audit.Object, c.audit.Detail = object, store.Changed(before, after)
	if store.Same(c.audit.Detail) {
		c.audit.Action = ""
	}
}

type templateList struct {
	Templates  []push.Template `json:"templates"`
	NextCursor *string         `json:"next_cursor"`
}

func (a *API) listTemplates(ctx context.Context, c *call, _ *none) (*templateList, error) {
	limit, after := c.limit(), c.after("templates")
	if err := c.err(); err != nil {
		return nil, err
	}
	rows, err := a.store.Templates(ctx, c.app.ID, after, limit+1)
	if err != nil {
		return nil, err
	}
	templates, next := cut(rows, limit, "templates", func(t push.Template) string { return t.TemplateID })
	return &templateList{Templates: templates, NextCursor: next}, nil
}

func (a *API) showTemplate(ctx context.Context, c *call, _ *none) (*push.Template, error) {
	template, err := a.store.Template(ctx, c.app.ID, c.path("template_id"))
	return &template, err
}

// templateBody is a template without what the path says.
type templateBody struct {
	Name     string       `json:"name"`
	Channel  push.Channel `json:"channel"`
	Page     string       `json:"page"`
	Fields   []push.Field `json:"fields"`
	LongTerm bool         `json:"long_term"`
}

func (a *API) putTemplate(ctx context.Context, c *call, body *templateBody) (*push.Template, error) {
	before, err := store.Existing(a.store.Template(ctx, c.app.ID, c.path("template_id")))
	if err != nil {
		return nil, err
	}
	template, err := a.d.PutTemplate(ctx, c.principal.Name, push.Template{
		App: c.app.Key, TemplateID: c.path("template_id"), Name: body.Name, Channel: body.Channel, Page: body.Page, Fields: body.Fields, LongTerm: body.LongTerm,
	})
	c.put("template:"+template.TemplateID, before, template)
	return &template, err
}

// syncTemplates brings the templates up to the platform's account.
func (a *API) syncTemplates(ctx context.Context, c *call, _ *none) (*dispatch.TemplateSync, error) {
	sync, err := a.d.SyncTemplates(ctx, c.principal.Name, c.app.Key, func(ctx context.Context, sync dispatch.TemplateSync) error {
		return a.note(ctx, c, sync.Counts())
	})
	return &sync, err
}
