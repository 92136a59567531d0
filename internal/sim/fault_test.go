package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

func rules(r ...sim.Rule) sim.Faults { return sim.Faults{Rules: r} }

// Invariant 2: a fault before the delivery leaves the permit, one after it has used it up, and the caller sees the same.
func TestFault_BeforeAndAfterDelivery(t *testing.T) {
	t.Parallel()
	for _, kind := range []sim.Kind{sim.Drop, sim.Reset, sim.Unavailable, sim.GatewayPage, sim.Empty, sim.NoErrCode, sim.SystemError} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%t", kind, after), func(t *testing.T) {
				t.Parallel()
				b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: kind, AfterDelivery: after, Count: 1})})
				url := served(t, b) + sendPath + "?access_token=" + b.token
				formID := b.mint(t, "o1")

				raw, err := post(t, &http.Client{}, url, body("o1", formID))
				if kind == sim.Drop || kind == sim.Reset {
					require.Error(t, err)
				} else {
					require.NoError(t, err)
				}
				require.NotContains(t, string(raw), `"errcode":0`)

				wantLedger, wantCode := 0, 0
				if after {
					wantLedger, wantCode = 1, 41029
				}
				require.Len(t, b.ledger(), wantLedger)
				require.Equal(t, wantCode, b.send(t, "o1", formID).ErrCode)
				require.Len(t, b.ledger(), 1)
				require.Equal(t, map[sim.Kind]int64{kind: 1}, b.sim.Stats().Faults)
			})
		}
	}
}

func TestFault_HangEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: sim.Hang, AfterDelivery: after})})
			formID := b.mint(t, "o1")
			_, err := post(t, &http.Client{Timeout: 100 * time.Millisecond}, served(t, b)+sendPath+"?access_token="+b.token, body("o1", formID))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, after, len(b.ledger()) == 1)
			require.Eventually(t, func() bool { return b.sim.Stats().InFlight == 0 }, 5*time.Second, time.Millisecond)
		})
	}
}

func TestFault_StickyOpenIDsAndFormIDs(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	first, second := b.mint(t, "o2"), b.mint(t, "o2")
	require.NoError(t, b.sim.SetFaults(rules(
		sim.Rule{Kind: sim.ErrCode, Code: 43108, OpenIDs: []string{"o1"}, Count: 2},
		sim.Rule{Kind: sim.ErrCode, Code: 41028, FormIDs: []string{first}},
	)))
	for range 3 {
		require.Equal(t, 41028, b.send(t, "o2", first).ErrCode)
	}
	require.Zero(t, b.send(t, "o2", second).ErrCode)
	formID := b.mint(t, "o1")
	require.Equal(t, 43108, b.send(t, "o1", formID).ErrCode)
	require.Equal(t, 43108, b.send(t, "o1", formID).ErrCode)
	require.Zero(t, b.send(t, "o1", formID).ErrCode, "the count of the rule is spent")
}

func TestFault_TokenBecomesInvalid(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: sim.TokenInvalid, Count: 1})})
	formID := b.mint(t, "o1")
	require.Equal(t, 40001, b.send(t, "o1", formID).ErrCode)
	require.Equal(t, 40001, b.send(t, "o1", formID).ErrCode, "for good, not for one call")
	b.token = b.stableToken(t, testApp, testSecret)
	require.Zero(t, b.send(t, "o1", formID).ErrCode)
}

func TestFault_OnTokenCalls(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	require.NoError(t, b.sim.SetFaults(rules(sim.Rule{Kind: sim.ErrCode, Code: 40164, On: sim.OnToken, Count: 1})))
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode, "sends are left alone")
	require.Equal(t, 40164, b.call(t, http.MethodPost, "/cgi-bin/stable_token", stableBody(testApp, testSecret)).ErrCode)
	require.Equal(t, b.token, b.stableToken(t, testApp, testSecret))
	require.Equal(t, int64(2), b.sim.Stats().TokenCalls)
	require.Equal(t, int64(1), b.sim.Stats().TokensIssued)
}

func TestFault_OnTheListOfTemplates(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	require.NoError(t, b.sim.SetFaults(rules(sim.Rule{Kind: sim.ErrCode, Code: 48001, On: sim.OnTemplates, Count: 1}, sim.Rule{Kind: sim.TokenInvalid, On: sim.OnTemplates, Count: 1})))
	list := func() int {
		return b.call(t, http.MethodGet, "/wxaapi/newtmpl/gettemplate?access_token="+b.token, "").ErrCode
	}
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode, "sends are left alone")
	require.Equal(t, 48001, list())
	require.Equal(t, 40001, list())
	b.token = b.stableToken(t, testApp, testSecret)
	require.Zero(t, list())
}

// Invariant 4: the seed decides, and the order of arrival does not.
func TestFault_ChanceDependsOnTheSeedAlone(t *testing.T) {
	t.Parallel()
	const users, share = 2000, 0.2
	run := func(seed uint64, concurrent bool) map[string]bool {
		b := setup(t, sim.Config{Faults: sim.Faults{Seed: seed, Rules: []sim.Rule{{Kind: sim.SystemError, Probability: share}}}})
		hit, mu := map[string]bool{}, sync.Mutex{}
		var wg sync.WaitGroup
		for i := range users {
			openID := fmt.Sprintf("o%d", i)
			formID := b.mint(t, openID)
			one := func() {
				if b.send(t, openID, formID).ErrCode == -1 {
					mu.Lock()
					hit[openID] = true
					mu.Unlock()
				}
			}
			if concurrent {
				wg.Go(one)
			} else {
				one()
			}
		}
		wg.Wait()
		return hit
	}
	first := run(1, false)
	require.Equal(t, first, run(1, true))
	require.NotEqual(t, first, run(2, false))
	deviation := math.Sqrt(users * share * (1 - share))
	require.InDelta(t, users*share, len(first), 5*deviation)
}

func TestFault_ChanceIsDrawnAnewForEachCall(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: sim.SystemError, Probability: 0.5})})
	seen := map[int]int{}
	for range 200 {
		seen[b.send(t, "o1", b.mint(t, "o1")).ErrCode]++
	}
	require.InDelta(t, 100, seen[-1], 40)
}

// A sender that leaves before its message is delivered meets the late delivery: the platform has the request.
func TestLatency_CallerLeavesEarly_MessageIsDelivered(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: sim.Faults{LatencyMS: 200}})
	formID := b.mint(t, "o1")
	begun := time.Now()
	_, err := post(t, &http.Client{Timeout: 20 * time.Millisecond}, served(t, b)+sendPath+"?access_token="+b.token, body("o1", formID))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Eventually(t, func() bool { return len(b.ledger()) == 1 }, 5*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(begun), 100*time.Millisecond)
}

func TestLatency_IsFixedPlusJitter(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: sim.Faults{LatencyMS: 20, JitterMS: 20}})
	for range 5 {
		begun := time.Now()
		require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
		require.GreaterOrEqual(t, time.Since(begun), 20*time.Millisecond)
	}
}

func TestFaults_OverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	rec := b.do(t, http.MethodPost, "/sim/faults",
		`{"seed":7,"latency_ms":5,"rules":[{"kind":"errcode","code":45009,"probability":0.5},{"kind":"drop","openids":["o1"]}]}`)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	var got struct {
		sim.Faults
		Fired []int64 `json:"fired"`
	}
	require.NoError(t, json.Unmarshal(b.do(t, http.MethodGet, "/sim/faults", "").Body.Bytes(), &got))
	require.Equal(t, b.sim.Faults(), got.Faults)
	require.Equal(t, []int64{0, 0}, got.Fired)

	for _, bad := range []string{
		`{"unknown":1}`, `{"latency_ms":-1}`, `{"latency_ms":60001}`, `{"quota_per_day":-1}`, `{"rules":[{"kind":"x"}]}`,
		`{"rules":[{"kind":"errcode"}]}`, `{"rules":[{"kind":"drop","code":1}]}`, `{"rules":[{"kind":"drop","probability":2}]}`,
		`{"rules":[{"kind":"drop","count":-1}]}`, `{"rules":[{"kind":"drop","on":"x"}]}`, `{"rules":[{"kind":"token","on":"token"}]}`,
	} {
		require.Equal(t, http.StatusBadRequest, b.do(t, http.MethodPost, "/sim/faults", bad).Code, bad)
	}
	require.Equal(t, got.Faults, b.sim.Faults(), "a refused change changes nothing")
	require.Equal(t, http.StatusOK, b.do(t, http.MethodPost, "/sim/faults", `{}`).Code)
	require.Equal(t, sim.Faults{}, b.sim.Faults())
}

func TestParseRule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]sim.Rule{
		"hang":              {Kind: sim.Hang},
		"drop:0.01":         {Kind: sim.Drop, Probability: 0.01},
		"drop/after:0.01":   {Kind: sim.Drop, Probability: 0.01, AfterDelivery: true},
		"errcode=43108:0.1": {Kind: sim.ErrCode, Code: 43108, Probability: 0.1},
		"errcode=-1/after":  {Kind: sim.ErrCode, Code: -1, AfterDelivery: true},
		"http_503:1":        {Kind: sim.Unavailable, Probability: 1},
	} {
		got, err := sim.ParseRule(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "x", "drop:", "drop:0", "drop:1.5", "drop:NaN", "errcode", "errcode=x", "drop=1", "drop/before"} {
		_, err := sim.ParseRule(text)
		require.Error(t, err, text)
		require.True(t, strings.Contains(err.Error(), "fault"), text)
	}
}

// Whoever misspells a member, or a kind, is told which there are.
func TestFaults_AnUnknownMemberIsAnsweredWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	url := served(t, setup(t, sim.Config{})) + "/sim/faults"
	for sent, want := range map[string]string{
		`{"latency":80}`:                      "there are seed, latency_ms, jitter_ms, quota_per_day, rate_per_minute, ",
		`{"rules":[{"kind":"drop","p":0.1}]}`: "of rules: kind, on, code, after_delivery, probability, count, appid, openids, form_ids",
		`{"rules":[{"kind":"dorp"}]}`:         "there are drop reset http_503 ",
	} {
		answer, err := post(t, &http.Client{}, url, sent)
		require.NoError(t, err)
		require.Contains(t, string(answer), want)
	}
}
