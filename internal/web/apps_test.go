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
