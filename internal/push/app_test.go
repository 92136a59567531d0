package push_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

func TestAppSettings_WhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for name, tc := range map[string]struct {
		settings push.AppSettings
		wrong    string
	}{
		"nothing set":               {push.AppSettings{}, ""},
		"everything set":            {push.AppSettings{RatePerSecond: 1000, RampFrom: 50, RampMinutes: 10, DailyBudget: 100_000, QuietFrom: text("22:00"), QuietTo: text("08:00"), DailyCap: 3}, ""},
		"a negative rate":           {push.AppSettings{RatePerSecond: -1}, "rate_per_second"},
		"a rate beyond the most":    {push.AppSettings{RatePerSecond: push.MaxRate + 1}, "rate_per_second"},
		"a ramp without its length": {push.AppSettings{RatePerSecond: 10, RampFrom: 1}, "ramp_minutes"},
		"a ramp without a rate":     {push.AppSettings{RampFrom: 1, RampMinutes: 1}, "ramp_from"},
		"a ramp that goes down":     {push.AppSettings{RatePerSecond: 10, RampFrom: 10, RampMinutes: 1}, "ramp_from"},
		"half of the quiet hours":   {push.AppSettings{QuietFrom: text("22:00")}, "quiet_to"},
		"quiet hours of no length":  {push.AppSettings{QuietFrom: text("22:00"), QuietTo: text("22:00")}, "quiet_to"},
		"an hour beyond the day":    {push.AppSettings{QuietFrom: text("24:00"), QuietTo: text("08:00")}, "quiet_from"},
		"an hour of one digit":      {push.AppSettings{QuietFrom: text("22:00"), QuietTo: text("8:00")}, "quiet_to"},
		"an unknown source":         {push.AppSettings{PermitSource: "both"}, "permit_source"},
		"a cap beyond the most":     {push.AppSettings{DailyCap: push.MaxDailyCap + 1}, "daily_cap"},
	} {
		err := tc.settings.Validate()
		if tc.wrong == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tc.wrong, name)
	}
}
