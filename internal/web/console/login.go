package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"minipush/internal/web/auth"
)

// loginPage asks who it is.
type loginPage struct {
	Login, Password field
	// Next is where to go after it.
	Next string
	// Failed is the key of what went wrong; empty before it was tried.
	Failed string
	// Insecure: the page came by plain HTTP from another machine, where a browser keeps no login.
	Insecure bool
}

func (k *Console) loginRoutes(t *table) {
	t.open(http.MethodGet, "/console/login", k.showLogin)
	t.open(http.MethodPost, "/console/login", k.login)
	t.own("/console/logout", k.logout)
	t.own("/console/logout-everywhere", k.logoutEverywhere)
}

func (k *Console) loginPage(c *call) loginPage {
	return loginPage{
		Login:    field{Name: "login", Label: "login.login", Type: "text", Value: c.value("login"), Required: true, Autocomplete: "username"},
		Password: field{Name: "password", Label: "login.password", Type: "password", Required: true, Autocomplete: "current-password"},
		Next:     localPath(c.value("next")), Insecure: !auth.Encrypted(c.r) && !auth.PlainLoopback(c.r),
	}
}

func (k *Console) showLogin(_ context.Context, c *call) (reply, error) {
	if c.session.AccountID != 0 {
		return redirect(localPath(c.value("next"))), nil
	}
	return page("login", k.loginPage(c)), nil
}

func (k *Console) login(ctx context.Context, c *call) (reply, error) {
	p := k.loginPage(c)
	value, err := k.sessions.Login(ctx, c.value("login"), c.form.Get("password"), c.r.RemoteAddr)
	switch {
	case errors.Is(err, auth.ErrWrongLogin):
		p.Failed = "login.failed"
		return invalid("login", p), nil
	case errors.Is(err, auth.ErrThrottled):
		p.Failed = "login.throttled"
		out := invalid("login", p)
		out.status = http.StatusTooManyRequests
		return out, nil
	case err != nil:
		return reply{}, err
	}
	out := redirect(p.Next)
	out.session = &value
	return out, nil
}

func (k *Console) logout(ctx context.Context, c *call) (reply, error) {
	return k.leave(c, "login.flash_out"), k.sessions.Logout(ctx, c.session)
}

func (k *Console) logoutEverywhere(ctx context.Context, c *call) (reply, error) {
	return k.leave(c, "login.flash_out_everywhere"), k.sessions.LogoutEverywhere(ctx, c.session)
}

// leave sends a browser that forgets its session to the login page.
func (k *Console) leave(c *call, key string) reply {
	none := ""
	out := redirect("/console/login?next=" + url.QueryEscape(home)).saying(key)
	out.session = &none
	out.cookies = []*http.Cookie{c.cookie(appCookie, "", -1)}
	return out
}
