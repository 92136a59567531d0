package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

func TestTasks_ShowTheOriginalsColumns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 1234)
	r := b.as(t, "viewer").get(t, "/console/tasks")
	require.Equal(t, http.StatusOK, r.status)
	for _, want := range []string{
		fmt.Sprintf(`class="n">%d<`, task.ID), "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0", "活动加入成功提醒", "1989", "健康助利测试商品1", "上架", "1,234", "指定用户发送", "查看", "未发送",
	} {
		require.Contains(t, r.body, want)
	}
	require.NotContains(t, r.body, "#send", "a viewer sends nothing")
	require.Contains(t, b.as(t, "approver").get(t, "/console/tasks").body, "#send")
}

func TestTasks_AreSearchedFilteredAndPaged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	first := b.draft(t, "双十一活动", 0)
	for range 22 {
		b.draft(t, "会员日", 0)
	}
	b.moved(t, first.ID, "done")
	c := b.as(t, "viewer")
	rows := func(path string) int { return strings.Count(c.get(t, path).body, `class="actions"`) }
	require.Equal(t, 20, rows("/console/tasks"))
	require.Equal(t, 1, rows("/console/tasks?q="+url.QueryEscape("十一")))
	require.Equal(t, 1, rows(fmt.Sprintf("/console/tasks?q=%d", first.ID)))
	require.Equal(t, 20, rows("/console/tasks?q=1989"), "by the product's code")
	require.Equal(t, 0, rows("/console/tasks?q="+url.QueryEscape(`%' OR 1=1 --`)))
	require.Equal(t, 1, rows("/console/tasks?state=done"))
	require.Equal(t, 20, rows("/console/tasks?from=2020-01-01"))
	require.Equal(t, 0, rows("/console/tasks?to=2020-01-01"))
	require.Contains(t, c.get(t, "/console/tasks?from=x").body, "时间不正确")

	page := c.get(t, "/console/tasks?q=1989").body
	_, next, found := strings.Cut(page, `rel="next" href="`)
	require.True(t, found)
	next, _, _ = strings.Cut(next, `"`)
	require.Equal(t, 3, rows(strings.ReplaceAll(next, "&amp;", "&")))
}

func TestTasks_OfAppsThatTheAccountDoesNotSee_AreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 1)
	b.account(t, "others", auth.Admin, []int32{b.other.ID})
	c := b.as(t, "others")
	require.NotContains(t, c.get(t, "/console/tasks").body, "双十一活动")
	require.NotContains(t, c.get(t, "/console/tasks").body, "health_applet")
	require.Equal(t, http.StatusNotFound, c.get(t, fmt.Sprintf("/console/tasks/%d", task.ID)).status)
	require.Equal(t, http.StatusNotFound, c.post(t, fmt.Sprintf("/console/tasks/%d/cancel", task.ID), nil).status)
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/preference", url.Values{"app": {"health_applet"}}).status)
	require.NotContains(t, c.get(t, "/console/tasks").body, "双十一活动", "nor when it is chosen")
}

func TestTask_ShowsItsReasonsAndItsButtons(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 2)
	viewer, operator := b.as(t, "viewer"), b.as(t, "operator")
	done := operator.get(t, "/console/tasks/1").body
	for _, want := range []string{"总发送数量=638,发送成功数量=560,发送失败数量=78", "没有formid", "推送机会已失效", "结果未知", "用户不存在或者openid不存在"} {
		require.Contains(t, done, want)
	}
	require.NotContains(t, done, "/console/tasks/1/pause")
	require.Contains(t, operator.get(t, "/console/tasks/2").body, "/console/tasks/2/pause")
	require.NotContains(t, viewer.get(t, "/console/tasks/2").body, "/console/tasks/2/pause")
	require.Equal(t, http.StatusForbidden, viewer.post(t, "/console/tasks/2/pause", nil).status)
}

func TestTask_IsPausedResumedAndCanceled_AndTheAuditLogSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	id := b.draft(t, "会员日", 50).ID
	b.moved(t, id, "sending")
	b.exec(t, `INSERT INTO chunk (task_id, no, lo, hi, pending) VALUES ($1, 0, 0, 50, 50)`, id)
	path := fmt.Sprintf("/console/tasks/%d", id)
	c := b.as(t, "operator")
	r := c.post(t, path+"/pause", nil)
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	require.Equal(t, path, r.location)
	said := fmt.Sprintf("任务 %d 已暂停", id)
	require.Contains(t, c.get(t, path).body, said)
	require.NotContains(t, c.get(t, path).body, said, "it is said once")
	require.Contains(t, c.get(t, path).body, "人工暂停")
	require.Equal(t, http.StatusSeeOther, c.post(t, path+"/resume", nil).status)
	require.Equal(t, http.StatusSeeOther, c.post(t, path+"/cancel", nil).status)
	r = c.post(t, path+"/resume", nil)
	require.Equal(t, http.StatusConflict, r.status, "a canceled task does not go on")
	require.Contains(t, r.body, "没有任何内容被修改")

	task, err := b.store.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, push.TaskCanceled, task.State)
	entries, err := b.store.AuditEntries(t.Context(), 0, 10)
	require.NoError(t, err)
	var actions []string
	for _, e := range entries {
		require.Equal(t, []string{"operator", fmt.Sprintf("task:%d", id)}, []string{e.Actor, e.Object})
		actions = append(actions, e.Action)
	}
	require.Equal(t, []string{"task.cancel", "task.resume", "task.pause"}, actions, "what was refused is not there")
}

func TestSend_WithoutAList_IsRefusedInTheOriginalsWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 0)
	r := b.as(t, "approver").sends(t, taskURL(task), url.Values{"when": {"now"}})
	require.Equal(t, http.StatusConflict, r.status)
	require.Contains(t, r.body, "还没有上传用户ID")
}
