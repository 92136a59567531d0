package console_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/store/storetest"
	"minipush/internal/web"
)

// counter counts the statements of a pool.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// follower is an open stream of events.
type follower struct {
	t      *testing.T
	lines  *bufio.Scanner
	header http.Header
	stop   func()
}

func (c *client) follow(t *testing.T, path string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.b.base+path, nil)
	require.NoError(t, err)
	resp, err := c.http.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	f := &follower{t: t, lines: bufio.NewScanner(resp.Body), header: resp.Header, stop: func() { cancel(); _ = resp.Body.Close() }}
	f.lines.Buffer(nil, 1<<20)
	t.Cleanup(f.stop)
	return f
}

// next is the next event, or "" when the stream has ended.
func (f *follower) next() (name, data string) {
	for f.lines.Scan() {
		line := f.lines.Text()
		if text, ok := strings.CutPrefix(line, "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			return name, text
		}
	}
	return "", ""
}

// Live progress costs at most 2 statements a second a task, however many watch it.
func TestStream_200ViewersCostOneStatementASecond(t *testing.T) {
	t.Parallel()
	plain := storetest.Pool(t)
	statements := new(counter)
	cfg := plain.Config().Copy()
	cfg.ConnConfig.Tracer = statements
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := setupOn(t, web.Config{}, pool)
	b.stocked(t)
	b.many(t, 2) // task 2 is sending
	c := b.as(t, "viewer")
	var viewers []*follower
	for range 200 {
		viewers = append(viewers, c.follow(t, "/console/tasks/2/events?phase=sending"))
	}
	each := func(events int) {
		var wg sync.WaitGroup
		for _, v := range viewers {
			wg.Go(func() {
				for seen := 0; seen < events; {
					name, _ := v.next()
					if name == "" {
						t.Error("a stream ended")
						return
					}
					if name == "figures" {
						seen++
					}
				}
			})
		}
		wg.Wait()
	}
	each(1)
	before, started := statements.n.Load(), time.Now()
	each(4)
	took, n := time.Since(started), statements.n.Load()-before
	t.Logf("%d statements in %v for %d viewers", n, took, len(viewers))
	require.LessOrEqual(t, float64(n), 2*took.Seconds()+1)
	require.Positive(t, n)
}

func TestStream_TellsFiguresAndEndsThePageWithTheTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 2)
	f := b.as(t, "viewer").follow(t, "/console/tasks/2/events?phase=sending")
	require.Equal(t, "text/event-stream; charset=utf-8", f.header.Get("Content-Type"))
	require.Equal(t, "no", f.header.Get("X-Accel-Buffering"))
	require.Equal(t, "no-store", f.header.Get("Cache-Control"))
	name, data := f.next()
	require.Equal(t, "figures", name)
	require.Contains(t, data, "4,000")
	b.exec(t, `UPDATE chunk SET state = 'done', pending = 0, sending = 0, sent = 12345 WHERE task_id = 2`)
	b.exec(t, `UPDATE task SET state = 'done', ended_at = now() WHERE id = 2`)
	for name != "reload" {
		name, _ = f.next()
		require.NotEmpty(t, name, "the stream ended without a word")
	}
	name, _ = f.next()
	require.Empty(t, name, "that was the last")
	name, _ = b.as(t, "viewer").follow(t, "/console/tasks/2/events?phase=done-settled").next()
	require.Equal(t, "end", name, "nothing of it moves")
}

func TestStream_EndsWhenTheDaemonStops(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 2)
	f := b.as(t, "viewer").follow(t, "/console/tasks/2/events")
	name, _ := f.next()
	require.Equal(t, "figures", name)
	started := time.Now()
	b.stop()
	for name != "" {
		name, _ = f.next()
	}
	require.Less(t, time.Since(started), 5*time.Second, "an open stream does not hold the stop up")
}

func TestStream_OfATaskThatTheAccountDoesNotSee_IsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, http.StatusNotFound, b.as(t, "viewer").get(t, fmt.Sprintf("/console/tasks/%d/events", 99)).status)
}
