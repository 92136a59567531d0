package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web"
	"minipush/internal/web/auth"
)

// unaudited are the only calls that change something and are not noted: what programs report, thousands of times a minute.
func unaudited() []string {
	return []string{"POST /api/v1/apps/{app}/users", "POST /api/v1/apps/{app}/form-ids", "POST /api/v1/apps/{app}/subscriptions"}
}

// audited are the calls that the route table says are noted, with their action.
func (b *bundle) audited(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, route := range b.server.Routes() {
		name := route.Method + " " + route.Pattern
		switch {
		case !strings.HasPrefix(route.Pattern, "/api/"), route.Audit == "" && route.Method == http.MethodGet:
			continue
		case slices.Contains(unaudited(), name):
			require.NotEmpty(t, route.Unaudited, "%s is an exception: say why", name)
			require.Empty(t, route.Audit, name)
			continue
		}
		require.NotEmpty(t, route.Audit, "%s changes something: it needs an action in the audit log", name)
		require.Contains(t, push.AuditActions(), route.Audit, name)
		all[name] = route.Audit
	}
	return all
}

// audit makes a call, and requires that it left one entry that says who, from where, and what it is about.
func (b *bundle) audit(t *testing.T, done map[string]store.AuditEntry, status int, route, object, body string, paths ...string) reply {
	t.Helper()
	before := b.entries(t)
	method, path, _ := strings.Cut(strings.NewReplacer(paths...).Replace(route), " ")
	r := b.admin(t, status, method, path, body, header("Content-Type", "text/csv"))
	route, _, _ = strings.Cut(route, "?")
	after := b.entries(t)
	require.Len(t, after, len(before)+1, "%s: %s", route, r.body)
	e := after[0]
	require.Equal(t, b.audited(t)[route], e.Action, route)
	require.Equal(t, "admin", e.Actor)
	require.Regexp(t, `^token:\d+$`, e.ActorID)
	require.Equal(t, "127.0.0.1", e.Address)
	require.Equal(t, object, e.Object, route)
	done[route] = e
	return r
}

func (b *bundle) entries(t *testing.T) []store.AuditEntry {
	t.Helper()
	entries, err := b.store.AuditEntries(t.Context(), 0, 1000)
	require.NoError(t, err)
	return entries
}

// TestAudit_EveryChangeByTheAPIIsNoted makes each call of the route table that changes something.
func TestAudit_EveryChangeByTheAPIIsNoted(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{CallTimeout: 4 * time.Second}) // nothing works its jobs: the test message waits for half of it
	b.account(t)
	b.stocked(t)
	done := map[string]store.AuditEntry{}
	const app = "/api/v1/apps/{app}"
	paths := []string{"{app}", "health", "{code}", "1989", "{template_id}", "T1", "{name}", "vip", "{token}", "collector"}
	call := func(status int, route, object, body string) reply {
		t.Helper()
		return b.audit(t, done, status, route, object, body, paths...)
	}
	before := len(b.entries(t))
	b.admin(t, 200, "PUT", "/api/v1/apps/health/products/1989", `{"title":"保温杯","price":"250.00","on_shelf":true}`)
	require.Len(t, b.entries(t), before, "a product that is put as it is already is no change")
	call(200, "PUT "+app+"/products/{code}", "product:1989", `{"title":"保温杯","price":"300.00","on_shelf":true}`)
	require.Equal(t, map[string]any{"before": map[string]any{"price": "250.00"}, "after": map[string]any{"price": "300.00"}}, done["PUT "+app+"/products/{code}"].Detail)
	call(200, "PUT "+app+"/templates/{template_id}", "template:T1", strings.Replace(templateJSON, "#EE0000", "#00EE00", 1))
	call(200, "POST "+app+"/templates/sync", "app:health", "")
	call(200, "PATCH "+app, "app:health", `{"testers":["1"],"approval":true}`)
	require.Equal(t, map[string]any{"testers": []any{"1"}, "approval": true}, done["PATCH "+app].Detail["after"])
	call(200, "POST "+app+"/pause", "app:health", "")
	call(200, "POST "+app+"/resume", "app:health", "")
	call(200, "POST "+app+"/permits/retry", "app:health", "")
	call(200, "PUT "+app+"/lists/{name}", "app:health", "user_id\n1\n2\n")

	call(200, "POST /api/v1/suppressions", "suppressions", `{"app":"health","suppressions":[{"user_id":"9"}]}`)
	list := b.suppressions(t, b.tokens[auth.Admin], "")
	paths = append(paths, "{suppression_id}", strconv.FormatInt(list.Suppressions[0].ID, 10))
	call(204, "DELETE /api/v1/suppressions/{suppression_id}", "suppression:"+strconv.FormatInt(list.Suppressions[0].ID, 10), "")
	call(204, "DELETE /api/v1/tokens/{token}", "token:collector", "")

	b.auditSchedule(t, done)
	call(204, "DELETE "+app+"/lists/{name}", "app:health", "")
	b.auditTask(t, done)
	for name := range b.audited(t) {
		require.Contains(t, done, name, "this test makes every call that is noted")
	}
}

func (b *bundle) auditSchedule(t *testing.T, done map[string]store.AuditEntry) {
	t.Helper()
	var s push.Schedule
	b.admin(t, 200, "PATCH", "/api/v1/apps/health", `{"approval":false}`)
	b.audit(t, done, 201, "POST /api/v1/schedules", "schedule:1", scheduleJSON).json(t, &s)
	object, id := fmt.Sprintf("schedule:%d", s.ID), strconv.FormatInt(s.ID, 10)
	const route = "/api/v1/schedules/{schedule}"
	call := func(status int, route, body string) { b.audit(t, done, status, route, object, body, "{schedule}", id) }
	call(200, "PATCH "+route, `{"topic":"别的"}`)
	require.Equal(t, map[string]any{"before": map[string]any{"topic": "会员日"}, "after": map[string]any{"topic": "别的"}}, done["PATCH "+route].Detail)
	call(200, "POST "+route+"/resume", "")
	require.Equal(t, true, done["POST "+route+"/resume"].Detail["after"].(map[string]any)["enabled"])
	call(200, "POST "+route+"/pause", "")
	call(204, "DELETE "+route, "")
	b.admin(t, 200, "PATCH", "/api/v1/apps/health", `{"approval":true}`)
}

func (b *bundle) auditTask(t *testing.T, done map[string]store.AuditEntry) {
	t.Helper()
	const task = "/api/v1/tasks/{id}"
	var made push.Task
	object, id := "task:1", "1"
	call := func(status int, route, body string) reply {
		t.Helper()
		return b.audit(t, done, status, route, object, body, "{id}", id)
	}
	call(201, "POST /api/v1/tasks", taskJSON).json(t, &made)
	call(200, "PUT "+task+"/audience?filename=list.csv", "user_id\n1\n2\n3\n")
	require.Equal(t, map[string]any{"total": 3.0, "accepted": 3.0, "duplicate": 0.0, "rejected": 0.0}, done["PUT "+task+"/audience"].Detail)
	call(200, "PATCH "+task, `{"topic":"双十二"}`)
	require.Equal(t, "双十一", done["PATCH "+task].Detail["before"].(map[string]any)["topic"])
	call(200, "POST "+task+"/product", "")
	call(202, "POST "+task+"/reach", "")
	call(200, "POST "+task+"/test", `{"user_id":"1"}`)
	call(200, "POST "+task+"/dry-run", "")
	call(200, "GET "+task+"/results", "")
	b.judge(t, done, task, id)
	call(202, "POST "+task+"/send", fmt.Sprintf(`{"at":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339)))
	require.Equal(t, "scheduled", done["POST "+task+"/send"].Detail["after"].(map[string]any)["state"])
	call(200, "POST "+task+"/unschedule", "")
	call(202, "POST "+task+"/send", "")
	b.admin(t, 200, "PATCH", "/api/v1/tasks/"+id, `{"rate_per_second":5}`)
	require.Equal(t, "task.rate", b.entries(t)[0].Action)
	call(200, "POST "+task+"/pause", "")
	require.Equal(t, []any{"operator"}, done["POST "+task+"/pause"].Detail["after"].(map[string]any)["cause"])
	call(200, "POST "+task+"/resume", "")
	call(200, "POST "+task+"/cancel", "")
	call(201, "POST "+task+"/clone", "").json(t, &made)
	require.EqualValues(t, made.ID, done["POST "+task+"/clone"].Detail["draft"])
	object, id = fmt.Sprintf("task:%d", made.ID), strconv.FormatInt(made.ID, 10)
	call(204, "DELETE "+task, "")
	b.admin(t, 200, "PATCH", "/api/v1/apps/health", `{"approval":false}`)
	ended, _ := b.ended(t)
	object, id = fmt.Sprintf("task:%d", ended), strconv.FormatInt(ended, 10)
	call(201, "POST "+task+"/resend", `{"reasons":["no_permit"]}`)
	call(200, "POST "+task+"/resolve", `{"as":"sent","all":true}`)
}

// judge has a second person reject and approve the task.
func (b *bundle) judge(t *testing.T, done map[string]store.AuditEntry, task, id string) {
	t.Helper()
	var now push.Task
	b.admin(t, 200, "GET", "/api/v1/tasks/"+id, "").json(t, &now)
	for _, verb := range []string{"reject", "approve"} {
		r := b.call(t, b.tokens[auth.Approver], "POST", "/api/v1/tasks/"+id+"/"+verb, fmt.Sprintf(`{"hash":%q,"note":"看过"}`, now.ContentHash))
		require.Equal(t, 200, r.status, r.body)
		e := b.entries(t)[0]
		require.Equal(t, "task."+verb, e.Action)
		require.Equal(t, "approver", e.Actor)
		require.Regexp(t, `^token:\d+$`, e.ActorID)
		require.Equal(t, "127.0.0.1", e.Address)
		done["POST "+task+"/"+verb] = e
	}
}
