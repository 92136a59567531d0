package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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

// bundle is a server on a database of its own with two apps. Nothing works its jobs.
type bundle struct {
	pool   *pgxpool.Pool
	store  *store.Store
	d      *dispatch.Dispatcher
	server *web.Server
	log    *logged
	health push.App // the app of the tests
	other  push.App
	tokens map[auth.Role]string // of all apps
	// othersToken is an admin's that is limited to the other app.
	othersToken string
}

// logged is what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func shanghai(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	return loc
}

func setup(t *testing.T) *bundle { t.Helper(); return setupWith(t, web.Config{}) }

func setupWith(t *testing.T, cfg web.Config) *bundle {
	t.Helper()
	ctx := t.Context()
	b := &bundle{pool: storetest.Pool(t), log: &logged{}, tokens: map[auth.Role]string{}}
	b.store = store.New(b.pool)
	log := slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	key, err := seal.NewKey(seal.GenerateKey())
	require.NoError(t, err)
	b.d, err = dispatch.New(dispatch.Config{Location: shanghai(t), Key: key}, b.store, log)
	require.NoError(t, err)
	b.health, err = b.d.AddApp(ctx, dispatch.AppSpec{Key: "health", AppID: "wx1", Secret: "s3cret"})
	require.NoError(t, err)
	b.other, err = b.d.AddApp(ctx, dispatch.AppSpec{Key: "other", AppID: "wx2", Secret: "s3cret"})
	require.NoError(t, err)
	for _, role := range auth.Roles() {
		b.tokens[role] = b.token(t, role.String(), role, nil)
	}
	b.othersToken = b.token(t, "others", auth.Admin, []int32{b.other.ID})

	cfg.Addr, cfg.Location = "127.0.0.1:0", shanghai(t)
	b.server, err = web.New(cfg, b.d, b.store, log)
	require.NoError(t, err)
	serve(t, b.server)
	return b
}

// serve runs a server until the test ends, and requires a clean stop.
func serve(t *testing.T, server *web.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (b *bundle) token(t *testing.T, name string, role auth.Role, apps []int32) string {
	t.Helper()
	plain, hash := auth.NewToken()
	_, err := b.store.InsertAPIToken(t.Context(), store.APIToken{Name: name, Role: role.String(), AppIDs: apps, CreatedBy: "test"}, hash)
	require.NoError(t, err)
	return plain
}

// login makes an account that is logged in, and returns the value of its cookie.
func (b *bundle) login(t *testing.T, login string, role auth.Role, apps []int32) string {
	t.Helper()
	a, err := b.store.InsertAccount(t.Context(), store.Account{Login: login, Name: login, Role: role.String(), AppIDs: apps, PasswordHash: "none", CreatedBy: "test"})
	require.NoError(t, err)
	value, err := auth.NewSessions(auth.SessionConfig{}, b.store, discard()).Open(t.Context(), a)
	require.NoError(t, err)
	return value
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

// json reads the answer into v.
func (r reply) json(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.body), v), r.body)
}

// code is the code of a problem.
func (r reply) code(t *testing.T) string {
	t.Helper()
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"), r.body)
	var p struct {
		Code   string `json:"code"`
		Status int    `json:"status"`
	}
	r.json(t, &p)
	require.Equal(t, r.status, p.Status)
	return p.Code
}

// request changes a request before it is sent.
type request func(*http.Request)

func header(name, value string) request { return func(r *http.Request) { r.Header.Set(name, value) } }

func basic(token string) request {
	return func(r *http.Request) { r.Header.Del("Authorization"); r.SetBasicAuth("me", token) }
}

// asIs makes calls and does not follow redirects.
var asIs = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} //nolint:gochecknoglobals // a constant

// call makes a call with a token; an empty one sends none.
func (b *bundle) call(t *testing.T, token, method, path, body string, change ...request) reply {
	t.Helper()
	return call(t, b.server.Addr(), token, method, path, body, change...)
}

func call(t *testing.T, addr, token, method, path, body string, change ...request) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, c := range change {
		c(req)
	}
	resp, err := asIs.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// admin makes a call that must be answered with status, as admin, and returns the answer.
func (b *bundle) admin(t *testing.T, status int, method, path, body string, change ...request) reply {
	t.Helper()
	r := b.call(t, b.tokens[auth.Admin], method, path, body, change...)
	require.Equal(t, status, r.status, "%s %s: %s", method, path, r.body)
	return r
}

const (
	templateJSON = `{"name":"活动加入成功提醒","channel":"form_id","page":"pages/goods/detail/detail?backToHome=1&&goodsId={{product.code}}","fields":[
		{"key":"keyword1","label":"活动主题","value":"{{topic}}","color":"#EE0000"},
		{"key":"keyword2","label":"商品金额","value":"{{product.price}}海贝","color":"#EE0000"}]}`
	taskJSON = `{"app":"health","template_id":"T1","topic":"双十一","caption":"c","tips":"t","product_code":"1989"}`
)

// stocked puts a product, a template, three users and two formIds into the app: 1 and 2 can be reached, 3 has no permit.
func (b *bundle) stocked(t *testing.T) {
	t.Helper()
	b.admin(t, 200, "PUT", "/api/v1/apps/health/products/1989", `{"title":"保温杯","price":"250.00","on_shelf":true}`)
	b.admin(t, 200, "PUT", "/api/v1/apps/health/templates/T1", templateJSON)
	b.admin(t, 200, "POST", "/api/v1/apps/health/users", `{"users":[{"user_id":"1","openid":"oAa1"},{"user_id":"2","openid":"oBb2"},{"user_id":"3","openid":"oCc3"}]}`)
	b.admin(t, 200, "POST", "/api/v1/apps/health/form-ids", fmt.Sprintf(
		`{"form_ids":[{"user_id":"1","form_id":%q,"source":4},{"user_id":"2","form_id":%q,"source":1}]}`, formID(1), formID(2)))
}

// formID makes a formId of the form that the platform gives out.
func formID(n int) string { return fmt.Sprintf("9f1c2d3e4b5a69788796a5b4c3d2%04x", n) }

// draft makes a draft with a list of the users given, one a line.
func (b *bundle) draft(t *testing.T, lines ...string) (id int64, path string) {
	t.Helper()
	var task push.Task
	b.admin(t, 201, "POST", "/api/v1/tasks", taskJSON).json(t, &task)
	path = fmt.Sprintf("/api/v1/tasks/%d", task.ID)
	if len(lines) > 0 {
		b.admin(t, 200, "PUT", path+"/audience?filename=list.csv", strings.Join(lines, "\n")+"\n", header("Content-Type", "text/csv"))
	}
	return task.ID, path
}

// dump is everything that the tables hold, row by row, but for what every call may leave: the last use of a token or a session, counted
// attempts to log in, and versions of lists that were given up; and but for when the daemon last swept.
func (b *bundle) dump(t *testing.T) map[string][]string {
	t.Helper()
	ctx := t.Context()
	rows, _ := b.pool.Query(ctx, `
		SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
		 WHERE schemaname = 'public' OR (schemaname, tablename) = ('river', 'river_job') ORDER BY 1`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, tables, "public.task")
	all := map[string][]string{}
	for _, table := range tables {
		where := "true"
		switch table {
		case "public.audience":
			where = `state <> 'dropped'`
		case "public.login_attempt", "public.sweeper":
			where = `false`
		case "public.recipient", "public.audience_reject":
			where = `audience_id NOT IN (SELECT id FROM audience WHERE state = 'dropped')`
		}
		rows, _ := b.pool.Query(ctx, `SELECT (to_jsonb(x) - 'last_used_at')::text FROM `+table+` x WHERE `+where+` ORDER BY 1`)
		all[table], err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
	}
	return all
}

// refused requires that a call is refused with a status and a code, and that it changes nothing.
func (b *bundle) refused(t *testing.T, status int, code string, make func() reply) reply {
	t.Helper()
	before := b.dump(t)
	r := make()
	require.Equal(t, status, r.status, r.body)
	require.Equal(t, code, r.code(t))
	require.Equal(t, before, b.dump(t), "a refused call changes nothing")
	return r
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// pipe is a body that is written bit by bit; an empty text ends it.
func pipe() (io.Reader, func(text string)) {
	r, w := io.Pipe()
	return r, func(text string) {
		if text == "" {
			_ = w.Close()
			return
		}
		_, _ = io.WriteString(w, text)
	}
}
