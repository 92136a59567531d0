package console_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
	"minipush/internal/web"
	"minipush/internal/web/auth"
)

// password is that of every account of the tests.
const password = "correct horse battery"

// passwordHash is made once: it takes time.
var passwordHash = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // made once
	return auth.HashPassword(context.Background(), password)
})

// bundle is a server on a database of its own with two apps and an account of each role, whose login is the role's name. Nothing works its jobs.
type bundle struct {
	pool   *pgxpool.Pool
	store  *store.Store
	d      *dispatch.Dispatcher
	server *web.Server
	base   string
	health push.App
	other  push.App
	// stop stops the server, and returns once it has.
	stop func()
}

func setup(t *testing.T) *bundle { t.Helper(); return setupWith(t, web.Config{}) }

func setupWith(t *testing.T, cfg web.Config) *bundle {
	t.Helper()
	return setupOn(t, cfg, storetest.Pool(t))
}

// setupOn is setupWith over a pool of the caller's.
func setupOn(t *testing.T, cfg web.Config, pool *pgxpool.Pool) *bundle {
	t.Helper()
	ctx := t.Context()
	b := &bundle{pool: pool}
	b.store = store.New(b.pool)
	log := slog.New(slog.DiscardHandler)
	key, err := seal.NewKey(seal.GenerateKey())
	require.NoError(t, err)
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	b.d, err = dispatch.New(dispatch.Config{Location: zone, Key: key}, b.store, log)
	require.NoError(t, err)
	b.health, err = b.d.AddApp(ctx, dispatch.AppSpec{Key: "health_applet", AppID: "wx1", Secret: "s3cret"})
	require.NoError(t, err)
	b.other, err = b.d.AddApp(ctx, dispatch.AppSpec{Key: "other", AppID: "wx2", Secret: "s3cret"})
	require.NoError(t, err)
	for _, role := range auth.AccountRoles() {
		b.account(t, role.String(), role, nil)
	}
	cfg.Addr, cfg.Location = "127.0.0.1:0", zone
	b.server, err = web.New(cfg, b.d, b.store, log)
	require.NoError(t, err)
	b.base = "http://" + b.server.Addr()
	serving, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- b.server.Serve(serving) }()
	b.stop = sync.OnceFunc(func() {
		hangUp()
		require.NoError(t, <-done)
	})
	t.Cleanup(b.stop)
	return b
}

func (b *bundle) account(t *testing.T, login string, role auth.Role, apps []int32) store.Account {
	t.Helper()
	hash, err := passwordHash()
	require.NoError(t, err)
	a, err := b.store.InsertAccount(t.Context(), store.Account{Login: login, Name: "张" + login, Role: role.String(), AppIDs: apps, PasswordHash: hash, CreatedBy: "test"})
	require.NoError(t, err)
	return a
}

// stocked puts the original's product and template into the app health_applet.
func (b *bundle) stocked(t *testing.T) {
	t.Helper()
	_, err := b.d.PutProduct(t.Context(), push.Product{App: b.health.Key, Code: "1989", Title: "健康助利测试商品1", Price: 25000, OnShelf: true})
	require.NoError(t, err)
	_, err = b.d.PutTemplate(t.Context(), "operator", push.Template{
		App: b.health.Key, TemplateID: "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0", Name: "活动加入成功提醒", Channel: push.ChannelFormID, Page: "pages/goods/detail/detail",
		Fields: []push.Field{{Key: "keyword1", Label: "活动主题", Value: "{{topic}}"}},
	})
	require.NoError(t, err)
}

// draft makes a draft like the original's, with a list of n users.
func (b *bundle) draft(t *testing.T, topic string, n int) push.Task {
	t.Helper()
	task, err := b.d.CreateTask(t.Context(), "author", push.TaskSpec{
		App: b.health.Key, TemplateID: "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0", Topic: topic, Caption: "步数兑换好礼", Tips: "点击查看详情", ProductCode: "1989",
	})
	require.NoError(t, err)
	if n == 0 {
		return task
	}
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "%d\n", i+1)
	}
	_, err = b.d.UploadAudience(t.Context(), "author", task.ID, dispatch.Upload{Body: strings.NewReader(list.String()), Filename: "users.txt"})
	require.NoError(t, err)
	task, err = b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	return task
}

// count is the number that a statement finds.
func (b *bundle) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// exec changes rows as no call would.
func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// client is a browser without JavaScript: it keeps cookies and does not follow redirects by itself.
type client struct {
	b    *bundle
	http *http.Client
}

func (b *bundle) client(t *testing.T) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &client{b: b, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as is a client that is logged in.
func (b *bundle) as(t *testing.T, login string) *client {
	t.Helper()
	c := b.client(t)
	r := c.post(t, "/console/login", url.Values{"login": {login}, "password": {password}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	return c
}

// answer is an answer that was read.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (c *client) get(t *testing.T, path string) answer { t.Helper(); return c.do(t, "GET", path, nil) }

func (c *client) post(t *testing.T, path string, form url.Values) answer {
	t.Helper()
	return c.do(t, "POST", path, form)
}

func (c *client) do(t *testing.T, method, path string, form url.Values, change ...func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.b.base+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil || method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, fn := range change {
		fn(req)
	}
	resp, err := c.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(body)}
}
