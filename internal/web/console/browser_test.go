package console_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

func TestBrowser_LogsInSeesTheListSwitchesLanguage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 45)
	p := b.tab(t)
	p.open(t, "/console/tasks")
	require.Contains(t, p.text(t), "登录", "nobody is logged in")
	p.picture(t, "login")
	p.accessible(t)
	p.run(t, chromedp.SendKeys("#login", "admin"), chromedp.SendKeys("#password", password), chromedp.Submit("#password"), chromedp.WaitVisible(".account"))
	for _, words := range []string{"小程序推送任务配置", "序号", "任务创建时间", "模板ID", "模板名称", "关联商品编码", "关联商品标题", "关联商品前台状态", "推送用户量", "任务类型", "操作",
		"查看", "发送", "发送完成", "上架", "指定用户发送"} {
		require.Contains(t, p.text(t), words, "the original's words are kept")
	}
	p.picture(t, "tasks")
	p.accessible(t)
	rows := eval[int](t, p, `Array.from(document.querySelectorAll("tbody tr")).filter(r => r.getBoundingClientRect().bottom <= window.innerHeight).length`)
	require.Equal(t, 20, rows, "twenty tasks are on the screen")
	require.Zero(t, eval[int](t, p, `Math.round(window.scrollY)`), "without scrolling")
	require.LessOrEqual(t, eval[int](t, p, `document.querySelector(".list table").offsetWidth - document.querySelector(".list").clientWidth`), 0, "no column is cut off")
	p.noSidewaysScroll(t)
	require.Zero(t, eval[int](t, p, `performance.getEntriesByType("resource").filter(e => !e.name.startsWith(location.origin)).length`), "nothing comes from another host")

	p.run(t, chromedp.Click(`button[value="en"]`), chromedp.WaitVisible(`button[value="zh-CN"]`))
	require.Contains(t, p.text(t), "Push tasks")
	p.picture(t, "tasks-en")
	for _, width := range []int64{1280, 1200, 1000, 768} { // the header is at its widest in English
		p.size(t, width, 800)
		p.noSidewaysScroll(t)
	}
	p.size(t, 1280, 800)

	p.run(t, chromedp.Click(`button[value="zh-CN"]`), chromedp.WaitVisible(`button[value="en"]`))
	p.size(t, 375, 800)
	p.open(t, "/console/tasks")
	p.noSidewaysScroll(t)
	p.picture(t, "tasks-phone")
}

func TestBrowser_FirstPageIsSmallAndStandsStill(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 25)
	p := b.tab(t)
	p.login(t, "operator")
	shift := 1.0
	for range 3 { // a busy machine may bring the page in two pieces
		p.open(t, "/console/tasks")
		shift = min(shift, eval[float64](t, p, `new Promise(done => { let sum = 0; const o = new PerformanceObserver(l => l.getEntries().forEach(e => sum += e.value));
			o.observe({type: "layout-shift", buffered: true}); requestAnimationFrame(() => requestAnimationFrame(() => done(sum))) })`))
	}
	require.Zero(t, shift, "nothing moves after it is drawn")
	size := eval[int](t, p, `performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).reduce((n, e) => n + e.encodedBodySize, 0)`)
	t.Logf("the first page is %d bytes compressed", size)
	require.Less(t, size, 150<<10)
}

func TestBrowser_EveryPageOfTheNav_IsAccessibleAndFits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.many(t, 25)
	b.complete(t)
	p := b.tab(t)
	p.login(t, "admin")
	p.open(t, "/console/tasks")
	paths := eval[[]string](t, p, `Array.from(document.querySelectorAll(".nav-row a")).map(a => a.getAttribute("href"))`)
	paths = append(paths, "/console/password", "/console/nowhere", "/console/tasks/1", "/console/tasks/2", "/console/tasks/1/recipients", "/console/apps/health_applet")
	for _, path := range paths {
		if !strings.HasPrefix(path, "/console/") {
			continue
		}
		name := strings.Trim(strings.ReplaceAll(strings.TrimPrefix(path, "/console/"), "/", "-"), "-")
		p.inspect(t, path, name)
	}
}

// many makes n tasks in all states, the list of each with some users.
func (b *bundle) many(t *testing.T, n int) {
	t.Helper()
	first := b.draft(t, "双十一活动", 638)
	b.moved(t, first.ID, "done")
	b.exec(t, `INSERT INTO chunk (task_id, no, lo, hi, state, pending, sent, failed, skipped, unknown, reasons)
		VALUES ($1, 0, 0, 638, 'done', 0, 560, 20, 50, 8, '{"1": 20, "3": 30, "10": 20, "14": 8}')`, first.ID)
	second := b.draft(t, "会员日", 12345)
	b.moved(t, second.ID, "sending")
	b.exec(t, `INSERT INTO chunk (task_id, no, lo, hi, state, pending, sending, sent) VALUES ($1, 0, 0, 12345, 'queued', 8000, 345, 4000)`, second.ID)
	topics := []string{"健康步数兑换", "周末限时活动", "新品上架提醒", "会员日"}
	for i := 2; i < n; i++ {
		size := i%4*100 + 1
		task := b.draft(t, topics[i%len(topics)], size)
		switch {
		case i%5 == 0:
			b.moved(t, task.ID, "scheduled")
		case i%3 == 0:
			b.moved(t, task.ID, "done")
			b.exec(t, `INSERT INTO chunk (task_id, no, lo, hi, state, pending, sent, skipped) VALUES ($1, 0, 0, $2, 'done', 0, $2::int - 1, 1)`, task.ID, size)
		}
	}
}

// moved puts a task into a state without anything being sent.
func (b *bundle) moved(t *testing.T, id int64, state string) {
	t.Helper()
	b.exec(t, `
		UPDATE task t SET state = $2, template_name = p.name, template_fields = p.fields, template_page = p.page, channel = p.channel, sent_by = 'approver',
		       start_at = CASE WHEN $2 = 'scheduled' THEN now() + interval '1 day' END, started_at = CASE WHEN $2 <> 'scheduled' THEN now() END,
		       ended_at = CASE WHEN $2 = 'done' THEN now() END,
		       planned_at = CASE WHEN $2 <> 'scheduled' THEN now() END, chunk_size = 1000, chunk_count = 1
		  FROM template p WHERE t.id = $1 AND p.app_id = t.app_id AND p.template_id = t.template_id`, id, state)
}
