package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// Whoever is asked, of two daemons that send or a command beside them: by the platform's own times no call starts later than a second
// after the answer. Calls in flight are shown until they have ended, and end as they end; after a resume everyone has the message once
// (invariants 2, 5, 7 and 8).
func TestStop_NoCallStartsASecondAfterTheAnswer(t *testing.T) {
	t.Parallel()
	type stop func(ctx context.Context, d *dispatch.Dispatcher, task int64) error
	kinds := map[string]stop{
		"pause": func(ctx context.Context, d *dispatch.Dispatcher, id int64) error {
			_, err := d.Pause(ctx, "test", id)
			return err
		},
		"cancel": func(ctx context.Context, d *dispatch.Dispatcher, id int64) error {
			_, err := d.Cancel(ctx, "test", id)
			return err
		},
		"app": func(ctx context.Context, d *dispatch.Dispatcher, _ int64) error {
			_, err := d.PauseApp(ctx, "test", appKey)
			return err
		},
		"all": func(ctx context.Context, d *dispatch.Dispatcher, _ int64) error {
			_, err := d.PauseAllApps(ctx, "test")
			return err
		},
	}
	for name, stop := range kinds {
		for _, asked := range []string{"a daemon that sends", "a command"} {
			t.Run(name+" asked of "+asked, func(t *testing.T) {
				t.Parallel()
				b := setup(t, slow)
				users := b.users(400, 1)
				task := b.draft(users)
				b.faults(sim.Faults{LatencyMS: 50})
				d := b.two()
				if asked == "a command" {
					d = b.dispatcher()
				}
				b.send(task.ID)
				b.eventually("passed", func() bool { return b.count(`SELECT count(*) FROM task WHERE canary_passed_at IS NOT NULL`) == 1 })
				b.faults(sim.Faults{LatencyMS: 2500}) // longer than the stop takes to answer on any machine
				b.eventually("both send", func() bool {
					return b.count(`SELECT count(DISTINCT node_id) FROM chunk WHERE state = 'running' AND sending > 0`) == 2
				})
				require.NoError(t, stop(t.Context(), d, task.ID))
				returned := time.Now()
				at, err := b.st.Task(t.Context(), task.ID)
				require.NoError(t, err)
				require.Positive(t, at.Counts.Sending, "what is in flight is shown")
				require.LessOrEqual(t, at.Counts.Sending, 20)
				b.quiet()
				b.eventually("another second", func() bool { return time.Since(returned) > 1500*time.Millisecond })
				require.Less(t, b.lastCall().Sub(returned), time.Second)
				if name == "cancel" {
					b.eventually("settled", func() bool { return b.count(`SELECT count(*) FROM chunk WHERE state <> 'done'`) == 0 })
				}
				at = b.audit(task.ID)
				require.Zero(t, at.Counts.Sending)
				require.Equal(t, b.sim.Stats().Messages, int64(at.Counts.Sent))
				b.faults(sim.Faults{})
				b.goOnAfter(name, task.ID, at)
			})
		}
	}
}

// goOnAfter ends what a stop has begun: the rest is sent, or everyone is settled.
func (b *bundle) goOnAfter(stop string, task int64, at push.Task) {
	b.t.Helper()
	switch stop {
	case "cancel":
		require.Equal(b.t, push.Counts{Total: 400, Sent: at.Counts.Sent, Skipped: 400 - at.Counts.Sent}, at.Counts)
		require.Equal(b.t, 400-at.Counts.Sent, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
		return
	case "pause":
		b.resume(task)
	default:
		require.Equal(b.t, []push.Cause{push.CauseAppPaused}, at.Causes)
		require.Equal(b.t, 1, b.count(`SELECT count(*) FROM app WHERE paused_by = 'test'`))
		_, err := b.d.ResumeAllApps(b.t.Context())
		require.NoError(b.t, err)
	}
	b.wait(task, push.TaskDone)
	require.Equal(b.t, push.Counts{Total: 400, Sent: 400}, b.audit(task).Counts)
	b.once(b.names(400))
	require.Equal(b.t, int64(400), b.sim.Stats().Calls)
}

// The kill switch of all apps stops each of them, and one that is paused already keeps who paused it.
func TestPauseAllApps_EveryAppAndNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, err := b.d.AddApp(t.Context(), dispatch.AppSpec{Key: "other", AppID: "wx-other", Secret: "s", BaseURL: b.url})
	require.NoError(t, err)
	_, err = b.d.PauseApp(t.Context(), "first", "other")
	require.NoError(t, err)
	apps, err := b.d.PauseAllApps(t.Context(), "second")
	require.NoError(t, err)
	require.Len(t, apps, 2)
	require.Equal(t, "second", *apps[0].PausedBy)
	require.Equal(t, "first", *apps[1].PausedBy)
	apps, err = b.d.ResumeAllApps(t.Context())
	require.NoError(t, err)
	for _, app := range apps {
		require.Nil(t, app.PausedAt)
		require.Nil(t, app.PausedBy)
	}
}

// A task that is canceled while calls of it are ambiguous: those that are in flight end as they end, an ambiguous one keeps its permit and is
// unknown, the rest is skipped with their permits free (invariant 5).
func TestCancel_InFlightAndAmbiguousEndAsTheyEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { slow(c); c.Canary.Sent = -1 })
	users := b.users(200, 2)
	b.faults(sim.Faults{LatencyMS: 400, Rules: []sim.Rule{
		{Kind: sim.Drop, OpenIDs: []string{openID("u0")}}, {Kind: sim.Drop, AfterDelivery: true, OpenIDs: []string{openID("u1")}},
	}})
	task := b.draft(users)
	b.two()
	b.send(task.ID)
	b.eventually("ambiguous", func() bool { return b.count(`SELECT count(*) FROM recipient WHERE ambiguous`) == 2 })
	_, err := b.dispatcher().Cancel(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.eventually("settled", func() bool { return b.count(`SELECT count(*) FROM chunk WHERE state <> 'done'`) == 0 })
	end := b.audit(task.ID)
	require.Equal(t, push.TaskCanceled, end.State)
	rows := b.rows(task.ID)
	for _, u := range users[:2] {
		require.Equal(t, push.Unknown, rows[u].State, u)
		require.Equal(t, push.Unsure, rows[u].Reason, u)
		require.Equal(t, "reserved", b.fates()[*rows[u].FormID], u)
	}
	require.Equal(t, 2, end.Counts.Unknown)
	require.Positive(t, end.Counts.Skipped)
	require.Equal(t, 200, end.Counts.Sent+end.Counts.Skipped+end.Counts.Unknown)
	require.Equal(t, 2, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
	require.Equal(t, end.Counts.Sent, b.count(`SELECT count(*) FROM form_id WHERE state = 2`))
	for u, n := range b.got() {
		require.Equal(t, 1, n, u)
	}
}

// A large task is canceled at once, and settled in steps that nothing waits for long.
func TestCancel_LargeTaskAnswersAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize = 1000 })
	task := b.draft(b.users(1, 1))
	b.exec(`INSERT INTO recipient (audience_id, seq, user_id) SELECT audience_id, g, 'x' || g FROM task, generate_series(1, 99999) g WHERE id = $1`, task.ID)
	b.exec(`UPDATE audience SET total = 100000, accepted = 100000`)
	b.send(task.ID)
	begun := time.Now()
	canceled, err := b.d.Cancel(t.Context(), "test", task.ID)
	require.NoError(t, err)
	require.Less(t, time.Since(begun), 3*time.Second)
	require.Equal(t, push.TaskCanceled, canceled.State)
	b.work(b.d)
	b.eventually("settled", func() bool { return b.count(`SELECT count(*) FROM chunk WHERE state <> 'done'`) == 0 })
	t1, err := b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, push.Counts{Total: 100000, Skipped: 100000}, t1.Counts)
	require.Equal(t, 100000, b.count(`SELECT count(*) FROM recipient WHERE state = 4 AND reason = 7`))
	require.Zero(t, b.sim.Stats().Calls)
}
