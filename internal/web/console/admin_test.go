package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// audited are the entries of the audit log, the newest first.
func (b *bundle) audited(t *testing.T) []store.AuditEntry {
	t.Helper()
	entries, err := b.store.AuditEntries(t.Context(), 0, 100)
	require.NoError(t, err)
	return entries
}

// errorAt is what a page says at a field; empty for nothing.
func errorAt(body, name string) string {
	m := regexp.MustCompile(`id="` + regexp.QuoteMeta(name) + `-error">([^<]*)<`).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(m[1])
}

// stockedAdmin is a bundle with something on every page of administration.
func (b *bundle) stockedAdmin(t *testing.T) push.Schedule {
	t.Helper()
	ctx := t.Context()
	b.stocked(t)
	b.many(t, 3)
	now := time.Now()
	_, err := b.store.InsertFormIDs(ctx, b.health.ID, now, []store.FormID{
		{UserID: "1", FormID: "f1", Source: 4, SubmittedAt: now, ExpiresAt: now.Add(48 * time.Hour)},
		{UserID: "2", FormID: "f2", Source: 4, SubmittedAt: now, ExpiresAt: now.Add(72 * time.Hour)},
		{UserID: "3", FormID: "f3", Source: 7, SubmittedAt: now, ExpiresAt: now.Add(72 * time.Hour)},
	})
	require.NoError(t, err)
	b.exec(t, `INSERT INTO form_id_day (app_id, day, source, expired) VALUES ($1, (now() AT TIME ZONE 'Asia/Shanghai')::date - 1, 2, 17)`, b.health.ID)
	_, err = b.d.Suppress(ctx, "author", b.health.Key, []dispatch.SuppressionReport{{UserID: "4711", Note: "投诉"}, {OpenID: "oABCDEFGHIJKLMNOPQRSTUVWXYZ1"}})
	require.NoError(t, err)
	s, err := b.d.CreateSchedule(ctx, "author", push.ScheduleSpec{
		TaskSpec: push.TaskSpec{App: b.health.Key, TemplateID: "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0", Topic: "每周会员日", ProductCode: "1989"},
		Name:     "会员日提醒", Cron: "0 10 * * 3",
	})
	require.NoError(t, err)
	b.exec(t, `INSERT INTO schedule_tick (schedule_id, tick, at, outcome, code, note) VALUES ($1, 'a', now() - interval '7 days', 'refused', 'no_permit', '没有formid')`, s.ID)
	_, hash := auth.NewToken()
	_, err = b.store.InsertAPIToken(ctx, store.APIToken{Name: "backend", Role: "collector", AppIDs: []int32{b.health.ID}, CreatedBy: "admin"}, hash)
	require.NoError(t, err)
	return s
}

func TestAdminPermits_ShowStockBySourceAndDay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stockedAdmin(t)
	c := b.as(t, "viewer")
	body := c.get(t, "/console/permits?app=health_applet").body
	for _, f := range push.FormSources() {
		body = c.until(t, "/console/permits/stock?app=health_applet", f.LabelZH)
	}
	require.Regexp(t, `兑换商品按钮</td><td data-label="可用" class="n">2<`, body)
	require.Regexp(t, `首页邀请按钮</td>(<td[^>]*>0</td>){4}<td data-label="近31天过期" class="n">17<`, body)
	require.Equal(t, 8, strings.Count(body, `data-label="将过期"`), "today, and the days for which a formId is good")
	require.Regexp(t, `data-label="将过期" class="n">1</td></tr><tr><td data-label="日期">[0-9-]+</td><td data-label="将过期" class="n">2<`, body)

	body = c.get(t, "/console/permits?app=health_applet").body
	day := time.Now().In(mustZone(t)).Format(time.DateOnly)
	require.Regexp(t, day+`</td><td data-label="收集" class="n">3</td><td data-label="发送成功" class="n">4,560<`, body, "560 and 4,000 were sent by tasks that began today")
	require.Equal(t, 14, strings.Count(body, `data-label="发送成功"`))
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/permits?app=nope").status)
}

func TestAdminPermits_SuspectUnitsAreTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.d.PutTemplate(t.Context(), "operator", push.Template{App: b.health.Key, TemplateID: "SUB1", Name: "兑换提醒", Channel: push.ChannelSubscribe, Fields: []push.Field{{Key: "thing1", Value: "x"}}})
	require.NoError(t, err)
	b.exec(t, `INSERT INTO subscription (app_id, openid, template_id, available, suspect, suspect_at) VALUES ($1, 'o1', 'SUB1', 0, 3, now() - interval '1 day')`, b.health.ID)
	c := b.as(t, "operator")
	body := c.until(t, "/console/permits/stock?app=health_applet", "兑换提醒")
	require.Regexp(t, `data-label="存疑" class="n">3<`, body)
	for _, of := range []string{push.FormSources()[0].LabelZH, "即将过期", "formId"} {
		require.NotContains(t, body, of, "an app that has only subscriptions has no use for them")
	}
	require.Contains(t, body, `action="/console/apps/health_applet/retry-permits"`)
	require.NotContains(t, b.as(t, "viewer").until(t, "/console/permits/stock?app=health_applet", "兑换提醒"), "retry-permits")
	require.Equal(t, http.StatusForbidden, b.as(t, "approver").post(t, "/console/apps/health_applet/retry-permits", url.Values{"template_id": {"SUB1"}}).status)
	r := c.post(t, "/console/apps/health_applet/retry-permits", url.Values{"template_id": {"SUB1"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	require.Contains(t, c.get(t, r.location).body, "已恢复 3 次")
	require.Regexp(t, `data-label="可用" class="n">3<`, c.until(t, "/console/permits/stock?app=health_applet", "兑换提醒"))
	require.Equal(t, "permit.retry", b.audited(t)[0].Action)
}

// until gets a part of a page until it holds a text: what is counted beside the request takes a moment.
func (c *client) until(t *testing.T, path, text string) (body string) {
	t.Helper()
	require.Eventually(t, func() bool {
		body = c.get(t, path).body
		return strings.Contains(body, text)
	}, 20*time.Second, 10*time.Millisecond)
	return body
}

func mustZone(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	return zone
}

func TestAdminApp_SettingsAreSavedOrRefusedAtTheirField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin")
	form := func(change ...string) url.Values {
		v := url.Values{"rate_per_second": {"200"}, "daily_budget": {"100000"}, "ramp_from": {"20"}, "ramp_minutes": {"10"}, "quiet_from": {"22:00"}, "quiet_to": {"08:00"},
			"daily_cap": {"3"}, "permit_source": {"events"}}
		for i := 0; i < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		return v
	}
	for _, tc := range []struct{ name, value, text string }{
		{"rate_per_second", "x", "必须是整数"}, {"rate_per_second", "-1", "超出允许的范围"}, {"ramp_minutes", "0", "填写不完整"}, {"ramp_from", "300", "过大"},
		{"quiet_from", "25:00", "时间不正确"}, {"quiet_to", "", "填写不完整"}, {"daily_cap", "99999", "超出允许的范围"}, {"permit_source", "both", "来源不存在"},
		{"daily_budget", "-5", "超出允许的范围"},
	} {
		r := c.saves(t, "/console/apps/health_applet/settings", form(tc.name, tc.value))
		require.Equal(t, http.StatusUnprocessableEntity, r.status, tc.name)
		require.Equal(t, tc.text, errorAt(r.body, tc.name), tc.name)
	}
	require.Empty(t, b.audited(t), "what was refused is not there")

	r := c.saves(t, "/console/apps/health_applet/settings", form())
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	app, err := b.store.App(t.Context(), "health_applet")
	require.NoError(t, err)
	require.Equal(t, 200, app.RatePerSecond)
	require.Equal(t, "22:00", *app.QuietFrom)
	require.Equal(t, push.PermitsFromEvents, app.PermitSource)
	page := c.get(t, r.location).body
	require.Contains(t, page, "已保存")
	require.Contains(t, page, `name="rate_per_second" type="number" value="200"`)
	e := b.audited(t)[0]
	require.Equal(t, "app.settings", e.Action)
	require.Equal(t, "127.0.0.1", e.Address)
	require.InDelta(t, 0, e.Detail["before"].(map[string]any)["rate_per_second"], 0)
	require.InDelta(t, 200, e.Detail["after"].(map[string]any)["rate_per_second"], 0)

	viewer := b.as(t, "viewer")
	require.Equal(t, http.StatusForbidden, viewer.post(t, "/console/apps/health_applet/settings", form()).status)
	require.NotContains(t, viewer.get(t, "/console/apps/health_applet").body, "/settings", "a viewer has no form")
	require.Equal(t, http.StatusForbidden, b.as(t, "operator").post(t, "/console/apps/health_applet/settings", form()).status)
}

func TestAdminApp_SecretsAreWrittenAndNeverShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin")
	const secret, token, key = "NewSecret42", "CallbackToken9", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	r := c.saves(t, "/console/apps/health_applet/connection", url.Values{"appid": {""}, "base_url": {"ftp://x"}, "secret": {secret}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Equal(t, "必填", errorAt(r.body, "appid"))
	require.NotContains(t, r.body, secret, "not even in the form that was refused")
	r = c.saves(t, "/console/apps/health_applet/connection", url.Values{"appid": {"wx9"}, "base_url": {"ftp://x"}})
	require.Equal(t, "网址不正确", errorAt(r.body, "base_url"))
	r = c.saves(t, "/console/apps/health_applet/connection", url.Values{"appid": {"wx1"}, "base_url": {"https://api.weixin.qq.com.example.net"}})
	require.Equal(t, "必填", errorAt(r.body, "secret"), "the secret that is kept goes nowhere else")
	r = c.saves(t, "/console/apps/health_applet/connection", url.Values{"appid": {"wx2"}, "base_url": {"https://api.weixin.qq.com"}, "secret": {secret}})
	require.Equal(t, "已被使用", errorAt(r.body, "appid"))
	require.Equal(t, http.StatusSeeOther, c.saves(t, "/console/apps/health_applet/connection", url.Values{"appid": {"wx9"}, "base_url": {"http://127.0.0.1:1"}, "secret": {secret}}).status)

	r = c.post(t, "/console/apps/health_applet/callback", url.Values{"mode": {"safe"}, "token": {"?"}, "encoding_aes_key": {key}})
	require.Equal(t, "必须是3–32位字母或数字", errorAt(r.body, "token"))
	r = c.post(t, "/console/apps/health_applet/callback", url.Values{"mode": {"safe"}, "token": {token}, "encoding_aes_key": {"short"}})
	require.Equal(t, "回调设置不正确", errorAt(r.body, "encoding_aes_key"))
	r = c.post(t, "/console/apps/health_applet/callback", url.Values{"mode": {"x"}, "token": {token}})
	require.Equal(t, "不是可选的值", errorAt(r.body, "mode"))
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/apps/health_applet/callback", url.Values{"mode": {"safe"}, "token": {token}, "encoding_aes_key": {key}}).status)
	page := c.get(t, "/console/apps/health_applet").body
	require.Contains(t, page, "安全模式</span>")
	require.Contains(t, page, b.base+"/callbacks/wechat/health_applet", "the address to enter at the platform")

	for _, path := range []string{"/console/apps", "/console/apps/health_applet", "/console/audit"} {
		body := c.get(t, path).body
		for _, s := range []string{secret, token, key, "s3cret"} {
			require.NotContains(t, body, s, path)
		}
	}
	entries, err := json.Marshal(b.audited(t))
	require.NoError(t, err)
	require.NotContains(t, string(entries), secret)
	require.Contains(t, string(entries), "replaced")
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/apps/health_applet/callback", url.Values{"mode": {"off"}}).status)
	require.NotContains(t, c.get(t, "/console/apps/health_applet").body, "安全模式</span>")
}

func TestAdminApp_TestSaysWhatThePlatformSaid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answer := `{"access_token":"SECRET-TOKEN","expires_in":7200}`
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	defer platform.Close()
	_, err := b.d.SetApp(t.Context(), dispatch.AppSpec{Key: "health_applet", BaseURL: platform.URL, Secret: "s3cret"})
	require.NoError(t, err)
	c := b.as(t, "operator")
	test := func() string {
		r := c.post(t, "/console/apps/health_applet/test", nil)
		require.Equal(t, http.StatusOK, r.status, r.body)
		return r.body
	}
	page := test()
	require.Contains(t, page, "120 分钟内有效")
	require.NotContains(t, page, "SECRET-TOKEN")
	answer = `{"errcode":40125,"errmsg":"invalid appsecret rid: 1-2"}`
	require.Contains(t, test(), "AppSecret 无效")
	answer = `{"errcode":40164,"errmsg":"invalid ip 1.2.3.4"}`
	require.Contains(t, test(), "服务器 IP 不在白名单中")
	platform.Close()
	require.Contains(t, test(), "连接不上 "+platform.URL)
	require.Equal(t, http.StatusForbidden, b.as(t, "author").post(t, "/console/apps/health_applet/test", nil).status)
}

func TestAdminApp_KillSwitch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stockedAdmin(t)
	c := b.as(t, "operator")
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/apps/health_applet/pause", nil).status)
	require.Contains(t, c.get(t, "/console/apps/health_applet").body, "已暂停推送,全部任务停止发送")
	require.Contains(t, c.get(t, "/console/tasks/2").body, "小程序已暂停推送")
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/apps/health_applet/resume", nil).status)
	app, err := b.store.App(t.Context(), "health_applet")
	require.NoError(t, err)
	require.Nil(t, app.PausedAt)
	require.Equal(t, "app.resume", b.audited(t)[0].Action)
	require.Equal(t, http.StatusForbidden, b.as(t, "approver").post(t, "/console/apps/health_applet/pause", nil).status)
}

func TestAdminApp_IsAdded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin")
	r := c.post(t, "/console/new-app", url.Values{"key": {"Bad Key"}, "appid": {"wx3"}, "secret": {"abc"}})
	require.Equal(t, "编号格式不正确", errorAt(r.body, "key"))
	r = c.post(t, "/console/new-app", url.Values{"key": {"shop"}, "appid": {"wx1"}, "secret": {"abc"}})
	require.Equal(t, "已被使用", errorAt(r.body, "appid"))
	r = c.post(t, "/console/new-app", url.Values{"key": {"shop"}, "appid": {"wx3"}})
	require.Equal(t, "必填", errorAt(r.body, "secret"))
	r = c.post(t, "/console/new-app", url.Values{"key": {"shop"}, "appid": {"wx3"}, "secret": {"abc"}})
	require.Equal(t, "/console/apps/shop", r.location)
	require.Contains(t, c.get(t, "/console/apps").body, "wx3")
	b.account(t, "one", auth.Admin, []int32{b.other.ID})
	require.Equal(t, http.StatusForbidden, b.as(t, "one").post(t, "/console/new-app", url.Values{"key": {"mine"}, "appid": {"wx4"}, "secret": {"abc"}}).status)
}

func TestAdminProducts_AreAddedChangedAndPutOnTheShelf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	c := b.as(t, "author")
	const add = "/console/apps/health_applet/new-product"
	r := c.post(t, add, url.Values{"code": {""}, "title": {""}, "price": {"1.234"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Equal(t, "必填", errorAt(r.body, "code"))
	require.Equal(t, "必填", errorAt(r.body, "title"))
	require.Equal(t, "金额不正确", errorAt(r.body, "price"))
	require.Contains(t, r.body, `value="1.234"`, "what was typed stands")
	r = c.post(t, add, url.Values{"code": {"1989"}, "title": {"x"}, "price": {"1"}})
	require.Equal(t, "已被使用", errorAt(r.body, "code"))
	r = c.post(t, add, url.Values{"code": {"a/b?c"}, "title": {"步数礼品"}, "price": {"9.9"}, "on_shelf": {"true"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	list := c.get(t, "/console/products?app=health_applet").body
	require.Contains(t, list, "/console/apps/health_applet/products/a%2Fb%3Fc", "a code with odd letters has its page")
	require.Contains(t, c.get(t, "/console/apps/health_applet/products/a%2Fb%3Fc").body, "步数礼品")
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/apps/health_applet/products/1989/shelf", url.Values{"on_shelf": {"false"}}).status)
	require.Equal(t, http.StatusSeeOther, c.saves(t, "/console/apps/health_applet/products/1989", url.Values{"title": {"新标题"}, "price": {"300"}, "on_shelf": {"true"}}).status)
	p, err := b.store.Product(t.Context(), b.health.ID, "1989")
	require.NoError(t, err)
	require.Equal(t, "新标题", p.Title)
	require.True(t, p.OnShelf)
	require.Equal(t, map[string]any{"title": "新标题", "price": "300.00", "on_shelf": true}, b.audited(t)[0].Detail["after"])
	require.Equal(t, "product:1989", b.audited(t)[0].Object)
	require.Equal(t, http.StatusForbidden, b.as(t, "viewer").post(t, add, nil).status)
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/apps/health_applet/products/none").status)
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/products?app=nope").status)
}

func TestAdminTemplates_FieldsAreCheckedOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	c := b.as(t, "operator")
	const path = "/console/apps/health_applet/templates/895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0"
	require.Contains(t, c.get(t, "/console/templates?app=health_applet").body, "活动加入成功提醒")
	require.Contains(t, c.get(t, path).body, `value="{{topic}}"`)
	form := url.Values{"name": {"新名称"}, "channel": {"form_id"}, "page": {"pages/x?id={{product.code}}"},
		"fields[0].key": {"keyword1"}, "fields[0].value": {"{{topik}}"}, "fields[1].key": {"?"}, "fields[1].value": {"x"}, "fields[1].color": {"red"}, "fields[3].key": {"keyword1"}, "fields[3].value": {"{{"}}
	r := c.saves(t, path, form)
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Equal(t, "模板使用了未知的变量", errorAt(r.body, "fields[0].value"))
	require.Equal(t, "编号格式不正确", errorAt(r.body, "fields[1].key"))
	require.Equal(t, "颜色格式不正确", errorAt(r.body, "fields[1].color"))
	require.Equal(t, "重复", errorAt(r.body, "fields[2].key"), "the empty row does not count")
	require.Equal(t, "表达式不正确", errorAt(r.body, "fields[2].value"))
	more := c.saves(t, path, url.Values{"name": {"新名称"}, "more": {"1"}, "fields[0].key": {"keyword1"}})
	require.Contains(t, more.body, `name="fields[1].key"`, "another row")
	require.Equal(t, "字段数量不正确", strings.TrimSpace(between(c.saves(t, path, url.Values{"name": {"x"}, "channel": {"form_id"}}).body, `<p class="wrong">`, "<")))

	r = c.saves(t, path, url.Values{"name": {"新名称"}, "channel": {"form_id"}, "page": {"pages/x"}, "fields[0].key": {"keyword1"}, "fields[0].label": {"活动主题"},
		"fields[0].value": {"{{topic}}!"}, "fields[0].color": {"#EE0000"}, "fields[0].too_long": {"cut"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	got, err := b.store.Template(t.Context(), b.health.ID, "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0")
	require.NoError(t, err)
	require.Equal(t, []push.Field{{Key: "keyword1", Label: "活动主题", Value: "{{topic}}!", Color: "#EE0000", TooLong: "cut"}}, got.Fields)
	require.Equal(t, "template.set", b.audited(t)[0].Action)

	r = c.post(t, "/console/apps/health_applet/new-template", url.Values{"template_id": {"N"}, "name": {"x"}, "channel": {"subscribe"}, "fields[0].key": {"foo1"}, "fields[0].value": {"x"}})
	require.Contains(t, errorAt(r.body, "fields[0].key"), "不是订阅消息的字段编号")
	const add = "/console/apps/health_applet/new-template"
	require.Contains(t, c.get(t, add).body, `name="fields[4].key"`)
	r = c.post(t, add, url.Values{"template_id": {got.TemplateID}, "name": {"x"}, "channel": {"form_id"}, "fields[0].key": {"keyword1"}, "fields[0].value": {"x"}})
	require.Equal(t, "已被使用", errorAt(r.body, "template_id"))
	r = c.post(t, add, url.Values{"template_id": {"NEW1"}, "name": {"订阅"}, "channel": {"subscribe"}, "long_term": {"true"}, "fields[0].key": {"thing1"}, "fields[0].value": {"x"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	viewer := b.as(t, "viewer")
	require.NotContains(t, viewer.get(t, path).body, "<form method=\"post\" action=\"/console/apps")
	require.Equal(t, http.StatusForbidden, b.as(t, "approver").post(t, path, form).status)
}

// between is what stands between two texts; empty if they are not there.
func between(body, from, to string) string {
	_, rest, _ := strings.Cut(body, from)
	text, _, _ := strings.Cut(rest, to)
	return text
}

func TestAdminSchedules_ShowTheirTimesAndAreTurned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.stockedAdmin(t)
	c := b.as(t, "approver")
	require.Contains(t, c.get(t, "/console/schedules").body, "会员日提醒")
	path := fmt.Sprintf("/console/schedules/%d", s.ID)
	page := c.get(t, path).body
	require.Equal(t, 5, strings.Count(between(page, `<ol class="runs">`, "</ol>"), " 10:00</li>"))
	require.Contains(t, page, "没有formid")
	require.Contains(t, page, "未能发送")
	require.Equal(t, http.StatusSeeOther, c.post(t, path+"/resume", nil).status)
	require.Equal(t, http.StatusConflict, c.post(t, path+"/delete", nil).status, "one that runs is not deleted")
	require.Equal(t, http.StatusSeeOther, c.post(t, path+"/pause", nil).status)
	require.Equal(t, http.StatusForbidden, b.as(t, "author").post(t, path+"/resume", nil).status)
	b.account(t, "one", auth.Admin, []int32{b.other.ID})
	one := b.as(t, "one")
	require.NotContains(t, one.get(t, "/console/schedules").body, "会员日提醒")
	for _, action := range []string{"/pause", "/resume", "/delete"} {
		require.Equal(t, http.StatusNotFound, one.post(t, path+action, nil).status)
	}
	require.Equal(t, http.StatusSeeOther, b.as(t, "author").post(t, path+"/delete", nil).status)
	require.Equal(t, http.StatusNotFound, c.get(t, path).status)
	require.Equal(t, "schedule.delete", b.audited(t)[0].Action)
}

func TestAdminSuppressions_AreSearchedAddedAndRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stockedAdmin(t)
	c := b.as(t, "operator")
	require.Contains(t, c.get(t, "/console/suppressions?q=4711").body, "投诉")
	require.Contains(t, c.get(t, "/console/suppressions?q=oABCDEFGHIJKLMNOPQRSTUVWXYZ1").body, "oABCDEFGHIJKLMNOPQRSTUVWXYZ1</td>")
	masked := b.as(t, "viewer").get(t, "/console/suppressions").body
	require.Contains(t, masked, "oABC****XYZ1</td>")
	require.NotContains(t, masked, "oABCDEFGHIJKLMNOPQRSTUVWXYZ1")
	require.Contains(t, c.get(t, "/console/suppressions?q=none").body, "没有找到")
	add := func(people, scope string) answer {
		return c.post(t, "/console/suppressions", url.Values{"for": {scope}, "by": {"user_id"}, "people": {people}, "note": {"群发投诉"}})
	}
	require.Equal(t, "必填", errorAt(add(" \n ", "health_applet").body, "people"))
	r := add("1\n\nno good\n3", "health_applet")
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "第 3 行")
	require.NotContains(t, c.get(t, "/console/suppressions").body, "群发投诉", "if a line is wrong, nobody is added")
	require.Equal(t, "一次须为1到10000条", errorAt(add(strings.Repeat("7\n", 10001), "health_applet").body, "people"))
	require.Equal(t, http.StatusSeeOther, add("1\r\n2\r\n4711", "health_applet").status)
	require.Equal(t, http.StatusSeeOther, add("9", "*").status)
	require.Equal(t, map[string]any{"app": "*", "by": "user_id", "added": 1.0, "already": 0.0}, b.audited(t)[0].Detail, "no person is in the log")
	require.Contains(t, c.get(t, "/console/suppressions?app=*").body, "所有小程序</td>")

	list, err := b.store.Suppressions(t.Context(), store.SuppressionFilter{OnlyAll: true, Limit: 1})
	require.NoError(t, err)
	remove := fmt.Sprintf("/console/suppressions/%d/remove", list[0].ID)
	b.account(t, "one", auth.Admin, []int32{b.other.ID})
	one := b.as(t, "one")
	require.Equal(t, http.StatusForbidden, one.post(t, remove, nil).status, "what holds for all apps is no business of one")
	require.Equal(t, http.StatusForbidden, one.post(t, "/console/suppressions", url.Values{"for": {"*"}, "people": {"5"}}).status)
	require.Equal(t, http.StatusNotFound, one.post(t, "/console/suppressions", url.Values{"for": {"health_applet"}, "people": {"5"}}).status)
	require.NotContains(t, one.get(t, "/console/suppressions").body, "4711")
	require.Equal(t, http.StatusForbidden, b.as(t, "author").post(t, remove, nil).status)
	require.Equal(t, http.StatusSeeOther, c.post(t, remove, nil).status)
	require.Equal(t, http.StatusNotFound, c.post(t, remove, nil).status)
}

func TestAdminAccounts_AreAddedResetAndDisabled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin")
	add := func(login, name, role string, apps ...string) answer {
		return c.post(t, "/console/accounts", url.Values{"login": {login}, "name": {name}, "role": {role}, "apps": apps})
	}
	r := add("Bad Login!", "", "boss")
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Equal(t, "必填", errorAt(r.body, "name"))
	require.Equal(t, "不是可选的值", errorAt(r.body, "role"))
	require.Equal(t, "只能使用小写字母、数字和 . _ @ -", errorAt(add("bad login!", "x", "viewer").body, "login"))
	require.Equal(t, "已被使用", errorAt(add("viewer", "x", "viewer").body, "login"))
	r = add("lisi", "李四", "author", "other")
	require.Equal(t, http.StatusOK, r.status, r.body)
	first := between(r.body, `<p class="secret code" tabindex="0">`, "<")
	require.Len(t, first, 24)
	require.NotContains(t, c.get(t, "/console/accounts").body, first, "it is shown once")
	require.Contains(t, c.get(t, "/console/accounts").body, "李四")
	lisi := b.client(t)
	login := func(pw string) int {
		return lisi.post(t, "/console/login", url.Values{"login": {"lisi"}, "password": {pw}}).status
	}
	require.Equal(t, http.StatusSeeOther, login(first))
	require.NotContains(t, lisi.get(t, "/console/apps").body, "health_applet")

	r = c.post(t, "/console/accounts/lisi/password", nil)
	second := between(r.body, `<p class="secret code" tabindex="0">`, "<")
	require.Equal(t, http.StatusSeeOther, lisi.get(t, "/console/tasks").status, "its sessions are over")
	require.Equal(t, http.StatusUnprocessableEntity, login(first))
	require.Equal(t, http.StatusSeeOther, login(second))
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/accounts/lisi/disable", nil).status)
	require.Equal(t, http.StatusSeeOther, lisi.get(t, "/console/tasks").status, "it is out at once")
	require.Equal(t, http.StatusUnprocessableEntity, login(second))
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/accounts/lisi/enable", nil).status)
	require.Equal(t, http.StatusSeeOther, login(second))
	require.Equal(t, http.StatusForbidden, c.post(t, "/console/accounts/admin/disable", nil).status, "nobody shuts himself out")
	require.Equal(t, http.StatusNotFound, c.post(t, "/console/accounts/nobody/disable", nil).status)
	var actions []string
	for _, e := range b.audited(t) {
		require.Equal(t, "127.0.0.1", e.Address)
		actions = append(actions, e.Action)
	}
	require.Equal(t, []string{"account.enable", "account.disable", "account.password", "account.add"}, actions)
	b.account(t, "one", auth.Admin, []int32{b.other.ID})
	require.Equal(t, http.StatusForbidden, b.as(t, "one").get(t, "/console/accounts").status, "an admin of some apps makes none for others")
	require.Equal(t, http.StatusForbidden, b.as(t, "operator").get(t, "/console/accounts").status)
}

func TestAdminTokens_AreMadeShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin")
	require.Equal(t, "必填", errorAt(c.post(t, "/console/tokens", url.Values{"role": {"collector"}}).body, "name"))
	require.Equal(t, "不是可选的值", errorAt(c.post(t, "/console/tokens", url.Values{"name": {"x"}, "role": {"boss"}}).body, "role"))
	r := c.post(t, "/console/tokens", url.Values{"name": {"后端"}, "role": {"collector"}, "apps": {"health_applet"}})
	plain := between(r.body, `<p class="secret code" tabindex="0">`, "<")
	hash, err := auth.HashToken(plain)
	require.NoError(t, err)
	token, err := b.store.APITokenByHash(t.Context(), hash)
	require.NoError(t, err)
	require.Equal(t, []int32{b.health.ID}, token.AppIDs)
	require.Equal(t, "已被使用", errorAt(c.post(t, "/console/tokens", url.Values{"name": {"后端"}, "role": {"viewer"}}).body, "name"))
	for _, path := range []string{"/console/tokens", "/console/audit"} {
		require.NotContains(t, c.get(t, path).body, plain)
	}
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/tokens/"+url.PathEscape("后端")+"/revoke", nil).status)
	_, err = b.store.APITokenByHash(t.Context(), hash)
	require.ErrorIs(t, err, push.ErrNotFound)
	require.Contains(t, c.get(t, "/console/tokens").body, "已吊销")
	b.account(t, "one", auth.Admin, []int32{b.other.ID})
	require.Equal(t, http.StatusForbidden, b.as(t, "one").post(t, "/console/tokens", url.Values{"name": {"x"}, "role": {"admin"}}).status)
}

func TestAdminAudit_IsFilteredPagedAndNothingEditsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	c := b.as(t, "admin")
	operator := b.as(t, "operator")
	require.Equal(t, http.StatusSeeOther, operator.post(t, "/console/apps/health_applet/pause", nil).status)
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/apps/other/pause", nil).status)
	require.Equal(t, http.StatusSeeOther, c.saves(t, "/console/apps/health_applet/products/1989", url.Values{"title": {"新标题"}, "price": {"250"}, "on_shelf": {"true"}}).status)
	rows := func(path string) int { return strings.Count(c.get(t, path).body, `data-label="操作"`) }
	require.Equal(t, 3, rows("/console/audit"))
	require.Equal(t, 1, rows("/console/audit?actor=operator"))
	require.Equal(t, 1, rows("/console/audit?object=product:1989"))
	require.Equal(t, 0, rows("/console/audit?to=2020-01-01"))
	require.Equal(t, 3, rows("/console/audit?from=2020-01-01"))
	body := c.get(t, "/console/audit?object=product:1989").body
	require.Contains(t, body, "<del>健康助利测试商品1</del> → <ins>新标题</ins>")
	require.Contains(t, body, "127.0.0.1")
	b.account(t, "one", auth.Admin, []int32{b.other.ID})
	require.Equal(t, 1, strings.Count(b.as(t, "one").get(t, "/console/audit").body, `data-label="操作"`), "what is about other apps is not there")
	require.Equal(t, http.StatusForbidden, operator.get(t, "/console/audit").status)

	for i := range 60 {
		require.NoError(t, b.store.InsertAuditEntry(t.Context(), store.AuditEntry{Actor: "x", Action: "test.made", Object: fmt.Sprint(i)}))
	}
	page := c.get(t, "/console/audit?actor=x").body
	next := strings.ReplaceAll(between(page, `rel="next" href="`, `"`), "&amp;", "&")
	require.Equal(t, 50, strings.Count(page, `data-label="操作"`))
	require.Equal(t, 10, rows(next))
	require.Contains(t, page, "test.made", "an action without a text is shown as it is")

	for _, sql := range []string{`UPDATE audit_log SET actor = 'nobody'`, `DELETE FROM audit_log`, `TRUNCATE audit_log`} {
		_, err := b.pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "only added to", sql)
	}
}

func TestAdminPages_OfAnAppThatIsNotSeen_AreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stockedAdmin(t)
	b.account(t, "one", auth.Admin, []int32{b.other.ID})
	c := b.as(t, "one")
	for _, path := range []string{
		"/console/permits?app=health_applet", "/console/permits/stock?app=health_applet", "/console/apps/health_applet", "/console/products?app=health_applet",
		"/console/templates?app=health_applet", "/console/apps/health_applet/products/1989", "/console/suppressions?app=health_applet",
	} {
		require.Equal(t, http.StatusNotFound, c.get(t, path).status, path)
	}
	for _, path := range []string{"/console/permits", "/console/apps", "/console/products", "/console/templates", "/console/schedules", "/console/manage"} {
		r := c.get(t, path)
		require.Equal(t, http.StatusOK, r.status, path)
		require.NotContains(t, r.body, "health_applet", path)
	}
}
