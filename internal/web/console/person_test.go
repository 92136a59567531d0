package console_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// person is somebody at a browser of their own, who knows one address and goes on from there by clicks and typing.
type person struct {
	*tab
	// clicks are those since the last look at them.
	clicks int
	// files is where what they download is kept.
	files string
}

// person logs in. The only address that is typed is that of the server.
func (b *bundle) person(t *testing.T, login string) *person {
	t.Helper()
	p := &person{tab: b.tab(t), files: t.TempDir()}
	_, err := chromedp.Call(p.ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID, DownloadPath: p.files,
	})
	require.NoError(t, err)
	p.open(t, "/")
	p.writes(t, "#login", login)
	p.writes(t, "#password", password)
	p.press(t, "登录")
	p.sees(t, "小程序推送任务配置")
	return p
}

// eventually waits for a condition of the page, which may be on its way to another one.
func (p *person) eventually(t *testing.T, what, js string) {
	t.Helper()
	end := time.Now().Add(90 * time.Second)
	for is := false; !is; {
		var err error
		if is, err = chromedp.Run(p.ctx, chromedp.Evaluate[bool](js)); err != nil {
			is = false // the page goes away
		}
		if !is && time.Now().After(end) {
			p.picture(t, "failed")
			require.Fail(t, "not on the page: "+what, p.text(t))
		}
		<-time.After(30 * time.Millisecond)
	}
}

// sees waits until all of the texts stand on the page.
func (p *person) sees(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		p.eventually(t, text, fmt.Sprintf(`document.readyState === "complete" && document.body.innerText.replace(/\s+/g, " ").includes(%q)`, text))
	}
}

// told waits until the navigation says that so many tasks wait for this person; "" is that it says nothing.
func (p *person) told(t *testing.T, count string) {
	t.Helper()
	p.eventually(t, "waits: "+count, fmt.Sprintf(`document.readyState === "complete" && (document.querySelector(".nav-row .count")?.innerText ?? "") === %q`, count))
}

// press clicks on the first link, button or label that can be seen and reads so.
func (p *person) press(t *testing.T, text string) {
	t.Helper()
	p.eventually(t, "to press: "+text, fmt.Sprintf(`(() => {
		document.querySelectorAll("[data-pressed]").forEach(e => e.removeAttribute("data-pressed"));
		const it = Array.from(document.querySelectorAll("a, button, summary, label")).find(e => e.checkVisibility() && e.innerText.replace(/\s+/g, " ").trim() === %q);
		if (it) it.setAttribute("data-pressed", "");
		return document.readyState === "complete" && !!it })()`, text))
	p.click(t, "[data-pressed]")
}

// click clicks on what a selector finds.
func (p *person) click(t *testing.T, selector string) {
	t.Helper()
	p.clicks++
	p.run(t, chromedp.Click(selector))
}

// writes types into a field, which the keyboard has reached.
func (p *person) writes(t *testing.T, selector, text string) {
	t.Helper()
	p.run(t, chromedp.SendKeys(selector, text))
}

// types goes on typing where the keyboard is.
func (p *person) types(t *testing.T, text string) {
	t.Helper()
	p.run(t, chromedp.KeyEvent(text))
}

// chooses presses the button of a file field and takes a file with these lines.
func (p *person) chooses(t *testing.T, selector, name string, lines ...string) {
	t.Helper()
	p.clicks++
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\r\n")+"\r\n"), 0o600))
	p.run(t, chromedp.SetUploadFiles(selector, []string{file}))
}

// downloads presses a link that brings a file, and reads it as CSV.
func (p *person) downloads(t *testing.T, text string) [][]string {
	t.Helper()
	p.press(t, text)
	var body []byte
	require.Eventually(t, func() bool {
		found, err := filepath.Glob(filepath.Join(p.files, "*.csv")) // one that is not whole yet is called otherwise
		if err != nil || len(found) != 1 {
			return false
		}
		body, err = os.ReadFile(found[0])
		return err == nil
	}, time.Minute, 50*time.Millisecond, "the file comes")
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(body), "\ufeff"))).ReadAll()
	require.NoError(t, err)
	return rows
}
