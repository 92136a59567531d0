package web_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/web/api"
	"minipush/internal/web/auth"
)

// TestRoutes goes over the route table: whatever is added to it is held to the same rules.
func TestRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	id, _ := b.draft(t, "user_id", "1", "2", "3")
	concrete := strings.NewReplacer("{app}", "health", "{id}", strconv.FormatInt(id, 10), "{user_id}", "1", "{code}", "1989", "{template_id}", "T1", "{name}", "vip",
		"{schedule}", strconv.FormatInt(b.schedule(t).ID, 10), "{$}", "", "{file}", "00000000-x.css")
	before := b.dump(t)

	// as makes a call of a route with a token, in the way in which the route wants it.
	as := func(t *testing.T, route api.Route, token string) reply {
		t.Helper()
		var change []request
		if strings.HasPrefix(route.Pattern, "/ops/jobs") && token != "" {
			change = append(change, basic(token))
		}
		return b.call(t, token, route.Method, concrete.Replace(route.Pattern), "", change...)
	}
	for _, route := range b.server.Routes() {
		if route.Role == auth.NoRole {
			require.Contains(t, openToAll(), route.Method+" "+route.Pattern, "only these are open to everybody")
			require.Equal(t, openToAll()[route.Method+" "+route.Pattern], as(t, route, "").status, route.Pattern)
			continue
		}
		if strings.HasPrefix(route.Pattern, "/console/") {
			continue // by TestRoutes_OfTheConsole
		}
		t.Run(route.Method+" "+route.Pattern, func(t *testing.T) {
			for _, token := range []string{"", "mp_" + strings.Repeat("A", 43), "nonsense"} {
				r := as(t, route, token)
				require.Equal(t, 401, r.status)
				require.Equal(t, "unauthenticated", r.code(t))
				require.NotEmpty(t, r.header.Get("WWW-Authenticate"))
			}
			access := auth.Access(route.Method != http.MethodGet)
			for _, role := range auth.Roles() {
				if role.May(route.Role, access) {
					continue
				}
				r := as(t, route, b.tokens[role])
				require.Equal(t, 403, r.status, "%s: %s", role, r.body)
				require.Equal(t, "forbidden", r.code(t))
			}
			if strings.Contains(route.Pattern, "{app}") || strings.Contains(route.Pattern, "{id}") || strings.Contains(route.Pattern, "{schedule}") {
				r := as(t, route, b.othersToken)
				require.Equal(t, 404, r.status, r.body)
				require.Equal(t, "not_found", r.code(t))
			}
			require.Equal(t, before, b.dump(t), "a refused call changes nothing")
		})
	}
}

// openToAll are the only rows that take no login, with what they answer to an empty request without one. A callback's app takes none; its own
// tests say who may.
func openToAll() map[string]int {
	return map[string]int{
		"GET /healthz": 200, "GET /readyz": 200, "GET /metrics": 200, "GET /api/v1/openapi.yaml": 200,
		"GET /callbacks/wechat/{app}": 404, "POST /callbacks/wechat/{app}": 404,
		"GET /{$}": 303, "GET /console/{$}": 303, "GET /console/login": 200, "POST /console/login": 422, "POST /console/preference": 303,
		"GET /console/login/code": 303, "POST /console/login/code": 303, "GET /console/login/oidc": 404, "GET /console/login/oidc/callback": 404,
		"GET /console/static/{file}": 404,
	}
}

// TestRoutes_OfTheConsole goes over the rows of the console: without a login to the login page, with too weak a role 403, for apps that the account
// does not see 404; and whatever is refused changes nothing.
func TestRoutes_OfTheConsole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	id, _ := b.draft(t, "user_id", "1", "2", "3")
	concrete := strings.NewReplacer("{app}", "health", "{id}", strconv.FormatInt(id, 10), "{user_id}", "1", "{code}", "1989", "{template_id}", "T1", "{name}", "vip",
		"{schedule}", strconv.FormatInt(b.schedule(t).ID, 10), "{$}", "")
	cookies := map[auth.Role]string{}
	for _, role := range auth.AccountRoles() {
		cookies[role] = b.login(t, role.String(), role, nil)
	}
	others := b.login(t, "others", auth.Admin, []int32{b.other.ID})
	before := b.dump(t)
	as := func(t *testing.T, route api.Route, session string) reply {
		t.Helper()
		return b.call(t, "", route.Method, concrete.Replace(route.Pattern), "", func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: "minipush", Value: session})
		})
	}
	for _, route := range b.server.Routes() {
		if !strings.HasPrefix(route.Pattern, "/console/") || route.Role == auth.NoRole {
			continue
		}
		t.Run(route.Method+" "+route.Pattern, func(t *testing.T) {
			for _, session := range []string{"", "nonsense", b.tokens[auth.Admin]} {
				r := as(t, route, session)
				require.Equal(t, 303, r.status, r.body)
				require.Contains(t, r.header.Get("Location"), "/console/login?next=")
			}
			access := auth.Access(route.Method != http.MethodGet && !route.Own)
			for role, session := range cookies {
				if !role.May(route.Role, access) {
					require.Equal(t, 403, as(t, route, session).status, role)
				}
			}
			if strings.Contains(route.Pattern, "{app}") || strings.Contains(route.Pattern, "{id}") || strings.Contains(route.Pattern, "{schedule}") {
				require.Equal(t, 404, as(t, route, others).status)
			}
			require.Equal(t, before, b.dump(t), "a refused request changes nothing")
		})
	}
}

func TestJobPages_AViewerLooks_AnOperatorChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, role := range auth.AccountRoles() {
		session := b.login(t, role.String(), role, nil)
		as := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "minipush", Value: session}) }
		require.Equal(t, 200, b.call(t, "", "GET", "/ops/jobs/", "", as).status, role)
		require.Equal(t, 200, b.call(t, "", "GET", "/ops/jobs/api/states", "", as).status, role)
		want := 403
		if role >= auth.Operator {
			want = 404 // it came through, and there is no such job
		}
		require.Equal(t, want, b.call(t, "", "POST", "/ops/jobs/api/jobs/cancel", `{"ids":["1"]}`, as).status, role)
	}
	require.Equal(t, 403, b.call(t, "", "GET", "/ops/jobs/", "", basic(b.tokens[auth.Collector])).status)
}

func TestRoles_EachMayWhatTheTableSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.draft(t, "user_id", "1")
	for _, tc := range []struct {
		role         auth.Role
		method, path string
		status       int
	}{
		{auth.Collector, "GET", "/api/v1/apps/health/products/1989", 200},
		{auth.Viewer, "GET", "/api/v1/apps/health/products/1989", 200},
		{auth.Viewer, "GET", path, 200},
		{auth.Viewer, "GET", path + "/reach", 200},
		{auth.Author, "POST", path + "/reach", 202},
		{auth.Author, "GET", path + "/preview", 200},
		{auth.Author, "POST", path + "/product", 200},
		{auth.Operator, "GET", "/api/v1/apps/health/templates/T1", 200},
		{auth.Operator, "POST", "/api/v1/apps/health/pause", 200},
		{auth.Operator, "POST", "/api/v1/apps/health/permits/retry", 200},
		{auth.Approver, "POST", path + "/unschedule", 409}, // admitted; the draft is refused
	} {
		r := b.call(t, b.tokens[tc.role], tc.method, tc.path, "")
		require.Equal(t, tc.status, r.status, "%s %s as %s: %s", tc.method, tc.path, tc.role, r.body)
	}
}

func TestApps_OfAnotherTokenDoNotExist(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	id, path := b.draft(t, "user_id", "1", "2")

	require.NotContains(t, b.call(t, b.othersToken, "GET", "/api/v1/apps", "").body, "health")
	require.Contains(t, b.call(t, b.othersToken, "GET", "/api/v1/apps", "").body, "other")
	require.JSONEq(t, `{"tasks":[],"next_cursor":null}`, b.call(t, b.othersToken, "GET", "/api/v1/tasks", "").body)
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/tasks?app=health", "").body, `"topic":"双十一"`)

	for name, make := range map[string]func() reply{
		"a list by app":      func() reply { return b.call(t, b.othersToken, "GET", "/api/v1/tasks?app=health", "") },
		"a task in the body": func() reply { return b.call(t, b.othersToken, "POST", "/api/v1/tasks", taskJSON) },
		"a task to exclude": func() reply {
			other := b.token(t, "mixed", auth.Admin, []int32{b.health.ID})
			return b.call(t, other, "PUT", path+"/audience?exclude_task="+strconv.FormatInt(id+1000, 10), "1\n")
		},
		"a task that is not there": func() reply { return b.admin(t, 404, "GET", "/api/v1/tasks/99999", "") },
		"an id that is no number":  func() reply { return b.admin(t, 404, "GET", "/api/v1/tasks/abc", "") },
		"an app that is not there": func() reply { return b.admin(t, 404, "GET", "/api/v1/apps/nope/permits", "") },
	} {
		r := make()
		require.Equal(t, 404, r.status, "%s: %s", name, r.body)
		require.Equal(t, "not_found", r.code(t), name)
	}
}

func TestToken_StopsWorkingWhenItIsRevoked(t *testing.T) {
	t.Parallel()
	b := setupWith(t, configWithoutTokenCache())
	require.Equal(t, 200, b.call(t, b.tokens[auth.Viewer], "GET", "/api/v1/tasks", "").status)
	require.NoError(t, b.store.RevokeAPIToken(t.Context(), "viewer"))
	require.Equal(t, 401, b.call(t, b.tokens[auth.Viewer], "GET", "/api/v1/tasks", "").status)

	tokens, err := b.store.APITokens(t.Context())
	require.NoError(t, err)
	for _, token := range tokens {
		require.Equal(t, token.Name == "viewer", token.LastUsedAt != nil, "the use of a token is noted: %s", token.Name)
	}
}
