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
	// tokenHold is how long a daemon may take to fetch a token before another may try.
	tokenHold = 12 * time.Second
	// tokenPoll is how often a daemon looks whether another one has fetched the token.
	tokenPoll = 100 * time.Millisecond
)

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
func (c *clients) get(ctx context.Context, appID int32) (*wechat.Client, error) {
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
		return held.Client, nil
	}
	plain, err := c.cfg.Key.Open(secret.Sealed, secretContext(appID))
	if err != nil {
		return nil, fmt.Errorf("open secret of app %q: %w", secret.App.Key, err)
	}
	tokens := &tokenSource{st: c.st, key: c.cfg.Key, log: c.log.With(slog.Any("app", secret.App.Key)), appID: appID}
	client, err := wechat.New(wechat.Config{
		BaseURL: secret.App.BaseURL, AppID: secret.App.AppID, Secret: string(plain),
		MaxConns: c.cfg.InFlight, Timeout: c.cfg.CallTimeout,
	}, tokens)
	if err != nil {
		return nil, fmt.Errorf("make client of app %q: %w", secret.App.Key, err)
	}
	tokens.client = client
	if held := c.byApp[appID]; held != nil {
		held.Close()
	}
	c.byApp[appID] = &appClient{Client: client, changed: secret.App.UpdatedAt, looked: time.Now()}
	return client, nil
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

func (c *clients) recent(appID int32) *wechat.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.byApp[appID]; held != nil && !held.doubted && time.Since(held.looked) < clientTTL {
		return held.Client
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
}

// Token returns the token in force, fetching one if there is none.
func (t *tokenSource) Token(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && time.Now().Before(t.renewAt) {
		return t.value, nil
	}
	return t.renew(ctx)
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

// renew reads the shared token, and where it is the one that was given up, or too old, replaces it. t.mu is held, so that one
// caller of this process asks at a time.
func (t *tokenSource) renew(ctx context.Context) (string, error) {
	failed, fetched := t.version, false // failed is the version that this process gave up or outlived; 0 at first
	for {
		shared, err := t.st.AppToken(ctx, t.appID)
		if err != nil && !errors.Is(err, push.ErrNotFound) {
			return "", err
		}
		if shared.Version > failed && (shared.ExpiresIn > tokenMargin || fetched) {
			return t.adopt(shared)
		}
		mine, err := t.st.BeginTokenRefresh(ctx, t.appID, shared.Version, tokenHold)
		if err != nil {
			return "", err
		}
		if mine {
			if err := t.fetch(ctx, shared.Version); err != nil {
				return "", err
			}
			fetched = true
			continue
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(tokenPoll):
		}
	}
}

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
	return t.st.EndTokenRefresh(context.WithoutCancel(ctx), t.appID, version, sealed, token.ExpiresIn)
}
