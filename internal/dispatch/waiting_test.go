package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// waitingTask makes a draft for users that waits for their permits for so long.
func (b *bundle) waitingTask(users []string, wait time.Duration) push.Task {
	b.t.Helper()
	s := spec()
	until := time.Now().Add(wait)
	s.WaitForPermitUntil = &until
	t, err := b.d.CreateTask(b.t.Context(), "test", s)
	require.NoError(b.t, err)
	b.upload(t.ID, users)
	return t
}

// counted polls until the task's counts are these.
func (b *bundle) counted(task int64, want push.Counts) {
	b.t.Helper()
	b.eventually("counts", func() bool {
		t, err := b.st.Task(b.t.Context(), task)
		return err == nil && t.Counts == want
	})
}

// over ends the time until which a task waits.
func (b *bundle) over(task int64) {
	b.t.Helper()
	b.exec(`UPDATE task SET wait_for_permit_until = clock_timestamp() WHERE id = $1`, task)
}

// A task that waits sends to whoever has a permit, keeps the others waiting without a job, sends to each within seconds of its next
// permit, by whichever process took that in, and skips the rest when its time is over. Nobody has it twice (invariant 7).
func TestWait_SendsToEachWhenItsPermitArrives(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(120, 0)
	b.permits(users[:20], 1)
	task := b.waitingTask(users, time.Hour)
	b.work(b.d)
	b.send(task.ID)
	b.counted(task.ID, push.Counts{Total: 120, Sent: 20, Waiting: 100})
	b.eventually("no chunk is queued or run", func() bool { return b.count(`SELECT count(*) FROM chunk WHERE state <> 'idle'`) == 0 })
	b.audit(task.ID)
	jobs := b.count(`SELECT count(*) FROM river.river_job`)
	for range 3 {
		require.NoError(t, b.d.Tend(t.Context()))
	}
	require.Equal(t, jobs, b.count(`SELECT count(*) FROM river.river_job`), "what only waits takes no job")

	web := b.dispatcher()
	reports := []dispatch.FormIDReport{}
	for _, p := range b.sim.Mint(appID, []string{openID("u40"), openID("u119")}, 1, 0) {
		reports = append(reports, dispatch.FormIDReport{UserID: p.OpenID[len("oOpenID-"):], FormID: p.FormID, Source: 4})
	}
	_, err := web.ReportFormIDs(t.Context(), appKey, reports)
	require.NoError(t, err)
	require.Equal(t, 2, b.count(`SELECT count(*) FROM recipient WHERE user_id IN ('u40', 'u119') AND state <> 6`), "woken by the report itself")
	b.counted(task.ID, push.Counts{Total: 120, Sent: 22, Waiting: 98})
	require.Equal(t, push.TaskSending, b.audit(task.ID).State)

	b.over(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 120, Sent: 22, Skipped: 98}, b.audit(task.ID).Counts)
	require.Equal(t, push.NoPermit, b.rows(task.ID)["u50"].Reason)
	b.once(append(append([]string{}, users[:20]...), "u40", "u119"))
	require.Equal(t, int64(22), b.sim.Stats().Calls)
}

// A permit that no report brought, here one that another task gave back, is found by the sweep.
func TestWait_PermitGivenBackIsFoundByTheSweep(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(3, 0)
	task := b.waitingTask(users, time.Hour)
	b.work(b.d)
	b.send(task.ID)
	b.counted(task.ID, push.Counts{Total: 3, Waiting: 3})
	b.exec(`INSERT INTO form_id (app_id, user_id, form_id, source, state, submitted_at, expires_at, audience_id, seq)
		VALUES ($1, 'u1', 'back', 1, 1, now(), now() + interval '1 day', 999, 0)`, b.app.ID)
	b.sim.Preload(appID, []sim.Permit{{OpenID: openID("u1"), FormID: "back"}})
	require.NoError(t, b.d.Tend(t.Context()))
	require.Equal(t, 3, b.audit(task.ID).Counts.Waiting, "another recipient holds it")
	b.exec(`UPDATE form_id SET state = 0 WHERE form_id = 'back'`)
	b.counted(task.ID, push.Counts{Total: 3, Sent: 1, Waiting: 2})
	b.once([]string{"u1"})
}

// Invariant 3: of two tasks that wait for the same users, on two daemons, each permit serves one; who lost goes on waiting, and has the
// next one. Permits keep arriving while both are at work.
func TestWait_TwoTasksContendForEachPermit(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 0)
	one, two := b.waitingTask(users, time.Hour), b.waitingTask(users, time.Hour)
	b.work(b.d)
	b.work(b.dispatcher())
	b.send(one.ID)
	b.send(two.ID)
	b.counted(one.ID, push.Counts{Total: 60, Waiting: 60})
	b.counted(two.ID, push.Counts{Total: 60, Waiting: 60})
	for i := 0; i < 60; i += 10 {
		b.permits(users[i:i+10], 1)
	}
	b.eventually("each permit is used", func() bool { return b.count(`SELECT count(*) FROM form_id WHERE state = 2`) == 60 })
	b.eventually("the others wait again", func() bool { return b.count(`SELECT coalesce(sum(waiting), 0) FROM chunk`) == 60 })
	b.quiet()
	require.Equal(t, 60, b.audit(one.ID).Counts.Sent+b.audit(two.ID).Counts.Sent)
	b.once(users)
	b.permits(users, 1)
	b.wait(one.ID, push.TaskDone)
	b.wait(two.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 60, Sent: 60}, b.audit(one.ID).Counts)
	require.Equal(t, push.Counts{Total: 60, Sent: 60}, b.audit(two.ID).Counts)
	require.Zero(t, b.count(`SELECT count(*) FROM form_id WHERE state <> 2`))
}

// A permit that arrives as the time ends either serves its recipient or stays available for another task: both never, neither never.
func TestWait_PermitArrivesWithTheDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(80, 0)
	task := b.waitingTask(users, time.Hour)
	b.work(b.d)
	b.work(b.dispatcher())
	b.send(task.ID)
	b.counted(task.ID, push.Counts{Total: 80, Waiting: 80})
	var both sync.WaitGroup
	both.Go(func() { b.over(task.ID) })
	for i := 0; i < 80; i += 8 {
		b.permits(users[i:i+8], 1)
	}
	both.Wait()
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID).Counts
	require.Equal(t, 80, done.Sent+done.Skipped, done)
	require.Equal(t, done.Sent, b.count(`SELECT count(*) FROM form_id WHERE state = 2`))
	require.Equal(t, done.Skipped, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	for user, r := range b.rows(task.ID) {
		if r.State == push.Sent {
			require.Len(t, b.messages(user), 1, user)
			continue
		}
		require.Equal(t, push.NoPermit, r.Reason)
		require.Empty(t, b.messages(user), user)
	}
}

// The claim that makes a row waiting, and the report of its permit, at the same moment: the report sees nothing to wake, and the sweep
// does (the losing side).
func TestWait_ReportBesideTheClaimIsNotLost(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(1, 0)
	task := b.waitingTask(users, time.Hour)
	node, err := b.st.InsertNode(t.Context(), "test")
	require.NoError(t, err)
	b.send(task.ID)
	require.NoError(t, b.d.Plan(t.Context(), task.ID))
	run, ok, err := b.st.TakeLease(t.Context(), task.ID, 0, 1, node)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		c, err := b.st.Claim(ctx, run, 0, 1, time.Minute)
		require.NoError(t, err)
		require.Equal(t, store.Claim{Ended: 1}, c)
		b.permit("u0", "next", 0, true) // on another connection, while the claim is not committed
		return nil
	}))
	require.Equal(t, 1, b.audit(task.ID).Counts.Waiting)
	require.NoError(t, b.d.Tend(t.Context()))
	require.Equal(t, push.Counts{Total: 1, Pending: 1}, b.audit(task.ID).Counts)
	held, _, err := b.st.EndRun(t.Context(), run, 0)
	require.NoError(t, err)
	require.True(t, held)
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	b.once(users)
}

// A pause keeps who waits waiting, also over permits and the end of the time; the resume makes up for it. A cancel skips them.
func TestWait_PauseResumeCancel(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(10, 0)
	task, other := b.waitingTask(users, time.Hour), b.waitingTask([]string{"u9"}, time.Hour)
	b.work(b.d)
	b.send(task.ID)
	b.send(other.ID)
	b.counted(task.ID, push.Counts{Total: 10, Waiting: 10})
	b.counted(other.ID, push.Counts{Total: 1, Waiting: 1})
	_, err := b.d.Pause(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.permits(users[:4], 1)
	require.NoError(t, b.d.Tend(t.Context()))
	require.Equal(t, 10, b.audit(task.ID).Counts.Waiting)
	_, err = b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.counted(task.ID, push.Counts{Total: 10, Sent: 4, Waiting: 6})
	_, err = b.d.Pause(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.over(task.ID)
	_, err = b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 10, Sent: 4, Skipped: 6}, b.audit(task.ID).Counts)

	_, err = b.d.Cancel(t.Context(), "test", other.ID)
	require.NoError(t, err)
	b.counted(other.ID, push.Counts{Total: 1, Skipped: 1})
	require.Equal(t, push.Canceled, b.rows(other.ID)["u9"].Reason)
	b.once(users[:4])
}

// One whose permits were dead waits for its next one as well, and failed for want of it when the time is over; never more than three.
func TestWait_AfterDeadPermits(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(3, 0)
	for _, u := range users {
		b.permit(u, "dead-"+u, time.Hour, false)
	}
	task := b.waitingTask(users, time.Hour)
	b.work(b.d)
	b.send(task.ID)
	b.counted(task.ID, push.Counts{Total: 3, Waiting: 3})
	b.permit("u0", "good", 0, true)
	b.counted(task.ID, push.Counts{Total: 3, Sent: 1, Waiting: 2})
	b.permit("u1", "second", 0, false)
	b.eventually("the second was dead too", func() bool { return b.fates()["second"] == "invalid" })
	b.permit("u1", "third", 0, false)
	b.counted(task.ID, push.Counts{Total: 3, Sent: 1, Waiting: 1, Failed: 1})
	b.over(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 3, Sent: 1, Failed: 2}, b.audit(task.ID).Counts)
	for _, u := range []string{"u1", "u2"} {
		require.Equal(t, push.PermitDead, b.rows(task.ID)[u].Reason, u)
	}
	b.once([]string{"u0"})
}

// The time must lie after the start, at most 30 days, and after the latest start that the task allows.
func TestWait_TimeIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(1, 0)
	in := func(d time.Duration) *time.Time { at := time.Now().Add(d); return &at }
	for _, c := range []struct {
		until, notAfter *time.Time
		rule            string
	}{
		{in(-time.Second), nil, "bad_time"}, {in(500 * 24 * time.Hour), nil, "bad_time"}, {in(time.Hour), in(2 * time.Hour), "too_early"},
	} {
		s := spec()
		s.WaitForPermitUntil, s.NotAfter = c.until, c.notAfter
		_, err := b.d.CreateTask(t.Context(), "test", s)
		invalid(t, err, "wait_for_permit_until", c.rule)
	}
	long := b.waitingTask(users, 40*24*time.Hour)
	_, err := b.d.Send(t.Context(), "test", long.ID, nil)
	invalid(t, err, "wait_for_permit_until", "bad_time")
	_, err = b.d.Send(t.Context(), "test", long.ID, in(41*24*time.Hour))
	invalid(t, err, "wait_for_permit_until", "bad_time")
	_, err = b.d.Send(t.Context(), "test", long.ID, in(20*24*time.Hour))
	require.NoError(t, err, "nobody can be reached now, and it waits")
	plain := b.draft(users)
	_, err = b.d.Send(t.Context(), "test", plain.ID, nil)
	refused(t, err, push.RefusedNoPermit)
}

// A run of a chunk in which rows wait goes over those that were woken and not over the whole chunk.
func TestWait_TrickleCostsNoPassOverTheChunk(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight = 1000, 20 })
	users := b.users(1000, 0)
	task := b.waitingTask(users, time.Hour)
	b.work(b.d)
	b.send(task.ID)
	b.counted(task.ID, push.Counts{Total: 1000, Waiting: 1000})
	b.quiet()
	leases := b.count(`SELECT lease FROM chunk`)
	touched := func() int { return b.count(`SELECT count(*) FROM recipient WHERE lease > $1`, leases) }
	require.Zero(t, touched())
	b.permits(users[500:501], 1)
	b.counted(task.ID, push.Counts{Total: 1000, Sent: 1, Waiting: 999})
	require.Equal(t, 1, touched())
	require.Equal(t, leases+1, b.count(`SELECT lease FROM chunk`), "one run")
}
