package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/web/auth"
)

// places are what stands in the tables, as pages name it.
type places struct {
	// tasks are the ids by state; short the drafts with a short list; all the one that goes to everybody; tests a test by its draft.
	tasks  map[string][]int64
	short  []int64
	all    int64
	tests  map[int64]int64
	drafts []int64 // those that have a test
	// schedules are those with ticks.
	schedules []int64
	// audit are cursors deep in the audit log, suppression and newest are ids.
	audit       []string
	suppression int64
	newest      int64
	static      string
}

// questions makes the questions of every GET row of the route table, and fails for a row that has none.
func (s *site) questions(ctx context.Context) (all []question, err error) {
	at, err := s.places(ctx)
	if err != nil {
		return nil, err
	}
	known := at.console()
	for pattern, list := range at.api() {
		known[pattern] = list
	}
	for _, row := range s.server.Routes() {
		if row.Method != http.MethodGet || !strings.HasPrefix(row.Pattern, s.b.opt.pages.only) || notPages()[row.Pattern] {
			continue
		}
		list, asked := known[row.Pattern]
		if !asked {
			return nil, fmt.Errorf("no question is known for GET %s: add one to questions.go", row.Pattern)
		}
		for _, q := range list {
			q.route = row
			all = append(all, q)
		}
	}
	return all, nil
}

// notPages are the rows of which no page is measured: what programs read of the process, what another library or another host serves, and the
// stream, whose cost is another one.
func notPages() map[string]bool {
	return map[string]bool{
		"/healthz": true, "/readyz": true, "/metrics": true, "/callbacks/wechat/{app}": true, "/ops/jobs/": true, "/console/tasks/{id}/events": true,
		"/console/login/oidc": true, "/console/login/oidc/callback": true,
	}
}

func (s *site) places(ctx context.Context) (at places, err error) {
	at = places{tasks: map[string][]int64{}, tests: map[int64]int64{}}
	var id int64
	var state, topic string
	rows, _ := s.db.pool.Query(ctx, `SELECT id, state, topic FROM task WHERE kind = 'push' ORDER BY id`)
	_, err = pgx.ForEachRow(rows, []any{&id, &state, &topic}, func() error {
		switch topic {
		case "短名单":
			at.short = append(at.short, id)
		case "全部":
			at.all = id
		default:
			at.tasks[state] = append(at.tasks[state], id)
		}
		at.newest = id
		return nil
	})
	if err != nil {
		return at, fmt.Errorf("list tasks: %w", err)
	}
	var of int64
	rows, _ = s.db.pool.Query(ctx, `SELECT id, test_of FROM task WHERE kind = 'test' ORDER BY id`)
	_, err = pgx.ForEachRow(rows, []any{&id, &of}, func() error {
		at.tests[of], at.drafts = id, append(at.drafts, of)
		return nil
	})
	if err != nil {
		return at, fmt.Errorf("list tests: %w", err)
	}
	rows, _ = s.db.pool.Query(ctx, `SELECT id FROM schedule ORDER BY id`)
	if at.schedules, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return at, fmt.Errorf("list schedules: %w", err)
	}
	rows, _ = s.db.pool.Query(ctx, `SELECT (extract(epoch FROM at) * 1000000)::bigint || '-' || id FROM audit_log WHERE id % ((SELECT count(*) FROM audit_log) / 5) = 1 ORDER BY id`)
	if at.audit, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return at, fmt.Errorf("list audit log: %w", err)
	}
	if err := s.db.pool.QueryRow(ctx, `SELECT max(id) / 2 FROM suppression`).Scan(&at.suppression); err != nil {
		return at, fmt.Errorf("find a suppression: %w", err)
	}
	at.static, err = s.staticFile(ctx)
	return at, err
}

// staticFile is the path of a file that pages load.
func (s *site) staticFile(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/console/login", nil)
	if err != nil {
		return "", fmt.Errorf("GET /console/login: %w", err)
	}
	resp, err := s.clients[auth.NoRole].Do(req)
	if err != nil {
		return "", fmt.Errorf("GET /console/login: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	html, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("GET /console/login: %w", err)
	}
	file := regexp.MustCompile(`/console/static/[^"]+\.css`).Find(html)
	if file == nil {
		return "", fmt.Errorf("the login page names no static file: %s", bytes.TrimSpace(html[:min(len(html), 500)]))
	}
	return string(file), nil
}

// plainly asks for a path as it stands.
func plainly(paths ...string) question { return of("", paths...) }

// of asks for paths in turn.
func of(what string, paths ...string) question {
	return question{of: what, path: func(n int) string { return paths[n%len(paths)] }}
}

// each asks for a path of each id in turn.
func each(what, format string, ids []int64) question {
	return question{of: what, path: func(n int) string { return fmt.Sprintf(format, ids[n*7%len(ids)]) }}
}

// download waits only for the beginning of the answer.
func download(q question) question { q.begins = true; return q }

func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}

const theApp = "health_applet"

// console are the questions of the pages, by their rows.
func (at places) console() map[string][]question {
	all := map[string][]question{
		"/{$}":                   {{path: func(int) string { return "/" }, redirects: true}},
		"/console/{$}":           {{path: func(int) string { return "/console/" }, redirects: true}},
		"/console/static/{file}": {plainly(at.static)},
		"/console/login":         {plainly("/console/login")},
		"/console/login/code":    {{path: func(int) string { return "/console/login/code" }, redirects: true}}, // nobody is half-way in
		"/console/totp":          {plainly("/console/totp")},
		"/console/password":      {plainly("/console/password")},
		"/console/manage":        {plainly("/console/manage")},
		"/console/calendar":      {plainly("/console/calendar"), of("another month", "/console/calendar?month=2001-01", "/console/calendar?month=2099-12")},
		"/console/lists":         {of("choice of an app", "/console/lists"), plainly("/console/lists?app=" + theApp), of("deep", "/console/lists"+query("app", theApp, "before", "会员040"))},
		"/console/lists/{app}/rejects.csv": {
			download(plainly("/console/lists/" + theApp + "/rejects.csv" + query("name", "会员001"))),
		},
		"/console/reports": reportQuestions("/console/reports"),
		"/console/permits": {plainly("/console/permits?app="+theApp, "/console/permits?app=fitness")},
		"/console/permits/stock": {
			plainly("/console/permits/stock?app="+theApp, "/console/permits/stock?app=market"),
		},
		"/console/apps": {plainly("/console/apps")}, "/console/new-app": {plainly("/console/new-app")}, "/console/apps/{app}": {plainly("/console/apps/"+theApp, "/console/apps/market")},
		"/console/templates":               {plainly("/console/templates?app=" + theApp), of("deep", "/console/templates"+query("app", theApp, "before", "T060"))},
		"/console/apps/{app}/new-template": {plainly("/console/apps/" + theApp + "/new-template")},
		"/console/apps/{app}/templates/{template_id}": {
			plainly("/console/apps/"+theApp+"/templates/T001", "/console/apps/"+theApp+"/templates/T002"),
		},
		"/console/products":                   {plainly("/console/products?app=" + theApp), of("deep", "/console/products"+query("app", theApp, "before", "4000"))},
		"/console/apps/{app}/new-product":     {plainly("/console/apps/" + theApp + "/new-product")},
		"/console/apps/{app}/products/{code}": {plainly("/console/apps/"+theApp+"/products/1001", "/console/apps/"+theApp+"/products/5999")},
		"/console/schedules":                  {plainly("/console/schedules"), of("deep", "/console/schedules?before=100")},
		"/console/schedules/{schedule}":       {each("", "/console/schedules/%d", at.schedules), at.deepTicks("/console/schedules/%d?before=")},
		"/console/accounts":                   {plainly("/console/accounts")},
		"/console/tokens":                     {plainly("/console/tokens")},
		"/console/tasks/new":                  {of("choice of an app", "/console/tasks/new"), plainly("/console/tasks/new?app=" + theApp)},
		"/console/tasks/new/preview":          {plainly("/console/tasks/new/preview" + query("app", theApp, "template_id", "T001", "topic", "新活动", "product_code", "1001"))},
		"/console/audit":                      at.auditQuestions(),
		"/console/suppressions":               at.suppressionQuestions(),
		"/console/users":                      userQuestions(),
		"/console/tasks":                      at.taskQuestions(),
	}
	for pattern, list := range at.consoleTask() {
		all[pattern] = list
	}
	return all
}

func (at places) deepTicks(format string) question {
	return question{of: "deep", path: func(n int) string {
		return fmt.Sprintf(format, at.schedules[n%len(at.schedules)]) + url.QueryEscape(fmt.Sprintf("%d x", time.Now().AddDate(0, 0, -100).UnixMicro()))
	}}
}

func reportQuestions(path string) []question {
	long := time.Now().AddDate(0, 0, -91).Format(time.DateOnly)
	list := []question{plainly(path)}
	for _, by := range []string{"day", "product", "template", "origin", "source"} {
		list = append(list, of("92 days by "+by, path+query("by", by, "from", long)))
	}
	return append(list, of("nothing", path+query("from", "2001-01-01", "to", "2001-03-01")))
}

func (at places) taskQuestions() []question {
	path := "/console/tasks"
	old := strconv.FormatInt(at.newest/4, 10)
	return []question{
		plainly(path), of("deep", path+"?before="+old, path+"?before="+strconv.FormatInt(at.newest/2, 10)),
		of("search for a part of many topics", path+query("q", "活动")), of("search for a number", path+query("q", old)),
		of("search for a product", path+query("q", "1010"), path+query("q", "助利测试商品12")), of("search without a hit", path+query("q", "没有这个"), path+query("q", "999999999")),
		of("state done", path+"?state=done"), of("a state that few have", path+"?state=paused", path+"?state=missed"), of("all days", path+query("from", "2001-01-01", "to", "2099-01-01")),
		of("no day", path+query("from", "2001-01-01", "to", "2001-02-01")),
	}
}

func (at places) auditQuestions() []question {
	path := "/console/audit"
	deep := make([]string, len(at.audit))
	for i, place := range at.audit {
		deep[i] = path + "?before=" + place
	}
	return []question{
		plainly(path), of("deep", deep...), of("an actor", path+query("actor", "person7"), path+query("actor", "person13")), of("an actor who did nothing", path+query("actor", "nobody")),
		of("an object", path+query("object", "task:17")), of("an object without changes", path+query("object", "task:999999")),
		of("actor and object", path+query("actor", "person7", "object", "task:17"), path+query("actor", "person7", "object", "nothing")),
		of("no day", path+query("from", "2001-01-01", "to", "2001-02-01")), of("all days", path+query("from", "2001-01-01", "to", "2099-01-01")),
	}
}

func (at places) suppressionQuestions() []question {
	path := "/console/suppressions"
	middle := strconv.FormatInt(at.suppression, 10)
	return []question{
		plainly(path), of("deep", path+"?before="+middle), of("of an app, deep", path+query("app", "market", "before", middle)), of("of all apps", path+query("app", "*")),
		of("search by user", path+query("q", "left1"), path+query("q", "left27")), of("search by openid", path+query("q", "oleft4"), path+query("q", "oleft40")),
		of("search without a hit", path+query("q", "nobody1"), path+query("q", "nobody2")),
	}
}

func userQuestions() []question {
	path := "/console/users"
	list := make([]string, 40)
	for i := range list {
		list[i] = path + query("app", theApp, "user_id", strconv.Itoa(10_000_001+i*37))
	}
	return []question{
		of("nobody asked for", path), plainly(list...), of("in every list", path+query("app", theApp, "user_id", "10000000")),
		of("in every list, deep", path+query("app", theApp, "user_id", "10000000", "before", "600")), of("in lists of other apps", path+query("app", "market", "user_id", "10000000")),
		of("unknown", path+query("app", theApp, "user_id", "nobody")),
	}
}

// consoleTask are the pages of one task.
func (at places) consoleTask() map[string][]question {
	path := "/console/tasks/%d"
	byState := func(suffix string, states ...string) (list []question) {
		for _, state := range states {
			list = append(list, each(state, path+suffix, at.tasks[state]))
		}
		return list
	}
	var anything []int64
	for _, ids := range at.tasks {
		anything = append(anything, ids...)
	}
	reach := append(byState("/reach", "draft", "scheduled", "done"), each("short list", path+"/reach", at.short))
	panel := append(byState("/reach/panel", "draft"), each("short list", path+"/reach/panel", at.short))
	return map[string][]question{
		"/console/tasks/{id}":          byState("", "done", "sending", "paused", "scheduled", "draft", "missed", "canceled"),
		"/console/tasks/{id}/progress": byState("/progress?phase=sending", "sending", "done"),
		"/console/tasks/{id}/audience": append(byState("/audience", "draft", "done"), each("goes to all", path+"/audience", []int64{at.all})),
		"/console/tasks/{id}/rejects.csv": {
			download(each("", path+"/rejects.csv", at.tasks["done"])),
		},
		"/console/tasks/{id}/edit":         byState("/edit", "draft", "missed"),
		"/console/tasks/{id}/edit/preview": byState("/edit/preview?topic=x&row=500", "draft"),
		"/console/tasks/{id}/reach":        reach,
		"/console/tasks/{id}/reach/panel":  panel,
		"/console/tasks/{id}/recipients":   recipientQuestions(path+"/recipients", "after", at.tasks),
		"/console/tasks/{id}/repeat":       byState("/repeat", "draft"),
		"/console/tasks/{id}/deliveries":   byState("/deliveries", "done"),
		"/console/tasks/{id}/results": {
			download(each("", path+"/results", anything)), download(each("xlsx", path+"/results?format=xlsx", at.tasks["paused"])),
			download(each("failed", path+"/results?state=failed", at.tasks["done"])),
		},
		"/console/tasks/{id}/send":  append(byState("/send", "draft", "scheduled", "missed"), each("goes to all", path+"/send", []int64{at.all})),
		"/console/tasks/{id}/trial": byState("/trial", "draft", "scheduled", "done"),
		"/console/tasks/{id}/trial/outcome": {{path: func(n int) string {
			draft := at.drafts[n%len(at.drafts)]
			return fmt.Sprintf(path+"/trial/outcome?test=%d", draft, at.tests[draft])
		}}},
	}
}

// recipientQuestions are pages of a task's recipients; cursor is the parameter that names the last row of the page before.
func recipientQuestions(path, cursor string, tasks map[string][]int64) []question {
	done, deep := tasks["done"], "&"+cursor+"=%d"
	where := func(what, query string) question { return each(what, path+query, done) }
	return []question{
		where("done", ""), each("draft", path, tasks["draft"]), each("sending", path, tasks["sending"]),
		{of: "done, deep", path: func(n int) string { return fmt.Sprintf(path+"?state="+deep, done[n%len(done)], 100+n*2000) }},
		{of: "draft, deep", path: func(n int) string {
			return fmt.Sprintf(path+"?state="+deep, tasks["draft"][n%len(tasks["draft"])], 100+n*2000)
		}},
		where("unknown", "?state=unknown"), where("sent", "?state=sent"), where("failed", "?state=failed"), where("a state that none has", "?state=waiting"),
		{of: "failed, deep", path: func(n int) string { return fmt.Sprintf(path+"?state=failed"+deep, done[n%len(done)], 100+n*2000) }},
		where("a reason", "?reason=refused"), where("a reason that few have", "?reason=capped"), where("a reason that none has", "?reason=canceled"), where("another state's reason", "?state=sent&reason=refused"),
		where("a user", "?user_id=10000000"), where("a user who is not in it", "?user_id=nobody"), where("a user and a state", "?user_id=10000000&state=failed"),
	}
}
