package console

import (
	"context"

	"minipush/internal/web/auth"
)

// managePage leads to what is set up once, and looked at now and then.
type managePage struct{ Places []managePlace }

// managePlace is a page that it leads to. Key is its title, Hint says what it is for.
type managePlace struct{ Key, Hint, Href string }

func (k *Console) manageRoutes(t *table) {
	t.page("/console/manage", auth.Viewer, k.showManage)
}

func (k *Console) showManage(_ context.Context, c *call) (reply, error) {
	p := managePage{Places: []managePlace{
		{"apps.title", "manage.apps_hint", "/console/apps"},
		{"templates.title", "manage.templates_hint", "/console/templates"},
		{"products.title", "manage.products_hint", "/console/products"},
		{"schedules.title", "manage.schedules_hint", "/console/schedules"},
		{"suppressions.title", "manage.suppressions_hint", "/console/suppressions"},
	}}
	if c.session.Principal.Role.May(auth.Admin, auth.Read) {
		if c.session.Principal.SeesAll() {
			p.Places = append(p.Places, managePlace{"accounts.title", "manage.accounts_hint", "/console/accounts"},
				managePlace{"tokens.title", "manage.tokens_hint", "/console/tokens"})
		}
		p.Places = append(p.Places, managePlace{"audit.title", "manage.audit_hint", "/console/audit"})
	}
	return page("manage", p), nil
}
