package sim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// Design §4.7 rests on this: one openid, one call at a time, over all templates.
func TestSubscribe_ConcurrentCallsForOneOpenID(t *testing.T) {
	t.Parallel()
	const callers = 20
	b := setup(t, sim.Config{Faults: sim.Faults{LatencyMS: 200}})
	codes := make([]int, callers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		b.accept("o1", fmt.Sprintf("T%d", i))
		wg.Go(func() {
			<-start
			codes[i] = b.subscribe(t, "o1", fmt.Sprintf("T%d", i)).ErrCode
		})
	}
	b.accept("o2", "T1")
	wg.Go(func() {
		<-start
		if got := b.subscribe(t, "o2", "T1").ErrCode; got != 0 {
			t.Errorf("another openid was answered %d", got)
		}
	})
	close(start)
	wg.Wait()
	seen := map[int]int{}
	for _, code := range codes {
		seen[code]++
	}
	require.Equal(t, map[int]int{0: 1, 43108: callers - 1}, seen)
	left := 0
	for _, sub := range b.sim.Subscriptions(testApp, "o1") {
		left += int(sub.Left)
	}
	require.Equal(t, callers-1, left, "43108 costs no subscription")
	require.NoError(t, b.sim.SetFaults(sim.Faults{}))
	b.accept("o1", "T1")
	require.Zero(t, b.subscribe(t, "o1", "T1").ErrCode, "the openid is free again")
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
