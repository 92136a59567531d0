package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

const subscribePath = "/cgi-bin/message/subscribe/send"

type subscribeAnswer struct {
	ErrCode int         `json:"errcode"`
	ErrMsg  string      `json:"errmsg"`
	MsgID   json.Number `json:"msgid"`
}

func subscribeBody(openID, templateID string) string {
	return `{"touser":"` + openID + `","template_id":"` + templateID + `","page":"pages/a?x=1&&y=2","miniprogram_state":"formal",` +
		`"lang":"zh_CN","data":{"thing1":{"value":"双十一活动"},"amount2":{"value":"￥99.00"}}}`
}

func (b *testBundle) subscribe(t testing.TB, openID, templateID string) subscribeAnswer {
	t.Helper()
	return b.subscribeBody(t, subscribeBody(openID, templateID))
}

func (b *testBundle) subscribeBody(t testing.TB, body string) subscribeAnswer {
	t.Helper()
	rec := b.do(t, http.MethodPost, subscribePath+"?access_token="+b.token, body)
	require.Equal(t, http.StatusOK, rec.Code)
	var a subscribeAnswer
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &a), rec.Body.String())
	return a
}

func (b *testBundle) accept(openID, templateID string) {
	b.sim.Accept(testApp, templateID, []string{openID}, 1)
}

func subscribeApp() sim.Config {
	return sim.Config{Apps: []sim.App{{
		AppID: testApp, Secret: testSecret, Pages: []string{"pages/a"},
		Templates: []sim.Template{
			{ID: "F1", Fields: []sim.TemplateField{{Key: "keyword1"}}},
			{ID: "S1", Title: "活动提醒", Type: sim.OneTime, Fields: []sim.TemplateField{
				{Key: "thing1", Label: "活动"}, {Key: "amount2", Label: "价格", Example: "￥1"},
			}},
			{ID: "S2", Type: sim.OneTime, Fields: []sim.TemplateField{{Key: "enum3", Label: "状态", Enum: []string{"开", "关"}}}},
			{ID: "L1", Type: sim.LongTerm, Fields: []sim.TemplateField{{Key: "thing1"}}},
		},
	}}}
}

func TestSubscribe_OneAcceptIsOneMessage(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }})
	require.Equal(t, 43101, b.subscribe(t, "o1", "T1").ErrCode, "never accepted")

	b.sim.Accept(testApp, "T1", []string{"o1"}, 2)
	first, second, third := b.subscribe(t, "o1", "T1"), b.subscribe(t, "o1", "T1"), b.subscribe(t, "o1", "T1")
	require.Zero(t, first.ErrCode, first.ErrMsg)
	require.Zero(t, second.ErrCode)
	require.Equal(t, 43101, third.ErrCode)
	require.Regexp(t, `^user refuse to accept the msg rid: `, third.ErrMsg)
	require.Equal(t, 43101, b.subscribe(t, "o1", "T2").ErrCode, "each template has its counter")
	require.Equal(t, 43101, b.subscribe(t, "o2", "T1").ErrCode, "each user has one")

	one, err := first.MsgID.Int64()
	require.NoError(t, err)
	two, err := second.MsgID.Int64()
	require.NoError(t, err)
	require.Greater(t, one, int64(1)<<53)
	require.NotEqual(t, one, two)
	require.InDelta(t, float64(one), float64(two), 0, "a reader of floating-point numbers cannot tell them apart")
	require.Equal(t, []sim.Message{
		{
			Seq: 1, At: now, AppID: testApp, OpenID: "o1", MsgID: one, TemplateID: "T1", Page: "pages/a?x=1&&y=2",
			State: "formal", Lang: "zh_CN",
			Data: []sim.Field{{Key: "thing1", Value: "双十一活动"}, {Key: "amount2", Value: "￥99.00"}},
		},
		{
			Seq: 2, At: now, AppID: testApp, OpenID: "o1", MsgID: two, TemplateID: "T1", Page: "pages/a?x=1&&y=2",
			State: "formal", Lang: "zh_CN",
			Data: []sim.Field{{Key: "thing1", Value: "双十一活动"}, {Key: "amount2", Value: "￥99.00"}},
		},
	}, b.ledger())
	require.Equal(t, map[int]int64{0: 2, 43101: 4}, b.sim.Stats().ByErrCode)
}

func TestSubscribe_TurnedOffIsRefusedUntilAcceptedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	b.sim.Accept(testApp, "T1", []string{"o1"}, 5)
	b.sim.TurnOff(testApp, "T1", []string{"o1", "nobody"})
	require.Equal(t, 43101, b.subscribe(t, "o1", "T1").ErrCode)
	b.accept("o1", "T1")
	require.Zero(t, b.subscribe(t, "o1", "T1").ErrCode)
	require.Equal(t, 43101, b.subscribe(t, "o1", "T1").ErrCode)
}

func TestSubscribe_BareNumberOnTheWire(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	b.accept("o1", "T1")
	rec := b.do(t, http.MethodPost, subscribePath+"?access_token="+b.token, subscribeBody("o1", "T1"))
	require.Regexp(t, `^\{"errcode":0,"errmsg":"ok","msgid":[1-9][0-9]{18}\}$`, rec.Body.String())
	page := b.do(t, http.MethodGet, "/sim/ledger", "").Body.String()
	require.Regexp(t, `"msgid":"[1-9][0-9]{18}"`, page)
	require.NotContains(t, page, "form_id", "no permit that could be named")
}

func TestSubscribe_RefusesAsThePlatformDoes(t *testing.T) {
	t.Parallel()
	b := setup(t, subscribeApp())
	b.accept("o1", "S1")
	b.accept("o1", "S2")
	valid := subscribeBody("o1", "S1")
	change := func(old, new string) string {
		require.Contains(t, valid, old)
		return strings.Replace(valid, old, new, 1)
	}
	for name, tc := range map[string]struct {
		body string
		code int
		text string
	}{
		"no openid":         {subscribeBody("", "S1"), 40003, "invalid openid"},
		"unknown template":  {subscribeBody("o1", "S9"), 40037, "invalid template_id"},
		"formId's template": {subscribeBody("o1", "F1"), 43102, "subscriptiontype"},
		"wrong page":        {change("pages/a?", "pages/b?"), 41030, "invalid page"},
		"empty body":        {"", 44002, "empty post data"},
		"not JSON":          {valid[1:], 47001, "data format error"},
		"escaped":           {change("&&", `\u0026\u0026`), 47002, "do NOT use json unicode encode"},
		"unknown state":     {change("formal", "release"), 47001, "data format error"},
		"state is a number": {change(`"formal"`, "1"), 47001, "data format error"},
		"unknown language":  {change("zh_CN", "fr_FR"), 47001, "data format error"},
		"empty value":       {change("双十一活动", " "), 47003, "argument invalid! data.thing1.value is empty rid"},
		"missing field":     {change("amount2", "amount3"), 47003, "argument invalid! data.amount2.value is empty rid"},
		"over the limit":    {change("双十一活动", strings.Repeat("长", 21)), 47003, "argument invalid! data.thing1.value invalid rid"},
		"wrong kind":        {change("￥99.00", "250海贝"), 47003, "argument invalid! data.amount2.value invalid rid"},
		"data is text":      {change(`"data":{`, `"data":"{}","more":{`), 47003, "argument invalid! data.thing1.value invalid rid"},
		"no data":           {change(`"data":{`, `"more":{`), 47003, "argument invalid! data.thing1.value is empty rid"},
		"not listed": {
			`{"touser":"o1","template_id":"S2","data":{"enum3":{"value":"半开"}}}`, 47003, "argument invalid! data.enum3.value invalid rid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := setup(t, subscribeApp()) // the openid is in use for one call at a time
			own.accept("o1", "S1")
			a := own.subscribeBody(t, tc.body)
			require.Equal(t, tc.code, a.ErrCode, a.ErrMsg)
			require.Contains(t, a.ErrMsg, tc.text)
			require.Zero(t, own.subscribe(t, "o1", "S1").ErrCode, "the refusal cost no subscription")
		})
	}
	require.Zero(t, b.subscribeBody(t, `{"touser":"o1","template_id":"S2","data":{"enum3":{"value":"开"}}}`).ErrCode,
		"state and language may be left out")
	require.Equal(t, "formal", b.ledger()[0].State)
	require.Equal(t, 43002, b.call(t, http.MethodGet, subscribePath, "").ErrCode)
	require.Equal(t, 41001, b.call(t, http.MethodPost, subscribePath, valid).ErrCode)
	require.Equal(t, 40001, b.call(t, http.MethodPost, subscribePath+"?access_token=x", valid).ErrCode)
}

func TestSubscribe_WithoutTemplatesTheKeysSayTheKind(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	b.accept("o1", "T1")
	for value, code := range map[string]int{"15:01～16:00": 47003, "15:01 ": 47003, "": 47003} {
		a := b.subscribeBody(t, `{"touser":"o1","template_id":"T1","data":{"time4":{"value":"`+value+`"}}}`)
		require.Equal(t, code, a.ErrCode, value)
		require.Contains(t, a.ErrMsg, "data.time4.value")
	}
	require.Zero(t, b.subscribeBody(t, `{"touser":"o1","template_id":"T1","data":{"time4":{"value":"15:01~16:00"}}}`).ErrCode)
}

func TestSubscribe_LongTermIsAnyNumberButFiveADay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	cfg := subscribeApp()
	cfg.Now, cfg.TokenLife = func() time.Time { return now }, 72*time.Hour
	b := setup(t, cfg)
	b.accept("o1", "L1")
	for range 2 {
		for range 5 {
			require.Zero(t, b.subscribe(t, "o1", "L1").ErrCode)
		}
		require.Equal(t, 40038, b.subscribe(t, "o1", "L1").ErrCode)
		now = now.Add(24 * time.Hour)
	}
	b.sim.TurnOff(testApp, "L1", []string{"o1"})
	require.Equal(t, 43101, b.subscribe(t, "o1", "L1").ErrCode)
}

// Invariant 2 on this channel: a fault before the delivery leaves the subscription, one after it has used it up.
func TestSubscribe_FaultBeforeAndAfterDelivery(t *testing.T) {
	t.Parallel()
	for _, kind := range []sim.Kind{sim.Drop, sim.Reset, sim.Unavailable, sim.GatewayPage, sim.Empty, sim.NoErrCode, sim.SystemError} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%t", kind, after), func(t *testing.T) {
				t.Parallel()
				b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: kind, AfterDelivery: after, Count: 1})})
				b.accept("o1", "T1")
				raw, err := post(t, &http.Client{}, served(t, b)+subscribePath+"?access_token="+b.token, subscribeBody("o1", "T1"))
				require.Equal(t, kind == sim.Drop || kind == sim.Reset, err != nil)
				require.NotContains(t, string(raw), `"errcode":0`)
				wantLedger, wantCode := 0, 0
				if after {
					wantLedger, wantCode = 1, 43101
				}
				require.Len(t, b.ledger(), wantLedger)
				require.Equal(t, wantCode, b.subscribe(t, "o1", "T1").ErrCode)
				require.Len(t, b.ledger(), 1)
			})
		}
	}
}

func TestSubscribe_FaultNamesAFieldOfTheMessage(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: rules(sim.Rule{Kind: sim.ErrCode, Code: 47003})})
	require.Contains(t, b.subscribe(t, "o1", "T1").ErrMsg, "data.thing1.value invalid")
	require.Contains(t, b.send(t, "o1", b.mint(t, "o1")).ErrMsg, "data.keyword1.value invalid")
}

func TestSubscribe_ARefusalMaySpend(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: sim.Faults{RefusalSpends: true}})
	b.accept("o1", "T1")
	require.Equal(t, 47003, b.subscribeBody(t, `{"touser":"o1","template_id":"T1","data":{"thing1":{"value":""}}}`).ErrCode)
	require.Equal(t, 43101, b.subscribe(t, "o1", "T1").ErrCode)
}

func TestSubscribe_HasAQuotaOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: sim.Faults{QuotaPerDay: 2}})
	b.sim.Accept(testApp, "T1", []string{"o1"}, 3)
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode)
	require.Zero(t, b.subscribe(t, "o1", "T1").ErrCode)
	require.Zero(t, b.subscribe(t, "o1", "T1").ErrCode)
	require.Equal(t, 45009, b.subscribe(t, "o1", "T1").ErrCode)
	quota := func(path string) string {
		return b.do(t, http.MethodPost, "/cgi-bin/openapi/quota/get?access_token="+b.token, `{"cgi_path":"`+path+`"}`).Body.String()
	}
	require.Contains(t, quota(subscribePath), `"remain":0,"used":2`)
	require.Contains(t, quota(sendPath), `"remain":1,"used":1`)
	require.Zero(t, b.call(t, http.MethodPost, "/cgi-bin/clear_quota?access_token="+b.token, `{"appid":"`+testApp+`"}`).ErrCode)
	require.Zero(t, b.subscribe(t, "o1", "T1").ErrCode)
}
