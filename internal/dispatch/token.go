package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

const (
	// tokenMargin: a token is renewed this long before it expires; the platform's own overlap is five minutes.
	tokenMargin = 3 * time.Minute
	// tokenWait bounds a renewal, for whoever waits for it.
	tokenWait = 3 * time.Second
	// tokenErrorKept is how long the error of a renewal is given to all who ask.
	tokenErrorKept = 2 * time.Second
	// tokenHold is how long a daemon may take to fetch a token before another may try.
	tokenHold = 5 * time.Second
	// tokenPoll is how often a daemon looks whether another one has fetched the token.
	tokenPoll = 100 * time.Millisecond
)

// errApp says that an app cannot be sent for until a person has changed it or the key.
var errApp = errors.New("the app must be mended")

// clients holds one platform client per app, made anew when the app was changed.
type clients struct {
	cfg Config
	st  *store.Store
	log *slog.Logger

	mu    sync.Mutex
	byApp map[int32]*appClient
}

type appClient struct {
	*wechat.Client
	key     string
	tokens  *tokenSource
	rate    *meter
	changed time.Time
	looked  time.Time
	doubted bool
}

// clientTTL is how long a client is used before its app is looked at again.
const clientTTL = 2 * time.Second

func newClients(cfg Config, st *store.Store, log *slog.Logger) *clients {
	return &clients{cfg: cfg, st: st, log: log, byApp: map[int32]*appClient{}}
}

// get returns the client of an app as the app is now, or was within clientTTL.
func (c *clients) get(ctx context.Context, appID int32) (*appClient, error) {
	if held := c.recent(appID); held != nil {
		return held, nil
	}
	secret, err := c.st.AppSecret(ctx, appID)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.byApp[appID]; held != nil && held.changed.Equal(secret.App.UpdatedAt) {
		held.looked = time.Now()
		return held, nil
	}
	plain, err := c.cfg.Key.Open(secret.Sealed, secretContext(appID))
	if err != nil {
		return nil, fmt.Errorf("open secret of app %q: %w: %w", secret.App.Key, errApp, err)
	}
	tokens := &tokenSource{st: c.st, key: c.cfg.Key, log: c.log.With(slog.Any("app", secret.App.Key)), appID: appID}
	client, err := wechat.New(wechat.Config{
		BaseURL: secret.App.BaseURL, AppID: secret.App.AppID, Secret: string(plain),
		MaxConns: c.cfg.InFlight, Timeout: c.cfg.CallTimeout,
	}, tokens)
	if err != nil {
		return nil, fmt.Errorf("make client of app %q: %w: %w", secret.App.Key, errApp, err)
	}
	tokens.client = client
	if held := c.byApp[appID]; held != nil {
		held.Close()
	}
	made := &appClient{Client: client, key: secret.App.Key, tokens: tokens, rate: newMeter(), changed: secret.App.UpdatedAt, looked: time.Now()}
	c.byApp[appID] = made
	return made, nil
}

// name names an app in the log: by its key, where this process has sent for it, as whoever reads the log knows it.
func (c *clients) name(appID int32) slog.Attr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.byApp[appID]; held != nil {
		return slog.String("app", held.key)
	}
	return slog.Int64("app_id", int64(appID))
}

// doubt has the app looked at again at every get until it was changed: an answer said that its settings may be wrong, and a person may
// mend them and resume the task at any moment.
func (c *clients) doubt(appID int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.byApp[appID]; held != nil {
		held.doubted = true
	}
}

func (c *clients) recent(appID int32) *appClient {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.byApp[appID]; held != nil && !held.doubted && time.Since(held.looked) < clientTTL {
		return held
	}
	return nil
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, held := range c.byApp {
		held.Close()
	}
}

// tokenSource gives out the access token of one app. The token in force lives in Postgres, so that all daemons use the same;
// one of them at a time fetches the next, and only if nobody has replaced the token that it holds (compare-and-swap on the version).
// In this process one flight at a time renews it; all callers share what it brings, an error too, which is kept for a moment so
// that hundreds of senders do not each ask the platform again.
type tokenSource struct {
	st     *store.Store
	key    *seal.Key
	log    *slog.Logger
	appID  int32
	client *wechat.Client

	mu      sync.Mutex
	value   string
	version int32
	renewAt time.Time // by the monotonic clock
	flight  *tokenFlight
}

// tokenFlight is one renewal. Its fields are read once done is closed.
type tokenFlight struct {
	done  chan struct{}
	value string
	err   error
	// until is how long an error is kept.
	until time.Time
}

// Token returns the token in force, fetching one if there is none. It takes no longer than tokenWait.
func (t *tokenSource) Token(ctx context.Context) (string, error) {
	f, value := t.join(ctx)
	if f == nil {
		return value, nil
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// join returns the token in force, or the flight that renews it: one under way, one that failed a moment ago, or a new one.
func (t *tokenSource) join(ctx context.Context) (*tokenFlight, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && time.Now().Before(t.renewAt) {
		return nil, t.value
	}
	if t.flight != nil && time.Now().Before(t.flight.until) {
		return t.flight, ""
	}
	f := &tokenFlight{done: make(chan struct{}), until: time.Now().Add(tokenWait + tokenErrorKept)}
	t.flight = f
	failed := t.version
	go func() {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), tokenWait, errors.New("fetching the token took too long"))
		defer cancel()
		shared, err := t.renew(ctx, failed)
		t.land(f, shared, err)
	}()
	return f, ""
}

// land ends a flight.
func (t *tokenSource) land(f *tokenFlight, shared store.AppToken, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		f.value, err = t.adopt(shared)
	}
	f.err, f.until = err, time.Now().Add(tokenErrorKept)
	if err == nil {
		t.flight = nil
	}
	close(f.done)
}

// Invalidate gives up a token that the platform refused. A token that was replaced meanwhile is left alone.
func (t *tokenSource) Invalidate(_ context.Context, failed string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value == failed {
		t.value = ""
	}
	return nil
}

// errTables says that the token could not be had for the database's sake, which says nothing about the platform.
var errTables = errors.New("the database does not answer")

// errElsewhere says that another process is at it, and has not come to an end: it may have died. That says nothing of the platform either.
var errElsewhere = errors.New("another process is fetching the token")

// renew reads the shared token, and where it is the version that was given up or outlived, or too old, replaces it. A database that is
// away is asked again until ctx ends: the connections of a pool are lost one at a time.
func (t *tokenSource) renew(ctx context.Context, failed int32) (store.AppToken, error) {
	var away error
	for fetched := false; ; {
		shared, err := t.st.AppToken(ctx, t.appID)
		if err != nil && !errors.Is(err, push.ErrNotFound) {
			away = fmt.Errorf("%w: %w", errTables, err)
		} else if shared.Version > failed && (shared.ExpiresIn > tokenMargin || fetched) {
			return shared, nil
		} else if mine, err := t.st.BeginTokenRefresh(ctx, t.appID, shared.Version, tokenHold); err != nil {
			away = fmt.Errorf("%w: %w", errTables, err)
		} else if away = errElsewhere; mine {
			if err := t.fetch(ctx, shared.Version); err != nil {
				return shared, err
			}
			fetched = true
			continue
		}
		select {
		case <-ctx.Done():
			return shared, away
		case <-time.After(tokenPoll):
		}
	}
}

// adopt makes the shared token the one of this process. t.mu is held.
func (t *tokenSource) adopt(shared store.AppToken) (string, error) {
	plain, err := t.key.Open(shared.Sealed, tokenContext(t.appID))
	if err != nil {
		return "", fmt.Errorf("open token: %w", err)
	}
	t.value, t.version = string(plain), shared.Version
	t.renewAt = time.Now().Add(max(shared.ExpiresIn-tokenMargin, tokenHold))
	return t.value, nil
}

// fetch asks the platform for a token and shares it. The HTTP call is made outside of any transaction.
func (t *tokenSource) fetch(ctx context.Context, version int32) error {
	token, err := t.client.StableToken(ctx, wechat.Normal)
	if err != nil {
		return errors.Join(err, t.st.EndTokenRefresh(context.WithoutCancel(ctx), t.appID, version, nil, 0))
	}
	t.log.InfoContext(ctx, "access token fetched", slog.Any("version", version+1), slog.Any("expires_in", token.ExpiresIn))
	sealed := t.key.Seal([]byte(token.Value), tokenContext(t.appID))
	if err := t.st.EndTokenRefresh(context.WithoutCancel(ctx), t.appID, version, sealed, token.ExpiresIn); err != nil {
		return fmt.Errorf("%w: %w", errTables, err)
	}
	return nil
}
