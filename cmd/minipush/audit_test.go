package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

// reading are the commands that change nothing that the audit log is about: they show, or they are the program itself.
func reading() []string {
	return []string{
		"demo", "serve", "sim", "migrate up", "migrate status", "migrate down", "config check", "config print", "health", "doctor", "completion bash", "completion zsh",
		"completion fish", "completion powershell",
		"account list", "app list", "list list", "list show", "permit stats", "schedule list", "schedule show", "suppression list", "template list", "token list",
		"task list", "task preview", "task reach", "task show", "task testers", "task watch",
	}
}

func TestCommands_EachThatChangesSomethingIsNoted(t *testing.T) {
	t.Parallel()
	var known []string
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() || cmd.Name() == "help" {
			return
		}
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		known = append(known, path)
		action := auditAction(cmd)
		require.Equal(t, slices.Contains(reading(), path), action == "", "%s: give it an action in auditActions if it changes something", path)
		if action != "" {
			require.Contains(t, push.AuditActions(), action)
		}
	}
	walk((&cli{}).rootCommand())
	for path := range auditActions() {
		require.Contains(t, known, path)
	}
}

// auditedCommands runs commands on a database of its own.
type auditedCommands struct {
	st      *store.Store
	home    string
	environ []string
	done    map[string]bool
}

// run runs a command as somebody, and returns what it printed. It may fail for what comes after its change.
func (a *auditedCommands) run(t *testing.T, user, stdin string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	run(t.Context(), args, strings.NewReader(stdin), &out, &errs, append(slices.Clip(a.environ), "USER="+user))
	return out.String() + errs.String()
}

// change runs a command that changes something, and requires its entry: who, from where, about what.
func (a *auditedCommands) change(t *testing.T, user, object, stdin string, args ...string) store.AuditEntry {
	t.Helper()
	before, err := a.st.AuditEntries(t.Context(), 0, 1000)
	require.NoError(t, err)
	said := a.run(t, user, stdin, args...)
	after, err := a.st.AuditEntries(t.Context(), 0, 1000)
	require.NoError(t, err)
	name := strings.Join(args[:2], " ")
	require.Len(t, after, len(before)+1, "%s: %s", strings.Join(args, " "), said)
	e := after[0]
	require.Equal(t, auditActions()[name], e.Action, name)
	require.Equal(t, "cli:"+user, e.Actor, name)
	require.Equal(t, store.FromCommand, e.Address, name)
	require.Equal(t, object, e.Object, name)
	a.done[name] = true
	return e
}

func (a *auditedCommands) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(a.home, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestAudit_EveryChangeByACommandIsNoted runs each command that changes something.
func TestAudit_EveryChangeByACommandIsNoted(t *testing.T) {
	t.Parallel()
	platform, err := sim.New(sim.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(platform)
	t.Cleanup(server.Close)
	url, home := storetest.URL(t), t.TempDir()
	a := &auditedCommands{st: store.New(storetest.Connect(t, url)), home: home, done: map[string]bool{}, environ: []string{
		"HOME=" + home, "MINIPUSH_DATA_DIR=" + filepath.Join(home, "data"), "MINIPUSH_DATABASE_URL=" + url,
		"MINIPUSH_SECRET_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}}
	a.ofApps(t, server.URL)
	a.ofTasks(t)
	for name := range auditActions() {
		require.True(t, a.done[name], "this test runs every command that is noted: %s", name)
	}
	entries, err := a.st.AuditEntries(t.Context(), 0, 1000)
	require.NoError(t, err)
	for _, e := range entries {
		require.NotRegexp(t, "s3cret-of-the-app|another|tokenOfThePush|9f1c2d3e4b5a", fmt.Sprint(e.Detail), "no secret and no formId is in the log")
	}
}

func (a *auditedCommands) ofApps(t *testing.T, platform string) {
	t.Helper()
	do := func(object, stdin string, args ...string) store.AuditEntry {
		t.Helper()
		return a.change(t, "ann", object, stdin, args...)
	}
	do("app:shop", "s3cret-of-the-app", "app", "add", "--key", "shop", "--appid", "wx1", "--secret-file", "-", "--base-url", platform)
	e := do("app:shop", "another", "app", "set", "--key", "shop", "--secret-file", "-", "--rate", "50", "--testers", "u1", "--approval", "on")
	require.Equal(t, "replaced", e.Detail["secret"])
	require.InDelta(t, 50, e.Detail["after"].(map[string]any)["rate_per_second"], 0)
	do("app:shop", "tokenOfThePush\n", "app", "callback", "--key", "shop", "--mode", "plain", "--secret-file", "-")
	e = do("app:shop", "", "app", "pause", "shop")
	require.NotEmpty(t, e.AppID)
	do("app:shop", "", "app", "resume", "--all")
	do("product:1989", "", "product", "set", "--app", "shop", "--code", "1989", "--title", "保温杯", "--price", "250.00")
	e = do("product:1989", "", "product", "set", "--app", "shop", "--code", "1989", "--title", "保温杯", "--price", "300.00")
	require.Equal(t, map[string]any{"before": map[string]any{"price": "250.00"}, "after": map[string]any{"price": "300.00"}}, e.Detail)
	e = do("app:shop", "", "product", "import", a.file(t, "products.csv", "code,title,price\n1990,伞,9.90\n"), "--app", "shop")
	require.Equal(t, "products.csv", e.Detail["file"], "the name of a file, and not where it lies")
	do("template:T1", "", "template", "set", a.file(t, "t1.yaml", "template_id: T1\nchannel: form_id\nname: 提醒\npage: p\nfields:\n  - {key: keyword1, label: 主题, value: \"{{topic}}\"}\n"), "--app", "shop")
	do("app:shop", "", "template", "sync", "--app", "shop")
	do("app:shop", "", "user", "import", a.file(t, "users.csv", "user_id,openid\nu1,oA1\nu2,oA2\n"), "--app", "shop")
	do("app:shop", "", "permit", "import", a.file(t, "permits.csv", "user_id,form_id,source\nu1,9f1c2d3e4b5a69788796a5b4c3d20001,4\n"), "--app", "shop")
	do("app:shop", "", "permit", "retry", "--app", "shop")
	do("app:*", "", "suppression", "add", "--app", "*", "--user-id", "u9")
	do("app:*", "", "suppression", "remove", "--app", "*", "--user-id", "u9")
	do("app:shop", "", "suppression", "import", a.file(t, "out.csv", "user_id\nu8\n"), "--app", "shop")
	e = do("token:backend", "", "token", "create", "--name", "backend", "--role", "collector", "--app", "shop")
	require.Equal(t, map[string]any{"role": "collector", "apps": []any{"shop"}}, e.Detail)
	do("token:backend", "", "token", "revoke", "backend")
	do("account:zhangsan", "", "account", "add", "--login", "zhangsan", "--role", "viewer")
	do("account:zhangsan", "", "account", "passwd", "zhangsan")
	do("account:zhangsan", "", "account", "link", "zhangsan", "--subject", "24400320", "--issuer", "https://id.example")
	do("account:zhangsan", "", "account", "unlink", "zhangsan")
	_, err := a.st.Pool().Exec(t.Context(), `INSERT INTO account_totp (account_id, secret, confirmed_at) SELECT id, 's', now() FROM account`)
	require.NoError(t, err)
	do("account:zhangsan", "", "account", "totp-remove", "zhangsan")
	do("app:shop", "", "list", "upload", "vip", a.file(t, "vip.csv", "user_id\nu1\n"), "--app", "shop")
	do("schedule:1", "", "schedule", "create", "--app", "shop", "--name", "周四", "--cron", "0 10 * * 4", "--list", "vip", "--template", "T1", "--topic", "会员日")
	a.run(t, "ann", "", "app", "set", "--key", "shop", "--approval", "off")
	e = do("schedule:1", "", "schedule", "resume", "1")
	require.Equal(t, true, e.Detail["after"].(map[string]any)["enabled"])
	do("schedule:1", "", "schedule", "pause", "1")
	do("schedule:1", "", "schedule", "delete", "1")
	a.run(t, "ann", "", "app", "set", "--key", "shop", "--approval", "on")
	do("app:shop", "", "list", "delete", "vip", "--app", "shop")
}

func (a *auditedCommands) ofTasks(t *testing.T) {
	t.Helper()
	do := func(object string, args ...string) store.AuditEntry {
		t.Helper()
		return a.change(t, "ann", object, "", args...)
	}
	do("task:1", "task", "create", "--app", "shop", "--template", "T1", "--topic", "一")
	e := do("task:1", "task", "set", "1", "--topic", "双十一")
	require.Equal(t, map[string]any{"topic": "一"}, withoutHash(e.Detail["before"]))
	e = do("task:1", "task", "audience", "1", a.file(t, "list.csv", "user_id\nu1\nu2\n"))
	require.InDelta(t, 2, e.Detail["accepted"], 0)
	do("task:1", "task", "dry-run", "1")
	do("task:1", "task", "test", "1", "--user", "u1", "--wait", "1ms")
	hash := regexp.MustCompile(`hash +([0-9a-f]{12})`).FindStringSubmatch(a.run(t, "ann", "", "task", "show", "1"))
	require.Len(t, hash, 2)
	a.change(t, "bob", "task:1", "", "task", "reject", "1", "--hash", hash[1], "--note", "错别字")
	a.change(t, "bob", "task:1", "", "task", "approve", "1", "--hash", hash[1])
	e = do("task:1", "task", "send", "1", "--in", "1h")
	require.Equal(t, "scheduled", e.Detail["after"].(map[string]any)["state"])
	do("task:1", "task", "unschedule", "1")
	_, err := a.st.Pool().Exec(t.Context(), `UPDATE form_id SET state = 0, audience_id = NULL, seq = NULL`) // whatever the test message holds
	require.NoError(t, err)
	do("task:1", "task", "send", "1")
	do("task:1", "task", "rate", "1", "7")
	do("task:1", "task", "pause", "1")
	do("task:1", "task", "resume", "1")
	do("task:1", "task", "cancel", "1", "--yes")
	do("task:1", "task", "export", "1", "-o", filepath.Join(a.home, "results.csv"))
	do("task:1", "task", "resolve", "1", "--as", "sent", "--all")
	do("task:1", "task", "clone", "1")
	do("task:1", "task", "resend", "1", "--reason", "canceled")
	drafts := a.run(t, "ann", "", "task", "list", "--state", "draft", "--output", "json")
	id := regexp.MustCompile(`"id": ?(\d+)`).FindStringSubmatch(drafts)
	require.Len(t, id, 2, drafts)
	do("task:"+id[1], "task", "delete", id[1])
}

// withoutHash is what changed but for the hash that follows it.
func withoutHash(changes any) map[string]any {
	fields, _ := changes.(map[string]any)
	delete(fields, "content_hash")
	return fields
}
