package console

import (
	"context"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// tokensPage lists the tokens of the API, and makes one.
type tokensPage struct {
	Tokens     []tokenRow
	Name, Role field
	Apps       []check
}

// tokenRow is one line of it.
type tokenRow struct {
	store.APIToken
	Apps   []string
	Revoke sure
}

func (k *Console) tokenRoutes(t *table) {
	t.page("/console/tokens", auth.Admin, k.showTokens)
	t.change("/console/tokens", auth.Admin, didTokenCreate, k.createToken)
	t.change("/console/tokens/{name}/revoke", auth.Admin, didTokenRevoke, k.revokeToken)
}

func (k *Console) tokensPage(ctx context.Context, c *call) (*tokensPage, error) {
	if err := c.forAll(); err != nil {
		return nil, err
	}
	tokens, err := k.store.APITokens(ctx)
	var roles []string
	for _, r := range auth.Roles() {
		roles = append(roles, r.String())
	}
	p := &tokensPage{
		Name: field{Name: "name", Label: "tokens.name", Hint: "tokens.name_hint", Type: "text", Value: c.value("name"), Required: true, Max: maxTokenName},
		Role: field{Name: "role", Label: "tokens.role", Hint: "tokens.role_hint", Options: choose("role.", c.value("role"), roles...)},
		Apps: c.appChecks(),
	}
	for _, t := range tokens {
		p.Tokens = append(p.Tokens, tokenRow{APIToken: t, Apps: c.appKeys(t.AppIDs), Revoke: sure{
			Action: pathOf("tokens", t.Name) + "/revoke", Button: "tokens.revoke", Question: "tokens.revoke_sure", Yes: "tokens.revoke_yes", Danger: true,
		}})
	}
	return p, err
}

// maxTokenName is the length of the name of a token, in characters.
const maxTokenName = 64

func (k *Console) showTokens(ctx context.Context, c *call) (reply, error) {
	p, err := k.tokensPage(ctx, c)
	return page("tokens", p).under(manage()), err
}

// createToken makes a token, and shows it once: only its hash is kept.
func (k *Console) createToken(ctx context.Context, c *call) (reply, error) {
	p, err := k.tokensPage(ctx, c)
	if err != nil {
		return reply{}, err
	}
	apps, err := c.tickedApps()
	if err != nil {
		return reply{}, err
	}
	plain, hash := auth.NewToken()
	token, err := store.APIToken{}, push.RequireText("name", p.Name.Value, maxTokenName)
	if err == nil {
		token, err = k.store.InsertAPIToken(ctx, store.APIToken{Name: p.Name.Value, Role: c.value("role"), AppIDs: apps, CreatedBy: c.actor()}, hash)
	}
	if err != nil {
		return invalid("tokens", p).under(manage()), refuse(err, &p.Name, &p.Role)
	}
	c.audit.Object = "token:" + token.Name
	c.audit.Detail = map[string]any{"role": token.Role, "apps": c.appKeys(apps)}
	return page("secret", secretPage{Lead: "secret.token_created", Name: token.Name, Secret: plain, Back: "/console/tokens"}).
		under(manage(), crumb{Key: "tokens.title", Href: "/console/tokens"}), nil
}

func (k *Console) revokeToken(ctx context.Context, c *call) (reply, error) {
	if err := c.forAll(); err != nil {
		return reply{}, err
	}
	name := c.r.PathValue("name")
	c.audit.Object = "token:" + name
	return redirect("/console/tokens").saying("tokens.flash_revoked", name), k.store.RevokeAPIToken(ctx, name)
}
