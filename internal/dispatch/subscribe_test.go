package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
	"minipush/internal/wechat/callback"
)

const subscribeID = "zun-LzcQyW-edafCVvzPkK4de2Rllr1fFpw2A_x0oXE"

func subscribeTemplate() push.Template {
	return push.Template{App: appKey, TemplateID: subscribeID, Channel: push.ChannelSubscribe, Name: "活动提醒", Page: "pages/goods/detail/detail?backToHome=1&&goodsId={{product.code}}",
		Fields: []push.Field{{Key: "thing1", Label: "活动主题", Value: "{{topic}}"}, {Key: "amount2", Label: "商品金额", Value: "￥{{product.price}}"},
			{Key: "thing3", Label: "温馨提示", Value: "{{tips}}", TooLong: push.TooLongCut}}}
}

// subscribed sets the channel up and reports n users who have each accepted times messages, which the platform knows.
func (b *bundle) subscribed(n, times int) []string {
	b.t.Helper()
	_, err := b.d.PutTemplate(b.t.Context(), "operator", subscribeTemplate())
	require.NoError(b.t, err)
	require.NoError(b.t, b.sim.AddTemplates(appID, []sim.Template{{ID: subscribeID, Title: "活动提醒", Type: sim.OneTime, Fields: []sim.TemplateField{
		{Key: "thing1", Label: "活动主题"}, {Key: "amount2", Label: "商品金额"}, {Key: "thing3", Label: "温馨提示"}}}}))
	users := b.users(n, 0)
	if times > 0 {
		b.accept(users, times)
	}
	return users
}

// accept has users accept so many more messages, at the platform and by report.
func (b *bundle) accept(users []string, times int) {
	b.t.Helper()
	openIDs := make([]string, len(users))
	var reports []dispatch.SubscriptionReport
	for i, u := range users {
		openIDs[i] = openID(u)
		for range times {
			b.reports++
			reports = append(reports, dispatch.SubscriptionReport{ID: fmt.Sprint("r", b.reports), UserID: u, TemplateID: subscribeID, Result: "accept"})
		}
	}
	b.sim.Accept(appID, subscribeID, openIDs, int64(times))
	got, err := b.d.ReportSubscriptions(b.t.Context(), appKey, reports)
	require.NoError(b.t, err)
	require.Equal(b.t, dispatch.Received{Accepted: len(reports), Rejected: []dispatch.Rejection{}}, got)
}

func subscribeSpec() push.TaskSpec {
	s := spec()
	s.TemplateID = subscribeID
	return s
}

func (b *bundle) subscribeDraft(users []string, change func(*push.TaskSpec)) push.Task {
	b.t.Helper()
	s := subscribeSpec()
	if change != nil {
		change(&s)
	}
	task, err := b.d.CreateTask(b.t.Context(), "test", s)
	require.NoError(b.t, err)
	b.upload(task.ID, users)
	return task
}

// units sums the subscriptions up: available, reserved, suspect, used.
func (b *bundle) units() [4]int {
	return [4]int{b.count(`SELECT coalesce(sum(available), 0)::int FROM subscription`), b.count(`SELECT coalesce(sum(reserved), 0)::int FROM subscription`),
		b.count(`SELECT coalesce(sum(suspect), 0)::int FROM subscription`), b.count(`SELECT coalesce(sum(used), 0)::int FROM subscription`)}
}

// sound holds the tables against the rules of the ledger, once nothing runs.
func (b *bundle) sound(task int64) {
	b.t.Helper()
	broken, err := b.st.AuditTask(b.t.Context(), task)
	require.NoError(b.t, err)
	require.Empty(b.t, broken)
	broken, err = b.st.AuditPermits(b.t.Context())
	require.NoError(b.t, err)
	require.Empty(b.t, broken)
}

// Everyone who accepted gets one message, with the platform's id, and has one unit less; whoever has none left is skipped.
func TestSubscribe_SpendsOneUnitEach(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize = 20 })
	users := b.subscribed(60, 2)
	more := b.names(70)[60:]
	_, err := b.d.ReportUsers(t.Context(), appKey, []dispatch.UserReport{{UserID: more[0], OpenID: openID(more[0])}, {UserID: more[1]}})
	require.NoError(t, err)
	task := b.subscribeDraft(append(users, more[:3]...), func(s *push.TaskSpec) { s.Tips = "仅限今天,请尽快到店领取您的会员专属礼品哦" })
	reach, err := b.d.Reach(t.Context(), task.ID, time.Now())
	require.NoError(t, err)
	require.Equal(t, []int{63, 60, 1, 1, 1}, []int{reach.Total, reach.Reachable, reach.NoPermit, reach.NoOpenID, reach.NoUser})
	b.two()
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID)
	require.Equal(t, push.Counts{Total: 63, Sent: 60, Skipped: 3}, done.Counts)
	require.Contains(t, done.Reasons, push.Count{Code: "no_permit", Count: 1, ZH: "没有订阅次数", EN: "The user has no usable permit"})
	b.once(users)
	require.Equal(t, [4]int{60, 0, 0, 60}, b.units())
	for m := range b.sim.Ledger(sim.Filter{}) {
		require.Equal(t, "仅限今天,请尽快到店领取您的会员专属礼…", m.Data[2].Value)
		require.Equal(t, "￥250", m.Data[1].Value)
	}
	row := b.rows(task.ID)["u7"]
	require.Equal(t, b.messages("u7")[0].MsgID, *row.MsgID)
	require.Nil(t, row.FormID)
	require.Zero(t, b.count(`SELECT count(*) FROM openid_call`))
	b.sound(task.ID)

	again := b.subscribeDraft(users, nil)
	b.send(again.ID)
	b.wait(again.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 60, Sent: 60}, b.audit(again.ID).Counts)
	require.Equal(t, [4]int{0, 0, 0, 120}, b.units())
	empty := b.subscribeDraft(users, nil)
	_, err = b.d.Send(t.Context(), "test", empty.ID, nil)
	refused(t, err, push.RefusedNoPermit)
	var refusal *push.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "没有订阅次数", refusal.ZH())
}

// Two tasks of two daemons to the same people at once: the platform never sees two calls for one openid (invariant 7), and each task
// reaches everyone.
func TestSubscribe_OneCallForAnOpenIDAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Canary.Sent = 20, -1 })
	users := b.subscribed(80, 2)
	b.faults(sim.Faults{LatencyMS: 60})
	first, second := b.subscribeDraft(users, nil), b.subscribeDraft(users, nil)
	b.two()
	b.send(first.ID)
	b.send(second.ID)
	b.wait(first.ID, push.TaskDone)
	b.wait(second.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 80, Sent: 80}, b.audit(first.ID).Counts)
	require.Equal(t, push.Counts{Total: 80, Sent: 80}, b.audit(second.ID).Counts)
	require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE attempt <> 1`), "43108 would have been a second attempt")
	require.Equal(t, [4]int{0, 0, 0, 160}, b.units())
	b.sound(first.ID)
	b.sound(second.ID)
}

// Whoever has a call in flight, of another task or daemon, is not called meanwhile, and is called once that has ended (invariant 7).
func TestSubscribe_WaitsForACallInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(20, 2)
	b.exec(`INSERT INTO openid_call (openid, app_id, audience_id, seq) VALUES ($1, $2, 0, 0)`, openID("u7"), b.app.ID)
	task := b.subscribeDraft(users, nil)
	b.two()
	b.send(task.ID)
	b.eventually("all others are sent", func() bool { return b.count(`SELECT coalesce(sum(sent), 0)::int FROM chunk`) == 19 })
	require.Zero(t, b.got()[openID("u7")])
	b.exec(`DELETE FROM openid_call WHERE audience_id = 0`)
	b.wait(task.ID, push.TaskDone)
	b.once(users)
	b.sound(task.ID)
}

// A call without a usable answer is never made again: unknown, its unit kept (invariant 5). By the policy "resend" the message goes out
// once more with another unit, after a wait.
func TestSubscribe_AmbiguousIsUnknown(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]sim.Rule{
		"dropped after delivery": {Kind: sim.Drop, AfterDelivery: true}, "-1": {Kind: sim.SystemError, AfterDelivery: true}, "503": {Kind: sim.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, patient)
			users := b.subscribed(40, 2)
			rule.OpenIDs = []string{openID("u3"), openID("u30")}
			b.faults(sim.Faults{Rules: []sim.Rule{rule}})
			task := b.subscribeDraft(users, nil)
			b.two()
			b.send(task.ID)
			b.wait(task.ID, push.TaskDone)
			require.Equal(t, push.Counts{Total: 40, Sent: 38, Unknown: 2}, b.audit(task.ID).Counts)
			for _, u := range users {
				require.LessOrEqual(t, b.got()[openID(u)], 1, u)
			}
			require.Equal(t, [4]int{40, 2, 0, 38}, b.units())
			b.sound(task.ID)
			_, err := b.d.Resolve(t.Context(), "mary", task.ID, dispatch.Resolution{As: "sent", All: true})
			require.NoError(t, err)
			require.Equal(t, push.Counts{Total: 40, Sent: 40}, b.audit(task.ID).Counts)
			require.Equal(t, [4]int{40, 0, 0, 40}, b.units())
			b.sound(task.ID)
		})
	}
}

// 43101 ends the recipient and sets its units aside: the count was wrong, or the person turned the messages off.
func TestSubscribe_RefusedByThePlatform_SetsTheUnitsAside(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(30, 3)
	b.sim.TurnOff(appID, subscribeID, []string{openID("u20")})
	task := b.subscribeDraft(users, nil)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID)
	require.Equal(t, push.Counts{Total: 30, Sent: 29, Failed: 1}, done.Counts)
	require.Equal(t, push.Refused, b.rows(task.ID)["u20"].Reason)
	require.Equal(t, [4]int{58, 0, 3, 29}, b.units())
	b.sound(task.ID)
}

// A dead daemon's rows are unknown at once, not sent again, and free their openids; by the policy "resend" they wait, then go out once more.
func TestSubscribe_OfADeadDaemon(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"leave", "resend"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { c.ResendWait = time.Second })
			users := b.subscribed(40, 2)
			task := b.subscribeDraft(users, func(s *push.TaskSpec) { s.OnUnknown = policy })
			dead, err := b.st.InsertNode(t.Context(), "dead")
			require.NoError(t, err)
			claimed := b.lease(task.ID, dead, 6)
			require.Equal(t, 6, b.count(`SELECT count(*) FROM openid_call`))
			require.Equal(t, [4]int{74, 6, 0, 0}, b.units())
			b.exec(`UPDATE node SET stopped_at = now() WHERE id = $1`, dead)
			b.work(b.d)
			b.wait(task.ID, push.TaskDone)
			require.Zero(t, b.count(`SELECT count(*) FROM openid_call WHERE free_at IS NULL`))
			counts := b.audit(task.ID).Counts
			if policy == "leave" {
				require.Equal(t, push.Counts{Total: 40, Sent: 34, Unknown: 6}, counts)
				require.Equal(t, [4]int{40, 6, 0, 34}, b.units())
				for _, c := range claimed {
					require.Zero(t, b.got()[c.OpenID])
				}
			} else {
				require.Equal(t, push.Counts{Total: 40, Sent: 40}, counts)
				require.Equal(t, [4]int{34, 0, 0, 46}, b.units())
				b.once(users)
			}
			b.sound(task.ID)
		})
	}
}

// What a task says is held against the kinds of the template's fields while it is written: the field of the task is named, and the limit.
func TestSubscribe_TextsAreCheckedByKind(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.subscribed(1, 0)
	template := subscribeTemplate()
	template.Fields[2].TooLong = ""
	_, err := b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	s := subscribeSpec()
	s.Tips = "一二三四五六七八九十一二三四五六七八九十"
	_, err = b.d.CreateTask(t.Context(), "test", s)
	require.NoError(t, err)
	s.Tips += "一"
	_, err = b.d.CreateTask(t.Context(), "test", s)
	invalid(t, err, "tips", "too_long")
	require.ErrorContains(t, err, "20")
	template.Fields[2].Value = "{{caption}}"
	_, err = b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	s.Caption = strings.Repeat("说", push.MaxCaption) // what the original's form took
	_, err = b.d.CreateTask(t.Context(), "test", s)
	invalid(t, err, "caption", "too_long")
	require.ErrorContains(t, err, "thing3")
	s.Caption = strings.Repeat("说", 20)
	_, err = b.d.CreateTask(t.Context(), "test", s)
	require.NoError(t, err)
	template.Fields[0].Key = "keyword1"
	_, err = b.d.PutTemplate(t.Context(), "operator", template)
	invalid(t, err, "fields[0].key", "unknown_kind")
}

// One bad report does not fail the others; the same id counts once; only "accept…" counts.
func TestSubscribe_Reports(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.subscribed(3, 0)
	_, err := b.d.ReportUsers(t.Context(), appKey, []dispatch.UserReport{{UserID: "bare"}})
	require.NoError(t, err)
	r := func(id, user, template, result string) dispatch.SubscriptionReport {
		return dispatch.SubscriptionReport{ID: id, UserID: user, TemplateID: template, Result: result}
	}
	got, err := b.d.ReportSubscriptions(t.Context(), appKey, []dispatch.SubscriptionReport{
		r("1", "u0", subscribeID, "accept"), r("1", "u0", subscribeID, "accept"), r("2", "u0", subscribeID, "acceptWithAudio"), r("3", "u1", subscribeID, "reject"),
		r("", "u0", subscribeID, "accept"), r("4", "u0", templateID, "accept"), r("5", "bare", subscribeID, "accept"), r("6", "u0", subscribeID, ""),
	})
	require.NoError(t, err)
	require.Equal(t, []int{3, 1, 4}, []int{got.Accepted, got.Duplicate, len(got.Rejected)})
	codes := map[int]string{}
	for _, bad := range got.Rejected {
		codes[bad.Index] = bad.Code
	}
	require.Equal(t, map[int]string{4: "bad_id", 5: "unknown_template", 6: "no_openid", 7: "bad_result"}, codes)
	require.Equal(t, [4]int{2, 0, 0, 0}, b.units())
	_, err = b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.PermitSource = push.PermitsFromEvents; return nil })
	require.NoError(t, err)
	_, err = b.d.ReportSubscriptions(t.Context(), appKey, []dispatch.SubscriptionReport{r("7", "u0", subscribeID, "accept")})
	refused(t, err, push.RefusedSourceDisabled)
}

// reported makes the simulator push its events to the daemon's tables, as the callback does.
func (b *bundle) reported(conf sim.Callback) {
	b.t.Helper()
	spec := dispatch.CallbackSpec{Mode: callback.ModeSafe, Token: "tok", EncodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"}
	require.NoError(b.t, b.d.SetCallback(b.t.Context(), appKey, spec))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := b.d.TakeCallback(r.Context(), appKey, r.URL.Query(), body); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "success")
	}))
	b.t.Cleanup(server.Close)
	conf.URL, conf.Token, conf.EncodingAESKey, conf.Mode = server.URL, spec.Token, spec.EncodingAESKey, "safe"
	require.NoError(b.t, b.sim.SetCallback(appID, conf))
	ctx, stop := context.WithCancel(context.Background())
	var pushing sync.WaitGroup
	pushing.Go(func() { b.sim.Push(ctx) })
	b.t.Cleanup(func() { stop(); pushing.Wait() })
}

// The platform's events say what was delivered, whichever comes first, the event or the outcome; of a call without an answer the event
// settles the recipient, and an event that comes again changes nothing.
func TestSubscribe_EventsSayWhatWasDelivered(t *testing.T) {
	t.Parallel()
	for _, delay := range []int64{0, 300} {
		t.Run(fmt.Sprint(delay), func(t *testing.T) {
			t.Parallel()
			b := setup(t, patient)
			users := b.subscribed(40, 2)
			b.reported(sim.Callback{DelayMS: delay, Repeat: 1, FailOpenIDs: []string{openID("u5")}, LoseOpenIDs: []string{openID("u6")}})
			b.faults(sim.Faults{LatencyMS: 100, Rules: []sim.Rule{
				{Kind: sim.Drop, AfterDelivery: true, OpenIDs: []string{openID("u3")}}, {Kind: sim.Drop, OpenIDs: []string{openID("u4")}}}})
			task := b.subscribeDraft(users, nil)
			b.work(b.d)
			b.send(task.ID)
			b.wait(task.ID, push.TaskDone)
			b.eventually("the events are in", func() bool { return b.count(`SELECT count(*) FROM sent_event`) == 38 })
			b.exec(`UPDATE sent_event SET received_at = received_at - interval '1 min', looked_at = NULL`)
			b.eventually("all are settled", func() bool { return b.count(`SELECT count(*) FROM sent_event WHERE settled_at IS NULL`) == 0 })
			require.Equal(t, push.Counts{Total: 40, Sent: 39, Unknown: 1}, b.audit(task.ID).Counts, "u3 arrived, u4 did not")
			rows := b.rows(task.ID)
			require.Equal(t, push.Sent, rows["u3"].State)
			require.Equal(t, b.messages("u3")[0].MsgID, *rows["u3"].MsgID)
			require.Equal(t, "delivered", *rows["u3"].Delivery)
			require.Equal(t, push.Unknown, rows["u4"].State)
			require.Equal(t, "failed", *rows["u5"].Delivery)
			require.NotZero(t, *rows["u5"].PlatformCode)
			require.Nil(t, rows["u6"].Delivery)
			require.Equal(t, "delivered", *rows["u7"].Delivery)
			require.Equal(t, [4]int{40, 1, 0, 39}, b.units())
			b.sound(task.ID)
		})
	}
}

// An event settles only who it can be about: not another openid's, another template's, nor one whose call ended long before or after.
func TestSubscribe_AnEventSettlesNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	users := b.subscribed(20, 1)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, OpenIDs: []string{openID("u3")}}}})
	task := b.subscribeDraft(users, nil)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, 1, b.audit(task.ID).Counts.Unknown)
	now := time.Now()
	require.NoError(t, b.st.InsertSentEvents(t.Context(), b.app.ID, []store.SentEvent{
		{MsgID: 1, OpenID: openID("u3"), TemplateID: "other", At: now}, {MsgID: 2, OpenID: openID("u4"), TemplateID: subscribeID, At: now},
		{MsgID: 3, OpenID: openID("u3"), TemplateID: subscribeID, At: now.Add(-time.Hour)}, {MsgID: 4, OpenID: openID("u3"), TemplateID: subscribeID, At: now.Add(time.Hour)}}))
	b.exec(`UPDATE sent_event SET received_at = received_at - interval '1 min'`)
	b.eventually("all are settled", func() bool { return b.count(`SELECT count(*) FROM sent_event WHERE settled_at IS NULL`) == 0 })
	require.Equal(t, push.Counts{Total: 20, Sent: 19, Unknown: 1}, b.audit(task.ID).Counts)
	require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE delivery IS NOT NULL`))
	b.sound(task.ID)
}

// A 43101 sets aside what stood at its claim: what the person accepted while it was under way stays.
func TestSubscribe_Refusal_LeavesWhatWasReportedMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(1, 3)
	b.sim.TurnOff(appID, subscribeID, []string{openID("u0")})
	b.faults(sim.Faults{LatencyMS: 1500})
	task := b.subscribeDraft(users, nil)
	b.work(b.d)
	b.send(task.ID)
	b.eventually("the call is under way", func() bool { return b.units() == [4]int{2, 1, 0, 0} })
	got, err := b.d.ReportSubscriptions(t.Context(), appKey, []dispatch.SubscriptionReport{
		{ID: "new 1", UserID: "u0", TemplateID: subscribeID, Result: "accept"}, {ID: "new 2", UserID: "u0", TemplateID: subscribeID, Result: "accept"}})
	require.NoError(t, err)
	require.Equal(t, 2, got.Accepted)
	require.Equal(t, [4]int{4, 1, 0, 0}, b.units())
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Refused, b.rows(task.ID)["u0"].Reason)
	require.Equal(t, [4]int{2, 0, 3, 0}, b.units())
	b.sound(task.ID)
	b.sim.Accept(appID, subscribeID, []string{openID("u0")}, 2)
	again := b.subscribeDraft(users, nil)
	b.send(again.ID)
	b.wait(again.ID, push.TaskDone)
	require.Equal(t, [4]int{1, 0, 3, 1}, b.units(), "what was reported then is used as any other")
	b.sound(again.ID)
}

// Units that were set aside long enough ago are tried again when the operator says so, of one template or of all; who waits is woken; and
// of a person who has turned the messages off since there are none.
func TestSubscribe_Retry_MakesSuspectUnitsAvailable(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(30, 2)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 43101, Count: 3, OpenIDs: []string{openID("u20"), openID("u21"), openID("u22")}}}})
	task := b.subscribeDraft(users, nil)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 30, Sent: 27, Failed: 3}, b.audit(task.ID).Counts)
	require.Equal(t, [4]int{27, 0, 6, 27}, b.units())

	retry := func(what dispatch.Retry) dispatch.Retried {
		got, err := b.d.RetrySuspects(t.Context(), "test", appKey, what)
		require.NoError(t, err)
		return got
	}
	require.Zero(t, retry(dispatch.Retry{OlderThan: dispatch.RetryOlderThan}), "not long enough ago")
	b.exec(`UPDATE subscription SET suspect_at = suspect_at - interval '7 hours' WHERE openid <> $1`, openID("u21"))
	_, err := b.d.RetrySuspects(t.Context(), "test", appKey, dispatch.Retry{TemplateID: "nope"})
	require.ErrorIs(t, err, push.ErrNotFound)
	_, err = b.d.RetrySuspects(t.Context(), "test", appKey, dispatch.Retry{OlderThan: -time.Hour})
	invalid(t, err, "older_than", "out_of_range")
	require.Zero(t, retry(dispatch.Retry{TemplateID: templateID}), "of another template")
	_, err = b.st.InsertSubscriptions(t.Context(), b.app.ID, []store.SubscriptionReport{{ID: "off", OpenID: openID("u22"), TemplateID: subscribeID, TurnedOff: true}})
	require.NoError(t, err)
	require.Equal(t, [4]int{27, 0, 4, 27}, b.units(), "what a person turned off is gone, set aside or not")

	until := time.Now().Add(time.Hour)
	waits := b.subscribeDraft([]string{"u3", "u20", "u21"}, func(s *push.TaskSpec) { s.WaitForPermitUntil = &until })
	b.send(waits.ID)
	b.eventually("two wait", func() bool {
		return b.count(`SELECT coalesce(sum(waiting), 0)::int FROM chunk WHERE task_id = $1`, waits.ID) == 2
	})
	require.Equal(t, dispatch.Retried{Units: 2, Users: 1}, retry(dispatch.Retry{TemplateID: subscribeID, OlderThan: dispatch.RetryOlderThan}))
	b.eventually("one of them is sent", func() bool { return b.got()[openID("u20")] == 1 })
	require.Equal(t, dispatch.Retried{Units: 2, Users: 1}, retry(dispatch.Retry{}))
	b.wait(waits.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 3, Sent: 3}, b.audit(waits.ID).Counts)
	b.sound(waits.ID)
}

// A template that turns out to be a long-term one takes what people have accepted with it, and back; who turned it off, or was refused, has not.
func TestSubscribe_CountersFollowALongTermTemplate(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.subscribed(5, 0)
	b.accept([]string{"u0", "u1", "u2", "u3"}, 3)
	b.exec(`UPDATE subscription SET available = 0, fresh = 0, used = 3 WHERE openid = $1`, openID("u1"))
	b.exec(`UPDATE subscription SET available = 0, fresh = 0, suspect = 3 WHERE openid = $1`, openID("u2"))
	_, err := b.st.InsertSubscriptions(t.Context(), b.app.ID, []store.SubscriptionReport{{ID: "off", OpenID: openID("u3"), TemplateID: subscribeID, TurnedOff: true}})
	require.NoError(t, err)
	b.exec(`INSERT INTO subscription (app_id, openid, template_id, available) VALUES ($1, 'o', 'other', 3)`, b.app.ID)
	template := subscribeTemplate()
	template.LongTerm = true
	_, err = b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	available := func() (n [5]int) {
		for i, o := range []string{openID("u0"), openID("u1"), openID("u2"), openID("u3"), "o"} {
			n[i] = b.count(`SELECT available FROM subscription WHERE openid = $1`, o)
		}
		return n
	}
	require.Equal(t, [5]int{1, 1, 0, 0, 3}, available())
	stock, err := b.st.PermitStock(t.Context(), b.app.ID, "Asia/Shanghai")
	require.NoError(t, err)
	require.Equal(t, []push.TemplateStock{
		{TemplateID: "other", Available: 3, Users: 1}, {TemplateID: subscribeID, Name: "活动提醒", Suspect: 3, Used: 3, LongTerm: 2, Users: 2}}, stock.Subscriptions)
	_, err = b.d.PutTemplate(t.Context(), "operator", subscribeTemplate())
	require.NoError(t, err)
	require.Equal(t, [5]int{1, 1, 0, 0, 3}, available())
	require.Zero(t, b.count(`SELECT count(*) FROM subscription WHERE long_term`))

	require.NoError(t, b.sim.AddTemplates(appID, []sim.Template{{ID: subscribeID, Title: "活动提醒", Type: sim.LongTerm, Fields: []sim.TemplateField{
		{Key: "thing1", Label: "活动主题"}, {Key: "amount2", Label: "商品金额"}, {Key: "thing3", Label: "温馨提示"}}}}))
	_, err = b.d.SyncTemplates(t.Context(), "test", appKey, nil)
	require.NoError(t, err)
	require.Equal(t, 4, b.count(`SELECT count(*) FROM subscription WHERE long_term`), "as the account says")
	require.Equal(t, [5]int{1, 1, 0, 0, 3}, available())
}

// Counters that a sync could not bring to the end follow with the next one, though it finds the template unchanged, and without one with the
// sweep, from where they were left.
func TestSubscribe_CountersFollowALongTermTemplate_AfterAnError(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.subscribed(1, 0)
	b.exec(`INSERT INTO subscription (app_id, openid, template_id, available, accepted_at)
		SELECT $1, 'o' || n, $2, 2, now() FROM generate_series(1, 2500) n`, b.app.ID, subscribeID)
	b.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'page 2'; END $$`)
	behind := func() int {
		return b.count(`SELECT count(*) FROM subscription s JOIN template t USING (app_id, template_id) WHERE s.long_term <> t.long_term`)
	}
	turn := func(kind int) {
		b.exec(`CREATE TRIGGER refuse BEFORE UPDATE ON subscription FOR EACH ROW WHEN (NEW.id > 1500) EXECUTE FUNCTION refuse()`)
		b.account(sim.Template{ID: subscribeID, Title: "活动提醒", Type: kind, Fields: accountTemplates()[0].Fields})
		require.Equal(t, 1, b.syncTemplates().Changed)
		require.Equal(t, 1500, behind(), "the first page was kept")
		b.exec(`DROP TRIGGER refuse ON subscription`)
	}
	turn(sim.LongTerm)
	require.Equal(t, 1, b.syncTemplates().Unchanged)
	require.Zero(t, behind())
	require.Equal(t, 2500, b.count(`SELECT sum(available) FROM subscription`))
	turn(sim.OneTime)
	b.work(b.d)
	b.eventually("the sweep goes on", func() bool { return behind() == 0 })
	require.Zero(t, b.count(`SELECT count(*) FROM template WHERE realign_after IS NOT NULL`))
}

// The daemons of a role died with calls under way, others kept the events, and a daemon takes over long after: the event is still of
// the call that it is about, by either policy, and nobody is called again whose message arrived (invariants 5 and 7). An event of the time of the take-over is
// of another call.
func TestSubscribe_OfADaemonLongDead_AreWhomTheirEventsAreAbout(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"leave", "resend"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { c.ResendWait = time.Second })
			users := b.subscribed(20, 2)
			task := b.subscribeDraft(users, func(s *push.TaskSpec) { s.OnUnknown = policy })
			dead, err := b.st.InsertNode(t.Context(), "dead")
			require.NoError(t, err)
			claimed := b.lease(task.ID, dead, 2)
			b.exec(`UPDATE recipient SET called_at = called_at - interval '40 min' WHERE state = 1`)
			b.exec(`UPDATE task SET started_at = started_at - interval '41 min'`)
			long, now := time.Now().Add(-40*time.Minute), time.Now()
			require.NoError(t, b.st.InsertSentEvents(t.Context(), b.app.ID, []store.SentEvent{
				{MsgID: 1, OpenID: claimed[0].OpenID, TemplateID: subscribeID, At: long}, {MsgID: 2, OpenID: claimed[1].OpenID, TemplateID: subscribeID, At: now}}))
			b.exec(`UPDATE sent_event SET received_at = received_at - interval '1 min'`)
			b.exec(`UPDATE node SET stopped_at = now() WHERE id = $1`, dead)
			b.work(b.d)
			b.wait(task.ID, push.TaskDone)
			b.eventually("all events are looked at", func() bool { return b.count(`SELECT count(*) FROM sent_event WHERE settled_at IS NULL`) == 0 })
			require.Zero(t, b.got()[claimed[0].OpenID], "its message arrived")
			require.Equal(t, push.Sent, b.rows(task.ID)[claimed[0].UserID].State)
			if policy == "leave" {
				require.Equal(t, push.Counts{Total: 20, Sent: 19, Unknown: 1}, b.audit(task.ID).Counts)
			} else {
				require.Equal(t, push.Counts{Total: 20, Sent: 20}, b.audit(task.ID).Counts)
				require.Equal(t, 1, b.got()[claimed[1].OpenID])
			}
			b.sound(task.ID)
		})
	}
}

// A task whose last open recipient was to be sent to again in an hour, and is known to be reached by its event, is done then.
func TestSubscribe_EventOfTheLastOne_EndsTheTask(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ResendWait = time.Hour })
	users := b.subscribed(3, 2)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, AfterDelivery: true, OpenIDs: []string{openID("u1")}}}})
	task := b.subscribeDraft(users, func(s *push.TaskSpec) { s.OnUnknown = "resend" })
	b.work(b.d)
	b.send(task.ID)
	b.eventually("it is to be sent to again", func() bool {
		return b.count(`SELECT count(*) FROM chunk WHERE state = 'idle' AND pending = 1 AND not_before > now() + interval '30 min'`) == 1
	})
	require.NoError(t, b.st.InsertSentEvents(t.Context(), b.app.ID, []store.SentEvent{{MsgID: 1, OpenID: openID("u1"), TemplateID: subscribeID, At: time.Now()}}))
	b.exec(`UPDATE sent_event SET received_at = received_at - interval '1 min'`)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 3, Sent: 3}, b.audit(task.ID).Counts)
	b.once(users)
	b.sound(task.ID)
}

// Who is asked for good and refused is set aside, and is not called again for the next task; to accept once more brings it back.
func TestSubscribe_LongTerm_RefusedByThePlatform_IsSetAside(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(2, 1)
	template := subscribeTemplate()
	template.LongTerm = true
	_, err := b.d.PutTemplate(t.Context(), "test", template)
	require.NoError(t, err)
	b.sim.TurnOff(appID, subscribeID, []string{openID("u1")})
	b.work(b.d)
	run := func() push.Task {
		task := b.subscribeDraft(users, nil)
		b.send(task.ID)
		b.wait(task.ID, push.TaskDone)
		b.sound(task.ID)
		return task
	}
	require.Equal(t, push.Refused, b.rows(run().ID)["u1"].Reason)
	require.Equal(t, [4]int{1, 0, 1, 1}, b.units())
	require.Equal(t, push.NoPermit, b.rows(run().ID)["u1"].Reason, "no call is made")
	b.accept([]string{"u1"}, 1)
	require.Equal(t, push.Sent, b.rows(run().ID)["u1"].State, "it is tried again")
}

// An event about an openid that another user of the app has by now settles the recipient who had it when the call was made.
func TestSubscribe_AnEventFindsWhoHadTheOpenID(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	users := b.subscribed(20, 1)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, AfterDelivery: true, OpenIDs: []string{openID("u3")}}}})
	task := b.subscribeDraft(users, nil)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, 1, b.audit(task.ID).Counts.Unknown)
	_, err := b.d.ReportUsers(t.Context(), appKey, []dispatch.UserReport{{UserID: "heir", OpenID: openID("u3")}})
	require.NoError(t, err)
	require.NoError(t, b.st.InsertSentEvents(t.Context(), b.app.ID, []store.SentEvent{{MsgID: 1, OpenID: openID("u3"), TemplateID: subscribeID, At: time.Now()}}))
	b.exec(`UPDATE sent_event SET received_at = received_at - interval '1 min'`)
	b.eventually("it is settled", func() bool { return b.count(`SELECT count(*) FROM sent_event WHERE settled_at IS NULL`) == 0 })
	require.Equal(t, push.Counts{Total: 20, Sent: 20}, b.audit(task.ID).Counts)
	require.Equal(t, push.Sent, b.rows(task.ID)["u3"].State)
	b.sound(task.ID)
}
