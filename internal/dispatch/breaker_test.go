package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// touchy is a breaker that opens after a few calls, and tries again soon.
func touchy(c *dispatch.Config) {
	c.ChunkSize, c.InFlight, c.Workers = 20, 10, 2
	c.Breaker = dispatch.BreakerConfig{Window: 20, ProbeFirst: 1500 * time.Millisecond, ProbeMax: 3 * time.Second}
}

func (b *bundle) openBreakers() int { return b.count(`SELECT count(*) FROM breaker`) }

// A platform that answers 503 opens the breaker of the app: its tasks are paused, none of them calls, but for one call when the wait is
// over. While that is not answered the wait goes on; once it is, all tasks go on by themselves, and everyone has the message once.
func TestBreaker_OpensProbesAndCloses(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]sim.Rule{
		"503": {Kind: sim.Unavailable}, "a page": {Kind: sim.GatewayPage}, "-1": {Kind: sim.SystemError, AfterDelivery: true}, "cut": {Kind: sim.Drop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, touchy)
			users := b.users(120, 2)
			first, second := b.draft(users), b.draft(users)
			b.faults(sim.Faults{LatencyMS: 20})
			b.two()
			b.send(first.ID)
			b.send(second.ID)
			b.eventually("under way", func() bool { return b.sim.Stats().Messages > 30 })
			b.faults(sim.Faults{Rules: []sim.Rule{rule}})
			b.eventually("open", func() bool { return b.openBreakers() == 1 })
			paused := b.wait(first.ID, push.TaskPaused)
			require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
			require.Contains(t, paused.Note, "自动重试")
			require.Contains(t, paused.Note, "resume to try at once")
			b.wait(second.ID, push.TaskPaused)
			b.eventually("one probe is not answered", func() bool { return b.count(`SELECT coalesce(max(probes), 0) FROM breaker`) >= 1 })
			b.quiet()
			calls := b.sim.Stats().Calls
			b.eventually("another", func() bool { return b.count(`SELECT coalesce(max(probes), 0) FROM breaker`) >= 2 })
			b.quiet()
			require.Equal(t, calls+1, b.sim.Stats().Calls, "a probe is one call")

			b.faults(sim.Faults{})
			b.wait(first.ID, push.TaskDone)
			b.wait(second.ID, push.TaskDone)
			require.Zero(t, b.openBreakers())
			for _, id := range []int64{first.ID, second.ID} {
				require.Equal(t, push.Counts{Total: 120, Sent: 120}, b.audit(id).Counts)
			}
			for _, u := range users {
				require.Equal(t, 2, b.got()[openID(u)], u)
			}
			require.Equal(t, 240, b.count(`SELECT count(*) FROM form_id WHERE state = 2`))
		})
	}
}

// What the breaker knows is in the tables: daemons that start while it is open wait and probe as those before would have. Meanwhile the
// ambiguous keep their permits (invariant 5).
func TestBreaker_StaysOpenOverARestart(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	users := b.users(100, 1)
	task := b.draft(users)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	d := b.dispatcher()
	require.NoError(t, d.Start(t.Context()))
	b.send(task.ID)
	b.wait(task.ID, push.TaskPaused)
	require.NoError(t, d.Stop(t.Context()))
	require.Equal(t, 1, b.openBreakers())
	require.Equal(t, b.count(`SELECT count(*) FROM recipient WHERE ambiguous`), b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
	b.exec(`UPDATE breaker SET due_at = now() + interval '4 s'`)
	due := time.Now().Add(4 * time.Second)
	calls := b.sim.Stats().Calls
	b.faults(sim.Faults{})
	b.two()
	b.wait(task.ID, push.TaskDone)
	require.Greater(t, b.sim.Stats().Calls, calls)
	require.Equal(t, push.Counts{Total: 100, Sent: 100}, b.audit(task.ID).Counts)
	for m := range b.sim.Ledger(sim.Filter{}) {
		require.False(t, m.At.Before(due.Add(-time.Second)), "a call before the probe was due")
		break
	}
	b.once(users)
	require.Zero(t, b.openBreakers())
}

// A person need not wait: the task that is resumed makes the probe.
func TestBreaker_APersonResumesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	users := b.users(60, 2)
	first, second := b.draft(users), b.draft(users)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	b.two()
	b.send(first.ID)
	b.send(second.ID)
	b.wait(first.ID, push.TaskPaused)
	b.wait(second.ID, push.TaskPaused)
	b.exec(`UPDATE breaker SET due_at = now() + interval '1 hour', probe_task = NULL`)
	b.wait(first.ID, push.TaskPaused)
	b.quiet()
	b.resume(first.ID) // in vain: the platform is away still
	b.eventually("that was a probe", func() bool { return b.count(`SELECT probes FROM breaker`) >= 1 })
	b.wait(first.ID, push.TaskPaused)
	b.exec(`UPDATE breaker SET due_at = now() + interval '1 hour', probe_task = NULL`)
	b.faults(sim.Faults{})
	b.resume(first.ID)
	b.wait(first.ID, push.TaskDone)
	b.wait(second.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 60, Sent: 60}, b.audit(second.ID).Counts)
	require.Zero(t, b.openBreakers())
}

// A task that was paused by a person, and had passed its canary, is tried with one call like any other if it is resumed while the breaker is open.
func TestBreaker_ResumedTaskProbesThoughItsCanaryHadPassed(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	users := b.users(100, 2)
	resumed, other := b.draft(users), b.draft(users)
	b.faults(sim.Faults{LatencyMS: 30})
	b.two()
	b.send(resumed.ID)
	b.eventually("under way", func() bool { return b.sim.Stats().Messages > 30 })
	_, err := b.d.Pause(t.Context(), "test", resumed.ID)
	require.NoError(t, err)
	b.quiet()
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	b.send(other.ID)
	b.wait(other.ID, push.TaskPaused)
	b.exec(`UPDATE breaker SET due_at = now() + interval '1 hour', probe_task = NULL`)
	b.quiet()
	calls := b.sim.Stats().Calls
	b.resume(resumed.ID)
	again := b.wait(resumed.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseBreaker}, again.Causes)
	b.quiet()
	require.Equal(t, calls+1, b.sim.Stats().Calls)
	b.faults(sim.Faults{})
	b.resume(resumed.ID)
	b.wait(resumed.ID, push.TaskDone)
	b.wait(other.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 100, Sent: 100}, b.audit(resumed.ID).Counts)
}

// Without a canary the platform is still tried again by one call.
func TestBreaker_ProbesWithOneCallWithoutACanary(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { touchy(c); c.Canary.Sent = -1 })
	users := b.users(120, 1)
	task := b.draft(users)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	b.two()
	b.send(task.ID)
	b.eventually("a probe is not answered", func() bool { return b.count(`SELECT coalesce(max(probes), 0) FROM breaker`) >= 1 })
	b.quiet()
	calls := b.sim.Stats().Calls
	b.eventually("another", func() bool { return b.count(`SELECT coalesce(max(probes), 0) FROM breaker`) >= 2 })
	b.quiet()
	require.Equal(t, calls+1, b.sim.Stats().Calls)
	b.faults(sim.Faults{})
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 120, Sent: 120}, b.audit(task.ID).Counts)
	b.once(users)
}

// A task that is sent while the breaker is open waits with the others. One that an error of its own has paused is not resumed with them.
func TestBreaker_TakesInNewTasksAndLeavesThoseThatNeedAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	users := b.users(40, 3)
	broken, first, late := b.draft(users), b.draft(users), b.draft(users)
	b.work(b.d)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40037}}})
	b.send(broken.ID)
	b.wait(broken.ID, push.TaskPaused)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	b.send(first.ID)
	b.wait(first.ID, push.TaskPaused)
	b.exec(`UPDATE breaker SET due_at = now() + interval '1 hour', probe_task = NULL`)
	b.send(late.ID)
	b.wait(late.ID, push.TaskPaused)
	b.faults(sim.Faults{})
	b.exec(`UPDATE breaker SET due_at = now()`)
	b.wait(first.ID, push.TaskDone)
	b.wait(late.ID, push.TaskDone)
	require.Equal(t, push.TaskPaused, b.wait(broken.ID, push.TaskPaused).State)
	b.resume(broken.ID)
	b.wait(broken.ID, push.TaskDone)
}

// A platform that nobody can connect to is trouble as well: nothing is ambiguous then, and every permit is free (invariant 4).
func TestBreaker_PlatformNotReached(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	users := b.users(60, 1)
	_, err := b.d.SetApp(t.Context(), dispatch.AppSpec{Key: appKey, BaseURL: "http://127.0.0.1:1", Secret: "s3cret"})
	require.NoError(t, err)
	task := b.draft(users)
	b.two()
	b.send(task.ID)
	b.wait(task.ID, push.TaskPaused)
	b.quiet()
	require.Equal(t, 60, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	require.Equal(t, push.Counts{Total: 60, Pending: 60}, b.audit(task.ID).Counts)
	_, err = b.d.SetApp(t.Context(), dispatch.AppSpec{Key: appKey, BaseURL: b.url, Secret: "s3cret"})
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	b.once(users)
	require.Equal(t, int64(60), b.sim.Stats().Calls)
}

// Few calls that are not answered for long open the breaker too, though no window is full.
func TestBreaker_OpensWhenNothingIsAnsweredForLong(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) {
		touchy(c)
		c.Breaker.Window, c.Breaker.TroubleFor = 200, 2*time.Second
	})
	users := b.users(2, 1)
	task := b.draft(users)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskPaused)
	b.faults(sim.Faults{})
	b.wait(task.ID, push.TaskDone)
	b.once(users)
}

// Recipients that are refused later in the task, in a row or in great number, pause it for a person, who is told by what. Their permits
// are free again (invariant 4).
func TestBreaker_RefusedRecipientsPauseForAPerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conf dispatch.BreakerConfig
		rule sim.Rule
	}{
		"in a row":       {dispatch.BreakerConfig{Refused: 30}, sim.Rule{Kind: sim.ErrCode, Code: 40003}},
		"in great share": {dispatch.BreakerConfig{Refused: 10_000, Window: 20, FailedPercent: 60}, sim.Rule{Kind: sim.ErrCode, Code: 12345, Probability: 0.9}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(conf *dispatch.Config) { slow(conf); conf.Breaker = c.conf })
			users := b.users(300, 1)
			task := b.draft(users)
			b.faults(sim.Faults{LatencyMS: 10})
			b.work(b.d)
			b.send(task.ID)
			b.eventually("under way", func() bool { return b.sim.Stats().Messages > 20 })
			b.faults(sim.Faults{LatencyMS: 10, Rules: []sim.Rule{c.rule}})
			paused := b.wait(task.ID, push.TaskPaused)
			require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
			require.Contains(t, paused.Note, fmt.Sprint(c.rule.Code))
			b.quiet()
			at := b.audit(task.ID)
			require.Positive(t, at.Counts.Failed)
			require.Positive(t, at.Counts.Pending)
			require.Equal(t, at.Counts.Failed+at.Counts.Pending, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
			require.Zero(t, b.openBreakers(), "a person is needed, not a probe")
			b.faults(sim.Faults{})
			b.resume(task.ID)
			b.wait(task.ID, push.TaskDone)
			end := b.audit(task.ID).Counts
			require.Equal(t, push.Counts{Total: 300, Sent: 300 - end.Failed, Failed: end.Failed}, end)
		})
	}
}

// A few that are refused here and there stop nothing.
func TestBreaker_StaysShutWhileMostAreSent(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.Breaker = dispatch.BreakerConfig{Window: 20, Refused: 10} })
	users := b.users(120, 1)
	task := b.draft(users)
	b.faults(sim.Faults{Seed: 7, Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40003, Probability: 0.2}, {Kind: sim.Unavailable, Probability: 0.1}}})
	b.work(b.d)
	b.send(task.ID)
	b.eventually("done", func() bool {
		return b.count(`SELECT count(*) FROM task WHERE state = 'done'`) == 1
	})
	require.Zero(t, b.count(`SELECT count(*) FROM task WHERE note <> ''`))
	b.audit(task.ID)
}

// A task that begins while the breaker is open waits with the others: not one call is made for it but the probe's.
func TestBreaker_ATaskThatBeginsMeanwhileMakesNoCall(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	users := b.users(40, 2)
	first, late := b.draft(users), b.draft(users)
	b.work(b.d)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	b.send(first.ID)
	b.wait(first.ID, push.TaskPaused)
	b.exec(`UPDATE breaker SET due_at = now() + interval '1 hour', probe_task = NULL`)
	b.quiet()
	calls := b.sim.Stats().Calls
	b.send(late.ID)
	paused := b.wait(late.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
	require.Equal(t, calls, b.sim.Stats().Calls)
	b.faults(sim.Faults{})
	b.exec(`UPDATE breaker SET due_at = now()`)
	b.wait(first.ID, push.TaskDone)
	b.wait(late.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 40, Sent: 40}, b.audit(late.ID).Counts)
}

// A person's try that fails does not put off the one that comes by itself.
func TestBreaker_APersonsTryDoesNotDoubleTheWait(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	users := b.users(40, 1)
	task := b.draft(users)
	b.work(b.d)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	b.send(task.ID)
	b.wait(task.ID, push.TaskPaused)
	b.exec(`UPDATE breaker SET due_at = now() + interval '1 hour', probe_task = NULL, probes = 2`)
	for range 2 {
		b.wait(task.ID, push.TaskPaused)
		b.quiet()
		calls := b.sim.Stats().Calls
		b.resume(task.ID)
		b.eventually("tried", func() bool { return b.sim.Stats().Calls > calls })
		b.eventually("in vain", func() bool { return b.count(`SELECT count(*) FROM breaker WHERE probe_task IS NULL`) == 1 })
		require.Equal(t, 2, b.count(`SELECT probes FROM breaker`))
		b.exec(`UPDATE breaker SET due_at = now() + interval '1 hour'`)
	}
}

// A jump of 43101 later in the task pauses it for a person, whose units are set aside; three in ten are what a campaign meets.
func TestBreaker_ManyAllowNoMessage_PausesForAPerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		probability float64
		pauses      bool
	}{"nine in ten": {0.9, true}, "three in ten": {0.3, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(conf *dispatch.Config) { slow(conf); conf.Breaker = dispatch.BreakerConfig{Window: 60} })
			users := b.subscribed(300, 1)
			task := b.subscribeDraft(users, nil)
			b.faults(sim.Faults{LatencyMS: 10})
			b.work(b.d)
			b.send(task.ID)
			b.eventually("under way", func() bool { return b.sim.Stats().Messages > 20 })
			b.faults(sim.Faults{Seed: 3, LatencyMS: 10, Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 43101, Probability: c.probability}}})
			if !c.pauses {
				b.wait(task.ID, push.TaskDone)
				require.Zero(t, b.count(`SELECT count(*) FROM task WHERE note <> ''`))
				return
			}
			paused := b.wait(task.ID, push.TaskPaused)
			require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
			require.Contains(t, paused.Note, "43101")
			b.quiet()
			at := b.audit(task.ID).Counts
			require.Positive(t, at.Pending)
			require.Equal(t, [4]int{at.Pending, 0, at.Failed, at.Sent}, b.units())
		})
	}
}
