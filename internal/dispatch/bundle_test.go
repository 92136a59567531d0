package dispatch_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/sim"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

// bundle is one application over a database and a platform of its own.
type bundle struct {
	t    *testing.T
	st   *store.Store
	key  *seal.Key
	sim  *sim.Sim
	url  string
	app  push.App
	d    *dispatch.Dispatcher
	conf dispatch.Config
	// reports numbers the reports of subscriptions.
	reports int
}

const (
	appKey     = "health"
	appID      = "wx0123456789abcdef"
	templateID = "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0"
)

// setup makes an app with the original's template and product. change may alter the settings.
func setup(t *testing.T, change func(*dispatch.Config)) *bundle {
	t.Helper()
	return setupOn(t, sim.Config{}, change)
}

// setupOn is setup against a platform with settings of its own.
func setupOn(t *testing.T, platformConf sim.Config, change func(*dispatch.Config)) *bundle {
	t.Helper()
	platform, err := sim.New(platformConf)
	require.NoError(t, err)
	server := httptest.NewServer(platform)
	t.Cleanup(server.Close)
	key, err := seal.NewKey(seal.GenerateKey())
	require.NoError(t, err)
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	b := &bundle{t: t, st: store.New(storetest.Pool(t)), key: key, sim: platform, url: server.URL,
		conf: dispatch.Config{ChunkSize: 50, InFlight: 40, Workers: 2, Location: zone, Key: key}}
	if change != nil {
		change(&b.conf)
	}
	b.d = b.dispatcher()
	b.app, err = b.d.AddApp(t.Context(), dispatch.AppSpec{Key: appKey, AppID: appID, Secret: "s3cret", BaseURL: server.URL})
	require.NoError(t, err)
	_, err = b.d.PutProduct(t.Context(), push.Product{App: appKey, Code: "1989", Title: "健康助利测试商品1", Price: 25000, OnShelf: true})
	require.NoError(t, err)
	_, err = b.d.PutTemplate(t.Context(), "operator", originalTemplate())
	require.NoError(t, err)
	return b
}

func originalTemplate() push.Template {
	field := func(n int, label, value string) push.Field {
		return push.Field{Key: "keyword" + strconv.Itoa(n), Label: label, Value: value, Color: "#EE0000"}
	}
	return push.Template{App: appKey, TemplateID: templateID, Channel: push.ChannelFormID, Name: "活动加入成功提醒",
		Page: "pages/goods/detail/detail?backToHome=1&&goodsId={{product.code}}",
		Fields: []push.Field{field(1, "活动主题", "{{topic}}"), field(2, "活动说明", "{{caption}}"), field(3, "商品名称", "{{product.title}}"),
			field(4, "商品金额", "{{product.price}}海贝"), field(5, "温馨提示", "{{tips}}")}}
}

// dispatcher makes another process over the same tables.
func (b *bundle) dispatcher() *dispatch.Dispatcher {
	b.t.Helper()
	d, err := dispatch.New(b.conf, b.st, slog.New(slog.NewTextHandler(logWriter{b.t}, nil)))
	require.NoError(b.t, err)
	return d
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// work starts a dispatcher's workers for the rest of the test.
func (b *bundle) work(d *dispatch.Dispatcher) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(b.t, d.Start(ctx))
	b.t.Cleanup(func() {
		stop, done := context.WithTimeout(context.Background(), 15*time.Second)
		defer done()
		require.NoError(b.t, d.Stop(stop))
		cancel()
	})
}

func openID(user string) string { return "oOpenID-" + user }

// users reports n users u0…, with permits formIds each that the platform knows.
func (b *bundle) users(n, permits int) []string {
	b.t.Helper()
	ids := b.names(n)
	reports := make([]dispatch.UserReport, n)
	for i := range ids {
		reports[i] = dispatch.UserReport{UserID: ids[i], OpenID: openID(ids[i])}
	}
	_, err := b.d.ReportUsers(b.t.Context(), appKey, reports)
	require.NoError(b.t, err)
	if permits > 0 {
		b.permits(ids, permits)
	}
	return ids
}

func (b *bundle) permits(users []string, each int) {
	b.t.Helper()
	openIDs := make([]string, len(users))
	byOpenID := map[string]string{}
	for i, u := range users {
		openIDs[i] = openID(u)
		byOpenID[openIDs[i]] = u
	}
	var reports []dispatch.FormIDReport
	for _, p := range b.sim.Mint(appID, openIDs, each, 0) {
		reports = append(reports, dispatch.FormIDReport{UserID: byOpenID[p.OpenID], FormID: p.FormID, Source: 4})
	}
	got, err := b.d.ReportFormIDs(b.t.Context(), appKey, reports)
	require.NoError(b.t, err)
	require.Equal(b.t, len(reports), got.Accepted, "%+v", got.Rejected)
}

func spec() push.TaskSpec {
	return push.TaskSpec{App: appKey, TemplateID: templateID, Topic: "步数换好礼", Caption: "您的海贝可以兑换新商品啦", Tips: "点击查看详情", ProductCode: "1989"}
}

// draft makes a task for users.
func (b *bundle) draft(users []string) push.Task {
	b.t.Helper()
	t, err := b.d.CreateTask(b.t.Context(), "test", spec())
	require.NoError(b.t, err)
	if len(users) > 0 {
		b.upload(t.ID, users)
	}
	return t
}

func (b *bundle) upload(task int64, users []string) push.Audience {
	b.t.Helper()
	var body strings.Builder
	w := csv.NewWriter(&body)
	_ = w.Write([]string{"user_id"})
	for _, u := range users {
		_ = w.Write([]string{u})
	}
	w.Flush()
	a, err := b.d.UploadAudience(b.t.Context(), "test", task, dispatch.Upload{Body: io.Reader(strings.NewReader(body.String())), Filename: "list.csv"})
	require.NoError(b.t, err)
	return a
}

// wait polls until the task has one of the states.
func (b *bundle) wait(id int64, states ...push.TaskState) push.Task {
	b.t.Helper()
	var t push.Task
	require.Eventually(b.t, func() bool {
		var err error
		if t, err = b.st.Task(b.t.Context(), id); err != nil {
			return false // the last look may come when the test has ended
		}
		for _, s := range states {
			if t.State == s {
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond, "task %d is not %v", id, states)
	return t
}

// got counts the messages each openid received.
func (b *bundle) got() map[string]int {
	n := map[string]int{}
	for m := range b.sim.Ledger(sim.Filter{}) {
		n[m.OpenID]++
	}
	return n
}

// messages lists what a user received.
func (b *bundle) messages(user string) []sim.Message {
	var list []sim.Message
	for m := range b.sim.Ledger(sim.Filter{OpenID: openID(user)}) {
		list = append(list, m)
	}
	return list
}

func (b *bundle) send(task int64) {
	b.t.Helper()
	_, err := b.d.Send(b.t.Context(), "test", task, nil)
	require.NoError(b.t, err)
}

// permit reports a formId that user submitted age ago. known says whether the platform knows it.
func (b *bundle) permit(user, formID string, age time.Duration, known bool) {
	b.t.Helper()
	at := time.Now().Add(-age)
	got, err := b.d.ReportFormIDs(b.t.Context(), appKey, []dispatch.FormIDReport{{UserID: user, FormID: formID, Source: 1, SubmittedAt: &at}})
	require.NoError(b.t, err)
	require.Equal(b.t, 1, got.Accepted, "%+v", got)
	if known {
		b.sim.Preload(appID, []sim.Permit{{OpenID: openID(user), FormID: formID}})
	}
}

func (b *bundle) faults(f sim.Faults) {
	b.t.Helper()
	require.NoError(b.t, b.sim.SetFaults(f))
}

// exec runs a statement that no method offers: a hand on the tables, or a clock turned back.
func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.st.Pool().Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

// count reads one number.
func (b *bundle) count(sql string, args ...any) int {
	b.t.Helper()
	var n int
	require.NoError(b.t, b.st.Pool().QueryRow(b.t.Context(), sql, args...).Scan(&n))
	return n
}

// permits of users by formId: "available", "reserved", "used" or "invalid".
func (b *bundle) fates() map[string]string {
	b.t.Helper()
	rows, _ := b.st.Pool().Query(b.t.Context(), `SELECT form_id, (ARRAY['available', 'reserved', 'used', 'invalid'])[state + 1] FROM form_id`)
	fates := map[string]string{}
	var id, fate string
	_, err := pgx.ForEachRow(rows, []any{&id, &fate}, func() error { fates[id] = fate; return nil })
	require.NoError(b.t, err)
	return fates
}

// rows reads a task's recipients by user.
func (b *bundle) rows(task int64) map[string]push.Recipient {
	b.t.Helper()
	list, err := b.st.Recipients(b.t.Context(), task, store.RecipientFilter{After: -1, Limit: 100_000})
	require.NoError(b.t, err)
	byUser := map[string]push.Recipient{}
	for _, r := range list {
		byUser[r.UserID] = r
	}
	require.Len(b.t, byUser, len(list), "a user stands twice in the task (invariant 7)")
	return byUser
}

// audit holds the counts of a task against its rows, and its reasons against its states (invariant 8), and returns the task.
func (b *bundle) audit(task int64) push.Task {
	b.t.Helper()
	t, err := b.st.Task(b.t.Context(), task)
	require.NoError(b.t, err)
	var c push.Counts
	reasons := map[string]int{}
	into := map[push.RecipientState]*int{push.Pending: &c.Pending, push.Waiting: &c.Waiting, push.Sending: &c.Sending, push.Sent: &c.Sent,
		push.Failed: &c.Failed, push.Skipped: &c.Skipped, push.Unknown: &c.Unknown}
	for _, r := range b.rows(task) {
		c.Total++
		*into[r.State]++
		if r.Reason != push.NoReason {
			require.Equal(b.t, r.State, r.Reason.Text().State, r.Reason)
			reasons[r.Reason.String()]++
		}
	}
	require.Equal(b.t, c, t.Counts)
	shown := map[string]int{}
	for _, r := range t.Reasons {
		shown[r.Code] = r.Count
	}
	require.Equal(b.t, reasons, shown)
	return t
}

// once asks that each of users received exactly one message, and nobody else any (invariant 7).
func (b *bundle) once(users []string) {
	b.t.Helper()
	got := b.got()
	require.Len(b.t, got, len(users))
	for _, u := range users {
		require.Equal(b.t, 1, got[openID(u)], u)
	}
}

// eventually polls until ok holds.
func (b *bundle) eventually(what string, ok func() bool) {
	b.t.Helper()
	require.Eventually(b.t, ok, 25*time.Second, 5*time.Millisecond, what)
}

func refused(t *testing.T, err error, code push.RefusalCode) {
	t.Helper()
	var r *push.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, code, r.Code)
}

func invalid(t *testing.T, err error, field, rule string) {
	t.Helper()
	var found *push.InvalidError
	require.ErrorAs(t, err, &found)
	require.Equal(t, field+" "+rule, found.Field+" "+found.Rule)
}

// upload is a CSV upload of text.
func upload(text string) dispatch.Upload {
	return dispatch.Upload{Body: strings.NewReader(text), Filename: "list.csv"}
}

// names are the users that users(n, …) reports.
func (b *bundle) names(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("u%d", i)
	}
	return ids
}

// dump writes out every row of every table, the job table included, to be compared before and after.
func (b *bundle) dump() map[string]string {
	b.t.Helper()
	rows, _ := b.st.Pool().Query(b.t.Context(), `
		SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public' OR (schemaname, tablename) = ('river', 'river_job')`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	dump := map[string]string{}
	for _, table := range tables {
		var text string
		require.NoError(b.t, b.st.Pool().QueryRow(b.t.Context(),
			`SELECT coalesce(string_agg(to_jsonb(x)::text, E'\n' ORDER BY to_jsonb(x)::text), '') FROM `+table+` x`).Scan(&text))
		dump[table] = text
	}
	require.Greater(b.t, len(dump), 15)
	return dump
}
