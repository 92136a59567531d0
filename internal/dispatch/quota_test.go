package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

func TestQuotaUntil_IsTheMidnightAfterTheCallBegan(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return v
	}
	for _, tc := range []struct{ begun, from, to string }{
		{"2026-12-01T10:00:00+08:00", "2026-12-02T00:01:00+08:00", "2026-12-02T00:05:00+08:00"},
		// It was answered on the next day: that day is not lost.
		{"2026-12-01T23:59:59.9+08:00", "2026-12-02T00:01:00+08:00", "2026-12-02T00:05:00+08:00"},
		// The platform's clock is behind ours: its day has not begun.
		{"2026-12-02T00:00:01+08:00", "2026-12-02T00:05:01+08:00", "2026-12-02T00:05:01+08:00"},
		{"2026-12-01T17:00:00Z", "2026-12-03T00:01:00+08:00", "2026-12-03T00:05:00+08:00"},
	} {
		got := dispatch.QuotaUntil(at(tc.begun))
		require.False(t, got.Before(at(tc.from)), "%s: %s", tc.begun, got)
		require.False(t, got.After(at(tc.to)), "%s: %s", tc.begun, got)
	}
}

// quotaDue makes the time at which an app's quota is tried again now.
func (b *bundle) quotaDue() {
	b.exec(`UPDATE app SET quota_until = now() WHERE quota_until IS NOT NULL`)
}

func TestQuota_UsedUp_PausesAllTasksOfTheAppAndOneProbeBringsThemBack(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 10, 5, 1 })
	b.faults(sim.Faults{QuotaPerDay: 20})
	users := b.users(60, 1)
	first, second := b.draft(users[:40]), b.draft(users[40:])
	b.send(first.ID)
	b.send(second.ID)
	b.work(b.d)
	one := b.wait(first.ID, push.TaskPaused)
	two := b.wait(second.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseQuota}, one.Causes)
	require.Equal(t, []push.Cause{push.CauseQuota}, two.Causes)
	require.Contains(t, two.Note, "It goes on by itself")
	b.quiet() // a claim that began before the pause may be committed after it
	require.Equal(t, 20, len(b.got()))
	require.Zero(t, b.count(`SELECT count(*) FROM form_id WHERE state = 1`), "a quota costs no permit (invariant 4)")

	before := b.sim.Stats().Calls
	b.quotaDue()
	b.eventually("the probe is refused", func() bool {
		return b.count(`SELECT count(*) FROM app WHERE quota_until > now() + interval '1 min' AND quota_probe_task IS NULL`) == 1
	})
	b.eventually("its task is paused again", func() bool { return b.count(`SELECT count(*) FROM task WHERE state = 'paused'`) == 2 })
	require.EqualValues(t, 1, b.sim.Stats().Calls-before, "one call finds out")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM app WHERE quota_until < now() + interval '6 min'`), "it is tried again in five minutes")

	b.faults(sim.Faults{})
	b.quotaDue()
	b.wait(first.ID, push.TaskDone)
	b.wait(second.ID, push.TaskDone)
	b.once(users)
	require.Zero(t, b.count(`SELECT count(*) FROM app WHERE quota_until IS NOT NULL`))
}

// A task that was sent while the quota is out has no chunks yet. It waits without a call, and goes out by itself when the quota is
// tried again, or before that when a person resumes it, which is a trial as well.
func TestQuota_TaskSentWhileItIsOut_WaitsWithoutACallAndGoesOn(t *testing.T) {
	t.Parallel()
	for name, goOn := range map[string]func(*bundle, int64){
		"by itself": func(b *bundle, _ int64) { b.exec(`UPDATE app SET quota_until = now()`) },
		"by a person": func(b *bundle, task int64) {
			_, err := b.d.Resume(b.t.Context(), "test", task)
			require.NoError(b.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.exec(`UPDATE app SET quota_until = now() + interval '1 hour'`)
			users := b.users(5, 1)
			task, other := b.draft(users), b.draft(users[:1])
			b.permits(users[:1], 1)
			b.send(task.ID)
			b.send(other.ID)
			b.work(b.d)
			for _, id := range []int64{task.ID, other.ID} {
				require.Equal(t, []push.Cause{push.CauseQuota}, b.wait(id, push.TaskPaused).Causes)
			}
			require.Zero(t, b.sim.Stats().Calls)
			goOn(b, task.ID)
			b.wait(task.ID, push.TaskDone)
			b.wait(other.ID, push.TaskDone)
			require.EqualValues(t, len(users)+1, b.sim.Stats().Calls)
			require.Zero(t, b.count(`SELECT count(*) FROM app WHERE quota_until IS NOT NULL`))
		})
	}
}

func TestQuota_KnownToBeGone_PausesBeforeItIsMet(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 10, 1, 1 })
	b.faults(sim.Faults{QuotaPerDay: 1, LatencyMS: 1000}) // so that it is asked for before the second call is refused
	users := b.users(10, 1)
	task := b.draft(users)
	b.send(task.ID)
	b.work(b.d)
	b.wait(task.ID, push.TaskPaused)
	app, err := b.st.App(t.Context(), appKey)
	require.NoError(t, err)
	require.EqualValues(t, 1, *app.Quota.Limit, "what the platform said is kept, and shown")
	require.NotNil(t, app.Quota.OutUntil)
}

// The platform counts the call of each channel by itself: what is asked for is that of the channels in which the app sends, and what is shown
// is the one of which the least is left.
func TestQuota_IsAskedOfTheChannelsInWhichTheAppSends(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 10, 1, 1 })
	b.faults(sim.Faults{QuotaPerDay: 8, LatencyMS: 300})
	users := b.subscribed(10, 1)
	b.work(b.d)
	quota := func() push.AppQuota {
		app, err := b.st.App(t.Context(), appKey)
		require.NoError(t, err)
		return app.Quota
	}
	task := b.subscribeDraft(users, nil)
	b.send(task.ID)
	b.eventually("the quota of subscribe messages is asked for", func() bool { return quota().Limit != nil })
	b.wait(task.ID, push.TaskPaused)
	require.EqualValues(t, 8, *quota().Limit)

	b.faults(sim.Faults{})
	b.exec(`UPDATE app SET quota_asked_at = NULL, quota_until = NULL`)
	_, err := b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	b.once(users)
}

func TestBudget_IsNeverExceededByTwoDaemonsAndSharedByTasks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize = 10 })
	_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.DailyBudget = 35; return nil })
	require.NoError(t, err)
	users := b.users(80, 1)
	first, second := b.draft(users[:40]), b.draft(users[40:])
	b.send(first.ID)
	b.send(second.ID)
	b.work(b.d)
	b.work(b.dispatcher())
	b.eventually("both are paused", func() bool {
		return b.count(`SELECT count(*) FROM task WHERE state = 'paused' AND causes = '{quota}'`) == 2
	})
	b.quiet()
	require.LessOrEqual(t, b.sim.Stats().Calls, int64(35))
	require.GreaterOrEqual(t, b.sim.Stats().Calls, int64(25), "what was granted and not used is given back, but for the end")
	require.Contains(t, b.wait(first.ID, push.TaskPaused).Note, "预算")
	app, err := b.st.App(t.Context(), appKey)
	require.NoError(t, err)
	require.InDelta(t, 30, float64(app.Quota.BudgetUsed), 5)

	_, err = b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.DailyBudget = 0; return nil })
	require.NoError(t, err)
	b.wait(first.ID, push.TaskDone)
	b.wait(second.ID, push.TaskDone)
	b.once(users)
}

func TestRate_PlatformAsksToSlowDown_IsHalvedForAllAndRecovers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.RatePerSecond = 100; return nil })
	require.NoError(t, err)
	rate, slowed, err := b.st.SlowDown(t.Context(), b.app.ID, 7)
	require.NoError(t, err)
	require.True(t, slowed)
	require.InDelta(t, 50, rate, 0.01)
	_, slowed, err = b.st.SlowDown(t.Context(), b.app.ID, 7)
	require.NoError(t, err)
	require.False(t, slowed, "an answer to a call made before halves nothing again")
	effective := func() int {
		return b.count(`SELECT round(slowed_rate(100, slow_rate, slow_base, clock_timestamp() - slow_at))::int FROM limiter WHERE task_id = 0`)
	}
	require.Equal(t, 50, effective())
	for _, step := range []struct {
		ago  string
		rate int
	}{{"11 s", 60}, {"31 s", 80}, {"51 s", 100}, {"1 hour", 100}} {
		b.exec(`UPDATE limiter SET slow_at = clock_timestamp() - $1::interval WHERE task_id = 0`, step.ago)
		require.Equal(t, step.rate, effective(), step.ago)
	}
	b.exec(`UPDATE limiter SET slow_at = clock_timestamp() - interval '31 s' WHERE task_id = 0`)
	rate, slowed, err = b.st.SlowDown(t.Context(), b.app.ID, 7)
	require.NoError(t, err)
	require.True(t, slowed)
	require.InDelta(t, 40, rate, 0.01, "it is halved from where it stood")
}

func TestRate_AppWithoutALimit_GetsOneFromWhatItWasSending(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize = 200 })
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 45011, Count: 3}}})
	users := b.users(60, 1)
	task := b.draft(users)
	b.send(task.ID)
	b.work(b.d)
	b.eventually("it is slowed down", func() bool { return b.count(`SELECT count(*) FROM limiter WHERE slow_rate >= 1`) == 1 })
	b.eventually("the three wait for the next minute", func() bool { return b.count(`SELECT count(*) FROM recipient WHERE retry_at IS NOT NULL`) == 3 })
	b.exec(`UPDATE recipient SET retry_at = NULL`)
	b.exec(`UPDATE chunk SET not_before = NULL`)
	b.wait(task.ID, push.TaskDone)
	b.once(users)
}
