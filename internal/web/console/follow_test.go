package console_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// reachable gives the first n users of a draft's list an openid and a formId each.
func (b *bundle) reachable(t *testing.T, n int) {
	t.Helper()
	var users []dispatch.UserReport
	var forms []dispatch.FormIDReport
	for i := 1; i <= n; i++ {
		id := fmt.Sprint(i)
		users = append(users, dispatch.UserReport{UserID: id, OpenID: "oABCDEFGHIJKLMNOPQRSTUV" + id})
		forms = append(forms, dispatch.FormIDReport{UserID: id, FormID: fmt.Sprintf("form%032d", i), Source: 4})
	}
	_, err := b.d.ReportUsers(t.Context(), b.health.Key, users)
	require.NoError(t, err)
	_, err = b.d.ReportFormIDs(t.Context(), b.health.Key, forms)
	require.NoError(t, err)
}

// ended makes a task of ten users that has ended: five sent, one failed, two without a permit, two of unknown outcome.
func (b *bundle) ended(t *testing.T) push.Task {
	t.Helper()
	task := b.draft(t, "双十一活动", 10)
	b.moved(t, task.ID, "done")
	b.exec(t, `INSERT INTO chunk (task_id, no, lo, hi, state, pending, sent, failed, skipped, unknown, reasons)
		VALUES ($1, 0, 0, 10, 'done', 0, 5, 1, 2, 2, '{"3": 2, "10": 1, "14": 2}')`, task.ID)
	b.exec(t, `
		UPDATE recipient r SET state = CASE WHEN seq < 5 THEN 2 WHEN seq = 5 THEN 3 WHEN seq < 8 THEN 4 ELSE 5 END,
		       reason = CASE WHEN seq < 5 THEN NULL WHEN seq = 5 THEN 10 WHEN seq < 8 THEN 3 ELSE 14 END,
		       openid = CASE WHEN seq < 6 OR seq > 7 THEN 'oABCDEFGHIJKLMNOPQRSTUV' || user_id END, attempt = 1, sent_at = now(), updated_at = now(), note = 'ok'
		  FROM task t WHERE t.id = $1 AND r.audience_id = t.audience_id`, task.ID)
	task, err := b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	return task
}

func TestSend_PageShowsWhatTheSenderMustSee(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 12)
	b.reachable(t, 8)
	path := taskURL(task)
	c := b.as(t, "approver")
	page := c.get(t, path+"/send").body
	for _, want := range []string{"活动加入成功提醒", "双十一活动", "名单共 12 个用户", "商品在架,金额 250", "Asia/Shanghai", "确认发送给 12 个用户", "没有设置每秒上限", path + "/reach/panel"} {
		require.Contains(t, page, want)
	}
	require.Contains(t, c.get(t, path+"/reach/panel").body, "<b>8</b> / 12")
	require.Contains(t, b.as(t, "author").get(t, path+"/send").body, "您的角色不能发送")

	_, err := b.d.PutProduct(t.Context(), push.Product{App: b.health.Key, Code: "1989", Title: "健康助利测试商品1", Price: 30000, OnShelf: false})
	require.NoError(t, err)
	page = c.get(t, path+"/send").body
	require.Contains(t, page, "商品已下架")
	require.Contains(t, page, "上面有不能发送的问题")
	r := c.sends(t, path, url.Values{"when": {"now"}})
	require.Equal(t, http.StatusConflict, r.status)
	require.Contains(t, r.body, "请将商品重新上架")
}

func TestSend_NowInMinutesAtATimeAndMoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.reachable(t, 3)
	c := b.as(t, "approver")
	now := b.draft(t, "现在", 3)
	r := c.sends(t, taskURL(now), url.Values{"when": {"now"}, "misfire": {"skip"}, "rate_per_second": {"50"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	sent, err := b.store.Task(t.Context(), now.ID)
	require.NoError(t, err)
	require.Equal(t, push.TaskSending, sent.State)
	require.Equal(t, []any{"skip", 50}, []any{sent.Misfire, sent.RatePerSecond}, "what the form says holds")
	r = c.post(t, taskURL(now)+"/send", url.Values{"when": {"now"}})
	require.Equal(t, http.StatusConflict, r.status)
	require.Contains(t, r.body, fmt.Sprintf("此任务已发送id=%d", now.ID))
	r = c.get(t, taskURL(now)+"/send")
	require.Equal(t, http.StatusConflict, r.status)
	require.Contains(t, r.body, fmt.Sprintf("此任务已发送id=%d", now.ID))

	later := b.draft(t, "以后", 3)
	at := time.Now().In(b.zone(t)).Add(48 * time.Hour).Format("2006-01-02T15:04")
	r = c.sends(t, taskURL(later), url.Values{"when": {"at"}, "at": {at}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	require.Contains(t, c.get(t, taskURL(later)).body, "已排期:"+strings.Replace(at, "T", " ", 1)+" Asia/Shanghai")
	require.Contains(t, c.get(t, taskURL(later)+"/send").body, `value="`+at+`"`)
	r = c.sends(t, taskURL(later), url.Values{"when": {"at"}, "at": {at}})
	require.Equal(t, http.StatusConflict, r.status)
	require.Contains(t, r.body, fmt.Sprintf("此任务已排期id=%d", later.ID))
	r = c.sends(t, taskURL(later), url.Values{"when": {"in"}, "minutes": {"30"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	moved, err := b.store.Task(t.Context(), later.ID)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(30*time.Minute), *moved.StartAt, time.Minute)
	wrong := map[string]string{"when=at&at=2020-01-01T10:00": "时间不正确", "when=in&minutes=0": "超出允许的范围", "when=at&at=x": "时间不正确"}
	other := b.draft(t, "立即", 3)
	r = c.sends(t, taskURL(other), url.Values{"when": {"now"}, "minutes": {"5"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status, "whoever wrote a time does not mean now")
	require.Contains(t, r.body, "只能填写其中一项")
	for form, want := range wrong {
		values, err := url.ParseQuery(form)
		require.NoError(t, err)
		r = c.sends(t, taskURL(later), values)
		require.Equal(t, http.StatusUnprocessableEntity, r.status)
		require.Contains(t, r.body, want)
	}
	require.Equal(t, http.StatusSeeOther, c.post(t, taskURL(later)+"/unschedule", nil).status)
}

func TestSend_RefusalsAreSaidInTheOriginalsWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	c := b.as(t, "approver")
	for n, want := range map[int]string{0: "还没有上传用户ID", 5: "没有formid"} {
		task := b.draft(t, "双十一活动", n)
		r := c.sends(t, taskURL(task), url.Values{"when": {"now"}, "rate_per_second": {"7"}, "misfire": {"late"}})
		require.Equal(t, http.StatusConflict, r.status)
		require.Contains(t, r.body, want)
		after, err := b.store.Task(t.Context(), task.ID)
		require.NoError(t, err)
		require.Zero(t, after.RatePerSecond, "a refused request changes nothing")
	}
}

func TestRepeat_PlainWordsBecomeASchedule(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 3)
	c := b.as(t, "approver")
	page := c.get(t, taskURL(task)+"/repeat?how=weekly&weekday=3&time=09:30").body
	require.Equal(t, 5, strings.Count(page, "09:30</time>"), "the next five times")
	require.Contains(t, page, "星期三")
	require.Contains(t, c.get(t, taskURL(task)+"/repeat?how=cron&cron=x").body, "周期格式不正确")
	form := url.Values{"name": {"工作日"}, "how": {"workdays"}, "time": {"10:15"}, "misfire": {"skip"}, "run": {"1"}}
	r := c.post(t, taskURL(task)+"/repeat", form)
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	schedules, err := b.d.Schedules(t.Context(), nil, 0, 10)
	require.NoError(t, err)
	require.Len(t, schedules, 1)
	s := schedules[0]
	require.Equal(t, []any{"15 10 * * 1-5", "Asia/Shanghai", "skip", push.AudienceAll, true, "双十一活动"}, []any{s.Cron, s.TimeZone, s.Misfire, s.Audience, s.Enabled, s.Topic})
	require.Contains(t, c.get(t, taskURL(task)).body, "周期任务已启用,下一次发送")
	r = c.post(t, taskURL(task)+"/repeat", form)
	require.Equal(t, http.StatusUnprocessableEntity, r.status, "the name is taken")
	require.Contains(t, r.body, "已被使用")

	form.Set("name", "作者的")
	require.Equal(t, http.StatusSeeOther, b.as(t, "author").post(t, taskURL(task)+"/repeat", form).status)
	schedules, err = b.d.Schedules(t.Context(), nil, s.ID, 10)
	require.NoError(t, err)
	require.False(t, schedules[0].Enabled, "an author lets nothing run")
}

func TestTask_SaysWhyItIsPausedAndWhatToDo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 5)
	b.moved(t, task.ID, "sending")
	b.exec(t, `UPDATE task SET state = 'paused', causes = '{quiet_hours,operator}' WHERE id = $1`, task.ID)
	page := b.as(t, "viewer").get(t, taskURL(task)).body
	require.Contains(t, page, "结束后自动继续,无需操作")
	require.Contains(t, page, "由同事手动暂停")
	require.Contains(t, page, `http-equiv="refresh"`, "without JavaScript it is loaded anew")
	r := b.as(t, "operator").post(t, taskURL(task)+"/rate", url.Values{"rate_per_second": {"120"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	changed, err := b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, 120, changed.RatePerSecond)
	r = b.as(t, "operator").post(t, taskURL(task)+"/rate", url.Values{"rate_per_second": {"-1"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "超出允许的范围")
}

func TestTask_ProgressIsAPartAndTellsThePageToBeMadeAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 2)
	c := b.as(t, "viewer")
	r := c.get(t, "/console/tasks/2/progress?phase=sending")
	require.NotContains(t, r.body, "<html")
	require.Empty(t, r.header.Get("HX-Refresh"))
	require.Equal(t, "true", c.get(t, "/console/tasks/2/progress?phase=paused").header.Get("HX-Refresh"))
	r = b.client(t).do(t, "GET", "/console/tasks/2/progress", nil, func(r *http.Request) { r.Header.Set("HX-Request", "true") })
	require.Equal(t, http.StatusNoContent, r.status, "a session that is over")
	require.Equal(t, "true", r.header.Get("HX-Refresh"))
}

func TestResult_ReasonsWithCauseAndCure_ResentByChoice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.ended(t)
	c := b.as(t, "author")
	page := c.get(t, taskURL(task)).body
	for _, want := range []string{"总发送数量=10,发送成功数量=5,发送失败数量=5", "没有formid", "引导用户在小程序内再次点击或订阅", "尝试过的推送机会均已失效", "其中结果未知=2"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "data-live")
	r := c.post(t, taskURL(task)+"/resend", nil)
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "请先选择要重发的原因")
	r = c.post(t, taskURL(task)+"/resend", url.Values{"reason": {"no_permit", "permit_dead"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	require.Contains(t, c.get(t, r.location).body, fmt.Sprintf("已由任务 %d 新建草稿", task.ID))
	require.Contains(t, c.get(t, r.location).body, fmt.Sprintf(`<a href="%s">任务 %d</a>`, taskURL(task), task.ID), "where it comes from")
	draft, err := b.store.Task(t.Context(), task.ID+1)
	require.NoError(t, err)
	require.Equal(t, 3, draft.Counts.Total)
}

func TestRecipients_AreFilteredPagedMaskedAndSettled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.ended(t)
	viewer, operator := b.as(t, "viewer"), b.as(t, "operator")
	path := taskURL(task) + "/recipients"
	rows := func(c *client, query string) int { return strings.Count(c.get(t, path+query).body, `class="dot dot-`) }
	require.Equal(t, 10, rows(viewer, ""))
	require.Equal(t, 5, rows(viewer, "?state=sent"))
	require.Equal(t, 2, rows(viewer, "?reason=no_permit"))
	require.Equal(t, 1, rows(viewer, "?user_id=7"))
	require.Equal(t, 0, rows(viewer, "?user_id="+url.QueryEscape("' OR 1=1")))
	require.Equal(t, 4, rows(viewer, "?after=5"))
	require.Equal(t, 10, rows(viewer, "?after=x&state=y&reason=z"))
	require.NotContains(t, viewer.get(t, path).body, "oABCDEFGHIJKLMNOPQRSTUV1")
	require.Contains(t, viewer.get(t, path).body, "oABC****TUV1")
	require.Contains(t, operator.get(t, path).body, "oABCDEFGHIJKLMNOPQRSTUV1")

	require.NotContains(t, viewer.get(t, path+"?state=unknown").body, "人工确认结果")
	require.Contains(t, operator.get(t, path+"?state=unknown").body, "人工确认结果")
	r := operator.post(t, taskURL(task)+"/resolve", url.Values{"as": {"sent"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "请先选择用户")
	r = operator.post(t, taskURL(task)+"/resolve", url.Values{"as": {"sent"}, "seq": {"8"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	require.Contains(t, operator.get(t, r.location).body, "已确认 1 个用户")
	r = operator.post(t, taskURL(task)+"/resolve", url.Values{"as": {"failed"}, "all": {"1"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	entries := b.audited(t)
	require.Equal(t, map[string]any{"as": "failed", "all": true}, entries[0].Detail)
	require.Equal(t, map[string]any{"as": "sent", "all": false, "recipients": []any{8.0}}, entries[1].Detail)
	together := `SELECT count(*) FROM audit_log a, recipient r WHERE a.action = 'task.resolve' AND a.xmin = r.xmin`
	require.Equal(t, 1, b.count(t, together), "those that are named; all of a task are settled chunk by chunk")
	settled, err := b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, []int{6, 2, 0}, []int{settled.Counts.Sent, settled.Counts.Failed, settled.Counts.Unknown})
}

func TestResults_AreDownloaded_MaskedForThoseWhoOnlyLook_AndNoted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.ended(t)
	for login, openID := range map[string]string{"viewer": "oABC****TUV1", "operator": "oABCDEFGHIJKLMNOPQRSTUV1"} {
		r := b.as(t, login).get(t, taskURL(task)+"/results?format=csv")
		require.Equal(t, http.StatusOK, r.status)
		require.Contains(t, r.header.Get("Content-Disposition"), fmt.Sprintf("task-%d-results.csv", task.ID))
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(r.body, "\ufeff"))).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 11)
		require.Equal(t, openID, rows[1][2])
	}
	r := b.as(t, "viewer").get(t, taskURL(task)+"/results?format=xlsx&state=sent")
	require.True(t, strings.HasPrefix(r.body, "PK"), "a workbook")
	entries, err := b.store.AuditEntries(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.Equal(t, "task.export", entries[0].Action)
}

func TestUsers_ShowWhatIsKnownAndWhatWasSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.ended(t)
	b.reachable(t, 10)
	c := b.as(t, "viewer")
	page := c.get(t, "/console/users?user_id=7&app=health_applet").body
	for _, want := range []string{"oABC****TUV7", "兑换商品按钮", "没有formid", fmt.Sprintf(`href="/console/tasks/%d"`, task.ID), "不在名单中"} {
		require.Contains(t, page, want)
	}
	_, err := b.d.Suppress(t.Context(), "test", b.health.Key, []dispatch.SuppressionReport{{UserID: "7"}})
	require.NoError(t, err)
	require.Contains(t, c.get(t, "/console/users?user_id=7&app=health_applet").body, "在免打扰名单中,不会发送")
	require.Contains(t, c.get(t, "/console/users?user_id=nobody&app=health_applet").body, "没有上报过这个用户ID")
	require.NotContains(t, c.get(t, "/console/users?user_id=7&app=other").body, "双十一活动", "another app's")
	b.account(t, "others", auth.Admin, []int32{b.other.ID})
	require.NotContains(t, b.as(t, "others").get(t, "/console/users?user_id=7&app=health_applet").body, "oABC")
}

func TestDeliveries_AreShownOfEachAndCountedBesideThePage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.ended(t)
	b.exec(t, `UPDATE recipient SET delivery = CASE WHEN seq < 3 THEN 1 ELSE 2 END WHERE audience_id = $1 AND seq < 4`, task.AudienceID)
	c := b.as(t, "viewer")
	page := c.get(t, taskURL(task)+"/recipients").body
	require.Equal(t, 3, strings.Count(page, ">已送达<"))
	require.Equal(t, 1, strings.Count(page, ">未送达<"))
	require.Contains(t, c.get(t, "/console/users?user_id=1&app=health_applet").body, ">已送达<")
	require.Eventually(t, func() bool { // a count that takes its time is shown later
		page = c.get(t, taskURL(task)+"/deliveries").body
		return !strings.Contains(page, "正在统计送达情况")
	}, time.Minute, 10*time.Millisecond)
	for _, want := range []string{"<dt>已送达</dt><dd>3</dd>", "<dt>未送达</dt><dd>1</dd>", "<dt>平台尚未报告</dt><dd>1</dd>"} {
		require.Contains(t, page, want)
	}
}

func TestReports_AddTasksUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 2)
	c := b.as(t, "viewer")
	today := time.Now().In(b.zone(t)).Format("2006-01-02")
	for by, want := range map[string]string{"day": today, "product": "健康助利测试商品1", "template": "活动加入成功提醒", "origin": "新建"} {
		page := c.get(t, "/console/reports?by="+by).body
		require.Contains(t, page, want)
		require.Contains(t, page, "12,983", "the sum of both tasks")
		require.Contains(t, page, "4,560")
	}
	b.reachable(t, 3)
	require.Contains(t, c.get(t, "/console/reports?by=source").body, "兑换商品按钮")
	require.Contains(t, c.get(t, "/console/reports?from=2020-01-01&to="+today).body, "最多显示 92 天")
	require.Contains(t, c.get(t, "/console/reports?from=2020-01-01&to=2020-01-02").body, "没有数据")
	require.Contains(t, c.get(t, "/console/reports?from=x").body, "时间不正确")
}

// taskURL is the path of a task.
func taskURL(task push.Task) string { return fmt.Sprintf("/console/tasks/%d", task.ID) }

func (b *bundle) zone(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	return zone
}

func TestBrowser_SendsWatchesItEndAndDownloads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 10)
	b.reachable(t, 10)
	p := b.tab(t)
	p.login(t, "operator")
	p.inspect(t, taskURL(task)+"/send", "send")
	p.inspect(t, taskURL(task)+"/repeat", "repeat")
	p.open(t, taskURL(task)+"/send")
	p.run(t, chromedp.WaitVisible(".reach-figure b"), chromedp.Click(".sure-box > summary"), chromedp.WaitVisible(".sure-body .btn-primary"))
	p.picture(t, "send-sure")
	p.run(t, chromedp.Click(".sure-body .btn-primary"), chromedp.WaitVisible("[data-live]"))
	require.Contains(t, p.text(t), "发送中")

	// What the workers would write.
	b.exec(t, `INSERT INTO chunk (task_id, no, lo, hi, pending, sending, sent) VALUES ($1, 0, 0, 10, 4, 2, 4)`, task.ID)
	b.exec(t, `UPDATE task SET started_at = now(), planned_at = now(), chunk_size = 1000, chunk_count = 1 WHERE id = $1`, task.ID)
	p.run(t, chromedp.WaitVisible("[data-rate-chart] canvas"))
	eval[bool](t, p, `new Promise(done => { (function look() { if (document.body.innerText.includes("40%")) done(true); else setTimeout(look, 50) })() })`)
	p.picture(t, "live")
	p.accessible(t)
	p.inspect(t, taskURL(task), "sending")
	b.exec(t, `UPDATE chunk SET state = 'done', pending = 0, sending = 0, sent = 7, skipped = 2, unknown = 1, reasons = '{"3": 2, "14": 1}' WHERE task_id = $1`, task.ID)
	b.exec(t, `UPDATE task SET state = 'done', ended_at = now() WHERE id = $1`, task.ID)
	p.run(t, chromedp.WaitVisible("[data-donut] canvas"))
	require.Contains(t, p.text(t), "总发送数量=10,发送成功数量=7,发送失败数量=3", "the page is made anew by itself")
	p.inspect(t, taskURL(task), "result")
	p.inspect(t, taskURL(task)+"/recipients", "recipients")
	p.inspect(t, "/console/users?user_id=7", "user")
	p.inspect(t, "/console/reports", "reports")
	size := eval[int](t, p, `fetch("`+taskURL(task)+`/results?format=csv").then(r => r.text()).then(t => t.split("\n").length)`)
	require.Equal(t, 12, size, "a head, ten users and an end")
}
