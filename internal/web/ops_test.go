package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web"
	"minipush/internal/web/auth"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.JSONEq(t, `{"status":"ok"}`, b.call(t, "", "GET", "/healthz", "").body)
	require.JSONEq(t, `{"status":"ready"}`, b.call(t, "", "GET", "/readyz", "").body)

	t.Run("WithoutPostgresItIsAliveAndNotReady", func(t *testing.T) {
		b.pool.Close()
		require.Equal(t, 200, b.call(t, "", "GET", "/healthz", "").status)
		r := b.call(t, "", "GET", "/readyz", "")
		require.Equal(t, 503, r.status)
		require.Contains(t, r.body, "postgres does not answer")
		require.Equal(t, 500, b.call(t, b.tokens[auth.Viewer], "GET", "/api/v1/tasks", "").status)
		require.Contains(t, b.call(t, "", "GET", "/metrics", "").body, `minipush_tables_up{part="recipients"} 0`)
	})
}

func TestReady_SaysNoOnASchemaThatIsBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.pool.Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	require.NoError(t, err)
	r := b.call(t, "", "GET", "/readyz", "")
	require.Equal(t, 503, r.status)
	require.Contains(t, r.body, "minipush migrate up")
}

func TestOpsAddr_BindsHealthAndMetricsApart(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{OpsAddr: "127.0.0.1:0"})
	require.NotEqual(t, b.server.Addr(), b.server.OpsAddr())
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		require.Equal(t, 404, b.call(t, "", "GET", path, "").status, path)
		require.Equal(t, 200, call(t, b.server.OpsAddr(), "", "GET", path, "").status, path)
	}
	require.Equal(t, 404, call(t, b.server.OpsAddr(), b.tokens[auth.Admin], "GET", "/api/v1/tasks", "").status)
	require.Equal(t, 404, call(t, b.server.OpsAddr(), "", "GET", "/ops/jobs/", "", basic(b.tokens[auth.Admin])).status)
}

func TestOpsOnly_ServesNoAPI(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{OpsOnly: true})
	require.Equal(t, 200, b.call(t, "", "GET", "/readyz", "").status)
	require.Equal(t, 404, b.call(t, b.tokens[auth.Admin], "GET", "/api/v1/tasks", "").status)
}

func TestJobPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	operator := basic(b.tokens[auth.Operator])

	t.Run("OperatorsSeeThem", func(t *testing.T) {
		r := b.call(t, "", "GET", "/ops/jobs/", "", operator)
		require.Equal(t, 200, r.status)
		require.Contains(t, r.body, "<html")
		require.Equal(t, "DENY", r.header.Get("X-Frame-Options"))
		require.Equal(t, 200, b.call(t, "", "GET", "/ops/jobs/api/states", "", operator).status)
	})
	t.Run("ABrowserIsAskedToLogIn", func(t *testing.T) {
		r := b.call(t, "", "GET", "/ops/jobs/", "")
		require.Equal(t, 401, r.status)
		require.Contains(t, r.header.Get("WWW-Authenticate"), "Basic realm=")
	})
	t.Run("ATokenOfSomeAppsIsRefused", func(t *testing.T) {
		require.Equal(t, 403, b.call(t, "", "GET", "/ops/jobs/", "", basic(b.othersToken)).status)
	})
	t.Run("ARequestFromAnotherSiteIsRefusedAndChangesNothing", func(t *testing.T) {
		b.stocked(t)
		id, path := b.draft(t, "user_id", "1")
		b.admin(t, 202, "POST", path+"/send", "")
		jobsOf := func(id int64) string {
			return b.call(t, "", "GET", "/ops/jobs/api/jobs?state=available&tags="+push.JobTags(id)[0], "", operator).body
		}
		require.Contains(t, jobsOf(id), `"start_task"`, "jobs are found by their task")
		require.NotContains(t, jobsOf(id+1), `"start_task"`)
		cancel := func(change ...request) reply {
			return b.call(t, "", "POST", "/ops/jobs/api/jobs/cancel", `{"ids":["1"]}`, append(change, operator, header("Content-Type", "text/plain"))...)
		}
		for _, foreign := range []request{header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example")} {
			b.refused(t, 403, "cross_site", func() reply { return cancel(foreign) })
		}
		require.Equal(t, 200, cancel(header("Sec-Fetch-Site", "same-origin")).status)
		e := b.entries(t)[0]
		require.Equal(t, []string{"operator", "jobs.change", "jobs/cancel", "127.0.0.1"}, []string{e.Actor, e.Action, e.Object, e.Address})
		require.Equal(t, map[string]any{"ids": []any{"1"}}, e.Detail)
	})
}

func TestLog_NamesTheCallerAndNoSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	r := b.admin(t, 200, "GET", "/api/v1/apps/health/users/1", "", header("X-Request-Id", "my-id-1"))
	require.Equal(t, "my-id-1", r.header.Get("X-Request-Id"))
	require.NotEqual(t, "bad id\t", b.admin(t, 200, "GET", "/api/v1/apps", "", header("X-Request-Id", "bad id")).header.Get("X-Request-Id"))
	b.call(t, "", "GET", "/ops/jobs/?secret=1", "", basic(b.tokens[auth.Operator]))
	b.admin(t, 422, "POST", "/api/v1/apps/health/users", `{"users":[]}`)
	text := b.log.String()
	require.Contains(t, text, `"route":"GET /api/v1/apps/{app}/users/{user_id}","status":200`)
	require.Contains(t, text, `"principal":"admin"`)
	require.Contains(t, text, `"request_id":"my-id-1"`)
	for _, secret := range append([]string{"oAa1", formID(1), "s3cret", "secret=1", "保温杯"}, b.tokens[auth.Admin], b.tokens[auth.Operator]) {
		require.NotContains(t, text, secret)
	}
}

func TestServe_StopsCleanly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server, err := web.New(web.Config{Addr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"}, b.d, b.store, discard())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	require.Equal(t, 200, call(t, server.OpsAddr(), "", "GET", "/readyz", "").status)

	// A call that is under way is answered, though the server stops meanwhile.
	body, write := pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+server.Addr()+"/api/v1/apps/health/users", body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+b.tokens[auth.Collector])
	answered := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	write(`{"users":[{"user_id":"7",`)
	require.Eventually(t, func() bool { // the call has been admitted
		var used bool
		err := b.pool.QueryRow(t.Context(), `SELECT last_used_at IS NOT NULL FROM api_token WHERE name = 'collector'`).Scan(&used)
		return err == nil && used
	}, 5*time.Second, 10*time.Millisecond)
	cancel()
	require.Eventually(t, func() bool {
		_, err := http.Get("http://" + server.Addr() + "/healthz") //nolint:noctx,bodyclose // it must fail
		return err != nil
	}, 5*time.Second, 10*time.Millisecond, "no connection is taken any more")
	r := call(t, server.OpsAddr(), "", "GET", "/readyz", "")
	require.Equal(t, 503, r.status)
	require.Contains(t, r.body, "stopping")
	write(`"openid":"oXx7"}]}`)
	write("")
	require.Equal(t, 200, <-answered)
	require.NoError(t, <-done)
}

func TestNew_LeavesNothingOpenAfterAnError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := web.New(web.Config{Addr: "127.0.0.1:0", OpsAddr: b.server.Addr()}, b.d, b.store, discard())
	require.ErrorContains(t, err, "listen on "+b.server.Addr())
	server, err := web.New(web.Config{Addr: "127.0.0.1:0"}, b.d, b.store, discard())
	require.NoError(t, err)
	require.NotEqual(t, "0", server.Addr()[strings.LastIndex(server.Addr(), ":")+1:], "the port is known before anything is served")
	require.NoError(t, server.Close())
}
