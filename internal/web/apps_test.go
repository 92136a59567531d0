package web_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestApps_Patch_ChangesWhatIsGivenAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/apps/health"
	body := b.admin(t, 200, "PATCH", path, `{"rate_per_second":1000,"ramp_from":50,"ramp_minutes":10,"quiet_from":"22:00","quiet_to":"08:00","daily_cap":3}`).body
	require.Contains(t, body, `"rate_per_second":1000,"ramp_from":50,"ramp_minutes":10,"daily_budget":0,"quiet_from":"22:00","quiet_to":"08:00","daily_cap":3`)
	body = b.admin(t, 200, "PATCH", path, `{"quiet_from":null,"quiet_to":null,"daily_budget":500}`).body
	require.Contains(t, body, `"rate_per_second":1000,"ramp_from":50,"ramp_minutes":10,"daily_budget":500,"quiet_from":null,"quiet_to":null,"daily_cap":3`)
}

func TestApps_Patch_ARefusedChangeChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.dump(t)
	for _, body := range []string{`{"rate_per_second":-1}`, `{"ramp_from":5}`, `{"quiet_from":"25:00","quiet_to":"08:00"}`, `{"daily_cap":2,"quiet_from":"08:00","quiet_to":"08:00"}`} {
		b.admin(t, 422, "PATCH", "/api/v1/apps/health", body)
	}
	b.admin(t, 400, "PATCH", "/api/v1/apps/health", `{"rate":1}`)
	require.Equal(t, before, b.dump(t))
}

// Units of subscriptions are in the stock beside formIds, and those that were set aside are available again when an operator says so.
func TestPermits_StockOfSubscriptions_AndRetry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	stock := b.admin(t, 200, "GET", "/api/v1/apps/health/permits", "").body
	require.Contains(t, stock, `"subscriptions":[]`)
	b.admin(t, 200, "PUT", "/api/v1/apps/health/templates/S1", `{"name":"提醒","channel":"subscribe","page":"p","fields":[{"key":"thing1","label":"主题","value":"{{topic}}"}]}`)
	b.admin(t, 200, "POST", "/api/v1/apps/health/subscriptions", `{"subscriptions":[{"id":"1","user_id":"1","template_id":"S1","result":"accept"},{"id":"2","user_id":"1","template_id":"S1","result":"accept"}]}`)
	_, err := b.pool.Exec(t.Context(), `UPDATE subscription SET available = 0, fresh = 0, suspect = 2, suspect_at = now() - interval '2 hours'`)
	require.NoError(t, err)
	shows := func(counts string) {
		require.Contains(t, b.admin(t, 200, "GET", "/api/v1/apps/health/permits", "").body, `"subscriptions":[{"template_id":"S1","name":"提醒",`+counts+`}]`)
	}
	shows(`"available":0,"reserved":0,"suspect":2,"used":0,"long_term":0,"users":0`)
	const retry = "/api/v1/apps/health/permits/retry"
	require.JSONEq(t, `{"units":0,"users":0}`, b.admin(t, 200, "POST", retry, "").body, "six hours, where nothing else is said")
	require.Equal(t, "invalid", b.admin(t, 422, "POST", retry, `{"older_than":"soon"}`).code(t))
	require.Equal(t, "invalid", b.admin(t, 422, "POST", retry, `{"older_than":"-1h"}`).code(t))
	b.admin(t, 404, "POST", retry, `{"template_id":"S2"}`)
	require.JSONEq(t, `{"units":2,"users":1}`, b.admin(t, 200, "POST", retry, `{"template_id":"S1","older_than":"90m"}`).body)
	shows(`"available":2,"reserved":0,"suspect":0,"used":0,"long_term":0,"users":1`)
}
