package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"minipush/internal/wechat"
)

// staticToken is a token that was fetched once and holds for the whole run.
type staticToken string

func (t staticToken) Token(context.Context) (string, error) { return string(t), nil }

func (t staticToken) Invalidate(context.Context, string) error { return nil }

// newClient is a client of the app at base that keeps a connection for each call in flight. token asks for a real one;
// the constant handler has none to give.
func newClient(ctx context.Context, base string, inFlight int, token bool) (*wechat.Client, error) {
	cfg := wechat.Config{BaseURL: base, AppID: appID, Secret: appSecret, MaxConns: inFlight}
	tokens := staticToken("constant")
	if token {
		asking, err := wechat.New(cfg, nil)
		if err != nil {
			return nil, fmt.Errorf("make client: %w", err)
		}
		defer asking.Close()
		t, err := asking.StableToken(ctx, wechat.Normal)
		if err != nil {
			return nil, fmt.Errorf("ask for token: %w", err)
		}
		tokens = staticToken(t.Value)
	}
	c, err := wechat.New(cfg, tokens)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}

// bareLoop is (0) and (a): it sends one message to each recipient with inFlight calls at a time, and nothing else.
// It returns how long it took, or the first call that was not answered with "ok".
func bareLoop(ctx context.Context, c *wechat.Client, w workload, inFlight int) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	data := messageData()
	var next atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for range inFlight {
		wg.Go(func() {
			for ctx.Err() == nil {
				user := int(next.Add(1)) - 1
				if user >= w.Recipients {
					return
				}
				if res := c.SendTemplate(ctx, message(data, w.First+user, 0)); res.Class != wechat.ClassOK {
					cancel(fmt.Errorf("send to recipient %d: class %s: %w", user, res.Class, res.Err))
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begun), context.Cause(ctx)
}
