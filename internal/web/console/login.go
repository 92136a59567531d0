package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

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
	// Elsewhere is where one may sign in besides, as people call it; empty for nowhere. Begin is the way there.
	Elsewhere, Begin string
	// Subject is who has signed in there, of whom no account is known.
	Subject string
}

// codePage asks for a code of the second factor.
type codePage struct {
	Code   field
	Next   string
	Failed string
}

func (k *Console) loginRoutes(t *table) {
	t.open(http.MethodGet, "/console/login", k.showLogin)
	t.open(http.MethodPost, "/console/login", k.login)
	t.open(http.MethodGet, "/console/login/code", k.showCode)
	t.open(http.MethodPost, "/console/login/code", k.enterCode)
	t.open(http.MethodGet, "/console/login/oidc", k.beginSignIn)
	t.open(http.MethodGet, signInPath, k.endSignIn)
	t.own("/console/logout", k.logout)
	t.own("/console/logout-everywhere", k.logoutEverywhere)
}

func (k *Console) loginPage(c *call) loginPage {
	p := loginPage{
		Login:    field{Name: "login", Label: "login.login", Type: "text", Value: c.value("login"), Required: true, Autocomplete: "username"},
		Password: field{Name: "password", Label: "login.password", Type: "password", Required: true, Autocomplete: "current-password"},
		Next:     localPath(c.value("next")), Insecure: !auth.Encrypted(c.r) && !auth.PlainLoopback(c.r),
	}
	if k.cfg.OIDC != nil {
		p.Elsewhere, p.Begin = k.cfg.OIDC.Label(), "/console/login/oidc?next="+url.QueryEscape(p.Next)
	}
	return p
}

func (k *Console) showLogin(_ context.Context, c *call) (reply, error) {
	if c.session.AccountID != 0 {
		return redirect(localPath(c.value("next"))), nil
	}
	return page("login", k.loginPage(c)), nil
}

func (k *Console) login(ctx context.Context, c *call) (reply, error) {
	p := k.loginPage(c)
	in, err := k.sessions.Login(ctx, c.value("login"), c.form.Get("password"), c.r.RemoteAddr)
	switch {
	case errors.Is(err, auth.ErrWrongLogin):
		p.Failed = "login.failed"
		return invalid("login", p), nil
	case errors.Is(err, auth.ErrThrottled):
		p.Failed = "login.throttled"
		return throttled("login", p), nil
	case err != nil:
		return reply{}, err
	}
	return k.admitted(c, in, p.Next), nil
}

// throttled answers a form that was tried too often.
func throttled(name string, data any) reply {
	out := invalid(name, data)
	out.status = http.StatusTooManyRequests
	return out
}

// admitted sends on who has taken the first step: in, or to the second.
func (k *Console) admitted(c *call, in auth.Admission, next string) reply {
	if in.Challenge != "" {
		out := redirect("/console/login/code?next=" + url.QueryEscape(next))
		out.cookies = []*http.Cookie{auth.StepCookie(c.r, auth.ChallengeCookie, in.Challenge, auth.ChallengeFor)}
		return out
	}
	out := redirect(next)
	out.session = &in.Session
	return out
}

func newCodePage(c *call) codePage {
	return codePage{
		Code: field{Name: "code", Label: "code.code", Hint: "code.hint", Type: "text", Required: true, Autocomplete: "one-time-code"},
		Next: localPath(c.value("next")),
	}
}

// beginAnew sends a browser back that asks for the second step without the first, or too late.
func beginAnew(c *call, next string) reply {
	out := redirect("/console/login?next=" + url.QueryEscape(next))
	out.cookies = []*http.Cookie{auth.StepCookie(c.r, auth.ChallengeCookie, "", 0)}
	return out
}

func (k *Console) showCode(ctx context.Context, c *call) (reply, error) {
	p := newCodePage(c)
	_, err := k.sessions.Challenged(ctx, auth.StepValue(c.r, auth.ChallengeCookie))
	if errors.Is(err, auth.ErrChallengeOver) {
		return beginAnew(c, p.Next), nil
	}
	return page("code", p), err
}

func (k *Console) enterCode(ctx context.Context, c *call) (reply, error) {
	p := newCodePage(c)
	value, left, err := k.sessions.Second(ctx, auth.StepValue(c.r, auth.ChallengeCookie), c.value("code"), c.r.RemoteAddr)
	switch {
	case errors.Is(err, auth.ErrChallengeOver):
		return beginAnew(c, p.Next), nil
	case errors.Is(err, auth.ErrWrongCode):
		p.Code.Rules = []string{"wrong_code"}
		return invalid("code", p), nil
	case errors.Is(err, auth.ErrThrottled):
		p.Failed = "login.throttled"
		return throttled("code", p), nil
	case err != nil:
		return reply{}, err
	}
	out := redirect(p.Next)
	if left >= 0 {
		out = out.saying("code.flash_recovery", strconv.Itoa(left))
	}
	out.session = &value
	out.cookies = []*http.Cookie{auth.StepCookie(c.r, auth.ChallengeCookie, "", 0)}
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
