package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

func (b *bundle) suppress(app *int32, list ...store.NewSuppression) {
	b.t.Helper()
	added, err := b.st.AddSuppressions(b.t.Context(), app, list, "test")
	require.NoError(b.t, err)
	require.Equal(b.t, len(list), added)
}

func (b *bundle) dailyCap(n int) {
	b.t.Helper()
	b.exec(`UPDATE app SET daily_cap = $1`, n)
}

// reasons reads a task's recipients that have ended without a call, "user reason" each.
func (b *bundle) reasons(task int64) []string {
	b.t.Helper()
	return b.strings(`SELECT user_id || ' ' || reason FROM task_recipient WHERE task_id = $1 AND state = 'skipped' ORDER BY seq`, task)
}

func users(claim store.Claim) []string {
	var list []string
	for _, c := range claim.Sending {
		list = append(list, c.UserID)
	}
	return list
}

func TestClaim_Suppressed_SkippedWithoutATouchToThePermit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, err := b.st.InsertApp(t.Context(), push.App{Key: "other", AppID: "wx2", BaseURL: "http://127.0.0.1"}, func(int32) []byte { return []byte("x") })
	require.NoError(t, err)
	b.users(1, "by-user", "O1", "by-openid", "O2", "all-apps", "O3", "all-apps-openid", "O4", "free", "O5", "other-app", "O6")
	b.suppress(&b.app.ID, store.NewSuppression{UserID: "by-user"}, store.NewSuppression{OpenID: "O2"}, store.NewSuppression{UserID: "nobody"})
	b.suppress(nil, store.NewSuppression{UserID: "all-apps"}, store.NewSuppression{OpenID: "O4"})
	b.suppress(&other.ID, store.NewSuppression{UserID: "other-app"}, store.NewSuppression{OpenID: "O5"})
	task := b.sending(10, "by-user", "by-openid", "all-apps", "all-apps-openid", "free", "other-app", "nobody")
	claim := b.claim(b.run(task, 0), 0, 7)
	require.Equal(t, []string{"free", "other-app"}, users(claim))
	require.Equal(t, 5, claim.Ended)
	require.Equal(t, []string{"by-user suppressed", "by-openid suppressed", "all-apps suppressed", "all-apps-openid suppressed", "nobody no_user"}, b.reasons(task))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
	require.Equal(t, 4, b.count(`SELECT (reasons->>'5')::int FROM chunk`), "counted (invariant 8)")
}

// What counts is the list when the recipient's turn comes, not when it was uploaded or planned: an entry added after the chunks were cut
// holds, and one taken off no longer does.
func TestClaim_SuppressedBetweenPlanAndClaim_Skipped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X", "b", "Y", "c", "Z")
	task := b.sending(10, "a", "b", "c")
	run := b.run(task, 0)
	require.Equal(t, []string{"a"}, users(b.claim(run, 0, 1)), "nobody is on the list yet")
	b.suppress(&b.app.ID, store.NewSuppression{UserID: "b"}, store.NewSuppression{OpenID: "Z"})
	require.Empty(t, b.claim(run, 1, 2).Sending)
	entry, err := b.st.SuppressionOf(t.Context(), &b.app.ID, "", "Z")
	require.NoError(t, err)
	removed, err := b.st.RemoveSuppression(t.Context(), entry.ID)
	require.NoError(t, err)
	require.True(t, removed)
	require.Equal(t, []string{"c"}, users(b.claim(run, 2, 3)))
	require.Equal(t, []string{"b suppressed"}, b.reasons(task))
}

// Statements that were prepared while the list was empty, as on a daemon started on a fresh database, read a long list by its keys:
// one of another app, and the app's own; and so do those that were planned anew since, with statistics.
func TestClaim_LongSuppressionList_IsNotRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, err := b.st.InsertApp(t.Context(), push.App{Key: "other", AppID: "wx2", BaseURL: "http://127.0.0.1"}, func(int32) []byte { return []byte("x") })
	require.NoError(t, err)
	b.dailyCap(9)
	b.users(5, "a", "X", "b", "Y")
	var runs []store.Run
	for range 5 {
		runs = append(runs, b.run(b.sending(10, "a", "b"), 0))
	}
	conf := b.st.Pool().Config()
	conf.MaxConns = 1
	conf.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	pool, err := pgxpool.NewWithConfig(t.Context(), conf)
	require.NoError(t, err)
	defer pool.Close()
	b.st = store.New(pool)
	require.Len(t, b.claim(runs[0], 0, 2).Sending, 2)
	b.exec(`INSERT INTO suppression (app_id, user_id, added_by) SELECT $1, 'x' || g, 'test' FROM generate_series(1, 20000) g`, other.ID)
	b.exec(`INSERT INTO suppression (app_id, openid, added_by) SELECT $1, 'x' || g, 'test' FROM generate_series(1, 20000) g`, other.ID)
	b.exec(`INSERT INTO user_day (openid, app_id, day, tasks) SELECT 'x' || g, $1, now()::date, '{1}' FROM generate_series(1, 20000) g`, b.app.ID)
	probed := func(run store.Run) {
		require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
			require.Len(t, b.claimIn(ctx, run, 0, 2).Sending, 2)
			var scans, rows int
			require.NoError(t, store.Tx(ctx).QueryRow(ctx, `
				SELECT sum(seq_scan), sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname IN ('suppression', 'user_day')`).Scan(&scans, &rows))
			require.Zero(t, scans)
			require.Less(t, rows, 15)
			return nil
		}))
	}
	probed(runs[1])
	b.exec(`ANALYZE suppression, user_day`) // all entries are of the other app, as far as statistics can tell
	probed(runs[2])
	b.exec(`INSERT INTO suppression (app_id, user_id, added_by) SELECT $1, 'x' || g, 'test' FROM generate_series(1, 20000) g`, b.app.ID)
	probed(runs[3])
	b.exec(`ANALYZE suppression, user_day`)
	probed(runs[4])
}

func (b *bundle) claimIn(ctx context.Context, run store.Run, lo, hi int32) store.Claim {
	b.t.Helper()
	c, err := b.st.Claim(ctx, run, lo, hi, time.Minute)
	require.NoError(b.t, err)
	return c
}

// An app without an entry and without a cap reads neither table beyond one look whether there is an entry, once a claim.
func TestClaim_NoCourtesies_ReadsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	names, pairs := []string{}, []string{}
	for i := range 100 {
		names = append(names, fmt.Sprint("u", i))
		pairs = append(pairs, names[i], fmt.Sprint("O", i))
	}
	b.users(1, pairs...)
	run := b.run(b.sending(100, names...), 0)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		require.Len(t, b.claimIn(ctx, run, 0, 100).Sending, 100)
		var scans, rows int
		require.NoError(t, store.Tx(ctx).QueryRow(ctx, `
			SELECT sum(seq_scan + idx_scan), sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname IN ('suppression', 'user_day')`).Scan(&scans, &rows))
		require.LessOrEqual(t, scans, 2)
		require.Zero(t, rows)
		return nil
	}))
	require.Zero(t, b.count(`SELECT count(*) FROM user_day`))
}

// Each recipient is in one category of the reach, the one for which the claim then ends it.
func TestReach_SuppressedCappedAndTwice_AsTheClaimEndsThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dailyCap(1)
	b.users(2, "first", "P", "free", "A", "suppressed", "B", "suppressed-openid", "C", "capped", "D", "suppressed-and-capped", "E", "second", "Q")
	b.users(0, "dry", "F", "dry-suppressed", "G", "dry-capped", "H", "noid", "")
	b.suppress(&b.app.ID, store.NewSuppression{UserID: "suppressed"}, store.NewSuppression{UserID: "suppressed-and-capped"},
		store.NewSuppression{UserID: "noid"}, store.NewSuppression{UserID: "ghost"})
	b.suppress(nil, store.NewSuppression{OpenID: "C"}, store.NewSuppression{OpenID: "G"})
	b.exec(`INSERT INTO user_day (openid, app_id, day, tasks) SELECT o, $1, now()::date, '{99}' FROM unnest('{D,E,H}'::text[]) o`, b.app.ID)
	id := b.sending(100, "first", "free", "suppressed", "suppressed-openid", "capped", "suppressed-and-capped", "second", "dry", "dry-suppressed", "dry-capped", "noid", "ghost")
	run := b.run(id, 0)
	c := b.claim(run, 0, 1).Sending[0]
	b.record(run, sent(c))
	b.users(0, "second", "P") // the person who has had it, under another id
	task, err := b.st.Task(t.Context(), id)
	require.NoError(t, err)
	reach := func(in time.Duration) push.Reach {
		r := b.reach(task, in, time.Minute)
		any, err := b.st.AnyReachable(t.Context(), task, time.Now().Add(in), time.Minute, "UTC")
		require.NoError(t, err)
		require.True(t, any)
		r.Expiring = nil
		return r
	}
	// "first" has no openid any more, and was reached before that.
	require.Equal(t, push.Reach{Total: 12, Reachable: 1, NoPermit: 1, NoUser: 1, NoOpenID: 2, DuplicateOpenID: 1, Suppressed: 4, Capped: 2}, reach(0))
	require.Equal(t, 0, reach(24*time.Hour).Capped, "tomorrow is another day")
	require.Equal(t, []string{"free"}, users(b.claim(run, 1, 12)))
	require.Equal(t, []string{"suppressed suppressed", "suppressed-openid suppressed", "capped capped", "suppressed-and-capped suppressed",
		"second duplicate_openid", "dry no_permit", "dry-suppressed suppressed", "dry-capped capped", "noid no_openid", "ghost no_user"}, b.reasons(id))

	nobody := b.task("suppressed", "capped", "dry", "ghost")
	task, err = b.st.Task(t.Context(), nobody)
	require.NoError(t, err)
	any, err := b.st.AnyReachable(t.Context(), task, time.Now(), time.Minute, "UTC")
	require.NoError(t, err)
	require.False(t, any, "a send is refused: it would reach nobody")
}
