package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// productsPage lists the products of an app.
type productsPage struct {
	App      string
	Choose   field
	Many     bool
	Products []productRow
	Pager    pager
	// New is where one is added; empty where the account may not.
	New string
}

// productRow is one line of it.
type productRow struct {
	push.Product
	Path string
	// Turn is where the shelf is changed; empty where the account may not.
	Turn string
}

// productPage shows and changes one product, or adds one.
type productPage struct {
	// Action is where the form is sent; empty where the account may only look.
	Action             string
	Code, Title, Price field
	OnShelf            check
	Product            push.Product
	Shown              formState
}

func (k *Console) productRoutes(t *table) {
	t.page("/console/products", auth.Viewer, k.showProducts)
	t.page("/console/apps/{app}/new-product", auth.Author, k.showNewProduct)
	t.change("/console/apps/{app}/new-product", auth.Author, didProductAdd, k.addProduct)
	t.page("/console/apps/{app}/products/{code}", auth.Viewer, k.showProduct)
	t.change("/console/apps/{app}/products/{code}", auth.Author, didProductSet, k.setProduct)
	t.change("/console/apps/{app}/products/{code}/shelf", auth.Author, didProductShelf, k.turnShelf)
}

func (k *Console) showProducts(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOfList()
	if err != nil || !ok {
		return page("products", productsPage{}).under(manage()), err
	}
	p := productsPage{App: app.Key, Choose: c.appChoice("products.app", app.Key), Many: len(c.apps) > 1}
	may := c.may(auth.Author)
	if may {
		p.New = pathOf("apps", app.Key, "new-product")
	}
	rows, err := k.store.Products(ctx, app.ID, c.value("before"), listed+1)
	if err != nil {
		return reply{}, err
	}
	p.Pager = k.pageLinks(c, len(rows) > listed, func() string { return rows[listed-1].Code })
	for _, product := range rows[:min(len(rows), listed)] {
		row := productRow{Product: product, Path: productPath(app.Key, product.Code)}
		if may {
			row.Turn = row.Path + "/shelf"
		}
		p.Products = append(p.Products, row)
	}
	return page("products", p).under(manage()), nil
}

func productPath(app, code string) string { return pathOf("apps", app, "products", code) }

func upToProducts(app string) []crumb {
	return []crumb{manage(), {Key: "products.title", Href: "/console/products?app=" + app}}
}

func newProductPage(c *call, product push.Product) *productPage {
	p := &productPage{
		Product: product,
		Code:    field{Name: "code", Label: "products.code", Hint: "products.code_hint", Type: "text", Value: product.Code, Required: true},
		Title:   field{Name: "title", Label: "products.name", Type: "text", Value: product.Title, Required: true},
		Price:   field{Name: "price", Label: "products.price", Hint: "products.price_hint", Type: "text", Value: product.Price.Fixed(), Required: true},
		OnShelf: check{Name: "on_shelf", Value: "true", Label: "products.on_shelf", Hint: "products.on_shelf_hint", Checked: product.OnShelf},
	}
	if !product.CreatedAt.IsZero() {
		p.Shown.Seen = seenOf(product)
	}
	if c.form != nil {
		p.Code.Value, p.Title.Value, p.Price.Value, p.OnShelf.Checked = c.value("code"), c.value("title"), c.value("price"), c.value("on_shelf") == "true"
	}
	return p
}

func (p *productPage) fields() []*field { return []*field{&p.Code, &p.Title, &p.Price} }

func (k *Console) showNewProduct(_ context.Context, c *call) (reply, error) {
	p := newProductPage(c, push.Product{OnShelf: true})
	p.Price.Value, p.Action = "", pathOf("apps", c.app.Key, "new-product")
	return page("product", p, c.app.Key).under(upToProducts(c.app.Key)...), nil
}

func (k *Console) showProduct(ctx context.Context, c *call) (reply, error) {
	product, err := k.store.Product(ctx, c.app.ID, c.r.PathValue("code"))
	p := newProductPage(c, product)
	if c.may(auth.Author) {
		p.Action = productPath(c.app.Key, product.Code)
	}
	return page("product", p, product.Code).under(upToProducts(c.app.Key)...), err
}

func (k *Console) addProduct(ctx context.Context, c *call) (reply, error) {
	return k.putProduct(ctx, c, nil, k.d.AddProduct)
}

func (k *Console) setProduct(ctx context.Context, c *call) (reply, error) {
	before, err := k.store.LockProduct(ctx, c.app.ID, c.r.PathValue("code"))
	if err != nil {
		return reply{}, err
	}
	return k.putProduct(ctx, c, &before, k.d.PutProduct)
}

// putProduct writes by put what the form says of a product; before is what is stored of it, whose row is locked, nil of a new one.
func (k *Console) putProduct(ctx context.Context, c *call, before *push.Product, put func(context.Context, push.Product) (push.Product, error)) (reply, error) {
	price, err := push.ParsePrice(c.value("price"))
	product := push.Product{App: c.app.Key, Code: c.value("code"), Title: c.value("title"), Price: price, OnShelf: c.value("on_shelf") == "true"}
	p := newProductPage(c, push.Product{})
	p.Action = pathOf("apps", c.app.Key, "new-product")
	var was any
	if before != nil {
		p = newProductPage(c, *before)
		product.Code, p.Code.Value, p.Action, was = before.Code, before.Code, productPath(c.app.Key, before.Code), *before
		if err == nil {
			err = c.checkSeen(*before)
		}
	}
	if err = errors.Join(err, product.Validate()); err == nil {
		product, err = put(ctx, product)
	}
	if err != nil {
		out := invalid("product", p, product.Code).under(upToProducts(c.app.Key)...)
		if p.Shown.Stale, err = k.staleProduct(ctx, c, before, err); p.Shown.Stale != nil {
			out.status = http.StatusConflict
			return out, nil
		}
		return out, refuse(err, p.fields()...)
	}
	c.audit.Object, c.audit.Detail = "product:"+product.Code, store.Changed(was, product)
	return redirect("/console/products?app="+c.app.Key).saying("products.flash_saved", product.Code), nil
}

// staleProduct is staleOf for the form of a product; an error that says nothing of that is given back.
func (k *Console) staleProduct(ctx context.Context, c *call, before *push.Product, err error) (*stale, error) {
	if _, is := errors.AsType[*errStale](err); !is || before == nil {
		return nil, err
	}
	shelf := strconv.FormatBool(before.OnShelf)
	return k.staleOf(ctx, err, c.app.ID, "product:"+before.Code,
		&field{Name: "title", Label: "products.name", Value: before.Title}, &field{Name: "price", Label: "products.price", Value: before.Price.Fixed()},
		&field{Name: "on_shelf", Label: "products.shelf", Options: choose("state.shelf_", shelf, shelf)})
}

// turnShelf puts a product on the shelf, or takes it off.
func (k *Console) turnShelf(ctx context.Context, c *call) (reply, error) {
	before, err := k.store.LockProduct(ctx, c.app.ID, c.r.PathValue("code"))
	if err != nil {
		return reply{}, err
	}
	after := before
	after.OnShelf = c.value("on_shelf") == "true"
	if after, err = k.d.PutProduct(ctx, after); err != nil {
		return reply{}, err
	}
	c.audit.Object, c.audit.Detail = "product:"+after.Code, store.Changed(before, after)
	return redirect("/console/products?app="+c.app.Key).saying("products.flash_saved", after.Code), nil
}
