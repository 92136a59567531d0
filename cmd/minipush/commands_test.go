package main_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the golden files") //nolint:gochecknoglobals // a flag of the test binary

// commands lists every command that the help of the program names, each with its help.
func commands(t *testing.T, p program, path ...string) []string {
	t.Helper()
	text := p.run(t, append(path, "--help")...)
	all := []string{"$ minipush " + strings.Join(append(path, "--help"), " ") + "\n" + text}
	_, list, found := strings.Cut(text, "Available Commands:\n")
	if !found {
		return all
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, name := range regexp.MustCompile(`(?m)^  (\S+) `).FindAllStringSubmatch(list, -1) {
		if name[1] != "help" {
			all = append(all, commands(t, p, append(slices.Clone(path), name[1])...)...)
		}
	}
	return all
}

func TestHelp_OfEveryCommand_IsTheGoldenFile(t *testing.T) {
	t.Parallel()
	got := strings.Join(commands(t, newProgram(t)), "\n")
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
	}
	require.Equal(t, read(t, golden), got, "run: go test ./cmd/minipush -run Help -update")
}

func TestExitCodes_WrongUseIsTwo_FailureIsOne(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "MINIPUSH_HTTP_ADDR=127.0.0.1:1")
	for _, test := range []struct {
		args  []string
		code  int
		error string // a part of what is said on standard error
	}{
		{[]string{"task", "snd"}, 2, `did you mean "send" or "set"?`},
		{[]string{"tsak"}, 2, `did you mean "task"?`},
		{[]string{"task", "list", "--bogus"}, 2, "unknown flag: --bogus"},
		{[]string{"task", "create"}, 2, "give --app, --template"},
		{[]string{"app", "show"}, 2, `there is no command "show" in "minipush app". See`},
		{[]string{"task", "show", "1", "2", "3"}, 2, "3 arguments do not fit"},
		{[]string{"app", "list", "x"}, 2, "1 argument does not fit"},
		{[]string{"suppression", "add", "--app", "shop"}, 2, "give --user-id or --openid"},
		{[]string{"task", "set", "1"}, 2, "nothing to change"},
		{[]string{"task", "show"}, 2, `0 arguments do not fit "minipush task show ID`},
		{[]string{"task", "list", "--output", "xml"}, 2, "it must be table or json"},
		{[]string{"task", "send", "1", "--in", "2m", "--at", "2026-12-01 10:00"}, 2, "give only one of --in and --at"},
		{[]string{"serve", "--role", "boss"}, 2, "it must be all, web or worker"},
		{[]string{"sim", "--fault", "nonsense"}, 2, `unknown kind "nonsense"`},
		{[]string{"config", "check", "--config", "missing.yaml"}, 1, "missing.yaml"},
		{[]string{"health"}, 1, "Is it running? minipush serve"},
		{[]string{"version"}, 2, "there is no command"},
		{[]string{"task"}, 0, ""},
	} {
		code, _, stderr := p.try(t, "", test.args...)
		require.Equal(t, test.code, code, "%v: %s", test.args, stderr)
		require.Contains(t, stderr, test.error, "%v", test.args)
	}
}

func TestErrors_ForPrograms_AreJSONWithCodeAndField(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	code, stdout, stderr := s.try(t, "", "task", "create", "--app", "shop", "--template", testTemplate, "--product", "1989",
		"--topic", "十一个字的活动主题太长了", "--tips", strings.Repeat("长", 31), "--output", "json")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	var said struct {
		Errors []struct{ Code, Field, Message string }
	}
	require.NoError(t, json.Unmarshal([]byte(stderr), &said))
	require.Len(t, said.Errors, 2, "all that is wrong at once")
	require.Equal(t, "topic", said.Errors[0].Field)
	require.Equal(t, "too_long", said.Errors[0].Code)
	require.Equal(t, "tips", said.Errors[1].Field)
}

func TestServe_SchemaBehind_RefusesAndNamesTheCommand(t *testing.T) {
	t.Parallel()
	p := onDatabase(t, storetest.Empty(t))
	code, _, stderr := p.try(t, "", "serve")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "minipush migrate up")
	code, _, stderr = p.try(t, "", "task", "list")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "minipush migrate up")

	require.Contains(t, p.run(t, "migrate", "up"), "the schema is current")
	require.Zero(t, p.serve(t).stop(t))

	code, _, _ = p.try(t, "", "migrate", "down")
	require.Equal(t, 2, code, "it asks whether it is meant")
	require.Contains(t, p.run(t, "migrate", "down", "--yes"), "1 step is missing")
	code, _, stderr = p.try(t, "", "serve")
	require.Equal(t, 1, code, "one step behind is behind")
	require.Contains(t, stderr, "minipush migrate up")
}

func TestServe_WhatItNeeds_IsSaidWithTheWayOut(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port that is taken
	require.NoError(t, err)
	defer ln.Close()
	taken := ln.Addr().String()
	for name, test := range map[string]struct {
		p     program
		error string
	}{
		"port taken":           {onDatabase(t, url, "MINIPUSH_HTTP_ADDR="+taken), "the address is taken: listen on " + taken + ": bind: "},
		"no key":               {newProgram(t, "MINIPUSH_DATABASE_URL="+url), "MINIPUSH_SECRET_KEY is not set"},
		"container, no url":    {newProgram(t, "MINIPUSH_CONTAINER=1"), "Set MINIPUSH_DATABASE_URL"},
		"bad cron spec":        {onDatabase(t, url, "MINIPUSH_CRON_EXPIRE_FORM_IDS=every day"), "MINIPUSH_CRON_EXPIRE_FORM_IDS"},
		"database unreachable": {onDatabase(t, "postgres://127.0.0.1:1/none"), "minipush doctor"},
	} {
		code, _, stderr := test.p.try(t, "", "serve")
		require.Equal(t, 1, code, name)
		require.Contains(t, stderr, test.error, name)
	}
}

func TestServe_Roles_WebSendsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	web := s.serve(t, "--role", "web")
	users := s.people(t, "u", 2)
	id := s.draft(t, web, users)
	s.run(t, "task", "send", strconv.FormatInt(id, 10))
	code, _, _ := s.with("MINIPUSH_HTTP_ADDR="+strings.TrimPrefix(web.url, "http://")).try(t, "", "health")
	require.Zero(t, code)
	_, found, _ := s.try(t, "", "doctor") // the durability of a test's database is off, and it says so
	require.Regexp(t, `WARNING +workers +0 running.*minipush serve`, found)
	require.Regexp(t, `FAILED +durability`, found)
	require.Empty(t, s.received())
	worker := s.serve(t, "--role", "worker")
	s.ended(t, web, id)
	s.requireOneEach(t, users)
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, worker.url+"/readyz", "", nil, nil))
}

func TestTask_ThroughTheCommands_FromDraftToWorkbook(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	s.serve(t)
	s.people(t, "u", 3)
	var task push.Task
	made := s.run(t, "task", "create", "--app", "shop", "--template", testTemplate, "--product", "1989", "--topic", "健康助利", "--output", "json")
	require.NoError(t, json.Unmarshal([]byte(made), &task))
	require.Equal(t, "cli:tester", task.CreatedBy)
	id := strconv.FormatInt(task.ID, 10)

	code, _, stderr := s.try(t, "", "task", "send", id)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "还没有上传用户ID")
	require.Contains(t, s.feed(t, "user_id\nu0\nu1\n\"u 2\"\nu1\n", "task", "audience", id, "-", "--rejects", "rejects.csv"), "2 accepted, 1 duplicate, 1 rejected")
	require.Contains(t, read(t, filepath.Join(s.home, "rejects.csv")), "u 2")

	at := time.Now().Add(time.Hour).In(time.FixedZone("CST", 8*3600)).Format("2006-01-02 15:04")
	require.Contains(t, s.run(t, "task", "send", id, "--at", at), "is scheduled for "+at+":00", "--at is read in the configured zone")
	require.Contains(t, s.run(t, "task", "unschedule", id), "draft")
	code, _, _ = s.try(t, "", "task", "cancel", id)
	require.Equal(t, 2, code, "what cannot be undone asks for --yes")
	out := s.run(t, "task", "send", id, "--wait")
	require.Equal(t, "总发送数量=2,发送成功数量=2,发送失败数量=0\n", out, "it ends with the summary line")

	list := s.run(t, "task", "list")
	require.Regexp(t, `^序号 +任务创建时间 +模板ID +模板名称 +关联商品编码 +关联商品标题 +关联商品前台状态 +推送用户量 +任务类型 +状态 +进度\n`, list)
	require.Regexp(t, `1989 +健康助利测试商品1 +上架 +2 +指定用户发送 +done 发送完成 +100%`, list)
	require.Contains(t, s.run(t, "task", "export", id, "-o", "all.xlsx"), "2 recipients")
	require.Equal(t, "PK", read(t, filepath.Join(s.home, "all.xlsx"))[:2], "a workbook by its name")
	require.NotContains(t, s.run(t, "task", "export", id, "--state", "failed"), "u1")
	code, _, stderr = s.try(t, "", "task", "send", id)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "此任务已发送id="+id)
}

func TestToken_Create_PrintsItOnceAndOnlyTheToken(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	require.Regexp(t, `^\{"token":"mp_[\w-]{43}"\}\n$`, s.run(t, "token", "create", "--name", "n", "--role", "collector", "--app", "shop", "--output", "json"))
	require.NotContains(t, s.run(t, "token", "list"), "mp_")
	code, _, stderr := s.try(t, "", "token", "create", "--name", "n", "--role", "collector")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "revoke that one first")
	s.run(t, "token", "revoke", "n")
	code, _, _ = s.try(t, "", "token", "create", "--name", "m", "--role", "boss")
	require.Equal(t, 2, code)
}

func TestImport_BadLines_AreNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	out := s.feed(t, "\ufeffuser_id,form_id,source\n1,good,4\n2,undefined,4\n3,good,4\n4,fine,99\n", "permit", "import", "-", "--app", "shop")
	require.Contains(t, out, "1 accepted, 1 duplicate, 2 rejected")
	require.Contains(t, out, "line 3: ")
	require.Contains(t, out, "line 5: ")
	require.Contains(t, s.feed(t, "user_id,form_id,source\n7,short\n5,fit,four\n6,fine,4\n", "permit", "import", "-", "--app", "shop"),
		"formIds: 1 accepted, 0 duplicate, 2 rejected\n  line 2: 列数与表头不一致 · has another number of columns than the first row (column_count)\n  line 3: ")
	code, stdout, stderr := s.try(t, "user_id,openid\n1\n2,o 2\n", "user", "import", "-", "--app", "shop")
	require.Equal(t, 1, code, "nothing was accepted")
	require.Contains(t, stdout, "users: 0 accepted, 0 duplicate, 2 rejected")
	require.Equal(t, "minipush: no line was accepted\n", stderr)
	code, stdout, stderr = s.try(t, "user_id\nu1\n\"u2\nu3\n", "suppression", "import", "-", "--app", "shop")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "suppressions: 1 accepted", "what went before the failure")
	require.Contains(t, stderr, "line 3: a quote is not closed")
	code, _, stderr = s.try(t, "user,form_id,source\n", "permit", "import", "-", "--app", "shop")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `line 1, column 1: "user" is not a column`)
	code, stdout, stderr = s.try(t, "code,title,price\n1,甲,9.90\n2,乙,cheap\n", "product", "import", "-", "--app", "shop")
	require.Equal(t, 1, code)
	require.Equal(t, "products: 1 set\n", stdout)
	require.Contains(t, stderr, "line 3: price must be digits")
	require.Contains(t, s.feed(t, "code,title,price,on_shelf\n1,甲,9.90,上架\n2,乙,250,no\n", "product", "import", "-", "--app", "shop"), "2 set")
}

// The account's templates, a list whose rows do not all fit, and what each command says of it.
func TestTemplate_Sync_AndRowsThatDoNotFit(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	require.NoError(t, s.platform.AddTemplates("wxshop", []sim.Template{{ID: "S1", Title: "取货提醒", Type: sim.OneTime, Fields: []sim.TemplateField{{Key: "thing1", Label: "门店"}}}}))
	require.Equal(t, "1 added, 0 changed, 0 unchanged, 0 gone, 0 refused\nS1 取货提醒: added\n  without a value yet: thing1\n"+
		"next: give each field a value: minipush template set FILE --app shop\n", s.run(t, "template", "sync", "--app", "shop"))
	require.Regexp(t, `S1 +取货提醒 +subscribe +1 +no values`, s.run(t, "template", "list", "shop"))
	code, _, stderr := s.try(t, "", "task", "create", "--app", "shop", "--template", "S1", "--topic", "取货")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "minipush: --template names a template whose fields have no value yet: thing1 (门店)")
	s.feed(t, `{"template_id":"S1","channel":"subscribe","name":"取货提醒","fields":[{"key":"thing1","label":"门店","value":"{{recipient.门店}}"}]}`, "template", "set", "-", "--app", "shop")
	require.Equal(t, "0 added, 0 changed, 1 unchanged, 0 gone, 0 refused\n", s.run(t, "template", "sync", "--app", "shop"))
	s.run(t, "task", "create", "--app", "shop", "--template", "S1", "--topic", "取货")
	require.Equal(t, "task 1: 2 rows, 1 accepted, 0 duplicate, 1 rejected\n"+
		"  line 3: 字段“门店”(thing1)不能超过20个字符 · field \"门店\" (thing1) must have at most 20 characters (too_long)\n"+
		"the rejected rows and why: minipush task audience 1 --rejects FILE\n",
		s.feed(t, "user_id,门店\n1,人民广场\n2,"+strings.Repeat("长", 21)+"\n", "task", "audience", "1", "-"))
	require.NoError(t, s.platform.SetFaults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 48001, On: sim.OnTemplates}}}))
	code, _, stderr = s.try(t, "", "template", "sync", "--app", "shop")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "此接口授权")
	require.Contains(t, stderr, "(errcode 48001)")
}

// The demo has a data directory of its own, beside which nothing is touched, and can be run again and again.
func TestDemo_OnceAndAgain_EndsWithTheMix(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	for range 2 {
		out := p.run(t, "demo", "--once")
		require.Contains(t, out, "总发送数量=638,发送成功数量=560,发送失败数量=78")
		for _, row := range []string{`no_permit +30 `, `no_openid +20 `, `permit_dead +20 `, `unsure +8 `} {
			require.Regexp(t, row, out)
		}
	}
	entries, err := os.ReadDir(filepath.Join(p.home, "data"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "only the demo's own directory")
}

// The live channel ends with a mix of the same size, which the platform's signed events settle: whoever was sent to has a delivery. Its
// data lie beside those of the other channel.
func TestDemo_Subscribe_EndsWithTheMixOnceTheEventsAreIn(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	for range 2 {
		out := p.run(t, "demo", "--channel", "subscribe", "--once")
		require.Contains(t, out, "总发送数量=638,发送成功数量=560,发送失败数量=78")
		for _, row := range []string{`no_permit +30 +没有订阅次数`, `no_openid +20 `, `refused +20 `, `unsure +8 `, `delivered +560 `, `none +78 `} {
			require.Regexp(t, row, out)
		}
		require.NotContains(t, out, "failed  ")
	}
	var stock push.Stock
	demo := newProgram(t, "MINIPUSH_DATA_DIR="+filepath.Join(p.home, "data", "demo"))
	require.NoError(t, json.Unmarshal([]byte(demo.run(t, "permit", "stats", "demo", "--output", "json")), &stock))
	require.Len(t, stock.Subscriptions, 1)
	s := stock.Subscriptions[0]
	require.Equal(t, []int64{0, 16, 40, 1120, 0}, []int64{s.Available, s.Reserved, s.Suspect, s.Used, s.Users}, "of two runs: held for who is unknown, set aside for who was refused")
	code, _, _ := p.try(t, "", "demo", "--channel", "sms", "--once")
	require.Equal(t, 2, code)
}

// Without --once the demo stays up, on another port where its own is taken, and its logins open the console, the API and the job pages.
func TestDemo_StaysUp_OnAnotherPortWhereItsOwnIsTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port that is taken
	require.NoError(t, err)
	defer ln.Close()
	taken := ln.Addr().String()
	cmd := newProgram(t, "MINIPUSH_HTTP_ADDR="+taken).command(t.Context(), "demo", "--seed", "7")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said := map[string]string{}
	lines := bufio.NewScanner(stdout)
	for said["login"] == "" && lines.Scan() {
		if strings.HasPrefix(lines.Text(), taken+" is taken; ") {
			said["taken"] = lines.Text()
		}
		if _, password, found := strings.Cut(lines.Text(), "log in as demo with the password "); found {
			said["password"] = password
		}
		for _, name := range []string{"console", "API", "job pages", "login"} {
			if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
				said[name] = strings.TrimSpace(value)
			}
		}
	}
	require.NotEmpty(t, said["taken"], "it says that it picks another port")
	token := strings.TrimPrefix(said["login"], "Authorization: Bearer ")
	var list struct{ Tasks []push.Task }
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, said["API"], token, nil, &list))
	require.Equal(t, push.TaskDone, list.Tasks[0].State)
	status, _ := logIn(t, strings.TrimSuffix(said["console"], "/console/"), "demo", said["password"])
	require.Equal(t, http.StatusSeeOther, status)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, said["job pages"], nil)
	require.NoError(t, err)
	req.SetBasicAuth("anybody", token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), "Ctrl-C is how it ends")
}
