package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// complete gives everything a value that may have none: of the app health_applet, its tasks, their recipients and its schedules.
func (b *bundle) complete(t *testing.T) {
	t.Helper()
	b.exec(t, `UPDATE app SET paused_at = now(), paused_by = 'operator', rate_per_second = 2000, ramp_from = 10, ramp_minutes = 5, daily_budget = 1000000,
		quiet_from = '22:00', quiet_to = '09:00', daily_cap = 3, quota_until = now() + interval '1 hour', quota_limit = 3000000, quota_used = 1234567,
		quota_asked_at = now() WHERE id = $1`, b.health.ID)
	b.exec(t, `UPDATE task SET not_after = now() + interval '2 days', wait_for_permit_until = now() + interval '1 day', note = '说明',
		start_at = coalesce(start_at, now()), rate_per_second = 1500 WHERE app_id = $1`, b.health.ID)
	b.exec(t, `UPDATE recipient r SET delivery = 1 + seq % 2, platform_code = 41028, rid = '5f6a', note = '说明', msgid = 9007199254740993, vars = '[]', sent_at = now(),
		called_at = now(), updated_at = now(), openid = 'oABCDEFGHIJKLMNOPQRSTUV' || user_id FROM task t WHERE t.audience_id = r.audience_id AND t.app_id = $1`, b.health.ID)
}

func TestPages_OverDataThatHasEverythingThatMayBeMissing_AreShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.stockedAdmin(t)
	task := b.ended(t)
	draft := b.draft(t, "草稿", 12)
	b.reachable(t, 12)
	b.complete(t)
	app := "?app=" + b.health.Key
	paths := []string{
		"/console/tasks", "/console/calendar", "/console/lists", "/console/permits" + app, "/console/users?user_id=7&app=" + b.health.Key, "/console/reports", "/console/manage",
		"/console/apps", "/console/apps/health_applet", "/console/products" + app, "/console/templates" + app, "/console/schedules", "/console/suppressions" + app,
		fmt.Sprintf("/console/schedules/%d", s.ID), "/console/accounts", "/console/tokens", "/console/audit", taskURL(draft), taskURL(draft) + "/edit", taskURL(draft) + "/send", taskURL(draft) + "/trial",
		taskURL(draft) + "/audience", taskURL(draft) + "/reach", taskURL(draft) + "/repeat", taskURL(task), taskURL(task) + "/recipients", taskURL(task) + "/deliveries",
	}
	c := b.as(t, "admin")
	for _, lang := range []string{"zh-CN", "en"} {
		require.Equal(t, http.StatusSeeOther, c.post(t, "/console/preference", url.Values{"lang": {lang}}).status)
		for _, path := range paths {
			r := c.get(t, path)
			require.Equal(t, http.StatusOK, r.status, "%s %s: %s", lang, path, r.body)
			require.NotContains(t, r.body, "0xc0", path) // an address in place of a value
			require.NotContains(t, r.body, "%!", path)
		}
	}
	require.Contains(t, c.get(t, "/console/apps/health_applet").body, "1,234,567 / 3,000,000")
	b.exec(t, `UPDATE app SET quota_limit = 0 WHERE id = $1`, b.health.ID)
	require.NotContains(t, c.get(t, "/console/apps/health_applet").body, "1,234,567 /", "a limit of 0 is none")
}
