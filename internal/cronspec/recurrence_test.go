package cronspec_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/cronspec"
)

func recur(t *testing.T, spec, zone string) (*cronspec.Recurrence, *time.Location) {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	require.NoError(t, err)
	r, err := cronspec.Recur(spec, loc)
	require.NoError(t, err, spec)
	return r, loc
}

// between lists the ticks after from and not after to, as their zone shows them.
func between(t *testing.T, spec, zone string, from, to string) []string {
	t.Helper()
	r, loc := recur(t, spec, zone)
	start, err := time.ParseInLocation("2006-01-02 15:04", from, loc)
	require.NoError(t, err)
	end, err := time.ParseInLocation("2006-01-02 15:04", to, loc)
	require.NoError(t, err)
	shown := []string{}
	keys := map[string]bool{}
	for tick := range r.After(start) {
		if tick.At.After(end) {
			break
		}
		require.False(t, keys[tick.Key], "%s has the key of another tick", tick.Key)
		keys[tick.Key] = true
		shown = append(shown, tick.At.In(loc).Format("02 15:04 -0700"))
	}
	return shown
}

// A spec that names hours comes once a day, whatever the clock on the wall does on the day of a change: a time that is skipped comes
// at the end of the gap, one that is repeated comes the first time.
func TestRecurrence_OnTheWall_ComesOnceOnTheDayOfAChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec, zone, from, to string
		want                 []string
	}{
		// America/New_York: 2026-03-08 02:00 EST → 03:00 EDT; 2026-11-01 02:00 EDT → 01:00 EST.
		{"30 1 * * *", "America/New_York", "2026-03-07 00:00", "2026-03-10 00:00", []string{"07 01:30 -0500", "08 01:30 -0500", "09 01:30 -0400"}},
		{"30 2 * * *", "America/New_York", "2026-03-07 00:00", "2026-03-10 00:00", []string{"07 02:30 -0500", "08 03:00 -0400", "09 02:30 -0400"}},
		{"30 1 * * *", "America/New_York", "2026-10-31 00:00", "2026-11-03 00:00", []string{"31 01:30 -0400", "01 01:30 -0400", "02 01:30 -0500"}},
		{"30 2 * * *", "America/New_York", "2026-10-31 00:00", "2026-11-03 00:00", []string{"31 02:30 -0400", "01 02:30 -0500", "02 02:30 -0500"}},
		{"0 2 * * *", "America/New_York", "2026-10-31 23:00", "2026-11-01 23:00", []string{"01 02:00 -0500"}},
		{"0,30 2 * * *", "America/New_York", "2026-03-08 00:00", "2026-03-08 23:00", []string{"08 03:00 -0400", "08 03:00 -0400"}},
		{"0 2,3 * * *", "America/New_York", "2026-03-08 00:00", "2026-03-08 23:00", []string{"08 03:00 -0400", "08 03:00 -0400"}},
		{"*/20 1 * * *", "America/New_York", "2026-11-01 00:00", "2026-11-01 12:00", []string{"01 01:00 -0400", "01 01:20 -0400", "01 01:40 -0400"}},
		{"0 */2 * * *", "America/New_York", "2026-03-07 23:30", "2026-03-08 06:00", []string{"08 00:00 -0500", "08 03:00 -0400", "08 04:00 -0400", "08 06:00 -0400"}},
		{"@daily", "America/New_York", "2026-10-31 12:00", "2026-11-02 12:00", []string{"01 00:00 -0400", "02 00:00 -0500"}},
		// Europe/Berlin: 2026-03-29 02:00 CET → 03:00 CEST; 2026-10-25 03:00 CEST → 02:00 CET.
		{"30 1 * * *", "Europe/Berlin", "2026-03-28 12:00", "2026-03-30 12:00", []string{"29 01:30 +0100", "30 01:30 +0200"}},
		{"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", "2026-03-30 12:00", []string{"29 03:00 +0200", "30 02:30 +0200"}},
		{"30 1 * * *", "Europe/Berlin", "2026-10-24 12:00", "2026-10-26 12:00", []string{"25 01:30 +0200", "26 01:30 +0100"}},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", "2026-10-26 12:00", []string{"25 02:30 +0200", "26 02:30 +0100"}},
		{"30 2 * * 0", "Europe/Berlin", "2026-10-24 12:00", "2026-11-02 12:00", []string{"25 02:30 +0200", "01 02:30 +0100"}},
		// Asia/Shanghai changes nothing.
		{"30 1 * * *", "Asia/Shanghai", "2026-03-28 12:00", "2026-03-30 12:00", []string{"29 01:30 +0800", "30 01:30 +0800"}},
		{"30 2 * * *", "Asia/Shanghai", "2026-10-24 12:00", "2026-10-26 12:00", []string{"25 02:30 +0800", "26 02:30 +0800"}},
		// Australia/Lord_Howe: 2026-10-04 02:00 +1030 → 02:30 +11; 2026-04-05 02:00 +11 → 01:30 +1030.
		{"30 1 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", "2026-10-05 12:00", []string{"04 01:30 +1030", "05 01:30 +1100"}},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", "2026-10-05 12:00", []string{"04 02:30 +1100", "05 02:15 +1100"}},
		{"30 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", "2026-10-05 12:00", []string{"04 02:30 +1100", "05 02:30 +1100"}},
		{"30 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", "2026-04-06 12:00", []string{"05 01:30 +1100", "06 01:30 +1030"}},
		{"30 2 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", "2026-04-06 12:00", []string{"05 02:30 +1030", "06 02:30 +1030"}},
		// Pacific/Apia had no 2011-12-30 at all: its 09:00 came when the 31st began.
		{"0 9 * * *", "Pacific/Apia", "2011-12-28 12:00", "2011-12-31 12:00", []string{"29 09:00 -1000", "31 00:00 +1400", "31 09:00 +1400"}},
	} {
		require.Equal(t, c.want, between(t, c.spec, c.zone, c.from, c.to), "%s in %s from %s", c.spec, c.zone, c.from)
	}
}

// Asked at any moment, also inside the repeated hour, the next tick is never one that has been.
func TestRecurrence_OnTheWall_NothingComesTwiceInTheRepeatedHour(t *testing.T) {
	t.Parallel()
	r, loc := recur(t, "30 1 * * *", "America/New_York")
	start := time.Date(2026, 10, 31, 12, 0, 0, 0, loc)
	seen := map[string]time.Time{}
	for at := start; at.Before(start.Add(48 * time.Hour)); at = at.Add(7 * time.Minute) {
		tick, ok := r.Next(at)
		require.True(t, ok)
		require.True(t, tick.At.After(at))
		if before, known := seen[tick.Key]; known {
			require.Equal(t, before, tick.At)
		}
		seen[tick.Key] = tick.At
	}
	require.Len(t, seen, 3)
}

// A spec of every hour follows the time that passes: evenly through both changes, and each instant has a key of its own.
func TestRecurrence_EveryHour_FollowsRealTime(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"America/New_York", "Europe/Berlin", "Asia/Shanghai", "Australia/Lord_Howe"} {
		for _, spec := range []string{"*/10 * * * *", "*/10 0-23 * * *"} {
			r, loc := recur(t, spec, zone)
			last, keys := time.Date(2026, 1, 1, 0, 0, 0, 0, loc), map[string]bool{}
			for tick := range r.After(last) {
				require.Equal(t, 10*time.Minute, tick.At.Sub(last), "%s after %s", zone, last)
				require.False(t, keys[tick.Key], tick.Key)
				last, keys[tick.Key] = tick.At, true
				if last.Year() > 2026 {
					break
				}
			}
		}
	}
	require.Equal(t, []string{"01 00:00 -0400", "01 01:00 -0400", "01 01:00 -0500", "01 02:00 -0500"},
		between(t, "0 * * * *", "America/New_York", "2026-10-31 23:30", "2026-11-01 02:00"))
	require.Equal(t, []string{"08 01:00 -0500", "08 03:00 -0400"}, between(t, "@hourly", "America/New_York", "2026-03-08 00:00", "2026-03-08 03:00"))
}

// Over ten years of changes a daily time comes on each day exactly once, in order.
func TestRecurrence_OnTheWall_EveryDayOfTenYears(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"America/New_York", "Europe/Berlin", "Asia/Shanghai", "Australia/Lord_Howe", "America/Sao_Paulo"} {
		for _, spec := range []string{"0 0 * * *", "30 1 * * *", "30 2 * * *", "15 2 * * *"} {
			r, loc := recur(t, spec, zone)
			last, days := time.Date(2015, 1, 1, 12, 0, 0, 0, loc), 0
			for tick := range r.After(last) {
				if tick.At.In(loc).Year() > 2024 {
					break
				}
				require.True(t, tick.At.After(last))
				y, m, d := last.In(loc).Date()
				require.Equal(t, time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), tick.At.In(loc).Format(time.DateOnly), "%s in %s", spec, zone)
				last, days = tick.At, days+1
			}
			require.Equal(t, 3652, days, "%s in %s", spec, zone)
		}
	}
}

func TestRecur_RefusesWhatThePersonDidNotMean(t *testing.T) {
	t.Parallel()
	for spec, message := range map[string]string{
		"":                              "is empty",
		"  ":                            "is empty",
		"TZ=UTC 0 9 * * *":              "set time_zone",
		"CRON_TZ=Asia/Tokyo 0 9 * * *":  "set time_zone",
		"CRON_TZ=":                      "set time_zone",
		"@every 10m":                    "drifts with each restart",
		"@every 1s":                     "drifts with each restart",
		"@reboot":                       `"@reboot" is not a descriptor`,
		"* * * * * *":                   "has 6 fields, which would begin with seconds",
		"0 30 9 * * *":                  "has 6 fields, which would begin with seconds",
		"9 * *":                         "has 3 fields; a schedule has 5",
		"0 9 * * 7":                     `the weekday "7" has 7, which is no weekday here; Sunday is 0`,
		"0 9 * * 1-7":                   "Sunday is 0",
		"0 9 ? * 1":                     `the day "?" has "?"`,
		"0 9 * * ?":                     `the weekday "?" has "?"`,
		"0 9 L * *":                     "L, W or #",
		"0 9 * * 1#2":                   "L, W or #",
		"0 9 30 2 *":                    "no date ever matches",
		"0 9 31 4,6,9,11 *":             "no date ever matches",
		"*/90 * * * *":                  `the minute "*/90" has a step of 90, beyond its 60 values`,
		"0 */24 * * *":                  "beyond its 24 values",
		"0 9, * * *":                    "a comma with nothing beside it",
		"60 9 * * *":                    "the minute 60 does not exist: 0 to 59",
		"0 24 * * *":                    "the hour 24 does not exist: 0 to 23",
		"0 9 0 * *":                     "the day 0 does not exist: 1 to 31",
		"0 9 * 13 *":                    "the month 13 does not exist: 1 to 12",
		"0 9 * * 8":                     "the weekday 8 does not exist: 0 (Sunday) to 6",
		"0 9 * * 1,8":                   "the weekday 8 does not exist: 0 (Sunday) to 6",
		"0 22-2 * * *":                  `the hour range "22-2" ends before it begins`,
		"*/0 * * * *":                   `the minute "*/0" has a step of 0`,
		"0 9 * * montag":                `the weekday "montag" is not understood: write *, a number of 0 (Sunday) to 6, or a name such as mon`,
		"99999999999999999999 * * * *":  "is not understood",
		"-1 * * * *":                    `the minute "-1" is not understood`,
		"0 9 * JAN-MARCH *":             `the month "JAN-MARCH" is not understood`,
		"0 9 1-2-3 * *":                 `the day "1-2-3" is not understood`,
		"0 9 */2/3 * *":                 "",
		"0 9 * * * Asia/Shanghai extra": "has 7 fields",
	} {
		_, err := cronspec.Recur(spec, time.UTC)
		require.ErrorContains(t, err, message, spec)
		require.NotContains(t, err.Error(), "strconv", spec)
	}
	for _, spec := range []string{"0 9 * * *", " 0  9 * * mon-fri ", "@daily", "@weekly", "0 9 29 2 *", "5/15 8-20 1,15 JAN-JUN *"} {
		r, err := cronspec.Recur(spec, time.UTC)
		require.NoError(t, err, spec)
		_, ok := r.Next(time.Now())
		require.True(t, ok, spec)
	}
}

func FuzzRecur_NeverPanicsAndGoesForward(f *testing.F) {
	for _, spec := range []string{"TZ=UTC", "0 9 * * *", "*/5 * * * *", "0 2 29 2 *", "@daily", "0,30 1-3 * * 0"} {
		f.Add(spec, int64(1_700_000_000))
	}
	loc, err := time.LoadLocation("America/New_York")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, spec string, at int64) {
		r, err := cronspec.Recur(spec, loc)
		if err != nil {
			return
		}
		last, n := time.Unix(at%4_000_000_000, 0), 0
		for tick := range r.After(last) {
			require.False(t, tick.At.Before(last), "%s: %s comes after %s", spec, tick.At, last)
			last = tick.At
			if n++; n == 50 {
				break
			}
		}
	})
}
