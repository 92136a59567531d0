package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// sendable is a draft to three people who can be reached.
func (b *bundle) sendable(t *testing.T) push.Task {
	t.Helper()
	b.stocked(t)
	b.reachable(t, 3)
	return b.draft(t, "双十一活动", 3)
}

// What goes out is what the sender has seen: whatever was changed since the page was opened is not sent, and shown.
func TestSend_WhatWasChangedSinceThePageWasOpened_IsNotSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.reachable(t, 3)
	c := b.as(t, "approver")
	for name, tc := range map[string]struct {
		change func(t *testing.T, id int64)
		shown  string
	}{
		"another list": {func(t *testing.T, id int64) {
			_, err := b.d.UploadAudience(t.Context(), "author", id, dispatch.Upload{Body: strings.NewReader("1\n2\n"), Filename: "new.txt"})
			require.NoError(t, err)
		}, "名单共 2 个用户"},
		"another text": {func(t *testing.T, id int64) {
			_, err := b.d.ChangeTask(t.Context(), "author", id, func(s *push.TaskSpec) error { s.Topic = "会员日"; return nil })
			require.NoError(t, err)
		}, "会员日"},
		"another limit": {func(t *testing.T, id int64) {
			_, err := b.d.ChangeTask(t.Context(), "author", id, func(s *push.TaskSpec) error { s.RatePerSecond = 9; return nil })
			require.NoError(t, err)
		}, "每秒最多 9 条"},
	} {
		t.Run(name, func(t *testing.T) {
			task := b.draft(t, "双十一活动", 3)
			opened := c.opened(t, taskURL(task)+"/send", url.Values{"when": {"now"}})
			tc.change(t, task.ID)
			r := c.post(t, taskURL(task)+"/send", opened)
			require.Equal(t, http.StatusConflict, r.status, r.body)
			require.Contains(t, r.body, "内容或名单已变更")
			require.Contains(t, r.body, tc.shown, "the page shows what is now")
			after, err := b.store.Task(t.Context(), task.ID)
			require.NoError(t, err)
			require.Equal(t, push.TaskDraft, after.State)
			again := hidden(r.body)
			again.Set("when", "now")
			require.Equal(t, http.StatusSeeOther, c.post(t, taskURL(task)+"/send", again).status, "who has seen it now may send it")
		})
	}
}

func TestSend_WithoutATimeOrWithoutWhatWasSeen_SendsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, task := b.as(t, "approver"), b.sendable(t)
	r := c.sends(t, taskURL(task), nil)
	require.Equal(t, http.StatusUnprocessableEntity, r.status, "no time is not now")
	require.Contains(t, r.body, "必填")
	require.Equal(t, http.StatusConflict, c.post(t, taskURL(task)+"/send", url.Values{"when": {"now"}}).status)
	after, err := b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, push.TaskDraft, after.State)
}

func TestSend_WhatIsWrongIsSaidInTheForm_AndWhatWasTypedStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, task := b.as(t, "approver"), b.sendable(t)
	r := c.sends(t, taskURL(task), url.Values{"when": {"at"}, "at": {"2027-01-01T10:00"}, "rate_per_second": {"fast"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, `<details class="more" open>`, "an error is not folded away")
	require.Contains(t, note(t, r.body, "rate_per_second"), "必须是整数")

	// The template comes to want a field that is no more than its kind allows: what the task says no longer fits.
	b.exec(t, `UPDATE template SET fields = '[{"key":"keyword1","label":"活动主题","value":"{{topic}}{{nothing}}"}]'`)
	r = c.get(t, taskURL(task)+"/send")
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.Contains(t, r.body, "模板ID</strong> –", "in the words of the catalogue")
	require.NotContains(t, r.body, "must ")
	at := "2027-01-01T10:00:30"
	r = c.sends(t, taskURL(task), url.Values{"when": {"at"}, "at": {at}, "rate_per_second": {""}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status, r.body)
	require.Contains(t, r.body, "没有发送")
	require.Contains(t, r.body, taskURL(task)+"/edit", "there it is put right")
	require.Contains(t, r.body, `value="`+at+`"`)
}

// By the rules of HTML, Enter in a field presses the first button of its form, also one that is folded away.
func TestBrowser_EnterInTheSendForm_SendsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.sendable(t)
	p := b.tab(t)
	p.login(t, "approver")
	p.open(t, taskURL(task)+"/send")
	p.run(t, chromedp.Click("details.more > summary"), chromedp.WaitVisible("#rate_per_second"), chromedp.SetValue("#rate_per_second", "5"))
	eval[bool](t, p, `window.submitted = 0, document.querySelector("form[action$='/send']").addEventListener("submit", () => submitted++), true`)
	p.run(t, chromedp.SendKeys("#rate_per_second", kb.Enter))
	require.Zero(t, eval[int](t, p, `submitted`), "nobody was asked yet")
	p.looks(t, "send-more")
	p.run(t, chromedp.Click(".sure-box > summary"), chromedp.WaitVisible(".sure-body .btn-primary"), chromedp.Click(".sure-body .btn-primary"),
		chromedp.WaitVisible("[data-live]"))
	sent, err := b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, 5, sent.RatePerSecond)
}
