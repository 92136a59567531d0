// Package auth says who makes a call and what they may do: bearer tokens, accounts and their sessions, roles, and the apps that each may touch.
//
// # Tokens
//
// A token is checked against its SHA-256 in the database and then remembered for [Config].CacheFor, so that a burst of
// calls costs one look-up; a revoked token stops working when that time is over. Nothing is remembered of tokens that are
// not known, so guesses cannot fill the memory.
//
// # Logging in
//
//		password, or an OpenID provider's word ──► Admission ──► session
//		              first step                      └─► challenge ──► code of the phone, or recovery code ──► session
//		                                                                second step, where the account asks for one
//
//	 1. The first step alone gives no session where the account has a second factor. The statement that inserts a session asks the row of the account
//	    again, under its lock: a login loses against a new password, a second factor and a shutting out that happen at the same time.
//	 2. Between the steps the browser holds a sealed cookie, and the database nothing. It is void after 5 minutes, and with a new password.
//	 3. A code of the phone is taken once: the time step of the last one is kept, and only a later one is taken, by compare-and-set. So is a recovery
//	    code, which is deleted. Secrets of phones are sealed, recovery codes hashed; both are shown once.
//	 4. Attempts are counted in the database before anything is compared: by account, by address, and codes apart from passwords, for whoever types a code
//	    knows the password. What is counted of one is not forgotten for the other.
//	 5. Every session has a cookie of its own, made when it begins. It gets another when the second factor is switched on or off, and the account's other
//	    sessions end then; they all end with a new password, when the account is shut out, and when an administrator takes its second factor or its link away.
//	 6. An OpenID provider says who somebody is, and never what they may do. No account is made for a stranger, and no address of mail is believed:
//	    an administrator links an account to the pair of issuer and subject, which nobody can choose, and which is never given to another. Whoever signs in
//	    without a link is shown their subject, to tell it to an administrator. The second step is asked for after it too.
//	 7. The provider is asked what it is when somebody first signs in: it may be away when the daemon starts, and passwords work without it.
//
// The package knows no HTTP status: package api turns [ErrUnauthenticated] into 401 and a role that is too weak into 403.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// ErrUnauthenticated says that a call carries no token, or none that is in force.
var ErrUnauthenticated = errors.New("unauthenticated")

// touchEvery bounds how often the last use of a token is written.
const touchEvery = time.Minute

// maxCached bounds the memory that tokens take; more tokens than that in use are looked up each time.
const maxCached = 10_000

// Config tunes the checking of tokens.
type Config struct {
	// CacheFor is how long a token that was found in force is not looked up again; 0 is two seconds, negative is never.
	CacheFor time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Tokens checks bearer tokens. All methods may be called concurrently.
type Tokens struct {
	cfg   Config
	store *store.Store
	log   *slog.Logger

	mu    sync.Mutex
	known map[string]cached // by hash
}

type cached struct {
	principal Principal
	until     time.Time
}

// New makes a checker of the tokens in st.
func New(cfg Config, st *store.Store, log *slog.Logger) *Tokens {
	if cfg.CacheFor == 0 {
		cfg.CacheFor = 2 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Tokens{cfg: cfg, store: st, log: log, known: make(map[string]cached)}
}

// Bearer finds the principal of a request by its Authorization header. An error is ErrUnauthenticated, or the database's.
func (t *Tokens) Bearer(r *http.Request) (Principal, error) {
	header := r.Header.Get("Authorization")
	scheme, plain, _ := strings.Cut(header, " ")
	if header == "" || !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, fmt.Errorf("%w: the header Authorization: Bearer TOKEN is missing", ErrUnauthenticated)
	}
	return t.Check(r.Context(), strings.TrimSpace(plain))
}

// Basic finds the principal of a request by HTTP basic authentication, for pages that a browser opens: the password is the
// token, the user name is not looked at.
func (t *Tokens) Basic(r *http.Request) (Principal, error) {
	_, plain, ok := r.BasicAuth()
	if !ok {
		return Principal{}, fmt.Errorf("%w: log in with any name and the token as password", ErrUnauthenticated)
	}
	return t.Check(r.Context(), plain)
}

// Check finds the principal of a token. An error is ErrUnauthenticated, or the database's.
func (t *Tokens) Check(ctx context.Context, plain string) (Principal, error) {
	hash, err := HashToken(plain)
	if err != nil {
		return Principal{}, err
	}
	if p, ok := t.recall(hash); ok {
		return p, nil
	}
	token, err := t.store.APITokenByHash(ctx, hash)
	if errors.Is(err, push.ErrNotFound) {
		return Principal{}, fmt.Errorf("%w: the token is not known, or was revoked", ErrUnauthenticated)
	}
	if err != nil {
		return Principal{}, fmt.Errorf("check token: %w", err)
	}
	p, ok := principalOf(token)
	if !ok {
		return Principal{}, fmt.Errorf("check token: its role %q is not known", token.Role)
	}
	t.remember(hash, p)
	t.touch(ctx, token)
	return p, nil
}

func (t *Tokens) recall(hash []byte) (Principal, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.known[string(hash)]
	if !ok || !t.cfg.Now().Before(c.until) {
		delete(t.known, string(hash))
		return Principal{}, false
	}
	return c.principal, true
}

func (t *Tokens) remember(hash []byte, p Principal) {
	if t.cfg.CacheFor < 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxCached {
		clear(t.known)
	}
	t.known[string(hash)] = cached{principal: p, until: t.cfg.Now().Add(t.cfg.CacheFor)}
}

// touch notes the use of a token. A call does not fail for want of the note.
func (t *Tokens) touch(ctx context.Context, token store.APIToken) {
	if token.LastUsedAt != nil && t.cfg.Now().Sub(*token.LastUsedAt) < touchEvery {
		return
	}
	if err := t.store.TouchAPIToken(ctx, token.ID); err != nil {
		t.log.WarnContext(ctx, "note use of token", slog.Int64("token_id", token.ID), slog.Any("err", err))
	}
}
