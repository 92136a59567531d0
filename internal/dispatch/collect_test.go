package dispatch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

func (b *bundle) reportUsers(pairs ...string) dispatch.Received {
	b.t.Helper()
	var users []dispatch.UserReport
	for i := 0; i < len(pairs); i += 2 {
		users = append(users, dispatch.UserReport{UserID: pairs[i], OpenID: pairs[i+1]})
	}
	got, err := b.d.ReportUsers(b.t.Context(), appKey, users)
	require.NoError(b.t, err)
	return got
}

// openIDs are who has which openid; "" is a user without one.
func (b *bundle) openIDs() map[string]string {
	b.t.Helper()
	users, err := b.st.Users(b.t.Context(), b.app.ID, "", 1000)
	require.NoError(b.t, err)
	got := map[string]string{}
	for _, u := range users {
		got[u.UserID] = ""
		if u.OpenID != nil {
			got[u.UserID] = *u.OpenID
		}
	}
	return got
}

// Invariant 3: an openid belongs to one user of an app, and the newest report wins, be it in the same report or in the next.
func TestReportUsers_NewestReportWins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		pairs []string
		want  map[string]string
	}{
		{"first", []string{"a", "X", "b", "Y"}, map[string]string{"a": "X", "b": "Y"}},
		{"other openid", []string{"a", "X", "a", "Y"}, map[string]string{"a": "Y"}},
		{"taken from another", []string{"a", "X", "b", "X"}, map[string]string{"a": "", "b": "X"}},
		{"and taken back", []string{"a", "X", "b", "X", "a", "X"}, map[string]string{"a": "X", "b": ""}},
		{"given up, then taken", []string{"a", "X", "a", "Y", "b", "X"}, map[string]string{"a": "Y", "b": "X"}},
		{"swapped", []string{"a", "X", "b", "Y", "a", "Y", "b", "X"}, map[string]string{"a": "Y", "b": "X"}},
		{"cleared", []string{"a", "X", "a", ""}, map[string]string{"a": ""}},
		{"case is kept", []string{"a", "oX", "b", "Ox", "A", "ox"}, map[string]string{"a": "oX", "b": "Ox", "A": "ox"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.reportUsers(c.pairs...)
			require.Equal(t, c.want, b.openIDs(), "in one report")
			b.exec(`TRUNCATE app_user, openid_move`)
			for i := 0; i < len(c.pairs); i += 2 {
				b.reportUsers(c.pairs[i], c.pairs[i+1])
			}
			require.Equal(t, c.want, b.openIDs(), "in one report each")
		})
	}
}

func TestReportUsers_RefusesTheBadOnesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	got := b.reportUsers("a", "X", "", "Y", "b b", "Z", strings.Repeat("u", 65), "Z", "c", strings.Repeat("o", 129), "d\x00", "Q", "e", "W")
	require.Equal(t, 2, got.Accepted)
	require.Len(t, got.Rejected, 5)
	for i, want := range []struct {
		index int
		code  string
	}{{1, "blank"}, {2, "bad_characters"}, {3, "too_long"}, {4, "too_long"}, {5, "bad_characters"}} {
		require.Equal(t, want.index, got.Rejected[i].Index)
		require.Equal(t, want.code, got.Rejected[i].Code)
		require.NotEmpty(t, got.Rejected[i].MessageZH)
	}
	require.Equal(t, map[string]string{"a": "X", "e": "W"}, b.openIDs())
	_, err := b.d.ReportUsers(t.Context(), appKey, nil)
	invalid(t, err, "users", "batch_size")
	_, err = b.d.ReportUsers(t.Context(), appKey, make([]dispatch.UserReport, dispatch.MaxBatch+1))
	invalid(t, err, "users", "batch_size")
	_, err = b.d.ReportUsers(t.Context(), "nobody", make([]dispatch.UserReport, 1))
	require.ErrorIs(t, err, push.ErrNotFound)
}

// Reports at the same time for the same openids neither fail nor leave an openid with two users.
func TestReportUsers_AtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const users, openIDs = 12, 5
	errs := make(chan error, users)
	for i := range users {
		go func() {
			var batch []dispatch.UserReport
			for k := range openIDs {
				batch = append(batch, dispatch.UserReport{UserID: fmt.Sprintf("u%d-%d", i, k), OpenID: fmt.Sprintf("X%d", (k+i)%openIDs)})
			}
			_, err := b.d.ReportUsers(t.Context(), appKey, batch)
			errs <- err
		}()
	}
	for range users {
		require.NoError(t, <-errs)
	}
	require.Equal(t, openIDs, b.count(`SELECT count(*) FROM app_user WHERE openid IS NOT NULL`))
}

// Invariant 7: an openid that moves while a task is under way is not sent a second time, though its new user is in the list too.
func TestUsers_OpenIDMovedMidTask(t *testing.T) {
	t.Parallel()
	b := setup(t, slow)
	task := b.midway(240, 20)
	_, err := b.d.Pause(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.quiet()
	var had, waits string
	for user, r := range b.rows(task.ID) {
		if r.State == push.Sent {
			had = user
		}
		if r.State == push.Pending {
			waits = user
		}
	}
	require.NotEmpty(t, had)
	require.NotEmpty(t, waits)
	b.reportUsers(waits, openID(had))
	_, err = b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID)
	require.Equal(t, push.Counts{Total: 240, Sent: 239, Skipped: 1}, done.Counts)
	require.Equal(t, push.DuplicateOpenID, b.rows(task.ID)[waits].Reason)
	b.once(slices.DeleteFunc(b.names(240), func(user string) bool { return user == waits }))
}

func formID(user, id string, source int16, at time.Duration) dispatch.FormIDReport {
	submitted := time.Now().Add(at)
	return dispatch.FormIDReport{UserID: user, FormID: id, Source: source, SubmittedAt: &submitted}
}

func TestReportFormIDs_EachForItself(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.FormIDDeny = []string{"test-*"} })
	const week = 7 * 24 * time.Hour
	items := []struct {
		report dispatch.FormIDReport
		code   string // "" is accepted, "duplicate" is counted
	}{
		{formID("a", "F1", 1, 0), ""},
		{dispatch.FormIDReport{UserID: "a", FormID: "F2", Source: 7}, ""},
		{formID("a", "f1", 1, 0), ""}, // another one: case is kept
		{formID("b", "F1", 1, 0), "duplicate"},
		{formID("a", "F3", 8, 0), "unknown_source"},
		{formID("a", "F3", 0, 0), "unknown_source"},
		{formID("a", "the formId is a mock one", 1, 0), "mock_form_id"},
		{formID("a", "", 1, 0), "blank"},
		{formID("", "F3", 1, 0), "blank"},
		{formID("a", "undefined", 1, 0), "null_form_id"},
		{formID("a", "TEST-1", 1, 0), "denied_form_id"},
		{formID("a", strings.Repeat("f", 128), 1, 0), ""},
		{formID("a", strings.Repeat("f", 129), 1, 0), "too_long"},
		{formID("a", "future", 1, 61*time.Second), "in_future"},
		{formID("a", "fast clock", 1, 59*time.Second), "bad_characters"},
		{formID("a", "fast-clock", 1, 59*time.Second), ""},
		{formID("a", "old", 1, -week), "expired"},
		{formID("a", "nearly-old", 1, -week+time.Minute), ""},
	}
	var reports []dispatch.FormIDReport
	for _, i := range items {
		reports = append(reports, i.report)
	}
	got, err := b.d.ReportFormIDs(t.Context(), appKey, reports)
	require.NoError(t, err)
	codes := map[int]string{}
	for _, r := range got.Rejected {
		codes[r.Index] = r.Code
		require.NotEmpty(t, r.Message)
		require.NotEmpty(t, r.MessageZH)
	}
	for i, item := range items {
		if item.code == "duplicate" {
			item.code = ""
		}
		require.Equal(t, item.code, codes[i], "item %d", i)
	}
	require.Equal(t, 6, got.Accepted)
	require.Equal(t, 1, got.Duplicate)
	require.Equal(t, len(items), got.Accepted+got.Duplicate+len(got.Rejected))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE form_id = 'F1' AND user_id = 'a'`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE form_id = 'fast-clock' AND submitted_at <= now()`))
	require.Equal(t, 6, b.count(`SELECT count(*) FROM form_id WHERE expires_at = submitted_at + interval '7 days'`))
	again, err := b.d.ReportFormIDs(t.Context(), appKey, reports)
	require.NoError(t, err)
	require.Zero(t, again.Accepted)
	require.Equal(t, 7, again.Duplicate)
	require.Equal(t, 6, b.count(`SELECT sum(collected) FROM form_id_day`))
}

func TestReportFormIDs_TenThousandInOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	reports := make([]dispatch.FormIDReport, dispatch.MaxBatch, dispatch.MaxBatch+1)
	for i := range reports {
		reports[i] = dispatch.FormIDReport{UserID: fmt.Sprint("u", i%3000), FormID: fmt.Sprint("f", i), Source: int16(i%7 + 1)}
	}
	got, err := b.d.ReportFormIDs(t.Context(), appKey, reports)
	require.NoError(t, err)
	require.Equal(t, dispatch.MaxBatch, got.Accepted)
	_, err = b.d.ReportFormIDs(t.Context(), appKey, append(reports, dispatch.FormIDReport{}))
	invalid(t, err, "form_ids", "batch_size")
	require.Equal(t, dispatch.MaxBatch, b.count(`SELECT count(*) FROM form_id`))
}

// Invariant 3: the formId that expires first is spent first, and one that has expired, or is about to, is never claimed: its time is
// tested in the claim, not by the sweep.
func TestFormIDs_EarliestExpiryFirstAndNeverExpired(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(1, 0)
	const week = 7 * 24 * time.Hour
	b.permit("u0", "fresh", time.Hour, true)
	b.permit("u0", "older", 24*time.Hour, true)
	b.permit("u0", "about-to-expire", week-9*time.Minute, true)
	b.permit("u0", "expired", week-time.Hour, true)
	b.exec(`UPDATE form_id SET expires_at = now() - interval '1 s' WHERE form_id = 'expired'`)
	b.work(b.d)
	for _, want := range []string{"older", "fresh"} {
		task := b.draft(users)
		b.send(task.ID)
		b.wait(task.ID, push.TaskDone)
		require.Equal(t, want, *b.rows(task.ID)["u0"].FormID)
	}
	task := b.draft(users)
	_, err := b.d.Send(t.Context(), "test", task.ID, nil)
	refused(t, err, push.RefusedNoPermit)
}

// The cron entry removes what has expired unused and counts it by the day of its expiry, in the zone of the settings, and source. It
// leaves what is reserved, used or good. What was swept long ago is not looked for again, until the purge.
func TestFormIDs_ExpireSweep(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 0)
	for _, id := range []string{"good", "today-1", "today-2", "before", "reserved", "used", "stray"} {
		b.permit("u0", id, 0, false)
	}
	b.exec(`UPDATE form_id SET source = 2 WHERE form_id = 'today-2'`)
	b.exec(`UPDATE form_id SET expires_at = now() - interval '1 s' WHERE form_id <> 'good'`)
	b.exec(`UPDATE form_id SET expires_at = '2026-01-01 17:00+00' WHERE form_id = 'before'`) // the second of January in Shanghai
	b.exec(`UPDATE form_id SET state = 1, audience_id = 1 WHERE form_id = 'reserved'`)
	b.exec(`UPDATE form_id SET state = 2, audience_id = 1 WHERE form_id = 'used'`)
	b.exec(`UPDATE form_id SET state = 1, audience_id = 1 WHERE form_id = 'stray'`)
	require.NoError(t, b.d.ExpireFormIDs(t.Context()))
	require.Equal(t, map[string]string{"good": "available", "reserved": "reserved", "used": "used", "stray": "reserved"}, b.fates())
	require.Equal(t, 1, b.count(`SELECT expired FROM form_id_day WHERE day = '2026-01-02' AND source = 1`))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM form_id_day WHERE day >= (now() AT TIME ZONE 'Asia/Shanghai')::date - 1 AND expired = 1`))
	require.Equal(t, 3, b.count(`SELECT sum(expired) FROM form_id_day`))
	// Given back long after its time: the purge finds it.
	b.exec(`UPDATE form_id SET state = 0, expires_at = now() - interval '3 hours' WHERE form_id = 'stray'`)
	require.NoError(t, b.d.ExpireFormIDs(t.Context()))
	require.Contains(t, b.fates(), "stray")
	require.NoError(t, b.d.Purge(t.Context()))
	require.NotContains(t, b.fates(), "stray")
	require.Equal(t, 4, b.count(`SELECT sum(expired) FROM form_id_day`))
}

// As the cron entry of a working daemon, with the specs of the settings.
func TestFormIDs_ExpireByCron(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.CronExpire = "*/2 * * * * *" })
	b.users(1, 0)
	b.permit("u0", "f", 0, false)
	b.work(b.d)
	b.exec(`UPDATE form_id SET expires_at = now()`)
	begun := time.Now()
	b.eventually("retired", func() bool { return b.count(`SELECT count(*) FROM form_id`) == 0 })
	require.Less(t, time.Since(begun), 4*time.Second)
}

// The purge removes old rows of every kind and leaves the tasks and their counts.
func TestPurge_RemovesWhatIsOld(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(5, 1)
	replaced := b.draft(users)
	b.upload(replaced.ID, users)
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	b.exec(`UPDATE task SET ended_at = now() - interval '181 days' WHERE id = $1`, task.ID)
	b.exec(`UPDATE form_id SET expires_at = now() - interval '31 days'`)
	b.exec(`INSERT INTO idempotency_key (principal, key, request_hash, status, content_type, body, created_at) VALUES ('p', 'old', '', 200, '', '', now() - interval '25 h'), ('p', 'new', '', 200, '', '', now())`)
	for range 2 {
		require.NoError(t, b.d.Purge(t.Context()))
	}
	require.Equal(t, 5, b.count(`SELECT count(*) FROM recipient`), "of the draft's list in force")
	require.Zero(t, b.count(`SELECT count(*) FROM form_id`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM idempotency_key`))
	kept, err := b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, push.Counts{Total: 5, Sent: 5}, kept.Counts)
}
