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

// Invariant 5: whatever becomes of an answer, and whether the message was delivered before it was lost, the recipient is sent
// again with the same formId and no other, and has exactly one message. One that had got through is sent, inferred.
func TestAmbiguous_SameFormIDOneMessage(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.CallTimeout = 400 * time.Millisecond })
	kinds := []sim.Kind{sim.Drop, sim.Reset, sim.Unavailable, sim.GatewayPage, sim.Empty, sim.NoErrCode, sim.Hang, sim.SystemError}
	users := b.users(2*len(kinds), 0)
	var rules []sim.Rule
	delivered := map[string]bool{}
	for i, u := range users {
		kind, after := kinds[i/2], i%2 == 1
		rules = append(rules, sim.Rule{Kind: kind, AfterDelivery: after, Count: 1, OpenIDs: []string{openID(u)}})
		delivered[u] = after
		b.permit(u, "first-"+u, 2*time.Hour, true)
		b.permit(u, "other-"+u, time.Hour, true)
	}
	b.faults(sim.Faults{Rules: rules})
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID)
	require.Equal(t, len(users), done.Counts.Sent)
	b.once(users)
	fates, rows := b.fates(), b.rows(task.ID)
	for i, u := range users {
		name := fmt.Sprintf("%s, delivered %v", kinds[i/2], delivered[u])
		require.Equal(t, delivered[u], rows[u].Inferred, name)
		require.False(t, rows[u].Ambiguous, name)
		require.Equal(t, int16(2), rows[u].Attempt, name)
		require.Equal(t, "first-"+u, *rows[u].FormID, name)
		require.Equal(t, "first-"+u, b.messages(u)[0].FormID, name)
		require.Equal(t, "used", fates["first-"+u], name)
		require.Equal(t, "available", fates["other-"+u], name)
	}
	require.Equal(t, int64(2*len(users)), b.sim.Stats().Calls)
}

// Invariant 5: 41028 on the resend of an unexpired formId says that it was not used: the permit is dead, the next one is taken.
func TestAmbiguous_DeadOnTheResendGoesOnWithTheNext(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(1, 0)
	b.permit("u0", "first", 2*time.Hour, true)
	b.permit("u0", "next", time.Hour, true)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, Count: 1, FormIDs: []string{"first"}}, {Kind: sim.ErrCode, Code: 41028, FormIDs: []string{"first"}}}})
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	r := b.rows(task.ID)["u0"]
	require.Equal(t, push.Sent, r.State)
	require.False(t, r.Inferred)
	require.Equal(t, "next", *r.FormID)
	require.Equal(t, map[string]string{"first": "invalid", "next": "used"}, b.fates())
	b.once(users)
}

// Invariant 5: the permit's expiry makes an ambiguous recipient unknown. Its permit stays reserved, its next one is not touched.
func TestAmbiguous_ExpiryLeavesItUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(1, 0)
	b.permit("u0", "first", 2*time.Hour, true)
	b.permit("u0", "next", time.Hour, true)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable, AfterDelivery: true}}})
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.eventually("ambiguous", func() bool { return b.count(`SELECT count(*) FROM recipient WHERE ambiguous AND state = 0`) == 1 })
	b.exec(`UPDATE form_id SET expires_at = now() + interval '9 min' WHERE form_id = 'first'`) // the margin is ten
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID)
	require.Equal(t, push.Counts{Total: 1, Unknown: 1}, done.Counts)
	r := b.rows(task.ID)["u0"]
	require.Equal(t, push.Unsure, r.Reason)
	require.True(t, r.Ambiguous)
	require.Equal(t, "first", *r.FormID)
	require.Equal(t, map[string]string{"first": "reserved", "next": "available"}, b.fates())
	require.Len(t, b.messages("u0"), 1)

	b.exec(`UPDATE form_id SET expires_at = now() - interval '1 min'`)
	require.NoError(t, b.d.ExpireFormIDs(t.Context()))
	require.Equal(t, map[string]string{"first": "reserved"}, b.fates(), "the sweep leaves reserved ones")
}

// The zombie of the engine's notes: a refusal that follows an ambiguous attempt, here the day's quota, says nothing about that
// attempt. Nothing is freed, and once the task goes on it goes on with the same formId (invariant 5).
func TestAmbiguous_RefusalsAfterItFreeNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  int
		cause push.Cause
	}{{45009, push.CauseQuota}, {41030, push.CauseBreaker}, {48001, push.CauseBreaker}} {
		t.Run(fmt.Sprint(c.code), func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			users := b.users(1, 0)
			b.permit("u0", "first", 2*time.Hour, true)
			b.permit("u0", "next", time.Hour, true)
			b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, AfterDelivery: true, Count: 1}, {Kind: sim.ErrCode, Code: c.code}}})
			task := b.draft(users)
			b.work(b.d)
			b.send(task.ID)
			paused := b.wait(task.ID, push.TaskPaused)
			require.Equal(t, []push.Cause{c.cause}, paused.Causes)
			require.Equal(t, map[string]string{"first": "reserved", "next": "available"}, b.fates())
			r := b.rows(task.ID)["u0"]
			require.True(t, r.Ambiguous)
			require.Equal(t, push.Pending, r.State)
			b.faults(sim.Faults{})
			_, err := b.d.Resume(t.Context(), "test", task.ID)
			require.NoError(t, err)
			b.wait(task.ID, push.TaskDone)
			b.audit(task.ID)
			require.True(t, b.rows(task.ID)["u0"].Inferred)
			require.Equal(t, map[string]string{"first": "used", "next": "available"}, b.fates())
			b.once(users)
		})
	}
}

// Without a past, the same refusals give the permit back: nothing was sent with it (invariant 4).
func TestQuota_GivesEverythingBack(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 1)
	b.faults(sim.Faults{QuotaPerDay: 20})
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	paused := b.wait(task.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseQuota}, paused.Causes)
	b.quiet() // a claim that began before the pause may be committed after it
	// The first refusal shuts the gate, so that calls which had not begun by then leave some of the quota over.
	sent := b.audit(task.ID).Counts.Sent
	require.LessOrEqual(t, sent, 20)
	require.Equal(t, 60-sent, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	b.faults(sim.Faults{})
	_, err := b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, 60, b.audit(task.ID).Counts.Sent)
	b.once(users)
}
