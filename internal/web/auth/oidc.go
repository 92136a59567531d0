package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"minipush/internal/push"
	"minipush/internal/seal"
)

var (
	// ErrProvider says that the OpenID provider does not answer, or not as one.
	ErrProvider = errors.New("the sign-in service does not answer")
	// ErrSignInOver says that a sign-in was not begun in this browser, or too long ago: it begins anew.
	ErrSignInOver = errors.New("the sign-in has to begin anew")
	// ErrSignIn says that the provider refused a sign-in, or that what it says of it does not hold.
	ErrSignIn = errors.New("the sign-in is refused")
	// ErrShutOut says that the account is disabled.
	ErrShutOut = errors.New("the account is disabled")
)

// UnlinkedError says that somebody has signed in whom no account is linked to.
type UnlinkedError struct {
	// Subject is who it is there: what an administrator links an account to.
	Subject string
}

func (e *UnlinkedError) Error() string { return "no account is linked to this sign-in" }

// signInFor is how long a person may take at the provider.
const signInFor = 10 * time.Minute

// OIDCConfig says at which OpenID provider people may sign in.
type OIDCConfig struct {
	// Issuer is the provider's URL, exactly as it calls itself; empty for none.
	Issuer string
	// ClientID and ClientSecret are what it knows this console by. A public client has no secret: PKCE protects the exchange either way.
	ClientID, ClientSecret string
	// Scopes are what is asked for. Default openid, which is enough: only the subject is looked at.
	Scopes []string
	// Label is how people call it.
	Label string
	// Key seals the cookie of a sign-in.
	Key *seal.Key
	// Timeout bounds a call to the provider. Default 10 s.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// OIDC signs people in at an OpenID provider, by the authorization code flow with PKCE, state and nonce. The provider is asked what it is when
// the first person signs in, and again until it has answered: a daemon starts and works without it. All methods may be called concurrently.
type OIDC struct {
	cfg    OIDCConfig
	log    *slog.Logger
	client *http.Client
	found  atomic.Pointer[provider]
}

// provider is what a provider says of itself, with its keys, which are fetched as they are needed.
type provider struct {
	endpoint oauth2.Endpoint
	verifier *oidc.IDTokenVerifier
}

// NewOIDC makes the sign-in at a provider; nil where none is set.
func NewOIDC(cfg OIDCConfig, log *slog.Logger) *OIDC {
	if cfg.Issuer == "" {
		return nil
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{oidc.ScopeOpenID}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &OIDC{cfg: cfg, log: log, client: &http.Client{Timeout: cmp.Or(cfg.Timeout, 10*time.Second)}}
}

// Label is how people call the provider, Issuer its URL.
func (o *OIDC) Label() string  { return o.cfg.Label }
func (o *OIDC) Issuer() string { return o.cfg.Issuer }

// flow is what a sign-in was begun with. It travels in a sealed cookie of the browser that began it, and nowhere else.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	// Redirect is where the provider sends the browser back to, Next where it goes from there.
	Redirect string `json:"r"`
	Next     string `json:"t"`
	Expires  int64  `json:"e"`
}

const flowContext = "login/oidc"

// Begin begins a sign-in: location is where the browser goes, cookie the value of its [SignInCookie]. redirect is the URL that the provider sends
// it back to, as it is registered there. The error is ErrProvider.
func (o *OIDC) Begin(ctx context.Context, redirect, next string) (location, cookie string, lasts time.Duration, err error) {
	p, err := o.provider(ctx)
	if err != nil {
		return "", "", 0, err
	}
	f := flow{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Redirect: redirect, Next: next, Expires: o.cfg.Now().Add(signInFor).Unix(),
	}
	text, err := json.Marshal(f)
	if err != nil {
		return "", "", 0, fmt.Errorf("begin sign-in: %w", err)
	}
	location = o.oauth(p, redirect).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier))
	return location, sealText(o.cfg.Key, text, flowContext), signInFor, nil
}

// flow finds what a sign-in was begun with in this browser, by its cookie, and that the provider sent the browser back for it. Nobody is asked.
func (o *OIDC) flow(query url.Values, cookie string) (f flow, err error) {
	text, err := openText(o.cfg.Key, cookie, flowContext)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil || o.cfg.Now().Unix() >= f.Expires || !same(query.Get("state"), f.State) {
		return flow{}, ErrSignInOver
	}
	return f, nil
}

// finish asks the provider who signed in. It believes the provider's word only where it was given to this client (aud, azp), in this sign-in (state,
// nonce, PKCE), by this provider (iss, signature), and now (exp).
func (o *OIDC) finish(ctx context.Context, f flow, query url.Values) (subject string, err error) {
	if code := query.Get("error"); code != "" {
		return "", fmt.Errorf("%w: the provider says %.60q", ErrSignIn, code)
	}
	p, err := o.provider(ctx)
	if err != nil {
		return "", err
	}
	token, err := o.oauth(p, f.Redirect).Exchange(context.WithValue(ctx, oauth2.HTTPClient, o.client), query.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return "", exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	var claims struct {
		AuthorizedParty string `json:"azp"`
	}
	switch err := id.Claims(&claims); {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrSignIn, err)
	case !same(id.Nonce, f.Nonce):
		return "", fmt.Errorf("%w: the nonce is of another sign-in", ErrSignIn)
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != o.cfg.ClientID:
		return "", fmt.Errorf("%w: the token was made for another client", ErrSignIn)
	case id.Subject == "":
		return "", fmt.Errorf("%w: the token names nobody", ErrSignIn)
	}
	return id.Subject, nil
}

// exchangeError is what may be said of a code that was not exchanged: the body of an answer is not logged.
func exchangeError(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response != nil {
		return fmt.Errorf("%w: the provider does not exchange the code: %d %.60q", ErrSignIn, refused.Response.StatusCode, refused.ErrorCode)
	}
	return fmt.Errorf("%w: %w", ErrProvider, err)
}

func same(a, b string) bool { return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// oauth is this console as a client of the provider, by OAuth 2.
func (o *OIDC) oauth(p *provider, redirect string) *oauth2.Config {
	return &oauth2.Config{ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret, Endpoint: p.endpoint, RedirectURL: redirect, Scopes: o.cfg.Scopes}
}

// provider asks the provider what it is, once it is needed.
func (o *OIDC) provider(ctx context.Context) (*provider, error) {
	if p := o.found.Load(); p != nil {
		return p, nil
	}
	ctx = oidc.ClientContext(ctx, o.client)
	found, err := oidc.NewProvider(ctx, o.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %.300s", ErrProvider, err.Error()) // what it says may be a whole page
	}
	p := &provider{endpoint: found.Endpoint(), verifier: found.VerifierContext(ctx, &oidc.Config{ClientID: o.cfg.ClientID, Now: o.cfg.Now})}
	if o.cfg.ClientSecret == "" {
		p.endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client has nothing to authenticate itself by
	}
	o.found.Store(p)
	return p, nil
}

// SignIn ends a sign-in at a provider, which stands in the place of the password: the first step. The account is the one that an administrator linked
// to the subject, and no other: an address of mail is not looked at, for providers let people choose it, and give it to another later. The text is where to
// go. An error is *UnlinkedError, ErrShutOut, ErrSignIn, ErrSignInOver, ErrProvider, ErrThrottled, or the database's.
func (s *Sessions) SignIn(ctx context.Context, o *OIDC, query url.Values, cookie, remoteAddr string) (Admission, string, error) {
	f, err := o.flow(query, cookie)
	if err != nil {
		return Admission{}, "", err // not counted: another site can make a browser ask for this address
	}
	next, from := f.Next, subject("address", network(remoteAddr))
	if err := s.count(ctx, from, s.cfg.PerAddress); err != nil {
		return Admission{}, next, err
	}
	who, err := o.finish(ctx, f, query)
	if err != nil {
		s.log.WarnContext(ctx, "sign-in failed", slog.String("issuer", o.cfg.Issuer), slog.Any("err", err))
		return Admission{}, next, err
	}
	a, err := s.store.AccountByIdentity(ctx, o.cfg.Issuer, who)
	switch {
	case errors.Is(err, push.ErrNotFound), errors.Is(err, push.ErrUnstorable):
		return Admission{}, next, &UnlinkedError{Subject: who}
	case err != nil:
		return Admission{}, next, err
	case a.DisabledAt != nil:
		return Admission{}, next, ErrShutOut
	}
	if err := s.store.ForgetLogin(ctx, nil, from); err != nil {
		return Admission{}, next, err
	}
	in, err := s.admit(ctx, a)
	if errors.Is(err, push.ErrNotFound) {
		err = ErrShutOut // at this moment
	}
	return in, next, err
}
