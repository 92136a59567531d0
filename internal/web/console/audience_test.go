package console_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// upload sends a form with a file at its end: fields are name, value, name, value….
func (c *client) upload(t *testing.T, path, filename string, file io.Reader, fields ...string) answer {
	t.Helper()
	out, in := io.Pipe()
	w := multipart.NewWriter(in)
	go func() { // as it is sent, and not built before
		for i := 0; i < len(fields); i += 2 {
			_ = w.WriteField(fields[i], fields[i+1])
		}
		part, _ := w.CreateFormFile("file", filename)
		_, _ = io.Copy(part, file)
		_ = w.Close()
		_ = in.Close()
	}()
	return c.send(t, path, w.FormDataContentType(), out)
}

// send posts a body of a type.
func (c *client) send(t *testing.T, path, contentType string, body io.Reader, change ...func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", c.b.base+path, body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", contentType)
	for _, fn := range change {
		fn(req)
	}
	resp, err := c.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(text)}
}

func TestAudience_AFileIsTaken_ItsRefusedRowsAreDownloaded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 0)
	c := b.as(t, "author")
	r := c.get(t, "/console/tasks/1/audience")
	require.Contains(t, r.body, "还没有上传用户ID")
	require.Contains(t, r.body, `enctype="multipart/form-data"`)
	r = c.upload(t, "/console/tasks/1/audience", "用户.csv", strings.NewReader("user_id,积分\n1,10\n2,20\n2,30\n,40\n"))
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	page := c.get(t, r.location).body
	for _, shown := range []string{"名单已上传", "用户.csv", "积分", "下载无效的行", "<dd>2</dd>", "<dd>1</dd>", "<dd>4</dd>"} {
		require.Contains(t, page, shown)
	}
	rejects := c.get(t, "/console/tasks/1/rejects.csv")
	require.Contains(t, rejects.header.Get("Content-Disposition"), "task-1-rejects.csv")
	require.Contains(t, rejects.body, "内容为空")
	list, err := b.store.Audience(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, b.store.AddRejects(t.Context(), list.ID, []store.Reject{
		{Line: 8, Code: "field_invalid", Value: "8", Field: "enum2", Rule: "not_listed", ZH: "只能是以下之一", EN: "must be one of"},
		{Line: 9, Code: "unknown_openid", Value: "oABCDEFGHIJKLMNOPQRSTUVWXYZ9", OpenID: true},
	}))
	rejects = c.get(t, "/console/tasks/1/rejects.csv")
	require.Contains(t, rejects.body, "8,,8,field_invalid,只能是以下之一,must be one of,enum2,not_listed\r\n", "which field, and why")
	require.Contains(t, rejects.body, "9,,oABC****XYZ9,unknown_openid,")
	require.Contains(t, b.as(t, "operator").get(t, "/console/tasks/1/rejects.csv").body, "9,,oABCDEFGHIJKLMNOPQRSTUVWXYZ9,unknown_openid,")
	entries, err := b.store.AuditEntries(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "task.audience", entries[0].Action)
	require.NotContains(t, b.as(t, "viewer").get(t, "/console/tasks/1/audience").body, `type="file"`)
}

func TestAudience_AFileOf10MB_IsStreamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 0)
	const rows = 12_000
	note := strings.Repeat("x", 900)
	file, to := io.Pipe()
	go func() {
		_, _ = fmt.Fprintln(to, "user_id,note")
		for i := range rows {
			_, _ = fmt.Fprintf(to, "%d,%s\n", i, note)
		}
		_ = to.Close()
	}()
	r := b.as(t, "author").upload(t, "/console/tasks/1/audience", "big.csv", file)
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	task, err := b.store.Task(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, rows, task.Counts.Total)
}

func TestAudience_AsksWhichColumnHoldsTheIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 0)
	c := b.as(t, "author")
	file := "name,no\nann,7\nbob,8\n"
	r := c.upload(t, "/console/tasks/1/audience", "u.csv", strings.NewReader(file))
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	for _, shown := range []string{"哪一列是用户ID?", "第 1 列", "第 2 列", "name, ann, bob", "no, 7, 8", `name="header"`} {
		require.Contains(t, r.body, shown)
	}
	r = c.upload(t, "/console/tasks/1/audience", "u.csv", strings.NewReader(file), "user_id_column", "2", "header", "1")
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	list, err := b.store.Recipients(t.Context(), 1, store.RecipientFilter{After: -1, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "7", list[0].UserID)
	require.Equal(t, []string{"ann"}, list[0].Vars)
}

func TestAudience_LeavesOutAnotherTask_AndTakesTheFirstOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 3)
	b.draft(t, "会员日", 0)
	c := b.as(t, "author")
	r := c.upload(t, "/console/tasks/2/audience", "u.txt", strings.NewReader("1\n2\n3\n4\n5\n6\n"), "exclude_task", "1", "limit", "2")
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	list, err := b.store.Recipients(t.Context(), 2, store.RecipientFilter{After: -1, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "4", list[0].UserID)
}

func TestAudience_WhatIsWrong_IsSaidAtTheForm_AndTheListStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 3)
	c := b.as(t, "author")
	for name, tc := range map[string]struct {
		filename, file string
		fields         []string
		text           string
	}{
		"no file":                    {"", "", nil, "请选择文件"},
		"an empty file":              {"u.txt", "", nil, "文件中没有数据"},
		"an old workbook":            {"u.xls", "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", nil, "旧版XLS"},
		"no good row":                {"u.txt", "a b\n", nil, "没有一个可用的用户"},
		"an unknown task":            {"u.txt", "1\n", []string{"exclude_task", "99"}, "任务不存在"},
		"a limit of nothing":         {"u.txt", "1\n", []string{"limit", "0"}, "超出允许的范围"},
		"an exclusion in words":      {"u.txt", "1\n", []string{"exclude_task", "all"}, "超出允许的范围"},
		"a column that is not there": {"u.csv", "a,1\n", []string{"user_id_column", "9"}, "找不到指定的ID列"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.upload(t, "/console/tasks/1/audience", tc.filename, strings.NewReader(tc.file), tc.fields...)
			require.Equal(t, http.StatusUnprocessableEntity, r.status, r.body)
			require.Contains(t, r.body, tc.text)
		})
	}
	task, err := b.store.Task(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, 3, task.Counts.Total)
	b.moved(t, 1, "done")
	require.Equal(t, http.StatusConflict, c.upload(t, "/console/tasks/1/audience", "u.txt", strings.NewReader("1\n")).status)
}

func TestAudience_ABodyThatIsNoForm_IsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 0)
	c := b.as(t, "author")
	path := "/console/tasks/1/audience"
	require.Equal(t, http.StatusBadRequest, c.send(t, path, "text/csv", strings.NewReader("1\n")).status)
	require.Equal(t, http.StatusUnprocessableEntity, c.send(t, path, "multipart/form-data; boundary=x", strings.NewReader("nonsense")).status, "it has no file")
	half := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"u.txt\"\r\n\r\n1\r\n2"
	require.Equal(t, http.StatusBadRequest, c.send(t, path, "multipart/form-data; boundary=x", strings.NewReader(half)).status, "it breaks off")
	var many bytes.Buffer
	w := multipart.NewWriter(&many)
	for range 30 {
		require.NoError(t, w.WriteField("a", "b"))
	}
	require.NoError(t, w.Close())
	require.Equal(t, http.StatusBadRequest, c.send(t, path, w.FormDataContentType(), &many).status)
	r := c.upload(t, path, "u.txt", strings.NewReader("1\n"), "limit", strings.Repeat("1", 5000))
	require.Equal(t, http.StatusBadRequest, r.status)
	cross := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	require.Equal(t, http.StatusForbidden, c.send(t, path, "multipart/form-data; boundary=x", strings.NewReader(half), cross).status)
	_, err := b.store.Audience(t.Context(), 1)
	require.ErrorIs(t, err, push.ErrNotFound, "no half list is in force")
}

func TestAudience_ThePagesScript_IsToldWhereToGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 0)
	c := b.as(t, "author")
	body := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"u.txt\"\r\n\r\n1\r\n--x--\r\n"
	r := c.send(t, "/console/tasks/1/audience", "multipart/form-data; boundary=x", strings.NewReader(body), func(r *http.Request) { r.Header.Set("X-Minipush-Upload", "1") })
	require.Equal(t, http.StatusNoContent, r.status, r.body)
	require.Equal(t, "/console/tasks/1/audience", r.header.Get("X-Location"))
	require.Contains(t, c.get(t, "/console/tasks/1/audience").body, "名单已上传")
}

func TestAudience_SavedListsAreUploadedTakenAndDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 0)
	c := b.as(t, "author")
	r := c.upload(t, "/console/lists/health_applet/upload", "vip.txt", strings.NewReader("1\n2\n3\na b\n"), "name", "会员 100%")
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	page := c.get(t, r.location).body
	require.Contains(t, page, "会员 100%")
	require.Contains(t, c.get(t, "/console/lists/health_applet/rejects.csv?name="+url.QueryEscape("会员 100%")).body, "含有空格")
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/lists/health_applet/rejects.csv?name=x").status)
	require.Contains(t, c.upload(t, "/console/lists/health_applet/upload", "vip.txt", strings.NewReader("1\n")).body, "必填")

	require.Contains(t, c.get(t, "/console/tasks/1/audience").body, "会员 100% (3)")
	saved, err := b.store.SavedList(t.Context(), b.health.ID, "会员 100%")
	require.NoError(t, err)
	copied := b.draft(t, "开始时复制", 0)
	require.NoError(t, b.store.SetTaskList(t.Context(), copied.ID, saved.Newest.ID))
	page = c.get(t, fmt.Sprintf("/console/tasks/%d/audience", copied.ID)).body
	require.Contains(t, page, "已保存的名单“会员 100%”第 1 版")
	require.Contains(t, page, "<strong>3</strong> 个用户")
	require.NoError(t, b.d.DeleteTask(t.Context(), copied.ID))
	r = c.post(t, "/console/tasks/1/audience/list", url.Values{"list": {"会员 100%"}, "list_limit": {"2"}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	task, err := b.store.Task(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, 2, task.Counts.Total)
	require.Contains(t, c.post(t, "/console/tasks/1/audience/list", url.Values{"list": {"x"}}).body, "名单不存在")

	require.Equal(t, http.StatusForbidden, b.as(t, "viewer").post(t, "/console/lists/health_applet/delete", url.Values{"name": {"会员 100%"}}).status)
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/lists/health_applet/delete", url.Values{"name": {"会员 100%"}}).status)
	require.Contains(t, c.get(t, "/console/lists?app=health_applet").body, "还没有保存的名单")
}

func TestAudience_GoesToAll_AndBackToAList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 3)
	c := b.as(t, "author")
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/tasks/1/audience/kind", url.Values{"audience": {"all"}}).status)
	page := c.get(t, "/console/tasks/1/audience").body
	require.Contains(t, page, "全部可推送用户发送")
	require.NotContains(t, page, `type="file"`)
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/tasks/1/audience/kind", url.Values{"audience": {"list"}}).status)
	require.Contains(t, c.get(t, "/console/tasks/1/audience").body, "还没有上传用户ID")
	require.Equal(t, http.StatusUnprocessableEntity, c.post(t, "/console/tasks/1/audience/kind", url.Values{"audience": {"x"}}).status)
}

func TestReach_SaysWhatIsLost_AndWhatHelps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 4)
	b.exec(t, `INSERT INTO app_user (app_id, user_id, openid) VALUES ($1, '1', 'o1'), ($1, '2', 'o2'), ($1, '3', NULL)`, b.health.ID)
	b.exec(t, `INSERT INTO form_id (app_id, user_id, form_id, source, submitted_at, expires_at) VALUES ($1, '1', 'f1', 4, now(), now() + interval '5 days')`, b.health.ID)
	c := b.as(t, "viewer")
	r := c.get(t, "/console/tasks/1/reach")
	require.Equal(t, http.StatusOK, r.status, r.body)
	for _, shown := range []string{"<b>1</b> / 4", "25%", "没有推送机会", "引导用户在小程序中点击按钮或订阅", "用户不存在", "没有openid", "估算", "计算时间", "Asia/Shanghai"} {
		require.Contains(t, r.body, shown)
	}
	require.NotContains(t, r.body, "超过当日推送上限", "only what is lost is spoken of")
	part := c.get(t, "/console/tasks/1/reach/panel").body
	require.Contains(t, part, "<b>1</b> / 4")
	require.NotContains(t, part, "<html")
	require.Contains(t, c.get(t, "/console/tasks/1/reach?at=2099-01-01T10:00").body, "在发送前过期")
	require.Contains(t, c.get(t, "/console/tasks/1/reach?at=soon").body, "时间不正确")
}

func TestCalendar_ShowsTasksAndRunsInTheConfiguredZone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 3)
	b.moved(t, 1, "scheduled")
	b.exec(t, `UPDATE task SET start_at = '2098-12-31T16:30:00Z' WHERE id = 1`)
	s, err := b.d.CreateSchedule(t.Context(), "author", push.ScheduleSpec{
		TaskSpec: push.TaskSpec{App: b.health.Key, TemplateID: templateID, Topic: "周报"}, Name: "每天九点和十点", Cron: "0 9,10 * * *",
	})
	require.NoError(t, err)
	_, err = b.d.ResumeSchedule(t.Context(), "approver", s.ID)
	require.NoError(t, err)
	c := b.as(t, "viewer")
	page := c.get(t, "/console/calendar?month=2099-01").body
	require.Contains(t, page, `<a class="entry" href="/console/tasks/1"><time datetime="2099-01-01T00:30:00&#43;08:00">00:30</time> 双十一活动`)
	require.GreaterOrEqual(t, strings.Count(page, "每天九点和十点"), 31, "a run a day")
	require.Contains(t, page, "起,多次")
	require.Contains(t, page, "?month=2098-12")
	require.Contains(t, page, "?month=2099-02")
	require.Equal(t, http.StatusOK, c.get(t, "/console/calendar?month=x").status)
	require.Contains(t, c.get(t, "/console/calendar?month=2001-01").body, "这个月没有已排期的任务")
}
