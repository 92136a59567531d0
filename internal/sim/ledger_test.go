package sim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// fill delivers n messages to n openids, each with a text of its own.
func fill(t *testing.T, b *testBundle, n int) {
	t.Helper()
	permits := make([]sim.Permit, n)
	for i := range permits {
		permits[i] = sim.Permit{OpenID: fmt.Sprintf("o%d", i), FormID: fmt.Sprintf("f%d", i)}
	}
	require.Equal(t, n, b.sim.Preload(testApp, permits))
	for i, p := range permits {
		a := b.sendBody(t, fmt.Sprintf(`{"touser":%q,"template_id":"T%d","form_id":%q,"data":{"keyword1":{"value":"v%d"}}}`,
			p.OpenID, i%3, p.FormID, i))
		require.Zero(t, a.ErrCode)
	}
}

type ledgerPage struct {
	Total    int64         `json:"total"`
	Messages []sim.Message `json:"messages"`
	Next     int64         `json:"next_after"`
}

func (b *testBundle) page(t *testing.T, query string) ledgerPage {
	t.Helper()
	rec := b.do(t, http.MethodGet, "/sim/ledger?"+query, "")
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	var p ledgerPage
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &p))
	return p
}

// More messages than a block holds, and more texts than are shared, so that neither border shows.
func TestLedger_PagesAndStreamsInOrder(t *testing.T) {
	t.Parallel()
	const n = 9000
	b := setup(t, sim.Config{})
	fill(t, b, n)

	all := b.ledger()
	require.Len(t, all, n)
	for i, m := range all {
		require.Equal(t, int64(i+1), m.Seq)
		require.Equal(t, fmt.Sprintf("o%d", i), m.OpenID)
		require.Equal(t, fmt.Sprintf("T%d", i%3), m.TemplateID)
		require.Equal(t, []sim.Field{{Key: "keyword1", Value: fmt.Sprintf("v%d", i)}}, m.Data)
	}

	var paged []sim.Message
	for after := int64(0); ; {
		p := b.page(t, fmt.Sprintf("limit=4000&after=%d", after))
		require.Equal(t, int64(n), p.Total)
		paged = append(paged, p.Messages...)
		if after = p.Next; after == 0 {
			break
		}
	}
	require.Equal(t, all, paged)

	lines := bufio.NewScanner(b.do(t, http.MethodGet, "/sim/ledger?format=ndjson", "").Body)
	var streamed []sim.Message
	for lines.Scan() {
		var m sim.Message
		require.NoError(t, json.Unmarshal(lines.Bytes(), &m))
		streamed = append(streamed, m)
	}
	require.Equal(t, all, streamed)

	require.Equal(t, all[77:78], b.page(t, "openid=o77").Messages)
	require.Empty(t, b.page(t, "appid=other").Messages)
	require.Equal(t, http.StatusBadRequest, b.do(t, http.MethodGet, "/sim/ledger?limit=x", "").Code)
}

func TestLedger_IsReadWhileMessagesArrive(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				openID := fmt.Sprintf("o%d-%d", w, i)
				if got := b.send(t, openID, b.mint(t, openID)).ErrCode; got != 0 {
					t.Errorf("errcode %d", got)
				}
			}
		})
	}
	for range 20 {
		last := int64(0)
		for m := range b.sim.Ledger(sim.Filter{}) {
			if last++; m.Seq != last {
				t.Errorf("message %d stands at %d", m.Seq, last)
			}
		}
	}
	wg.Wait()
	require.Len(t, b.ledger(), 2000)
}

func TestInbox_ShowsCardsAndEscapesThem(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Apps: []sim.App{{
		AppID: testApp, Secret: testSecret,
		Templates: []sim.Template{{ID: "T1", Title: "活动加入成功提醒", Fields: []sim.TemplateField{{Key: "keyword1", Label: "活动主题"}}}},
	}}})
	require.Contains(t, b.do(t, http.MethodGet, "/sim/inbox", "").Body.String(), "暂无消息")
	for openID, text := range map[string]string{"o1": "250海贝", "o2": "<script>"} {
		a := b.sendBody(t, `{"touser":"`+openID+`","template_id":"T1","form_id":"`+b.mint(t, openID)+
			`","data":{"keyword1":{"value":"`+text+`","color":"#EE0000"}}}`)
		require.Zero(t, a.ErrCode)
	}
	rec := b.do(t, http.MethodGet, "/sim/inbox?openid=o1", "")
	page := rec.Body.String()
	require.Contains(t, rec.Header().Get("Content-Type"), "text/html")
	for _, want := range []string{"活动加入成功提醒", "活动主题", "250海贝", "#EE0000", "收件人：o1"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "o2")
	require.NotContains(t, page, "http://")
	require.NotContains(t, b.do(t, http.MethodGet, "/sim/inbox", "").Body.String(), "<script>")
}

func TestReset_ForgetsAllButTokens(t *testing.T) {
	t.Parallel()
	faults := sim.Faults{QuotaPerDay: 1}
	b := setup(t, sim.Config{Faults: faults})
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
	old := b.mint(t, "o1")
	require.Equal(t, 45009, b.send(t, "o1", old).ErrCode)
	require.NoError(t, b.sim.SetFaults(sim.Faults{}))

	require.Equal(t, http.StatusNoContent, b.do(t, http.MethodPost, "/sim/reset", "").Code)

	require.Empty(t, b.ledger())
	require.Equal(t, faults, b.sim.Faults())
	stats := b.sim.Stats()
	require.Zero(t, stats.Calls+stats.Messages+stats.Permits+stats.MaxInFlight+int64(len(stats.ByErrCode)))
	require.Equal(t, 41028, b.send(t, "o1", old).ErrCode)
	require.NoError(t, b.sim.SetFaults(sim.Faults{}))
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode, "the token is still valid")
}

func TestStats_CountsCallsInFlight(t *testing.T) {
	t.Parallel()
	const callers = 7
	b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: sim.Hang})})
	ctx, cancel := context.WithCancel(t.Context())
	url := served(t, b) + sendPath + "?access_token=" + b.token
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return b.sim.Stats().InFlight == callers }, waitLong, waitStep)
	cancel()
	wg.Wait()
	require.Eventually(t, func() bool { return b.sim.Stats().InFlight == 0 }, waitLong, waitStep)
	stats := b.sim.Stats()
	require.Equal(t, int64(callers), stats.MaxInFlight)
	require.Equal(t, int64(callers), stats.Calls)

	var overHTTP sim.Stats
	require.NoError(t, json.Unmarshal(b.do(t, http.MethodGet, "/sim/stats", "").Body.Bytes(), &overHTTP))
	require.Equal(t, stats, overHTTP)
}

func TestServe_StopsWithItsContextAndCutsOffWhatHangs(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: sim.Hang})})
	ctx, cancel := context.WithCancel(t.Context())
	ln, err := sim.Listen(ctx, "127.0.0.1:0")
	require.NoError(t, err)
	served, called := make(chan error, 1), make(chan error, 1)
	go func() { served <- b.sim.Serve(ctx, ln) }()
	go func() {
		_, err := post(t, &http.Client{}, "http://"+ln.Addr().String()+sendPath, "{}")
		called <- err
	}()
	require.Eventually(t, func() bool { return b.sim.Stats().InFlight == 1 }, waitLong, waitStep)
	cancel()
	require.Error(t, <-called)
	require.NoError(t, <-served)

	_, err = sim.Listen(t.Context(), "256.0.0.1:0")
	require.Error(t, err)
}

const (
	waitLong = 10 * time.Second
	waitStep = time.Millisecond
)

// A caller that never has more than seven calls open is never seen with eight, even where answers are lost.
func TestStats_MaxInFlightIsNeverMoreThanTheCallersOwn(t *testing.T) {
	t.Parallel()
	const callers = 7
	b := setup(t, sim.Config{Faults: rules(
		sim.Rule{Kind: sim.Drop, Probability: 0.1}, sim.Rule{Kind: sim.Reset, Probability: 0.1},
		sim.Rule{Kind: sim.Unavailable, Probability: 0.1},
	)})
	url := served(t, b) + sendPath + "?access_token=" + b.token
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range 200 {
				_, _ = post(t, client, url, body(fmt.Sprintf("o%d-%d", i, n), "f"))
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	stats := b.sim.Stats()
	require.Equal(t, int64(callers*200), stats.Calls)
	require.LessOrEqual(t, stats.MaxInFlight, int64(callers))
	require.Positive(t, stats.Faults[sim.Drop])
	require.Positive(t, stats.Faults[sim.Reset])
}
