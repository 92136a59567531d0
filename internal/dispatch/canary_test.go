package dispatch_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// two makes a second daemon and starts both.
func (b *bundle) two() *dispatch.Dispatcher {
	b.t.Helper()
	other := b.dispatcher()
	b.work(b.d)
	b.work(other)
	return other
}

// resume asks a person's resume of the task, and that it is sending again.
func (b *bundle) resume(task int64) {
	b.t.Helper()
	t, err := b.d.Resume(b.t.Context(), "test", task)
	require.NoError(b.t, err)
	require.Equal(b.t, push.TaskSending, t.State)
}

// An error of template, page or settings, or a list of another app, pauses a task of many chunks on two daemons before it costs more
// than 20 calls, and no permit; mended and resumed, everyone who was not refused has the message once (invariants 4 and 7).
func TestCanary_PausesWithinTwentyCallsAndCostsNoPermit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ code, calls, failed int }{
		{40037, 1, 0}, {41030, 1, 0}, {47003, 1, 0}, {48001, 1, 0}, {40013, 1, 0}, {45168, 1, 0}, {40003, 10, 10}, {40038, 10, 10},
	} {
		t.Run(fmt.Sprint(c.code), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers = 10, 4 })
			users := b.users(200, 1)
			b.faults(sim.Faults{LatencyMS: 5, Rules: []sim.Rule{{Kind: sim.ErrCode, Code: c.code}}})
			task := b.draft(users)
			b.two()
			b.send(task.ID)
			paused := b.wait(task.ID, push.TaskPaused)
			require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
			require.Contains(t, paused.Note, fmt.Sprint(c.code))
			require.Contains(t, paused.Note, "继续")
			require.Contains(t, paused.Note, "resume")
			b.quiet()
			require.Equal(t, int64(c.calls), b.sim.Stats().Calls)
			require.Equal(t, int64(1), b.sim.Stats().MaxInFlight)
			require.Equal(t, 200, b.count(`SELECT count(*) FROM form_id WHERE state = 0`), "every permit was given back")
			require.Equal(t, push.Counts{Total: 200, Failed: c.failed, Pending: 200 - c.failed}, b.audit(task.ID).Counts)

			b.faults(sim.Faults{})
			b.resume(task.ID)
			b.wait(task.ID, push.TaskDone)
			require.Equal(t, push.Counts{Total: 200, Failed: c.failed, Sent: 200 - c.failed}, b.audit(task.ID).Counts)
			require.Equal(t, int64(200), b.sim.Stats().Calls-int64(c.calls-c.failed))
		})
	}
}

// The other app's openids again after a resume: the second pause is as cheap as the first.
func TestCanary_ComesAgainAfterAResume(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers = 10, 4 })
	users := b.users(100, 1)
	task := b.draft(users)
	b.two()
	b.faults(sim.Faults{LatencyMS: 20})
	b.send(task.ID)
	b.eventually("passed", func() bool { return b.count(`SELECT count(*) FROM task WHERE canary_passed_at IS NOT NULL`) == 1 })
	b.faults(sim.Faults{LatencyMS: 5, Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40037}}})
	b.wait(task.ID, push.TaskPaused)
	b.quiet()
	calls := b.sim.Stats().Calls
	b.resume(task.ID)
	b.wait(task.ID, push.TaskPaused)
	b.quiet()
	require.Equal(t, calls+1, b.sim.Stats().Calls)
	b.faults(sim.Faults{})
	b.resume(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 100, Sent: 100}, b.audit(task.ID).Counts)
	b.once(users)
}

// The first five are sent one after the other, whatever the size of the chunks; then the window opens.
func TestCanary_PassesOverChunksAndOpensTheWindow(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3, 50} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers, c.InFlight = size, 4, 20 })
			users := b.users(100, 1)
			task := b.draft(users)
			b.faults(sim.Faults{LatencyMS: 30})
			b.two()
			b.send(task.ID)
			b.watch(task.ID, func() {
				if at := b.sim.Stats(); at.MaxInFlight > 1 && b.count(`SELECT count(*) FROM task WHERE canary_passed_at IS NULL`) == 1 {
					require.Fail(t, "two calls in flight before the canary passed", "%+v", at)
				}
			})
			require.Equal(t, push.Counts{Total: 100, Sent: 100}, b.audit(task.ID).Counts)
			b.once(users)
			require.Greater(t, b.sim.Stats().MaxInFlight, int64(1))
			first := 0
			for m := range b.sim.Ledger(sim.Filter{}) {
				if first++; first < 5 {
					require.Equal(t, openID(fmt.Sprint("u", first-1)), m.OpenID, "in the order of the list")
				}
			}
		})
	}
}

// A list that begins with people who cannot be sent to does not stall: they are skipped, many at a time, and the first who can makes
// the canary's first call.
func TestCanary_GoesPastThoseWhoAreSkipped(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize = 500 })
	users := b.users(900, 0)
	b.permits(users[800:], 1)
	task := b.draft(users)
	b.faults(sim.Faults{LatencyMS: 5, Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40037}}})
	b.two()
	b.send(task.ID)
	b.wait(task.ID, push.TaskPaused)
	b.quiet()
	require.Equal(t, int64(1), b.sim.Stats().Calls)
	require.Equal(t, push.Counts{Total: 900, Skipped: 800, Pending: 100}, b.audit(task.ID).Counts)
	b.faults(sim.Faults{})
	b.resume(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 900, Skipped: 800, Sent: 100}, b.audit(task.ID).Counts)
}

// Dead permits are no fault of the task: the canary ends after 20 calls, and the task goes on.
func TestCanary_DeadPermitsDoNotHoldItUp(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 0)
	for _, u := range users[:40] {
		b.permit(u, "dead-"+u, 0, false)
	}
	b.permits(users[40:], 1)
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 60, Failed: 40, Sent: 20}, b.audit(task.ID).Counts)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM task WHERE canary_passed_at IS NOT NULL`))
}

// Of the runs that hold a chunk of a task whose canary is on, one makes calls; the others hand their chunks back.
func TestCanary_OneRunHasTheTurn(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers = 5, 4 })
	users := b.users(60, 1)
	task := b.draft(users)
	b.send(task.ID)
	b.exec(`UPDATE task SET canary_passed_at = now()`)
	require.NoError(t, b.d.Plan(t.Context(), task.ID))
	b.exec(`UPDATE task SET canary_passed_at = NULL`) // as after a pause and a quick resume, with its jobs still queued
	live, _ := b.live()
	require.Equal(t, 12, live)
	b.faults(sim.Faults{LatencyMS: 10, Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40003}}})
	b.two()
	b.wait(task.ID, push.TaskPaused)
	b.quiet()
	require.Equal(t, int64(10), b.sim.Stats().Calls)
	require.Equal(t, int64(1), b.sim.Stats().MaxInFlight)
	b.audit(task.ID)
}

// A platform that says of everybody that they allow no message (43101) is not believed for long: nobody of twenty is sent to, and the rest
// keep what they have accepted.
func TestCanary_NobodyAllowsAMessage_PausesAtItsBound(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers = 10, 4 })
	users := b.subscribed(300, 1)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 43101}}})
	task := b.subscribeDraft(users, nil)
	b.two()
	b.send(task.ID)
	paused := b.wait(task.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
	for _, said := range []string{"43101", "核对", "resume"} {
		require.Contains(t, paused.Note, said)
	}
	b.quiet()
	require.Equal(t, push.Counts{Total: 300, Failed: 20, Pending: 280}, b.audit(task.ID).Counts)
	require.Equal(t, [4]int{280, 0, 20, 0}, b.units())
	b.faults(sim.Faults{})
	b.resume(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 300, Failed: 20, Sent: 280}, b.audit(task.ID).Counts)
	b.sound(task.ID)
}

// A page of the recipient's own does not make the text its own: what the platform has against a text that all get pauses the task at its first
// call, and nobody has failed. A complaint about a personal field is about that recipient.
func TestCanary_PersonalPage_TheTextIsStillTheTasks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code          int
		page, value   string
		calls, failed int
	}{
		"page, blocked text":    {45168, "pages/a?u={{recipient.user_id}}", "{{topic}}", 1, 0},
		"page, field invalid":   {47003, "pages/a?u={{recipient.user_id}}", "{{topic}}", 1, 0},
		"field, blocked text":   {45168, "pages/a", "{{recipient.user_id}}", 10, 10},
		"field, some field bad": {47003, "pages/a", "{{recipient.user_id}}", 10, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { c.ChunkSize = 10 })
			template := originalTemplate()
			template.Page, template.Fields[0].Value = c.page, c.value
			_, err := b.d.PutTemplate(t.Context(), "test", template)
			require.NoError(t, err)
			users := b.users(30, 1)
			b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: c.code}}})
			task := b.draft(users)
			b.work(b.d)
			b.send(task.ID)
			paused := b.wait(task.ID, push.TaskPaused)
			require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
			b.quiet()
			require.Equal(t, int64(c.calls), b.sim.Stats().Calls)
			require.Equal(t, push.Counts{Total: 30, Failed: c.failed, Pending: 30 - c.failed}, b.audit(task.ID).Counts)
		})
	}
}
