package push

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"
)

func quietHours(from, to string) *AppSettings { return &AppSettings{QuietFrom: &from, QuietTo: &to} }

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

func TestQuietAt_AcrossMidnightAndWithinADay(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Asia/Shanghai")
	for _, c := range []struct{ from, to, at, until string }{
		{"22:00", "08:00", "2026-11-24 21:59:59", ""},
		{"22:00", "08:00", "2026-11-24 22:00:00", "2026-11-25 08:00:00"},
		{"22:00", "08:00", "2026-11-25 00:00:00", "2026-11-25 08:00:00"},
		{"22:00", "08:00", "2026-11-25 07:59:59", "2026-11-25 08:00:00"},
		{"22:00", "08:00", "2026-11-25 08:00:00", ""},
		{"12:00", "13:30", "2026-11-25 13:29:59", "2026-11-25 13:30:00"},
		{"12:00", "13:30", "2026-11-25 13:30:00", ""},
		{"12:00", "13:30", "2026-11-25 11:59:59", ""},
		{"00:00", "23:59", "2026-12-31 23:58:59", "2026-12-31 23:59:00"},
		{"00:00", "23:59", "2026-12-31 23:59:30", ""},
		{"23:00", "00:00", "2026-12-31 23:30:00", "2027-01-01 00:00:00"},
	} {
		at, err := time.ParseInLocation(time.DateTime, c.at, loc)
		require.NoError(t, err)
		until, quiet := quietHours(c.from, c.to).QuietAt(at.UTC(), loc) // whatever zone the clock gives
		require.Equal(t, c.until != "", quiet, "%+v", c)
		if quiet {
			require.Equal(t, c.until, until.In(loc).Format(time.DateTime), "%+v", c)
		}
	}
	_, quiet := (&AppSettings{}).QuietAt(time.Now(), loc)
	require.False(t, quiet, "off unless set")
	_, some := (&AppSettings{}).QuietNext(time.Now(), loc)
	require.False(t, some)
}

// Summer time: one stretch a night, which covers the hour that comes twice, and ends with the hour that is left out.
func TestQuietAt_SummerTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, zone, from, to, begins, ends string }{
		{"ends in the hour left out", "America/New_York", "22:00", "02:30", "2026-03-08T03:00:00Z", "2026-03-08T07:00:00Z"},
		{"begins in the hour left out", "America/New_York", "02:30", "08:00", "2026-03-08T07:00:00Z", "2026-03-08T12:00:00Z"},
		{"over the hour left out", "America/New_York", "22:00", "08:00", "2026-03-08T03:00:00Z", "2026-03-08T12:00:00Z"},
		{"ends in the hour that comes twice", "America/New_York", "22:00", "01:30", "2026-11-01T02:00:00Z", "2026-11-01T06:30:00Z"},
		{"begins in the hour that comes twice", "America/New_York", "01:30", "08:00", "2026-11-01T05:30:00Z", "2026-11-01T13:00:00Z"},
		{"within the hour that comes twice", "America/New_York", "01:15", "01:45", "2026-11-01T05:15:00Z", "2026-11-01T06:45:00Z"},
		{"half an hour twice", "Australia/Lord_Howe", "22:00", "01:45", "2026-04-04T11:00:00Z", "2026-04-04T15:15:00Z"},
		{"at the moment of the change", "America/New_York", "22:00", "02:00", "2026-03-08T03:00:00Z", "2026-03-08T07:00:00Z"},
	} {
		loc := zone(t, c.zone)
		begins, err := time.Parse(time.RFC3339, c.begins)
		require.NoError(t, err)
		ends, err := time.Parse(time.RFC3339, c.ends)
		require.NoError(t, err)
		s := quietHours(c.from, c.to)
		next, ok := s.QuietNext(begins.Add(-time.Second), loc)
		require.True(t, ok)
		require.Equal(t, begins, next.UTC(), c.name)
		_, quiet := s.QuietAt(begins.Add(-time.Second), loc)
		require.False(t, quiet, c.name)
		for at := begins; at.Before(ends); at = at.Add(time.Minute) {
			until, quiet := s.QuietAt(at, loc)
			require.True(t, quiet, "%s: %s", c.name, at)
			require.Equal(t, ends, until.UTC(), "%s: %s", c.name, at)
		}
		_, quiet = s.QuietAt(ends, loc)
		require.False(t, quiet, c.name)
	}
}
