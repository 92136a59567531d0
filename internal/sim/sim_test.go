package sim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

const (
	testApp    = "wx0123456789abcdef"
	testSecret = "secret"
	sendPath   = "/cgi-bin/message/wxopen/template/send"
)

// testBundle is one simulator with a token, called without a network.
type testBundle struct {
	sim   *sim.Sim
	token string
}

func setup(t testing.TB, cfg sim.Config) *testBundle {
	t.Helper()
	s, err := sim.New(cfg)
	require.NoError(t, err)
	b := &testBundle{sim: s}
	b.token = b.stableToken(t, testApp, testSecret)
	return b
}

type answer struct {
	ErrCode   int    `json:"errcode"`
	ErrMsg    string `json:"errmsg"`
	Token     string `json:"access_token"`
	ExpiresIn int    `json:"expires_in"`
}

func (b *testBundle) do(t testing.TB, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	b.sim.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body)))
	return rec
}

func (b *testBundle) call(t testing.TB, method, target, body string) answer {
	t.Helper()
	rec := b.do(t, method, target, body)
	require.Equal(t, http.StatusOK, rec.Code, "the platform answers 200 to everything")
	var a answer
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &a), rec.Body.String())
	return a
}

func (b *testBundle) stableToken(t testing.TB, appID, secret string) string {
	t.Helper()
	a := b.call(t, http.MethodPost, "/cgi-bin/stable_token",
		`{"grant_type":"client_credential","appid":"`+appID+`","secret":"`+secret+`"}`)
	require.Zero(t, a.ErrCode, a.ErrMsg)
	return a.Token
}

func (b *testBundle) send(t testing.TB, openID, formID string) answer {
	t.Helper()
	return b.sendBody(t, body(openID, formID))
}

func (b *testBundle) sendBody(t testing.TB, body string) answer {
	t.Helper()
	return b.call(t, http.MethodPost, sendPath+"?access_token="+b.token, body)
}

// mint is one new formId of an openid.
func (b *testBundle) mint(t testing.TB, openID string) string {
	t.Helper()
	return b.sim.Mint(testApp, []string{openID}, 1, 0)[0].FormID
}

func (b *testBundle) ledger() []sim.Message { return slices.Collect(b.sim.Ledger(sim.Filter{})) }

func body(openID, formID string) string {
	return `{"touser":"` + openID + `","template_id":"T1","page":"pages/goods/detail/detail?backToHome=1&&goodsId=1989",` +
		`"form_id":"` + formID + `","data":{"keyword1":{"value":"活动","color":"#EE0000"},` +
		`"keyword4":{"value":"250海贝","color":"#EE0000"}}}`
}

func TestSend_DeliversOnceAndKeepsWhatWasSent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 123456789, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }})
	formID := b.mint(t, "o1")

	require.Equal(t, answer{ErrMsg: "ok"}, b.send(t, "o1", formID))
	second := b.send(t, "o1", formID)
	require.Equal(t, 41029, second.ErrCode)
	require.Regexp(t, `^form id used count reach limit rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`, second.ErrMsg)

	require.Equal(t, []sim.Message{{
		Seq: 1, At: now, AppID: testApp, OpenID: "o1", FormID: formID, TemplateID: "T1",
		Page: "pages/goods/detail/detail?backToHome=1&&goodsId=1989",
		Data: []sim.Field{
			{Key: "keyword1", Value: "活动", Color: "#EE0000"},
			{Key: "keyword4", Value: "250海贝", Color: "#EE0000"},
		},
	}}, b.ledger())
}

// Invariant 1: the losing side of the race for one formId is told so, and only one message is delivered.
func TestSend_OneFormIDManyCalls_OneWins(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	formID := b.mint(t, "o1")
	const callers = 100
	codes := make(chan int, callers)
	start := make(chan struct{})
	for range callers {
		go func() {
			<-start
			rec := httptest.NewRecorder()
			b.sim.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost,
				sendPath+"?access_token="+b.token, strings.NewReader(body("o1", formID))))
			var a answer
			_ = json.Unmarshal(rec.Body.Bytes(), &a)
			codes <- a.ErrCode
		}()
	}
	close(start)
	seen := map[int]int{}
	for range callers {
		seen[<-codes]++
	}
	require.Equal(t, map[int]int{0: 1, 41029: callers - 1}, seen)
	require.Len(t, b.ledger(), 1)
	require.Equal(t, map[int]int64{0: 1, 41029: callers - 1}, b.sim.Stats().ByErrCode)
}

func TestSend_RefusesAsThePlatformDoes(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Apps: []sim.App{{
		AppID: testApp, Secret: testSecret, Pages: []string{"pages/goods/detail/detail"},
		Templates: []sim.Template{{ID: "T1", Fields: []sim.TemplateField{{Key: "keyword1"}, {Key: "keyword4"}}}},
	}}})
	good := b.mint(t, "o1")
	expired := b.sim.Mint(testApp, []string{"o1"}, 1, -time.Second)[0].FormID
	valid := body("o1", good)
	change := func(old, new string) string {
		require.Contains(t, valid, old)
		return strings.Replace(valid, old, new, 1)
	}
	for name, tc := range map[string]struct {
		body string
		code int
		text string
	}{
		"unknown formId":  {body("o1", "63652f3e300d4ca5ab66a0c8ed82c001"), 41028, "invalid form id"},
		"another's":       {body("o2", good), 41028, "invalid form id"},
		"expired":         {body("o1", expired), 41028, "invalid form id"},
		"no formId":       {body("o1", ""), 41028, "invalid form id"},
		"no openid":       {body("", good), 40003, "invalid openid"},
		"odd openid":      {body("o 1", good), 40003, "invalid openid"},
		"wrong template":  {change("T1", "T2"), 40037, "invalid template_id"},
		"wrong page":      {change("detail/detail", "detail/other"), 41030, "invalid page"},
		"empty body":      {"", 44002, "empty post data"},
		"not JSON":        {valid[:len(valid)-1], 47001, "data format error"},
		"not an object":   {`[]`, 47001, "data format error"},
		"not UTF-8":       {change("活动", "\xff"), 47001, "data format error"},
		"escaped":         {change("&&", `\u0026\u0026`), 47002, "do NOT use json unicode encode"},
		"empty value":     {change("活动", " "), 47003, "argument invalid! data.keyword1.value is empty"},
		"missing field":   {change("keyword4", "keyword9"), 47003, "argument invalid! data.keyword4.value is empty"},
		"number as value": {change(`"活动"`, `1`), 47003, "argument invalid! data.keyword1.value invalid"},
		"field is text":   {change(`{"value":"活动","color":"#EE0000"}`, `"活动"`), 47003, "data.keyword1.value invalid"},
		"data is text":    {change(`"data":{`, `"data":"x","more":{`), 47003, "argument invalid! data."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.sendBody(t, tc.body)
			require.Equal(t, tc.code, a.ErrCode, a.ErrMsg)
			require.Contains(t, a.ErrMsg, tc.text)
			require.Contains(t, a.ErrMsg, " rid: ")
		})
	}
	t.Cleanup(func() { // after the parallel ones: none of the refusals cost the permit
		require.Zero(t, b.send(t, "o1", good).ErrCode)
		require.Len(t, b.ledger(), 1)
	})
}

func TestSend_PermitEndsAfterSevenDays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }, TokenLife: 30 * 24 * time.Hour})
	early, late := b.mint(t, "o1"), b.mint(t, "o1")
	now = now.Add(7*24*time.Hour - time.Nanosecond)
	require.Zero(t, b.send(t, "o1", early).ErrCode)
	now = now.Add(time.Nanosecond)
	require.Equal(t, 41028, b.send(t, "o1", late).ErrCode)
}

func TestPreload_TakesOverOnceAndLeavesWhatIsKnown(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	require.Equal(t, 2, b.sim.Preload(testApp, []sim.Permit{{OpenID: "o1", FormID: "f1"}, {OpenID: "o2", FormID: "f2"}}))
	require.Zero(t, b.send(t, "o1", "f1").ErrCode)
	require.Zero(t, b.sim.Preload(testApp, []sim.Permit{{OpenID: "o1", FormID: "f1"}}))
	require.Equal(t, 41029, b.send(t, "o1", "f1").ErrCode, "a used formId is not made new")
	require.Equal(t, int64(2), b.sim.Stats().Permits)
}

func TestMint_OverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	rec := b.do(t, http.MethodPost, "/sim/form-ids", `{"appid":"`+testApp+`","openids":["o1","o2"],"per_user":2}`)
	require.Equal(t, http.StatusOK, rec.Code)
	var made struct {
		FormIDs []sim.Permit `json:"form_ids"`
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &made))
	require.Len(t, made.FormIDs, 4)
	for i, openID := range []string{"o1", "o1", "o2", "o2"} {
		require.Equal(t, openID, made.FormIDs[i].OpenID)
		require.Zero(t, b.send(t, openID, made.FormIDs[i].FormID).ErrCode)
	}

	rec = b.do(t, http.MethodPost, "/sim/form-ids", `{"appid":"`+testApp+`","permits":[{"openid":"o3","form_id":"f3"}]}`)
	require.JSONEq(t, `{"added":1}`, rec.Body.String())
	require.Zero(t, b.send(t, "o3", "f3").ErrCode)

	for _, bad := range []string{``, `{}`, `{"appid":"a","per_user":-1}`, `{"appid":"a","per_user":101}`, `{"appid":"a","unknown":1}`} {
		require.Equal(t, http.StatusBadRequest, b.do(t, http.MethodPost, "/sim/form-ids", bad).Code, bad)
	}
}

func TestNew_RefusesAConfigThatContradictsItself(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]sim.Config{
		"no secret":  {Apps: []sim.App{{AppID: "a"}}},
		"twice":      {Apps: []sim.App{{AppID: "a", Secret: "s"}, {AppID: "a", Secret: "s"}}},
		"bad faults": {Faults: sim.Faults{Rules: []sim.Rule{{Kind: "nonsense"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sim.New(cfg)
			require.Error(t, err)
		})
	}
}

func TestUnknownCall_IsInvalidURL(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	require.Equal(t, 40066, b.call(t, http.MethodPost, "/cgi-bin/nothing", "").ErrCode)
	require.Equal(t, 43002, b.call(t, http.MethodGet, sendPath, "").ErrCode)
}

// served is a simulator behind a real server, for what needs a connection.
func served(t testing.TB, b *testBundle) string {
	t.Helper()
	srv := httptest.NewServer(b.sim)
	t.Cleanup(srv.Close)
	return srv.URL
}

func post(t testing.TB, client *http.Client, url, body string) ([]byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}
