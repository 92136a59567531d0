package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// signInPath is where an OpenID provider sends the browser back to.
const signInPath = "/console/login/oidc/callback"

// errNoProvider says that people sign in nowhere else.
var errNoProvider = fmt.Errorf("sign-in elsewhere: %w", push.ErrNotFound)

// beginSignIn sends the browser to the provider. It is a link and no form: what a form leads to must be of this host.
func (k *Console) beginSignIn(ctx context.Context, c *call) (reply, error) {
	if k.cfg.OIDC == nil {
		return reply{}, errNoProvider
	}
	p := k.loginPage(c)
	location, cookie, lasts, err := k.cfg.OIDC.Begin(ctx, publicURL(c.r)+signInPath, p.Next)
	if err != nil {
		k.log.WarnContext(ctx, "sign-in failed", "issuer", k.cfg.OIDC.Issuer(), "err", err)
		return k.signInFailed(p, err)
	}
	out := redirect(location)
	out.cookies = []*http.Cookie{auth.StepCookie(c.r, auth.SignInCookie, cookie, lasts)}
	return out, nil
}

// endSignIn takes the browser back from the provider.
func (k *Console) endSignIn(ctx context.Context, c *call) (reply, error) {
	if k.cfg.OIDC == nil {
		return reply{}, errNoProvider
	}
	in, next, err := k.sessions.SignIn(ctx, k.cfg.OIDC, c.r.URL.Query(), auth.StepValue(c.r, auth.SignInCookie), c.r.RemoteAddr)
	var out reply
	if err == nil {
		out = k.admitted(c, in, localPath(next))
	} else {
		p := k.loginPage(c)
		p.Next = localPath(next)
		if out, err = k.signInFailed(p, err); err != nil {
			return reply{}, err
		}
	}
	out.cookies = append(out.cookies, auth.StepCookie(c.r, auth.SignInCookie, "", 0)) // it is used once
	return out, nil
}

// signInFailed says on the login page why a sign-in elsewhere came to nothing, and what to do.
func (k *Console) signInFailed(p loginPage, err error) (reply, error) {
	out := invalid("login", p)
	unlinked, isUnlinked := errors.AsType[*auth.UnlinkedError](err)
	switch {
	case isUnlinked:
		p.Failed, p.Subject, out.status = "login.sso_unlinked", unlinked.Subject, http.StatusForbidden
	case errors.Is(err, auth.ErrShutOut):
		p.Failed, out.status = "login.sso_disabled", http.StatusForbidden
	case errors.Is(err, auth.ErrSignInOver):
		p.Failed, out.status = "login.sso_over", http.StatusBadRequest
	case errors.Is(err, auth.ErrSignIn):
		p.Failed, out.status = "login.sso_refused", http.StatusForbidden
	case errors.Is(err, auth.ErrProvider):
		p.Failed, out.status = "login.sso_away", http.StatusBadGateway
	case errors.Is(err, auth.ErrThrottled):
		p.Failed, out.status = "login.throttled", http.StatusTooManyRequests
	default:
		return reply{}, err
	}
	out.data = p
	return out, nil
}

// publicURL is where the browser sees this console, without a path: what others are told to come back to.
func publicURL(r *http.Request) string {
	if auth.Encrypted(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
