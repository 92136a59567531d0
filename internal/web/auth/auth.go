// Package auth says who makes a call and what they may do: bearer tokens, roles, and the apps that a token may touch.
//
// A token is checked against its SHA-256 in the database and then remembered for [Config].CacheFor, so that a burst of
// calls costs one look-up; a revoked token stops working when that time is over. Nothing is remembered of tokens that are
// not known, so guesses cannot fill the memory.
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
