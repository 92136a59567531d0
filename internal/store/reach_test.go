package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// reach counts both ways, which must agree, and answers for a time from now. Days are UTC's.
func (b *bundle) reach(task push.Task, in, margin time.Duration) push.Reach {
	b.t.Helper()
	var answers []push.Reach
	for _, way := range []store.ReachWay{store.ReachProbed, store.ReachScanned} {
		f, err := b.st.CountReach(b.t.Context(), task, way, margin, "")
		require.NoError(b.t, err)
		r := f.At(f.AsOf.Add(in), f.AsOf, margin, time.UTC)
		require.Equal(b.t, r.Total, r.Reachable+r.NoPermit+r.NoUser+r.NoOpenID+r.DuplicateOpenID+r.Suppressed+r.Capped)
		r.AsOf = nil
		answers = append(answers, r)
	}
	require.Equal(b.t, answers[0], answers[1], "read once or looked up one by one: the figures are the same")
	return answers[0]
}

func (b *bundle) byID(id int64) push.Task {
	b.t.Helper()
	t, err := b.st.Task(b.t.Context(), id)
	require.NoError(b.t, err)
	return t
}

// scheduled freezes a draft and schedules it for tomorrow.
func (b *bundle) scheduled(id int64) {
	b.t.Helper()
	at := time.Now().Add(24 * time.Hour)
	template, err := b.st.Template(b.t.Context(), b.app.ID, b.byID(id).TemplateID)
	require.NoError(b.t, err)
	require.NoError(b.t, b.st.FreezeTask(b.t.Context(), id, template, "test"))
	moved, err := b.st.SubmitTask(b.t.Context(), id, []push.TaskState{push.TaskDraft}, &at)
	require.NoError(b.t, err)
	require.True(b.t, moved)
}

// Contended are those whose permits would not do for all the tasks that want them.
func TestReach_Contended_WhereOthersWantTheLastPermit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "one", "A")
	b.users(2, "two", "B")
	b.users(3, "three", "C")
	b.users(0, "none", "D")
	all := []string{"one", "two", "three", "none"}
	task := b.byID(b.task(all...))
	contended := func() int {
		r := b.reach(task, 0, time.Minute)
		require.Equal(t, []int{4, 3, 1}, []int{r.Total, r.Reachable, r.NoPermit})
		return r.Contended
	}
	require.Zero(t, contended())
	b.task(all...)
	require.Zero(t, contended(), "a draft wants nothing yet")
	b.sending(10, "one", "two", "none")
	require.Equal(t, 1, contended(), "one permit, two tasks")
	later := b.task("two", "three")
	b.scheduled(later)
	require.Equal(t, 2, contended(), "two permits, three tasks")
	b.exec(`UPDATE form_id SET expires_at = now() + interval '1 hour' WHERE id = (SELECT max(id) FROM form_id WHERE user_id = 'three')`)
	b.exec(`UPDATE form_id SET expires_at = now() + interval '2 hours' WHERE id = (SELECT min(id) FROM form_id WHERE user_id = 'three')`)
	require.Equal(t, 2, b.reach(task, 90*time.Minute, time.Minute).Contended, "two are left then, for two tasks")
	require.Equal(t, 3, b.reach(task, 150*time.Minute, time.Minute).Contended, "one is left then")
	b.exec(`UPDATE task SET audience = 'all', audience_id = NULL WHERE id = $1`, later)
	require.Equal(t, 2, contended(), "everyone with a permit is wanted")
	moved, err := b.st.UnscheduleTask(t.Context(), later)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, 1, contended())
	b.exec(`UPDATE recipient SET state = 2, sent_at = now(), openid = 'A' WHERE user_id = 'one' AND audience_id = (SELECT audience_id FROM task WHERE state = 'sending')`)
	require.Zero(t, contended(), "who has been sent to wants no permit")
}

// Two tasks that are to take the same version of a saved list want two permits of each.
func TestReach_Contended_BySavedLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(2, "a", "A")
	version := b.byID(b.task("a")).AudienceID
	task := b.byID(b.task("a"))
	for want := range 3 {
		require.Equal(t, want/2, b.reach(task, 0, time.Minute).Contended)
		rival := b.task("a")
		b.scheduled(rival)
		b.exec(`UPDATE task SET audience_id = NULL, source_id = $2 WHERE id = $1`, rival, version)
	}
}

// On the subscribe channel a permit is a unit of a counter of the template; it does not end, and a long-term one is never used up.
func TestReach_Subscribe_AddsUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []string{"S", "other"} {
		_, err := b.st.UpsertTemplate(t.Context(), b.app.ID, push.Template{TemplateID: id, Channel: push.ChannelSubscribe, Name: "n",
			Fields: []push.Field{{Key: "thing1", Value: "{{topic}}"}}})
		require.NoError(t, err)
	}
	b.users(1, "formid", "F")
	b.users(0, "one", "A", "two", "B", "long", "C", "used", "D", "elsewhere", "E", "noid", "", "told", "G")
	b.suppress(nil, store.NewSuppression{OpenID: "G"})
	b.exec(`INSERT INTO subscription (app_id, openid, template_id, available, long_term) SELECT $1, o, t, n, l
		FROM (VALUES ('A', 'S', 1, false), ('B', 'S', 2, false), ('C', 'S', 1, true), ('D', 'S', 0, false), ('E', 'other', 9, false), ('G', 'S', 1, false)) v(o, t, n, l)`, b.app.ID)
	subscribe := func(users ...string) push.Task {
		id := b.task(users...)
		b.exec(`UPDATE task SET template_id = 'S' WHERE id = $1`, id)
		return b.byID(id)
	}
	task := subscribe("formid", "one", "two", "long", "used", "elsewhere", "noid", "told", "ghost")
	want := push.Reach{Total: 9, Reachable: 3, NoPermit: 3, NoUser: 1, NoOpenID: 1, Suppressed: 1, Expiring: []push.DayCount{}}
	require.Equal(t, want, b.reach(task, 0, time.Minute))
	require.Equal(t, want, b.reach(task, 365*24*time.Hour, time.Minute))
	b.scheduled(subscribe("one", "two", "long").ID)
	want.Contended = 1
	require.Equal(t, want, b.reach(task, 0, time.Minute))
	b.scheduled(subscribe("two", "long").ID)
	want.Contended = 2
	require.Equal(t, want, b.reach(task, 0, time.Minute))
	everyone := b.byID(b.task())
	everyone.TemplateID, everyone.Channel, everyone.Audience, everyone.AudienceID = "S", push.ChannelSubscribe, push.AudienceAll, 0
	require.Equal(t, push.Reach{Total: 4, Reachable: 3, Suppressed: 1, Contended: 2, Expiring: []push.DayCount{}}, b.reach(everyone, 0, time.Minute))
}

// A list without statistics is read in one go, for it may be long: no look-up a recipient.
func TestReach_Scanned_ReadsEachTableOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var pairs, names []string
	for i := range 300 {
		names = append(names, fmt.Sprint("u", i))
		pairs = append(pairs, names[i], fmt.Sprint("O", i))
	}
	b.users(2, pairs...)
	b.sending(10, names...)
	task := b.byID(b.task(names...))
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		scans := func() (n int) {
			require.NoError(t, store.Tx(ctx).QueryRow(ctx, `
				SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_xact_user_tables WHERE relname IN ('app_user', 'form_id', 'recipient')`).Scan(&n))
			return n
		}
		before := scans()
		f, err := b.st.CountReach(ctx, task, store.ReachScanned, time.Minute, "UTC")
		require.NoError(t, err)
		require.Equal(t, 300, f.At(time.Time{}, f.AsOf, time.Minute, time.UTC).Reachable)
		require.LessOrEqual(t, scans()-before, 6)
		return nil
	}))
}

func TestKeepReach_TheNewestOfTheListInForce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "A")
	task := b.byID(b.task("a"))
	keep := func(asOf time.Time, noUser int) {
		require.NoError(t, b.st.KeepReach(t.Context(), task, push.ReachFigures{AsOf: asOf, NoUser: noUser, Free: push.Ends{push.EndNever: 2}}))
	}
	kept := func(t2 push.Task) (int, bool) {
		f, age, there, err := b.st.KeptReach(t.Context(), t2)
		require.NoError(t, err)
		if there {
			require.Equal(t, push.Ends{push.EndNever: 2}, f.Free)
			require.InDelta(t, time.Hour.Seconds(), age.Seconds(), 600)
		}
		return f.NoUser, there
	}
	_, there := kept(task)
	require.False(t, there)
	hourAgo := time.Now().Add(-time.Hour)
	keep(hourAgo, 1)
	keep(hourAgo.Add(-time.Minute), 2)
	n, there := kept(task)
	require.True(t, there)
	require.Equal(t, 1, n, "a count that began earlier and ended later changes nothing")
	keep(hourAgo.Add(time.Minute), 3)
	n, _ = kept(task)
	require.Equal(t, 3, n)

	other := task
	other.TemplateID = "other"
	_, there = kept(other)
	require.False(t, there, "another template")
	other = task
	other.AudienceID++
	_, there = kept(other)
	require.False(t, there, "another list")

	deleted, err := b.st.DeleteTask(t.Context(), task.ID)
	require.NoError(t, err)
	require.True(t, deleted)
	require.Zero(t, b.count(`SELECT count(*) FROM reach`))
	keep(time.Now(), 4)
	require.Zero(t, b.count(`SELECT count(*) FROM reach`), "a draft that is gone has no figure")

	task = b.byID(b.task("a"))
	keep(time.Now().Add(-8*24*time.Hour), 5)
	purged, err := b.st.PurgeReach(t.Context(), time.Now().Add(-7*24*time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, 1, purged)
}

// Whoever has another user's openid is looked up in the list by one probe, before the statistics know of the list too; and was reached as that
// user, or may have been, as the claim has it.
func TestReach_MovedOpenIDs_AreProbed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, table := range []string{"recipient", "app_user", "openid_move", "form_id"} {
		b.exec(`ALTER TABLE ` + table + ` SET (autovacuum_enabled = off)`)
	}
	b.users(1, "u0", "O0")
	id := b.task("u0")
	b.exec(`ANALYZE`)
	const n = 10_000
	b.exec(`INSERT INTO app_user (app_id, user_id, openid, moved) SELECT $1, 'u' || n, 'O' || n, n % 10 < 3 FROM generate_series(1, $2::int - 1) n`, b.app.ID, n)
	b.exec(`INSERT INTO openid_move (app_id, openid, user_id) SELECT $1, 'O' || n, 'w' || n FROM generate_series(1, $2::int - 1) n WHERE n % 10 < 3`, b.app.ID, n)
	b.exec(`INSERT INTO recipient (audience_id, seq, user_id) SELECT audience_id, n, 'u' || n FROM task, generate_series(1, $2::int - 1) n WHERE id = $1`, id, n)
	b.exec(`INSERT INTO recipient (audience_id, seq, user_id, state, openid, in_doubt) SELECT audience_id, $2 + n, 'w' || n, (n - 1) * 2, 'O' || n, n = 1 FROM task, generate_series(1, 2) n WHERE id = $1`, id, n)
	for _, way := range []store.ReachWay{store.ReachProbed, store.ReachScanned} {
		rows := b.read(func(ctx context.Context) {
			f, err := b.st.CountReach(ctx, b.byID(id), way, time.Minute, "UTC")
			require.NoError(t, err)
			require.Equal(t, []int{2, 2}, []int{f.DuplicateOpenID, f.NoUser}, "one was reached, one may have been")
		}, "recipient", "app_user", "openid_move", "form_id")
		require.Less(t, rows, 6*n, "way %d", way)
	}
}
