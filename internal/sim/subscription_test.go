package sim_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// Design §4.7 rests on this: one openid, one call at a time, over all templates.
func TestSubscribe_ConcurrentCallsForOneOpenID(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: sim.Hang, Count: 1, AfterDelivery: true})})
	for _, openID := range []string{"o1", "o2"} {
		b.accept(openID, "T1")
		b.accept(openID, "T2")
	}
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan struct{})
	url := served(t, b) + subscribePath + "?access_token=" + b.token
	go func() {
		defer close(hung)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(subscribeBody("o1", "T1")))
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	require.Eventually(t, func() bool { return len(b.ledger()) == 1 }, waitLong, waitStep)

	refused := b.subscribe(t, "o1", "T2")
	require.Equal(t, 43108, refused.ErrCode, "its other template's call has not been answered")
	require.Contains(t, refused.ErrMsg, "Cannot make concurrent calls to the same OpenID, please try again rid: ")
	require.Equal(t, 43108, b.subscribe(t, "o1", "T2").ErrCode)
	require.Zero(t, b.subscribe(t, "o2", "T2").ErrCode, "another openid is free")

	cancel()
	<-hung
	require.Eventually(t, func() bool { return b.sim.Stats().InFlight == 0 }, waitLong, waitStep)
	require.Eventually(t, func() bool { return b.subscribe(t, "o1", "T2").ErrCode == 0 }, waitLong, waitStep, "43108 costs no subscription")
}

// Whatever the order, as many messages are delivered as callers were told.
func TestSubscribe_ManyCallsForOneOpenID(t *testing.T) {
	t.Parallel()
	const callers, given = 50, 20
	b := setup(t, sim.Config{})
	b.sim.Accept(testApp, "T1", []string{"o1"}, given)
	codes := make([]int, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { codes[i] = b.subscribe(t, "o1", "T1").ErrCode })
	}
	wg.Wait()
	seen := map[int]int{}
	for _, code := range codes {
		seen[code]++
	}
	require.Positive(t, seen[0])
	require.Equal(t, callers, seen[0]+seen[43101]+seen[43108])
	require.Len(t, b.ledger(), seen[0])
	require.Equal(t, int64(given-seen[0]), b.sim.Subscriptions(testApp, "o1")[0].Left)
}

// A caller that waits for each answer is never told that its calls are concurrent, not even where answers are lost.
func TestSubscribe_CallsThatFollowOneAnother(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: rules(
		sim.Rule{Kind: sim.Drop, Probability: 0.2}, sim.Rule{Kind: sim.Reset, Probability: 0.2, AfterDelivery: true},
	)})
	b.sim.Accept(testApp, "T1", []string{"o1"}, 300)
	url := served(t, b) + subscribePath + "?access_token=" + b.token
	client := &http.Client{}
	for range 300 {
		raw, _ := post(t, client, url, subscribeBody("o1", "T1"))
		require.NotContains(t, string(raw), "43108")
	}
	client.CloseIdleConnections()
}

func TestSubscriptions_OverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	change := func(body string) *httptest.ResponseRecorder {
		return b.do(t, http.MethodPost, "/sim/subscriptions", body)
	}
	require.JSONEq(t, `{"accepted":4}`, change(`{"appid":"`+testApp+`","template_id":"T1","openids":["o2","o1"],"times":2}`).Body.String())
	require.JSONEq(t, `{"accepted":1}`, change(`{"appid":"`+testApp+`","template_id":"T2","openids":["o1"],"result":"accept"}`).Body.String())
	require.JSONEq(t, `{"accepted":0}`, change(`{"appid":"`+testApp+`","template_id":"T1","openids":["o2"],"result":"off"}`).Body.String())
	require.JSONEq(t, `{"subscriptions":[{"openid":"o1","template_id":"T1","left":2},{"openid":"o1","template_id":"T2","left":1},
		{"openid":"o2","template_id":"T1","left":0}]}`, b.do(t, http.MethodGet, "/sim/subscriptions?appid="+testApp, "").Body.String())
	require.Len(t, b.sim.Subscriptions(testApp, "o2"), 1)
	require.Empty(t, b.sim.Subscriptions("other", ""))
	require.Equal(t, int64(5), b.sim.Stats().Accepts)
	for _, bad := range []string{
		``, `{}`, `{"appid":"a","template_id":"T"}`, `{"appid":"a","openids":["o"]}`, `{"appid":"a","template_id":"T","openids":["o"],"times":-1}`,
		`{"appid":"a","template_id":"T","openids":["o"],"times":1001}`, `{"appid":"a","template_id":"T","openids":["o"],"result":"x"}`,
	} {
		require.Equal(t, http.StatusBadRequest, change(bad).Code, bad)
	}

	b.sim.Reset()
	require.Empty(t, b.sim.Subscriptions(testApp, ""))
	require.Zero(t, b.sim.Stats().Accepts)
}
