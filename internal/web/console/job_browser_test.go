package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/web"
	"minipush/internal/web/auth"
)

// platform is a simulator behind the app health_applet. While held is set, the calls that send wait for it to be closed.
type platform struct {
	*sim.Sim
	b    *bundle
	held atomic.Pointer[chan struct{}]
}

func (f *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if held := f.held.Load(); held != nil && strings.HasSuffix(r.URL.Path, "/send") {
		select {
		case <-*held:
		case <-r.Context().Done():
			return
		}
	}
	f.Sim.ServeHTTP(w, r)
}

// hold lets no message through until release.
func (f *platform) hold() (release func()) {
	held := make(chan struct{})
	f.held.Store(&held)
	return func() { close(held) }
}

// works starts the workers of the bundle against a platform, for the rest of the test.
func (b *bundle) works(t *testing.T) *platform {
	t.Helper()
	simulator, err := sim.New(sim.Config{})
	require.NoError(t, err)
	f := &platform{Sim: simulator, b: b}
	phone := httptest.NewServer(f)
	t.Cleanup(phone.Close)
	_, err = b.d.SetApp(t.Context(), dispatch.AppSpec{Key: b.health.Key, BaseURL: phone.URL, Secret: "s3cret"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	require.NoError(t, b.d.Start(ctx))
	t.Cleanup(func() {
		stop, done := context.WithTimeout(ctx, 30*time.Second)
		defer done()
		require.NoError(t, b.d.Stop(stop))
		cancel()
	})
	return f
}

func openID(user int) string { return fmt.Sprintf("oABCDEFGHIJKLMNOPQRSTU%02d", user) }

// visits has users open the mini-program, and, if they tap, give a formId each.
func (f *platform) visits(t *testing.T, tap bool, users ...int) {
	t.Helper()
	var reports []dispatch.UserReport
	var forms []dispatch.FormIDReport
	for _, user := range users {
		id := fmt.Sprint(user)
		reports = append(reports, dispatch.UserReport{UserID: id, OpenID: openID(user)})
		if tap {
			minted := f.Mint(f.b.health.AppID, []string{openID(user)}, 1, 0)
			forms = append(forms, dispatch.FormIDReport{UserID: id, FormID: minted[0].FormID, Source: 4})
		}
	}
	_, err := f.b.d.ReportUsers(t.Context(), f.b.health.Key, reports)
	require.NoError(t, err)
	if tap {
		_, err = f.b.d.ReportFormIDs(t.Context(), f.b.health.Key, forms)
		require.NoError(t, err)
	}
}

// list is a list of users 1 to n as a file has it.
func list(n int) []string {
	lines := []string{"user_id,name"}
	for i := 1; i <= n; i++ {
		lines = append(lines, fmt.Sprintf("%d,用户%d", i, i))
	}
	return lines
}

// Two people do the whole job: one writes, uploads, tests, sends, watches, downloads and sends again, the other approves. The app asks for approval;
// of twelve users the formIds of two turn out to be dead, one has none, and one is not known.
func TestBrowser_TheWholeJob_ByTwoPeople(t *testing.T) {
	t.Parallel()
	// The pages think that it is a little earlier, so that "in a minute" is soon.
	b := setupWith(t, web.Config{Now: func() time.Time { return time.Now().Add(-54 * time.Second) }})
	b.stocked(t)
	b.account(t, "second", auth.Approver, nil)
	_, err := b.d.SetAppSettings(t.Context(), "admin", b.health.Key, func(s *push.AppSettings) error {
		s.Approval, s.Testers = true, []string{"77"}
		return nil
	})
	require.NoError(t, err)
	f := b.works(t)
	f.visits(t, true, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 77)
	f.visits(t, false, 11)
	require.NoError(t, f.SetFaults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 41028, OpenIDs: []string{openID(9), openID(10)}}}}))

	first, second := b.person(t, "approver"), b.person(t, "second")
	second.told(t, "")
	first.writesTask(t)
	first.sees(t, "10 / 12", "可以触达", "没有推送机会", "引导用户在小程序中点击按钮或订阅", "用户不存在")
	first.triesOut(t, f)
	first.refusedForWantOfApproval(t)
	second.approves(t, true)
	release := f.hold()
	first.schedulesSoon(t)
	first.sees(t, "发送中", "正在发送")
	first.picture(t, "job-sending")
	release()
	first.sees(t, "总发送数量=12,发送成功数量=8,发送失败数量=4", "推送机会已失效", "没有formid", "用户不存在")
	rows := first.downloads(t, "下载 CSV")
	require.Len(t, rows, 13)
	require.Equal(t, map[string]int{"sent": 8, "failed:permit_dead": 2, "skipped:no_permit": 1, "skipped:no_user": 1}, outcomes(t, rows))

	// The others come back, and those who failed are sent to again: a task of its own, which is approved again.
	require.NoError(t, f.SetFaults(sim.Faults{}))
	f.visits(t, true, 9, 10, 11)
	first.click(t, "#reason-permit_dead")
	first.click(t, "#reason-no_permit")
	first.press(t, "重发给所选原因的用户")
	first.sees(t, "新建草稿,请核对后发送", "尚未审批", "张second (second)")
	second.approves(t, false)
	first.press(t, "核对并发送")
	first.sees(t, "任务已审批通过。", "3 / 3")
	first.press(t, "发送")
	first.press(t, "确认发送")
	first.sees(t, "总发送数量=3,发送成功数量=3,发送失败数量=0", "全部发送成功")
	require.Equal(t, 12, received(f), "a test, and each of the eleven who can be reached once")
	for _, p := range []*person{first, second} {
		require.Empty(t, eval[[]string](t, p.tab, `refused`))
	}
}

// writesTask makes a task for the app health_applet and uploads its list.
func (p *person) writesTask(t *testing.T) {
	t.Helper()
	p.press(t, "新建任务")
	p.press(t, "health_applet")
	p.sees(t, "新增任务(可以配置需要推送的任何商品)")
	p.writes(t, "#topic", "双十一活动")
	p.writes(t, "#caption", "步数兑换好礼")
	p.writes(t, "#product_code", "1989")
	p.sees(t, "健康助利测试商品1", "250")
	p.writes(t, "#tips", "点击查看详情\r") // Enter saves, and is no press of 更新
	p.sees(t, "任务 1 已保存", "还没有上传用户ID")
	p.chooses(t, "#file", "users.csv", list(12)...)
	p.press(t, "上传")
	p.sees(t, "名单已上传")
}

// triesOut sends a test to the tester, from the page of the list.
func (p *person) triesOut(t *testing.T, f *platform) {
	t.Helper()
	p.press(t, "返回任务")
	p.press(t, "测试与审批")
	p.sees(t, "尚未审批", "您创建或修改过此任务或其模板,请由另一位同事审批", "可以审批的同事", "张second (second)", "双十一活动")
	p.press(t, "发送测试")
	p.sees(t, "测试消息已发送给 77,请在手机上查看。")
	p.looks(t, "trial-author")
	require.Equal(t, 1, received(f), "nobody else got anything")
	p.press(t, "开始试运行")
	p.sees(t, "将会发送", "10 / 12", "重新试运行")
}

// refusedForWantOfApproval tries to send at once, from the page of tests.
func (p *person) refusedForWantOfApproval(t *testing.T) {
	t.Helper()
	p.press(t, "推送任务 1")
	p.sees(t, "任务内容", "尚未审批")
	p.press(t, "核对并发送")
	p.sees(t, "任务尚未审批通过:现在不能发送,可以排期", "10 / 12")
	p.press(t, "发送")
	p.press(t, "确认发送")
	p.sees(t, "任务尚未审批,请由另一位同事审批后再发送", "可以审批的同事")
	p.looks(t, "send-unapproved")
}

// approves finds what waits in the list of tasks, looks at it and approves it; inspecting that page on the way, or not.
func (p *person) approves(t *testing.T, inspecting bool) {
	t.Helper()
	p.press(t, "推送任务")
	p.told(t, "1")
	p.press(t, "待我审批 1")
	p.sees(t, "审批 ", "双十一活动")
	p.picture(t, "tasks-awaiting")
	p.press(t, "审批")
	p.sees(t, "尚未审批", "双十一活动", "编号")
	if inspecting {
		p.looks(t, "trial-approver")
	}
	p.press(t, "通过")
	p.sees(t, "已审批通过", "已通过 · second")
	p.told(t, "")
	p.picture(t, "task-approved")
}

// schedulesSoon sends the approved task in a minute, from the page that refused it.
func (p *person) schedulesSoon(t *testing.T) {
	t.Helper()
	p.press(t, "推送任务 1")
	p.sees(t, "已通过 · second")
	p.press(t, "核对并发送")
	p.sees(t, "任务已审批通过。", "10 / 12")
	p.writes(t, "#minutes", "1")
	p.press(t, "发送")
	p.press(t, "确认发送")
	p.sees(t, "已排期")
}

// received is how many messages the phones got.
func received(f *platform) int {
	n := 0
	for range f.Ledger(sim.Filter{}) {
		n++
	}
	return n
}

// outcomes counts the rows of a result by state and reason.
func outcomes(t *testing.T, rows [][]string) map[string]int {
	t.Helper()
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	require.Contains(t, column, "state")
	require.Contains(t, column, "reason")
	counts := map[string]int{}
	for _, row := range rows[1:] {
		key := row[column["state"]]
		if reason := row[column["reason"]]; reason != "" {
			key += ":" + reason
		}
		counts[key]++
	}
	return counts
}

// The original's way, from its list to "sent": new task, its form, its list of users, send. In the original's words.
func TestBrowser_TheOriginalsWay_InFewClicks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.account(t, "marketing", auth.Approver, []int32{b.health.ID})
	f := b.works(t)
	f.visits(t, true, 1, 2, 3)
	p := b.person(t, "marketing")
	p.sees(t, "新建任务")
	p.clicks = 0
	p.press(t, "新建任务")
	p.sees(t, "新增任务(可以配置需要推送的任何商品)", "模板ID", "活动加入成功提醒", "活动主题", "限10个字,小程序模板消息的活动主题", "活动说明", "限30个字,小程序模板消息的活动说明",
		"温馨提示", "限30个字,小程序模板消息的温馨提示", "模板关联前台商品编码", "限1个上架商品编码,小程序模板商品标题及金额", "更新", "指定用户发送")
	p.click(t, "#topic")
	for _, text := range []string{"双十一活动\t", "步数兑换好礼\t", "点击查看详情\t", "1989"} { // the keyboard goes from field to field
		p.types(t, text)
	}
	p.sees(t, "商品标题", "健康助利测试商品1", "商品金额", "250", "商品前台状态", "上架")
	p.press(t, "保存,下一步")
	p.sees(t, "还没有上传用户ID")
	p.chooses(t, "#file", "users.csv", list(3)...)
	p.press(t, "上传")
	p.sees(t, "名单已上传", "3 / 3")
	p.press(t, "核对并发送")
	p.sees(t, "推送用户量", "3 / 3")
	p.press(t, "发送")
	p.press(t, "确认发送")
	p.sees(t, "总发送数量=3,发送成功数量=3,发送失败数量=0", "发送完成")
	t.Logf("%d clicks", p.clicks)
	require.Less(t, p.clicks, 10)
	require.Equal(t, 3, received(f))
	p.press(t, "推送任务")
	p.sees(t, "小程序推送任务配置", "序号", "关联商品前台状态", "推送用户量", "查看", "发送完成")
}
