package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// A second person approves what stands on the page, and nobody what they wrote themselves.
func TestTrial_ApprovalTakesASecondPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	admin := b.as(t, "admin")
	set := url.Values{
		"rate_per_second": {"0"}, "daily_budget": {"0"}, "ramp_from": {"0"}, "ramp_minutes": {"0"}, "daily_cap": {"0"}, "permit_source": {"client"},
		"approval": {"true"}, "testers": {"1, 2,7"},
	}
	require.Equal(t, http.StatusSeeOther, admin.saves(t, "/console/apps/"+b.health.Key+"/settings", set).status)
	set.Set("testers", "1,1")
	again := admin.saves(t, "/console/apps/"+b.health.Key+"/settings", set)
	require.Equal(t, http.StatusUnprocessableEntity, again.status, "twice the same")
	task := b.draft(t, "双十一活动", 10)
	b.reachable(t, 2)
	path := taskURL(task) + "/trial"
	c := b.as(t, "approver")
	page := c.get(t, path)
	require.Equal(t, http.StatusOK, page.status, page.body)
	for _, shown := range []string{"尚未审批", "发送测试消息", "请先用该用户的微信登录小程序", "试运行"} {
		require.Contains(t, page.body, shown)
	}
	refused := c.sends(t, taskURL(task), url.Values{"when": {"now"}})
	require.Equal(t, http.StatusConflict, refused.status)
	require.Contains(t, refused.body, "请由另一位同事在“测试与审批”页审批后再发送")

	found, err := b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	form := url.Values{"hash": {found.ContentHash}, "note": {""}}
	noted := c.post(t, path+"/reject", form)
	require.Equal(t, http.StatusUnprocessableEntity, noted.status, "without a reason nobody can mend it")
	require.Equal(t, http.StatusForbidden, b.as(t, "author").post(t, path+"/approve", form).status)
	require.Equal(t, http.StatusSeeOther, c.post(t, path+"/approve", form).status)
	require.Contains(t, c.get(t, path).body, "已通过")
	found, err = b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, push.Approved, found.Approval.State)
}

// A dry run shows what would come of the task, and changes nothing but its own result.
func TestTrial_DryRunShowsWhatWouldCome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 10)
	b.reachable(t, 4)
	c := b.as(t, "author")
	path := taskURL(task) + "/trial"
	require.Contains(t, c.get(t, path).body, "还没有测试人员")
	require.Equal(t, http.StatusSeeOther, c.post(t, path+"/dry-run", url.Values{}).status)
	page := c.get(t, path).body
	require.Contains(t, page, "<strong>4</strong> / 10")
	require.Contains(t, page, "重新试运行")
	require.Equal(t, "task.dry_run", b.audited(t)[0].Action)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM audit_log a, dry_run d WHERE a.action = 'task.dry_run' AND a.xmin <> d.xmin`), "its pages do not hold the task")
	require.Equal(t, http.StatusForbidden, b.as(t, "viewer").post(t, path+"/dry-run", url.Values{}).status)
	require.Equal(t, http.StatusNotFound, c.get(t, path+"/outcome?test=1").status, "the task itself is no test of it")
}

// Whoever may approve a task is told on every page, and its author reads who they are, and what became of it.
func TestTrial_WhoMayApproveIsTold_AndTheAuthorWho(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.account(t, "elsewhere", auth.Approver, []int32{b.other.ID})
	gone := b.account(t, "gone", auth.Approver, nil)
	b.exec(t, `UPDATE account SET disabled_at = now() WHERE id = $1`, gone.ID)
	_, err := b.d.SetAppSettings(t.Context(), "admin", b.health.Key, func(s *push.AppSettings) error { s.Approval = true; return nil })
	require.NoError(t, err)
	empty := b.draft(t, "没有名单", 0)
	require.Contains(t, b.as(t, "author").get(t, taskURL(empty)).body, "上传名单后,其他同事才能审批")
	require.NotContains(t, b.as(t, "approver").get(t, "/console/tasks").body, `class="count"`)
	task := b.draft(t, "双十一活动", 10)

	for login, told := range map[string]bool{"approver": true, "operator": true, "admin": true, "author": false, "viewer": false, "elsewhere": false} {
		page := b.as(t, login).get(t, "/console/permits").body
		require.Equal(t, told, strings.Contains(page, `<b class="count">1</b>`), login)
	}
	page := b.as(t, "approver").get(t, "/console/tasks?state=mine").body
	require.Contains(t, page, taskURL(task)+"/trial")
	require.NotContains(t, page, "没有名单")

	c := b.as(t, "author")
	page = c.get(t, taskURL(task)).body
	for _, who := range []string{"张approver (approver)", "张operator (operator)", "张admin (admin)"} {
		require.Contains(t, page, who)
	}
	for _, who := range []string{"(elsewhere)", "(gone)", "(viewer)"} {
		require.NotContains(t, page, who)
	}
	require.Equal(t, http.StatusSeeOther, b.as(t, "approver").post(t, taskURL(task)+"/trial/reject", url.Values{"hash": {task.ContentHash}, "note": {"错别字"}}).status)
	page = c.get(t, taskURL(task)).body
	for _, said := range []string{"未通过", "approver", "错别字", "修改后会重新等待审批"} {
		require.Contains(t, page, said)
	}
	require.NotContains(t, b.as(t, "admin").get(t, "/console/tasks").body, `class="count"`)
}

// A task that nobody approved in time says so, and what to do, and still waits.
func TestTrial_UnapprovedAtItsTime_IsMissedAndSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, err := b.d.SetAppSettings(t.Context(), "admin", b.health.Key, func(s *push.AppSettings) error { s.Approval = true; return nil })
	require.NoError(t, err)
	task := b.draft(t, "双十一活动", 2)
	b.reachable(t, 2)
	at := time.Now().Add(time.Hour)
	_, err = b.d.Send(t.Context(), "author", task.ID, &at)
	require.NoError(t, err)
	b.exec(t, `UPDATE task SET start_at = now() - interval '1 second' WHERE id = $1`, task.ID)
	b.works(t)
	require.Eventually(t, func() bool {
		found, err := b.store.Task(t.Context(), task.ID)
		return err == nil && found.State == push.TaskMissed
	}, time.Minute, 50*time.Millisecond)
	page := b.as(t, "approver").get(t, taskURL(task)).body
	for _, said := range []string{"已错过", "任务尚未审批,请由另一位同事审批后再发送", "审批后请重新排期", "去审批", "核对并发送", `class="count"`} {
		require.Contains(t, page, said)
	}
}
