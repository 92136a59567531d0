package cronspec_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/cronspec"
)

func shanghai(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	return loc
}

func TestSpecRunsInTheZoneOfItsPrefixElseOfTheCaller(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 12, 1, 0, 0, 0, 500, time.UTC)
	for spec, want := range map[string]time.Time{
		"* * * * * *":                        time.Date(2026, 12, 1, 0, 0, 1, 0, time.UTC),
		"*/2 * * * * *":                      time.Date(2026, 12, 1, 0, 0, 2, 0, time.UTC),
		"* * * * *":                          time.Date(2026, 12, 1, 0, 1, 0, 0, time.UTC), // without seconds: on the minute
		"0 17 3 * * *":                       time.Date(2026, 12, 1, 19, 17, 0, 0, time.UTC),
		"17 3 * * *":                         time.Date(2026, 12, 1, 19, 17, 0, 0, time.UTC),
		"  17 3 * * * ":                      time.Date(2026, 12, 1, 19, 17, 0, 0, time.UTC),
		"CRON_TZ=UTC 17 3 * * *":             time.Date(2026, 12, 1, 3, 17, 0, 0, time.UTC),
		"TZ=Europe/Berlin   0 0 12 24 12 *":  time.Date(2026, 12, 24, 11, 0, 0, 0, time.UTC),
		"@daily":                             time.Date(2026, 12, 1, 16, 0, 0, 0, time.UTC),
		"CRON_TZ=UTC @daily":                 time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC),
		"@every 10s":                         time.Date(2026, 12, 1, 0, 0, 10, 0, time.UTC),
		"@every 1s":                          time.Date(2026, 12, 1, 0, 0, 1, 0, time.UTC),
		"0 0 29 2 *":                         time.Date(2028, 2, 28, 16, 0, 0, 0, time.UTC), // a leap day is a date
		"CRON_TZ=America/New_York 0 9 * * 1": time.Date(2026, 12, 7, 14, 0, 0, 0, time.UTC),
	} {
		schedule, err := cronspec.Parse(spec, shanghai(t))
		require.NoError(t, err, spec)
		require.Equal(t, want, schedule.Next(from).UTC(), spec)
	}
}

func TestBadSpecIsRefusedAndSaysWhy(t *testing.T) {
	t.Parallel()
	for spec, message := range map[string]string{
		"":                         "is empty",
		"   ":                      "is empty",
		"TZ=UTC":                   "is empty", // the parser panics on it
		"CRON_TZ=":                 "names no zone",
		"CRON_TZ= 0 0 * * *":       "names no zone",
		"TZ=Local 0 0 * * *":       "names no zone",
		"TZ=Asia/Peking 0 0 * * *": `time zone "Asia/Peking" is not known`,
		"* * * *":                  "expected 5 to 6 fields",
		"* * * * * * *":            "expected 5 to 6 fields",
		"60 * * * *":               "the minute 60 does not exist: 0 to 59",
		"* * * * 7":                "the weekday 7 does not exist: 0 (Sunday) to 6",
		"*/0 * * * *":              `the minute "*/0" has a step of 0`,
		"x * * * *":                `the minute "x" is not understood`,
		"x * * * * *":              `the second "x" is not understood`,
		"0 0 30 2 *":               "no date ever matches",
		"0 0 31 4,6 *":             "no date ever matches",
		", * * * *":                "no date ever matches",
		"@fortnightly":             `"@fortnightly" is not a descriptor`,
		"@every":                   `"@every" takes a length of time`,
		"@every 500ms":             "whole seconds, at least 1s, not 500ms",
		"@every -5s":               "whole seconds",
		"@every 0s":                "whole seconds",
		"@every 1500ms":            "whole seconds",
		"@every day":               `"@every day" takes a length of time`,
	} {
		_, err := cronspec.Parse(spec, shanghai(t))
		require.ErrorContains(t, err, message, spec)
		require.NotContains(t, err.Error(), "strconv", spec)
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add("TZ=UTC")
	f.Add("CRON_TZ=UTC @every 1s")
	f.Add("*/5 * * * * *")
	f.Fuzz(func(t *testing.T, spec string) {
		schedule, err := cronspec.Parse(spec, time.UTC)
		if err == nil {
			require.False(t, schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero())
		}
	})
}
