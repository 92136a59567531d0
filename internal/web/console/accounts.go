package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// accountsPage lists the people who may log in, and adds one.
type accountsPage struct {
	Accounts          []accountRow
	Login, Name, Role field
	Apps              []check
	// Elsewhere is where people may sign in besides; empty for nowhere. LinkAccount and Subject link an account to who its person is there.
	Elsewhere            string
	LinkAccount, Subject field
}

// accountRow is one line of it.
type accountRow struct {
	store.Account
	// Apps are the keys of the apps that it is limited to; empty is all.
	Apps []string
	// Self: it is the one who looks, who cannot shut himself out.
	Self                   bool
	Disable, Enable, Reset sure
	// Linked are the subjects that it is linked to.
	Linked             []string
	RemoveTOTP, Unlink sure
}

// secretPage shows once what nobody can show again.
type secretPage struct {
	// Lead says what it is: a key of the catalogue.
	Lead string
	// Name is whose it is.
	Name, Secret string
	Back         string
}

// errOwnAccount says that one would shut oneself out.
var errOwnAccount = errors.New("an account cannot disable itself")

func (k *Console) accountRoutes(t *table) {
	t.page("/console/accounts", auth.Admin, k.showAccounts)
	// Package auth writes the entries of these in the audit log: the commands do the same, and hashing a password takes longer than a transaction should.
	t.row(Route{Method: http.MethodPost, Pattern: "/console/accounts", Role: auth.Admin}, k.addAccount)
	t.row(Route{Method: http.MethodPost, Pattern: "/console/accounts/{login}/password", Role: auth.Admin}, k.resetPassword)
	t.row(Route{Method: http.MethodPost, Pattern: "/console/accounts/{login}/totp", Role: auth.Admin}, k.removeTOTP)
	t.row(Route{Method: http.MethodPost, Pattern: "/console/accounts/{login}/unlink", Role: auth.Admin}, k.unlinkAccount)
	t.row(Route{Method: http.MethodPost, Pattern: "/console/accounts/link", Role: auth.Admin}, k.linkAccount)
	t.change("/console/accounts/{login}/disable", auth.Admin, didAccountDisable, k.setDisabled(true, "accounts.flash_disabled"))
	t.change("/console/accounts/{login}/enable", auth.Admin, didAccountEnable, k.setDisabled(false, "accounts.flash_enabled"))
}

func (k *Console) accountsPage(ctx context.Context, c *call) (*accountsPage, error) {
	if err := c.forAll(); err != nil {
		return nil, err
	}
	accounts, err := k.store.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	linked, err := k.linked(ctx)
	if err != nil {
		return nil, err
	}
	var roles []string
	for _, r := range auth.AccountRoles() {
		roles = append(roles, r.String())
	}
	p := &accountsPage{
		Login: field{Name: "login", Label: "accounts.login", Hint: "accounts.login_hint", Type: "text", Value: c.value("login"), Required: true, Max: 64},
		Name:  field{Name: "name", Label: "accounts.name", Hint: "accounts.name_hint", Type: "text", Value: c.value("name"), Required: true, Max: 64},
		Role:  field{Name: "role", Label: "accounts.role", Hint: "accounts.role_hint", Options: choose("role.", c.value("role"), roles...)},
		Apps:  c.appChecks(),
	}
	if k.cfg.OIDC != nil {
		p.Elsewhere = k.cfg.OIDC.Label()
		p.LinkAccount = field{Name: "account", Label: "accounts.link_account", Value: c.value("account")}
		p.Subject = field{Name: "subject", Label: "accounts.subject", Type: "text", Value: c.value("subject"), Required: true}
	}
	for _, a := range accounts {
		path := pathOf("accounts", a.Login)
		p.LinkAccount.Options = append(p.LinkAccount.Options, option{Value: a.Login, Text: a.Login, Selected: a.Login == p.LinkAccount.Value})
		p.Accounts = append(p.Accounts, accountRow{
			Account: a, Apps: c.appKeys(a.AppIDs), Self: a.ID == c.session.AccountID, Linked: linked[a.ID],
			RemoveTOTP: sure{Action: path + "/totp", Button: "accounts.totp_remove", Question: "accounts.totp_remove_sure", Yes: "accounts.totp_remove_yes", Danger: true},
			Unlink:     sure{Action: path + "/unlink", Button: "accounts.unlink", Question: "accounts.unlink_sure", Yes: "accounts.unlink_yes", Danger: true},
			Disable:    sure{Action: path + "/disable", Button: "accounts.disable", Question: "accounts.disable_sure", Yes: "accounts.disable_yes", Danger: true},
			Enable:     sure{Action: path + "/enable", Button: "accounts.enable", Question: "accounts.enable_sure", Yes: "accounts.enable_yes"},
			Reset:      sure{Action: path + "/password", Button: "accounts.reset", Question: "accounts.reset_sure", Yes: "accounts.reset_yes"},
		})
	}
	return p, nil
}

// linked are the subjects that accounts are linked to.
func (k *Console) linked(ctx context.Context) (map[int64][]string, error) {
	identities, err := k.store.AccountIdentities(ctx)
	all := map[int64][]string{}
	for _, i := range identities {
		all[i.AccountID] = append(all[i.AccountID], i.Subject)
	}
	return all, err
}

func (k *Console) showAccounts(ctx context.Context, c *call) (reply, error) {
	p, err := k.accountsPage(ctx, c)
	return page("accounts", p).under(manage()), err
}

func upToAccounts() []crumb {
	return []crumb{manage(), {Key: "accounts.title", Href: "/console/accounts"}}
}

// addAccount makes an account, and shows its password once.
func (k *Console) addAccount(ctx context.Context, c *call) (reply, error) {
	p, err := k.accountsPage(ctx, c)
	if err != nil {
		return reply{}, err
	}
	apps, err := c.tickedApps()
	if err != nil {
		return reply{}, err
	}
	password := auth.NewPassword()
	a, err := auth.AddAccount(ctx, k.store, c.session.Principal, store.Account{Login: p.Login.Value, Name: p.Name.Value, Role: c.value("role"), AppIDs: apps}, password)
	if err != nil {
		return invalid("accounts", p).under(manage()), refuse(err, &p.Login, &p.Name, &p.Role)
	}
	return page("secret", secretPage{Lead: "secret.account_added", Name: a.Login, Secret: password, Back: "/console/accounts"}).under(upToAccounts()...), nil
}

// resetPassword sets a new password of an account, and shows it once.
func (k *Console) resetPassword(ctx context.Context, c *call) (reply, error) {
	if err := c.forAll(); err != nil {
		return reply{}, err
	}
	login, password := c.r.PathValue("login"), auth.NewPassword()
	if err := auth.ResetPassword(ctx, k.store, c.session.Principal, login, password); err != nil {
		return reply{}, err
	}
	return page("secret", secretPage{Lead: "secret.password_reset", Name: login, Secret: password, Back: "/console/accounts"}).under(upToAccounts()...), nil
}

// removeTOTP takes the second factor off another's account.
func (k *Console) removeTOTP(ctx context.Context, c *call) (reply, error) {
	if err := c.forAll(); err != nil {
		return reply{}, err
	}
	login := c.r.PathValue("login")
	if login == c.session.Login {
		return redirect("/console/totp"), nil // one's own takes the password and a code
	}
	_, err := auth.RemoveTOTP(ctx, k.store, c.session.Principal, login)
	return redirect("/console/accounts").saying("accounts.flash_totp_removed", login), err
}

// linkAccount links an account to who its person is where people may sign in besides.
func (k *Console) linkAccount(ctx context.Context, c *call) (reply, error) {
	p, err := k.accountsPage(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if k.cfg.OIDC == nil {
		return reply{}, errNoProvider
	}
	if err := auth.LinkAccount(ctx, k.store, c.session.Principal, p.LinkAccount.Value, k.cfg.OIDC.Issuer(), p.Subject.Value); err != nil {
		return invalid("accounts", p).under(manage()), refuse(err, &p.Subject)
	}
	return redirect("/console/accounts").saying("accounts.flash_linked", p.LinkAccount.Value), nil
}

func (k *Console) unlinkAccount(ctx context.Context, c *call) (reply, error) {
	if err := c.forAll(); err != nil {
		return reply{}, err
	}
	login := c.r.PathValue("login")
	_, err := auth.UnlinkAccount(ctx, k.store, c.session.Principal, login)
	return redirect("/console/accounts").saying("accounts.flash_unlinked", login), err
}

// setDisabled makes a handler that shuts an account out, or lets it in again. Nobody shuts himself out: somebody is always left.
func (k *Console) setDisabled(disabled bool, key string) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		if err := c.forAll(); err != nil {
			return reply{}, err
		}
		login := c.r.PathValue("login")
		if disabled && login == c.session.Login {
			return reply{}, fmt.Errorf("%w: %w", errForbidden, errOwnAccount)
		}
		a, err := k.store.SetAccountDisabled(ctx, login, disabled)
		c.audit.Object = "account:" + a.Login
		return redirect("/console/accounts").saying(key, a.Login), err
	}
}
