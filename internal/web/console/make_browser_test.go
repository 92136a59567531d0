package console_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
)

// A person writes a task, sees what does not fit while it is written, uploads a list, says which column holds the ids, and sees the reach.
func TestBrowser_NewTask_Upload_Reach(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.subscribed(t)
	b.exec(t, `INSERT INTO app_user (app_id, user_id, openid) VALUES ($1, '7', 'o7'), ($1, '8', 'o8')`, b.health.ID)
	file := filepath.Join(t.TempDir(), "users.csv")
	require.NoError(t, os.WriteFile(file, []byte("name,no\nann,7\nbob,8\ncid,9\n"), 0o600))
	p := b.tab(t)
	p.login(t, "author")
	p.open(t, "/console/tasks/new?app=health_applet")
	p.run(t, chromedp.SetValue("#template_id", "sub-1"), chromedp.SendKeys("#topic", "双十一活动"), chromedp.SendKeys("#product_code", "1989"),
		chromedp.SendKeys("#caption", strings.Repeat("长", 30)), chromedp.WaitVisible("#caption-fault span"))
	require.Contains(t, p.text(t), "30/30")
	require.Contains(t, p.text(t), "模板字段“活动说明”(thing2)不能超过20个字符")
	require.Contains(t, p.text(t), "250元")
	p.looks(t, "edit")
	p.run(t, chromedp.SetValue("#caption", "步数兑换好礼"), chromedp.Click(".form-end .btn-primary"), chromedp.WaitVisible("[data-upload]"))

	p.run(t, chromedp.SetUploadFiles("#file", []string{file}), chromedp.Click("[data-upload-go]"), chromedp.WaitVisible(".ask"))
	p.looks(t, "audience-ask")
	p.run(t, chromedp.Click(`.ask input[value="2"]`), chromedp.Click(`.ask input[name="header"][type="checkbox"]`), chromedp.Click("[data-upload-go]"),
		chromedp.WaitVisible(".reach-figure"))
	require.Contains(t, p.text(t), "名单已上传")
	require.Contains(t, p.text(t), "0 / 3")
	p.looks(t, "audience")
	p.open(t, "/console/tasks/1/edit")
	require.Contains(t, p.text(t), "用户 7")
	p.open(t, "/console/tasks/1/reach")
	p.looks(t, "reach")
	p.open(t, "/console/tasks/1")
	p.looks(t, "task-draft")
	_, err := b.d.UploadList(t.Context(), "author", b.health.Key, "会员名单", dispatch.Upload{Body: strings.NewReader("1\n2\na b\n"), Filename: "vip.txt"})
	require.NoError(t, err)
	p.open(t, "/console/lists?app=health_applet")
	p.looks(t, "lists-of-app")
}

// looks takes pictures of a page, wide, dark and as a phone has it, and holds it to the rules of every page.
func (p *tab) looks(t *testing.T, name string) {
	t.Helper()
	eval[int](t, p, `document.styleSheets[0].insertRule("* { transition: none !important }")`) // colours are looked at at once
	p.accessible(t)
	p.noSidewaysScroll(t)
	p.picture(t, name)
	eval[string](t, p, `document.documentElement.dataset.bsTheme = "dark"`)
	p.accessible(t)
	p.picture(t, name+"-dark")
	eval[string](t, p, `document.documentElement.dataset.bsTheme = "light"`)
	p.size(t, 375, 800)
	p.noSidewaysScroll(t)
	p.picture(t, name+"-phone")
	p.size(t, 1280, 800)
}
