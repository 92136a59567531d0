package dispatch_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// midwayOnTwo sends a task to n users from two daemons and returns once some have their message.
func (b *bundle) midwayOnTwo(n int) push.Task {
	b.t.Helper()
	b.work(b.dispatcher())
	return b.midway(n, 20)
}

// A token that the platform gives up is fetched anew once, by one of two daemons, and nobody is lost for it.
func TestToken_InvalidatedMidTaskIsFetchedOnceMore(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 20, 10, 2 })
	task := b.midwayOnTwo(240)
	b.sim.InvalidateTokens(appID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 240, Sent: 240}, b.audit(task.ID).Counts)
	b.once(b.names(240))
	require.Equal(t, int64(2), b.sim.Stats().TokenCalls)
	require.Equal(t, 2, b.count(`SELECT version FROM app_token`))
	require.Zero(t, b.count(`SELECT count(*) FROM form_id WHERE state <> 2`))
	require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE attempt <> 1`), "a token's end is no attempt")
}

// A wrong secret pauses the task with a note and costs no permit (invariant 4); with the right one the task goes on.
func TestToken_WrongSecretPausesTheTask(t *testing.T) {
	t.Parallel()
	b := setupOn(t, sim.Config{Apps: []sim.App{{AppID: appID, Secret: "another"}}}, nil)
	users := b.users(80, 1)
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	paused := b.wait(task.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
	require.Contains(t, paused.Note, "40125")
	require.NotContains(t, paused.Note, "s3cret")
	b.quiet()
	require.Equal(t, 80, b.audit(task.ID).Counts.Pending)
	require.Equal(t, 80, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	require.LessOrEqual(t, b.sim.Stats().TokenCalls, int64(b.conf.InFlight), "it is not asked again and again")

	_, err := b.d.SetApp(t.Context(), dispatch.AppSpec{Key: appKey, Secret: "another"})
	require.NoError(t, err)
	_, err = b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, 80, b.audit(task.ID).Counts.Sent)
	b.once(users)
}

// A token call that fails in passing is tried again; the recipients wait for it.
func TestToken_PassingTroubleOfTheTokenCall(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable, On: sim.OnToken, Count: 1}}})
	users := b.users(10, 1)
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, 10, b.audit(task.ID).Counts.Sent)
	b.once(users)
}

// A token that cannot be read for the database's sake is no trouble of the platform: no breaker opens, and nobody waits long.
func TestToken_DatabaseAwayOpensNoBreaker(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { touchy(c); c.Canary.Sent = -1 })
	users := b.users(80, 1)
	task := b.draft(users)
	b.exec(`ALTER TABLE app_token RENAME TO app_token_away`)
	b.work(b.d)
	b.send(task.ID)
	b.eventually("more calls were not made than the breaker looks at", func() bool {
		return b.count(`SELECT count(*) FROM recipient WHERE retry_at IS NOT NULL`) >= 40
	})
	require.Zero(t, b.openBreakers())
	b.exec(`ALTER TABLE app_token_away RENAME TO app_token`)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 80, Sent: 80}, b.audit(task.ID).Counts)
	require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE attempt <> 1`), "a call that was not made is no attempt")
	b.once(users)
}

// The platform may give up two tokens in a row, as when it is asked to from elsewhere: the call goes out with the third. A third that is
// refused says that there is something to mend.
func TestToken_TwoRefusedInARowAreNoReasonToStop(t *testing.T) {
	t.Parallel()
	for refused, state := range map[int]push.TaskState{2: push.TaskDone, 3: push.TaskPaused} {
		b := setup(t, nil)
		b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40001, Count: int64(refused)}}})
		task := b.draft(b.users(1, 1))
		b.work(b.d)
		b.send(task.ID)
		b.wait(task.ID, state)
		b.quiet()
		require.Zero(t, b.count(`SELECT count(*) FROM form_id WHERE state = 1`), "and costs no permit")
	}
}

// Who may set an app cannot have its secret sent elsewhere: it goes only where it was given for.
func TestToken_TheSecretDoesNotFollowToAnotherAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	host := strings.TrimPrefix(b.url, "http://")
	before := b.dump()
	for _, spec := range []dispatch.AppSpec{
		{BaseURL: "http://127.0.0.1:1"}, {BaseURL: "https://" + host}, {BaseURL: b.url + "0"}, {AppID: "wx9"}, {AppID: "wx9", BaseURL: b.url},
	} {
		spec.Key = appKey
		_, err := b.d.SetApp(t.Context(), spec)
		invalid(t, err, "secret", "required")
	}
	require.Equal(t, before, b.dump())
	for _, spec := range []dispatch.AppSpec{{BaseURL: b.url + "/proxy/"}, {BaseURL: "http://" + strings.ToUpper(host)}, {AppID: appID}, {BaseURL: "http://127.0.0.1:1", Secret: "s3cret"}} {
		spec.Key = appKey
		_, err := b.d.SetApp(t.Context(), spec)
		require.NoError(t, err)
	}
}
