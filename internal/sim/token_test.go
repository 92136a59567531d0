package sim_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

func stableBody(appID, secret string) string {
	return `{"grant_type":"client_credential","appid":"` + appID + `","secret":"` + secret + `"}`
}

func TestStableToken_IsTheSameUntilFiveMinutesBeforeItsEnd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }})

	now = now.Add(time.Hour)
	a := b.call(t, http.MethodPost, "/cgi-bin/stable_token", stableBody(testApp, testSecret))
	require.Equal(t, b.token, a.Token)
	require.Equal(t, 3600, a.ExpiresIn, "the seconds that are left")

	now = now.Add(55 * time.Minute)
	renewed := b.stableToken(t, testApp, testSecret)
	require.NotEqual(t, b.token, renewed)
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode, "both are valid in the last five minutes")

	now = now.Add(5 * time.Minute)
	require.Equal(t, 42001, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
	b.token = renewed
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
}

func TestStableToken_ForceRevokesTheFormerButNotWithinThirtySeconds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }})
	force := `{"grant_type":"client_credential","appid":"` + testApp + `","secret":"s","force_refresh":true}`

	first := b.call(t, http.MethodPost, "/cgi-bin/stable_token", force).Token
	require.NotEqual(t, b.token, first)
	require.Equal(t, 40001, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
	require.Equal(t, first, b.call(t, http.MethodPost, "/cgi-bin/stable_token", force).Token)
	for range 19 {
		now = now.Add(30 * time.Second)
		next := b.call(t, http.MethodPost, "/cgi-bin/stable_token", force).Token
		require.NotEqual(t, first, next)
		first = next
	}
	now = now.Add(30 * time.Second)
	require.Equal(t, first, b.call(t, http.MethodPost, "/cgi-bin/stable_token", force).Token, "20 a day")
}

func TestClassicToken_IsNewEachTimeAndIsolatedFromTheStableOne(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }})
	target := "/cgi-bin/token?grant_type=client_credential&appid=" + testApp + "&secret=s"
	stable := b.token
	former := b.call(t, http.MethodGet, target, "").Token
	latter := b.call(t, http.MethodGet, target, "").Token
	require.NotEqual(t, former, latter)
	for _, token := range []string{former, latter, stable} {
		b.token = token
		require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
	}
	now = now.Add(5 * time.Minute)
	b.token = former
	require.Equal(t, 42001, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
	b.token = latter
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
}

func TestToken_Refusals(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Apps: []sim.App{{AppID: testApp, Secret: testSecret}}})
	for name, tc := range map[string]struct {
		method, target, body string
		code                 int
	}{
		"wrong secret":         {"POST", "/cgi-bin/stable_token", stableBody(testApp, "no"), 40125},
		"unknown app":          {"POST", "/cgi-bin/stable_token", stableBody("wx1", "no"), 40013},
		"no secret":            {"POST", "/cgi-bin/stable_token", stableBody(testApp, ""), 41004},
		"form instead of JSON": {"POST", "/cgi-bin/stable_token", "appid=" + testApp, 41002},
		"GET":                  {"GET", "/cgi-bin/stable_token", "", 43002},
		"grant type":           {"POST", "/cgi-bin/stable_token", `{"appid":"` + testApp + `","secret":"s"}`, 40002},
		"classic, no app":      {"GET", "/cgi-bin/token?grant_type=client_credential", "", 41002},
		"classic, secret":      {"GET", "/cgi-bin/token?grant_type=client_credential&appid=" + testApp + "&secret=no", "", 40001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.code, b.call(t, tc.method, tc.target, tc.body).ErrCode)
		})
	}
}

func TestSend_TokenRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	formID := b.mint(t, "o1")
	require.Equal(t, 41001, b.call(t, http.MethodPost, sendPath, body("o1", formID)).ErrCode)
	require.Equal(t, 40001, b.call(t, http.MethodPost, sendPath+"?access_token=junk", body("o1", formID)).ErrCode)
	require.Equal(t, 40001, b.call(t, http.MethodPost, sendPath+"?access_token=a%20b", body("o1", formID)).ErrCode)

	b.sim.InvalidateTokens(testApp)
	require.Equal(t, 40001, b.send(t, "o1", formID).ErrCode)
	b.token = b.stableToken(t, testApp, testSecret)
	require.Zero(t, b.send(t, "o1", formID).ErrCode, "the refusals cost no permit")
}

func TestSend_ATokenOfAnotherAppFindsNoPermit(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	formID := b.mint(t, "o1")
	b.token = b.stableToken(t, "wxother", "s")
	require.Equal(t, 41028, b.send(t, "o1", formID).ErrCode)
}

func TestQuota_IsToldClearedAndRenewed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 15, 59, 0, 0, time.UTC) // 23:59 in China
	b := setup(t, sim.Config{Now: func() time.Time { return now }, Faults: sim.Faults{QuotaPerDay: 2}})
	quota := func() string {
		return b.do(t, http.MethodPost, "/cgi-bin/openapi/quota/get?access_token="+b.token, `{"cgi_path":"`+sendPath+`"}`).Body.String()
	}
	clear := func() int {
		return b.call(t, http.MethodPost, "/cgi-bin/clear_quota?access_token="+b.token, `{"appid":"`+testApp+`"}`).ErrCode
	}
	send := func() int { return b.send(t, "o1", b.mint(t, "o1")).ErrCode }

	require.Zero(t, send())
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok","quota":{"daily_limit":2,"used":1,"remain":1}}`, quota())
	require.Zero(t, send())
	require.Equal(t, 45009, send())
	require.Zero(t, clear())
	require.Zero(t, send())
	require.Zero(t, send())
	require.Equal(t, 45009, send())
	now = now.Add(time.Minute)
	require.Zero(t, send(), "a new day begins at midnight in China")

	for range 9 {
		require.Zero(t, clear())
	}
	require.Equal(t, 48006, clear())
	require.Equal(t, 40013, b.call(t, http.MethodPost, "/cgi-bin/clear_quota?access_token="+b.token, `{"appid":"x"}`).ErrCode)
	b.token = "junk"
	require.Equal(t, 40001, clear())
}

func TestRate_OpensWithTheNextMinute(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 59, 0, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }, Faults: sim.Faults{RatePerMinute: 1}})
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
	refused := b.mint(t, "o1")
	require.Equal(t, 45011, b.send(t, "o1", refused).ErrCode)
	now = now.Add(time.Second)
	require.Zero(t, b.send(t, "o1", refused).ErrCode)
}
