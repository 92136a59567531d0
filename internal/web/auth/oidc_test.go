package auth_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/web/auth"
	"minipush/internal/web/auth/authtest"
)

const callback = "http://127.0.0.1:8080/console/login/oidc/callback"

// elsewhere is an OpenID provider, and the account ann that is linked to whom it says comes.
type elsewhere struct {
	*logins
	issuer *authtest.Issuer
	oidc   *auth.OIDC
	hand   *hand
}

func setupElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{issuer: authtest.NewIssuer(t), hand: &hand{}}
	e.hand.at.Store(time.Now().Unix())
	e.logins = setupLogins(t, auth.SessionConfig{Now: e.hand.now, PerAddress: 100})
	key, err := seal.NewKey(seal.GenerateKey())
	require.NoError(t, err)
	e.oidc = auth.NewOIDC(auth.OIDCConfig{
		Issuer: e.issuer.URL, ClientID: authtest.ClientID, ClientSecret: authtest.ClientSecret, Key: key, Now: e.hand.now, Timeout: time.Minute,
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, auth.LinkAccount(t.Context(), e.store, auth.Principal{Name: "root"}, "Ann", e.issuer.URL, "sub-of-ann"))
	return e
}

// visit goes to the provider and back, and returns what the browser brings.
func (e *elsewhere) visit(t *testing.T) (query url.Values, cookie string) {
	t.Helper()
	location, cookie, lasts, err := e.oidc.Begin(t.Context(), callback, "/console/tasks/7")
	require.NoError(t, err)
	require.Positive(t, lasts)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, location, http.NoBody)
	require.NoError(t, err)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusFound, resp.StatusCode)
	back, err := resp.Location()
	require.NoError(t, err)
	require.Equal(t, callback, back.Scheme+"://"+back.Host+back.Path)
	return back.Query(), cookie
}

func (e *elsewhere) signIn(t *testing.T, query url.Values, cookie string) (auth.Admission, string, error) {
	t.Helper()
	return e.sessions.SignIn(t.Context(), e.oidc, query, cookie, "192.0.2.1:1")
}

func TestSignIn_OpensASessionOfTheLinkedAccount(t *testing.T) {
	t.Parallel()
	e := setupElsewhere(t)
	query, cookie := e.visit(t)
	in, next, err := e.signIn(t, query, cookie)
	require.NoError(t, err)
	require.Equal(t, "/console/tasks/7", next)
	n, err := e.of(t, in.Session)
	require.NoError(t, err)
	require.Equal(t, e.account.ID, n.AccountID)
	_, _, err = e.signIn(t, query, cookie)
	require.ErrorIs(t, err, auth.ErrSignIn, "a code is exchanged once")
}

func TestSignIn_IsRefused(t *testing.T) {
	t.Parallel()
	e := setupElsewhere(t)
	claim := func(name string, value any) func() {
		return func() { e.issuer.SetClaims(func(claims map[string]any) { claims[name] = value }) }
	}
	for _, tc := range []struct {
		name   string
		before func()
		after  func(query url.Values, cookie *string)
		want   error
	}{
		{name: "with another nonce", before: claim("nonce", "of another sign-in"), want: auth.ErrSignIn},
		{name: "without a nonce", before: claim("nonce", ""), want: auth.ErrSignIn},
		{name: "for another audience", before: claim("aud", "another-client"), want: auth.ErrSignIn},
		{name: "made for another client", before: claim("azp", "another-client"), want: auth.ErrSignIn},
		{name: "of another issuer", before: claim("iss", "https://id.example.com"), want: auth.ErrSignIn},
		{name: "without a subject", before: claim("sub", ""), want: auth.ErrSignIn},
		{name: "with an expired token", before: claim("exp", time.Now().Add(-time.Minute).Unix()), want: auth.ErrSignIn},
		{name: "with another state", after: func(q url.Values, _ *string) { q.Set("state", "another") }, want: auth.ErrSignInOver},
		{name: "without a state", after: func(q url.Values, _ *string) { q.Del("state") }, want: auth.ErrSignInOver},
		{name: "without its cookie", after: func(_ url.Values, c *string) { *c = "" }, want: auth.ErrSignInOver},
		{name: "with a cookie that was made up", after: func(_ url.Values, c *string) { *c = "eyJzIjoieCJ9" }, want: auth.ErrSignInOver},
		{name: "with a code that is none", after: func(q url.Values, _ *string) { q.Set("code", "none") }, want: auth.ErrSignIn},
		{name: "when the provider refuses", after: func(q url.Values, _ *string) { q.Set("error", "access_denied") }, want: auth.ErrSignIn},
		{name: "when the provider goes away", after: func(url.Values, *string) { e.issuer.SetAway(true) }, want: auth.ErrSignIn},
		{name: "too late", after: func(url.Values, *string) { e.hand.move(10 * time.Minute) }, want: auth.ErrSignInOver},
		{name: "when the account is shut out", before: func() { e.exec(t, `UPDATE account SET disabled_at = now()`) }, want: auth.ErrShutOut},
		{name: "with another's signature", before: func() { e.issuer.Forge(t) }, want: auth.ErrSignIn},
	} {
		if tc.before != nil {
			tc.before()
		}
		query, cookie := e.visit(t)
		if tc.after != nil {
			tc.after(query, &cookie)
		}
		_, _, err := e.signIn(t, query, cookie)
		require.ErrorIs(t, err, tc.want, tc.name)
		e.issuer.SetClaims(nil)
		e.issuer.SetAway(false)
	}
	var n int
	require.NoError(t, e.pool.QueryRow(t.Context(), `SELECT count(*) FROM session`).Scan(&n))
	require.Zero(t, n)
}

// The browser of another that is made to end a sign-in ends none: it has another cookie.
func TestSignIn_WithTheCookieOfAnother_IsRefused(t *testing.T) {
	t.Parallel()
	e := setupElsewhere(t)
	query, _ := e.visit(t)
	_, cookie := e.visit(t)
	_, _, err := e.signIn(t, query, cookie)
	require.ErrorIs(t, err, auth.ErrSignInOver)
	// and with its own state, but the code of another: PKCE holds it back
	mine, cookie := e.visit(t)
	mine.Set("code", query.Get("code"))
	_, _, err = e.signIn(t, mine, cookie)
	require.ErrorIs(t, err, auth.ErrSignIn)
	// nor does it count against an address that another site makes a browser ask without one
	for range 110 {
		_, _, err = e.signIn(t, query, "")
		require.ErrorIs(t, err, auth.ErrSignInOver)
	}
	_, err = e.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.1:1")
	require.NoError(t, err)
}

func TestSignIn_OfAStranger_MakesNoAccount_AndNamesTheSubject(t *testing.T) {
	t.Parallel()
	e := setupElsewhere(t)
	e.issuer.SetSubject("sub-of-bob")
	e.issuer.SetClaims(func(claims map[string]any) {
		claims["email"], claims["email_verified"], claims["preferred_username"] = "ann", true, "ann"
	})
	query, cookie := e.visit(t)
	_, _, err := e.signIn(t, query, cookie)
	unlinked, ok := errors.AsType[*auth.UnlinkedError](err)
	require.True(t, ok, err)
	require.Equal(t, "sub-of-bob", unlinked.Subject)
	accounts, err := e.store.Accounts(t.Context())
	require.NoError(t, err)
	require.Len(t, accounts, 1)
}

func TestSignIn_AsksForTheSecondStepToo(t *testing.T) {
	t.Parallel()
	e := setupElsewhere(t)
	p := &phone{logins: e.logins, hand: e.hand}
	p.enrol(t)
	query, cookie := e.visit(t)
	in, _, err := e.signIn(t, query, cookie)
	require.NoError(t, err)
	require.Empty(t, in.Session)
	_, _, err = e.sessions.Second(t.Context(), in.Challenge, p.code(t), "192.0.2.1:1")
	require.NoError(t, err)
}

func TestOIDC_AProviderThatIsAway_IsAskedAgain(t *testing.T) {
	t.Parallel()
	e := setupElsewhere(t)
	require.Zero(t, e.issuer.Asked(), "nobody has signed in yet")
	e.issuer.SetAway(true)
	_, _, _, err := e.oidc.Begin(t.Context(), callback, "")
	require.ErrorIs(t, err, auth.ErrProvider)
	e.issuer.SetAway(false)
	_, _, _, err = e.oidc.Begin(t.Context(), callback, "")
	require.NoError(t, err)
	asked := e.issuer.Asked()
	_, _, _, err = e.oidc.Begin(t.Context(), callback, "")
	require.NoError(t, err)
	require.Equal(t, asked, e.issuer.Asked(), "what it said is kept")
	require.Nil(t, auth.NewOIDC(auth.OIDCConfig{}, slog.New(slog.DiscardHandler)))
}

func TestLinkAccount_BindsASubjectToOneAccount_AndUnlinkingEndsSessions(t *testing.T) {
	t.Parallel()
	e := setupElsewhere(t)
	by := auth.Principal{Name: "root"}
	_, err := auth.AddAccount(t.Context(), e.store, by, account("bob"), goodPassword)
	require.NoError(t, err)
	for _, subject := range []string{"sub-of-ann", "", "a\x00b"} {
		err = auth.LinkAccount(t.Context(), e.store, by, "bob", e.issuer.URL, subject)
		invalid, ok := errors.AsType[*push.InvalidError](err)
		require.True(t, ok, err)
		require.Equal(t, "subject", invalid.Field)
	}
	require.ErrorIs(t, auth.LinkAccount(t.Context(), e.store, by, "nobody", e.issuer.URL, "x"), push.ErrNotFound)
	require.NoError(t, auth.LinkAccount(t.Context(), e.store, by, "ann", e.issuer.URL, " sub-of-ann2 "), "in place of the first")
	require.NoError(t, auth.LinkAccount(t.Context(), e.store, by, "bob", e.issuer.URL, "sub-of-ann"))
	linked, err := e.store.AccountByIdentity(t.Context(), e.issuer.URL, "sub-of-ann2")
	require.NoError(t, err)
	require.Equal(t, "ann", linked.Login)

	value, err := e.sessions.Open(t.Context(), e.account)
	require.NoError(t, err)
	for _, want := range []bool{true, false} {
		was, err := auth.UnlinkAccount(t.Context(), e.store, by, "ann")
		require.NoError(t, err)
		require.Equal(t, want, was)
	}
	_, err = e.of(t, value)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
	actions, said := e.actions(t)
	require.Equal(t, []string{"account.unlink", "account.link", "account.link", "account.add", "account.link", "account.add"}, actions)
	require.Contains(t, said, "sub-of-ann2")
}
