package console_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
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
	require.Equal(t, http.StatusSeeOther, admin.post(t, "/console/apps/"+b.health.Key+"/settings", set).status)
	set.Set("testers", "1,1")
	again := admin.post(t, "/console/apps/"+b.health.Key+"/settings", set)
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
	refused := c.post(t, taskURL(task)+"/send", url.Values{"when": {"now"}})
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
