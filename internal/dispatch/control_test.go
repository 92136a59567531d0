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

// midway sends a task of n recipients over a slow platform and returns once some of them have their message.
func (b *bundle) midway(n, after int) push.Task {
	b.t.Helper()
	b.faults(sim.Faults{LatencyMS: 40})
	task := b.draft(b.users(n, 1))
	b.work(b.d)
	b.send(task.ID)
	b.eventually("under way", func() bool { return b.sim.Stats().Messages >= int64(after) })
	return task
}

func (b *bundle) quiet() {
	b.t.Helper()
	b.eventually("nothing runs", func() bool { _, running := b.live(); return running == 0 })
}

// lastCall is when the last message of the ledger arrived.
func (b *bundle) lastCall() (last time.Time) {
	for m := range b.sim.Ledger(sim.Filter{}) {
		last = m.At
	}
	return last
}

func slow(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 40, 10, 2 }

// No call starts later than a second after Pause has returned, on the daemon that was asked and on another one; what was in flight is
// recorded, and after the resume everyone has the message once (invariants 2, 7 and 8).
func TestPause_StopsCallsAndResumeFinishes(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"the daemon that sends", "another one"} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			b := setup(t, slow)
			d := b.d
			if asked == "another one" {
				d = b.dispatcher()
			}
			task := b.midway(240, 20)
			paused, err := d.Pause(t.Context(), "test", task.ID)
			returned := time.Now()
			require.NoError(t, err)
			require.Equal(t, push.TaskPaused, paused.State)
			require.Equal(t, []push.Cause{push.CauseOperator}, paused.Causes)
			b.quiet()
			at := b.audit(task.ID)
			require.Zero(t, at.Counts.Sending)
			require.Positive(t, at.Counts.Pending)
			require.Equal(t, b.sim.Stats().Messages, int64(at.Counts.Sent))
			require.Less(t, b.lastCall().Sub(returned), time.Second)
			require.Equal(t, at.Counts.Pending, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))

			resumed, err := d.Resume(t.Context(), "test", task.ID)
			require.NoError(t, err)
			require.Equal(t, push.TaskSending, resumed.State)
			require.Empty(t, resumed.Causes)
			b.wait(task.ID, push.TaskDone)
			require.Equal(t, push.Counts{Total: 240, Sent: 240}, b.audit(task.ID).Counts)
			b.once(b.names(240))
			require.Equal(t, int64(240), b.sim.Stats().Calls, "no call was made twice")
		})
	}
}

// Cancel skips whoever was not called, keeps what was sent, and frees the permits of the skipped.
func TestCancel_MidTask(t *testing.T) {
	t.Parallel()
	b := setup(t, slow)
	task := b.midway(240, 20)
	canceled, err := b.d.Cancel(t.Context(), "test", task.ID)
	returned := time.Now()
	require.NoError(t, err)
	require.Equal(t, push.TaskCanceled, canceled.State)
	require.NotNil(t, canceled.EndedAt)
	b.eventually("settled", func() bool {
		t, err := b.st.Task(b.t.Context(), task.ID)
		require.NoError(b.t, err)
		return t.Counts.Open() == 0
	})
	end := b.audit(task.ID)
	require.Equal(t, push.TaskCanceled, end.State)
	require.Positive(t, end.Counts.Skipped)
	require.Equal(t, 240, end.Counts.Sent+end.Counts.Skipped)
	require.Equal(t, "canceled", end.Reasons[0].Code)
	require.Equal(t, end.Counts.Skipped, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	require.Equal(t, end.Counts.Sent, len(b.got()))
	require.Less(t, b.lastCall().Sub(returned), time.Second)
}

// An ambiguous recipient of a canceled task gets no further call: it is unknown, and its permit stays where it is (invariant 5).
func TestCancel_LeavesAmbiguousUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, OpenIDs: []string{openID("u0")}}}})
	task := b.draft(b.users(2, 1))
	b.work(b.d)
	b.send(task.ID)
	b.eventually("one is ambiguous, one is sent", func() bool {
		return b.count(`SELECT count(*) FROM recipient WHERE ambiguous AND state = 0 OR state = 2`) == 2
	})
	_, err := b.d.Cancel(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.eventually("settled", func() bool { return b.count(`SELECT count(*) FROM chunk WHERE state <> 'done'`) == 0 })
	require.Equal(t, push.Counts{Total: 2, Sent: 1, Unknown: 1}, b.audit(task.ID).Counts)
	require.Equal(t, push.Unsure, b.rows(task.ID)["u0"].Reason)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
}

func TestCancel_ScheduledTask(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(3, 1))
	_, err := b.d.Send(t.Context(), "test", task.ID, in(time.Hour))
	require.NoError(t, err)
	_, err = b.d.Cancel(t.Context(), "test", task.ID)
	require.NoError(t, err)
	require.Equal(t, push.Counts{Total: 3, Skipped: 3}, b.audit(task.ID).Counts)
	require.Zero(t, b.startJobs())
	require.Zero(t, b.sim.Stats().Calls)
}

// The kill switch of an app stops its tasks, makes no work while it is on, and lets them go on after.
func TestPauseApp_StopsItsTasksAndTheirJobs(t *testing.T) {
	t.Parallel()
	b := setup(t, slow)
	task := b.midway(240, 20)
	_, err := b.d.PauseApp(t.Context(), "test", appKey)
	returned := time.Now()
	require.NoError(t, err)
	b.quiet()
	calls, jobs, ticks := b.sim.Stats().Calls, b.chunkJobs(), b.ticks()
	b.eventually("three rounds of the sweeper", func() bool { return b.ticks() >= ticks+3 })
	require.Equal(t, calls, b.sim.Stats().Calls)
	require.LessOrEqual(t, b.chunkJobs(), jobs+b.conf.Workers, "jobs are made while nothing can be sent")
	require.Less(t, b.lastCall().Sub(returned), time.Second)
	require.Equal(t, []push.Cause{push.CauseAppPaused}, b.audit(task.ID).Causes)
	_, err = b.d.ResumeApp(t.Context(), appKey)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	b.once(b.names(240))
}

// ticks counts the seconds in which the upkeep has run.
func (b *bundle) ticks() int {
	b.t.Helper()
	return b.count(`SELECT coalesce(max(extract(epoch FROM last_success_at)), 0)::int FROM sweeper WHERE name = 'tend'`)
}

func in(d time.Duration) *time.Time {
	at := time.Now().Add(d).Truncate(time.Microsecond)
	return &at
}

// What a state does not allow is refused with that state, and changes nothing.
func TestControl_RefusesWhatTheStateDoesNotAllow(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.work(b.d)
	users := b.users(3, 8)
	draft, scheduled, paused, done := b.draft(users), b.draft(users), b.draft(users), b.draft(users)
	canceled := b.draft(users)
	_, err := b.d.Send(t.Context(), "test", scheduled.ID, in(time.Hour))
	require.NoError(t, err)
	_, err = b.d.Send(t.Context(), "test", canceled.ID, in(time.Hour))
	require.NoError(t, err)
	_, err = b.d.Cancel(t.Context(), "test", canceled.ID)
	require.NoError(t, err)
	b.send(done.ID)
	b.wait(done.ID, push.TaskDone)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 41030}}})
	b.send(paused.ID)
	b.wait(paused.ID, push.TaskPaused)
	b.quiet()

	calls := map[string]func(context.Context, int64) error{
		"pause":      func(ctx context.Context, id int64) error { _, err := b.d.Pause(ctx, "test", id); return err },
		"resume":     func(ctx context.Context, id int64) error { _, err := b.d.Resume(ctx, "test", id); return err },
		"cancel":     func(ctx context.Context, id int64) error { _, err := b.d.Cancel(ctx, "test", id); return err },
		"unschedule": func(ctx context.Context, id int64) error { _, err := b.d.Unschedule(ctx, "test", id); return err },
		"delete":     b.d.DeleteTask,
		"refresh":    func(ctx context.Context, id int64) error { _, err := b.d.RefreshProduct(ctx, "test", id); return err },
		"change": func(ctx context.Context, id int64) error {
			_, err := b.d.ChangeTask(ctx, "test", id, func(s *push.TaskSpec) error { s.Topic = "other"; return nil })
			return err
		},
		"upload": func(ctx context.Context, id int64) error {
			_, err := b.d.UploadAudience(ctx, "test", id, upload("u0\n"))
			return err
		},
	}
	for _, c := range []struct {
		task  push.Task
		state push.TaskState
		calls []string
	}{
		{draft, push.TaskDraft, []string{"pause", "resume", "cancel", "unschedule"}},
		{scheduled, push.TaskScheduled, []string{"pause", "resume", "delete", "refresh", "change", "upload"}},
		{paused, push.TaskPaused, []string{"unschedule", "delete", "refresh", "change", "upload"}},
		{done, push.TaskDone, []string{"pause", "resume", "cancel", "unschedule", "delete", "refresh", "change", "upload"}},
		{canceled, push.TaskCanceled, []string{"pause", "resume", "cancel", "unschedule", "delete", "refresh", "change", "upload"}},
	} {
		for _, name := range c.calls {
			before, err := b.st.Task(t.Context(), c.task.ID)
			require.NoError(t, err)
			err = calls[name](t.Context(), c.task.ID)
			var r *push.Refusal
			require.ErrorAs(t, err, &r, "%s of a task that is %s", name, c.state)
			require.Equal(t, push.RefusedWrongState, r.Code, "%s of a task that is %s", name, c.state)
			require.Equal(t, c.state, r.State)
			after, err := b.st.Task(t.Context(), c.task.ID)
			require.NoError(t, err)
			require.Equal(t, before, after)
		}
	}
	for _, call := range calls {
		require.ErrorIs(t, call(t.Context(), 1_000_000), push.ErrNotFound)
	}
}
