package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

func scanProduct(row pgx.CollectableRow) (push.Product, error) {
	var p push.Product
	err := row.Scan(&p.App, &p.Code, &p.Title, &p.Price, &p.OnShelf, &p.CreatedAt, &p.UpdatedAt)
	return p, err
}

// Prices travel as hundredths: numeric(10,2) × 100 is exact in a bigint.
const productColumns = `a.key, p.code, p.title, (p.price * 100)::bigint, p.on_shelf, p.created_at, p.updated_at`

// UpsertProduct writes a product.
func (s *Store) UpsertProduct(ctx context.Context, appID int32, p push.Product) (push.Product, error) {
	_, err := s.db(ctx).Exec(ctx, `
		INSERT INTO product AS p (app_id, code, title, price, on_shelf) VALUES ($1, $2, $3, $4::bigint / 100.0, $5)
		ON CONFLICT (app_id, code) DO UPDATE SET title = excluded.title, price = excluded.price, on_shelf = excluded.on_shelf, updated_at = now()`,
		appID, p.Code, p.Title, int64(p.Price), p.OnShelf)
	if err != nil {
		return push.Product{}, wrap(err, "upsert product %q", p.Code)
	}
	return s.Product(ctx, appID, p.Code)
}

// InsertProduct adds a product. A code that is taken is an *push.InvalidError.
func (s *Store) InsertProduct(ctx context.Context, appID int32, p push.Product) (push.Product, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		INSERT INTO product (app_id, code, title, price, on_shelf) VALUES ($1, $2, $3, $4::bigint / 100.0, $5) ON CONFLICT (app_id, code) DO NOTHING`,
		appID, p.Code, p.Title, int64(p.Price), p.OnShelf)
	if err == nil && tag.RowsAffected() == 0 {
		return push.Product{}, &push.InvalidError{Field: "code", Rule: "taken", Message: "is the code of another product"}
	}
	if err != nil {
		return push.Product{}, wrap(err, "insert product %q", p.Code)
	}
	return s.Product(ctx, appID, p.Code)
}

// LockProduct finds a product by its code and locks its row until the transaction ends.
func (s *Store) LockProduct(ctx context.Context, appID int32, code string) (push.Product, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+productColumns+` FROM product p JOIN app a ON a.id = p.app_id WHERE p.app_id = $1 AND p.code = $2 FOR NO KEY UPDATE OF p`, appID, code)
	p, err := pgx.CollectExactlyOneRow(rows, scanProduct)
	return p, wrap(err, "product %q", code)
}

// Product finds a product by its code.
func (s *Store) Product(ctx context.Context, appID int32, code string) (push.Product, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+productColumns+` FROM product p JOIN app a ON a.id = p.app_id WHERE p.app_id = $1 AND p.code = $2`, appID, code)
	p, err := pgx.CollectExactlyOneRow(rows, scanProduct)
	return p, wrap(err, "product %q", code)
}

// Products lists products by code, after the one given.
func (s *Store) Products(ctx context.Context, appID int32, after string, limit int) ([]push.Product, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+productColumns+` FROM product p JOIN app a ON a.id = p.app_id
		 WHERE p.app_id = $1 AND p.code > $2 ORDER BY p.code LIMIT $3`, appID, after, limit)
	products, err := pgx.CollectRows(rows, scanProduct)
	return products, wrap(err, "list products")
}

func scanTemplate(row pgx.CollectableRow) (push.Template, error) {
	var t push.Template
	err := row.Scan(&t.App, &t.TemplateID, &t.Channel, &t.Name, &t.Page, &t.Fields, &t.LongTerm, &t.SyncedAt, &t.GoneAt, &t.CreatedAt, &t.UpdatedAt)
	return t, err
}

const templateColumns = `a.key, t.template_id, t.channel, t.name, t.page, t.fields, t.long_term, t.synced_at, t.gone_at, t.created_at, t.updated_at`

// UpsertTemplate writes a template. Where it turns into a long-term one, or back, the counters of what people have accepted have yet to follow
// ([Store.RealignSubscriptions]).
func (s *Store) UpsertTemplate(ctx context.Context, appID int32, t push.Template) (push.Template, error) {
	_, err := s.db(ctx).Exec(ctx, `
		INSERT INTO template AS t (app_id, template_id, channel, name, page, fields, long_term, synced_at, gone_at, realign_after)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $7 THEN 0 END)
		ON CONFLICT (app_id, template_id) DO UPDATE SET channel = excluded.channel, name = excluded.name, page = excluded.page,
		       fields = excluded.fields, long_term = excluded.long_term, synced_at = excluded.synced_at, gone_at = excluded.gone_at, updated_at = now(),
		       realign_after = CASE WHEN t.long_term <> excluded.long_term THEN 0 ELSE t.realign_after END`,
		appID, t.TemplateID, t.Channel, t.Name, t.Page, t.Fields, t.LongTerm, t.SyncedAt, t.GoneAt)
	if err != nil {
		return push.Template{}, wrap(err, "upsert template %q", t.TemplateID)
	}
	return s.Template(ctx, appID, t.TemplateID)
}

// Template finds a template by the platform's id.
func (s *Store) Template(ctx context.Context, appID int32, templateID string) (push.Template, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+templateColumns+` FROM template t JOIN app a ON a.id = t.app_id WHERE t.app_id = $1 AND t.template_id = $2`, appID, templateID)
	t, err := pgx.CollectExactlyOneRow(rows, scanTemplate)
	return t, wrap(err, "template %q", templateID)
}

// Templates lists templates by id, after the one given.
func (s *Store) Templates(ctx context.Context, appID int32, after string, limit int) ([]push.Template, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+templateColumns+` FROM template t JOIN app a ON a.id = t.app_id
		 WHERE t.app_id = $1 AND t.template_id > $2 ORDER BY t.template_id LIMIT $3`, appID, after, limit)
	templates, err := pgx.CollectRows(rows, scanTemplate)
	return templates, wrap(err, "list templates")
}

// MarkTemplates writes down that templates were found in the app's account, and that others, subscribe templates all, were not.
func (s *Store) MarkTemplates(ctx context.Context, appID int32, found, gone []string) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE template SET synced_at = CASE WHEN template_id = ANY ($2) THEN now() ELSE synced_at END,
		       gone_at = CASE WHEN template_id = ANY ($3) THEN coalesce(gone_at, now()) END
		 WHERE app_id = $1 AND template_id = ANY ($2 || $3::text[])`, appID, found, gone)
	return wrap(err, "mark templates")
}
