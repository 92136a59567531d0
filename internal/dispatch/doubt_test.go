package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// lease and call time: before so long after an attempt nobody may be sent to again with another permit.
const earliestResend = 8 * time.Second

// resendTask makes a draft for users whose policy is to send again.
func (b *bundle) resendTask(users []string) push.Task {
	b.t.Helper()
	s := spec()
	s.OnUnknown = "resend"
	t, err := b.d.CreateTask(b.t.Context(), "test", s)
	require.NoError(b.t, err)
	b.upload(t.ID, users)
	return t
}

func quickCalls(c *dispatch.Config) { c.CallTimeout = 400 * time.Millisecond }

// The one exception of invariant 5, by the task's policy only: where the permit's expiry ends an ambiguity, the recipient goes on with its
// next one, after lease and call time, and may have the message twice; the old permit is never free again. A task beside it with the
// policy "leave" has nobody twice.
func TestDoubt_ExpiryResendsUnderThePolicyOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, quickCalls)
	users := b.users(4, 0)
	for _, u := range users {
		b.permit(u, "first-"+u, 2*time.Hour, true)
		if u != "u2" {
			b.permit(u, "next-"+u, time.Hour, true)
		}
	}
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable, AfterDelivery: true, FormIDs: []string{"first-u0", "first-u2", "first-u3"}},
		{Kind: sim.Unavailable, FormIDs: []string{"first-u1"}}}})
	task, left := b.resendTask(users[:3]), b.draft(users[3:])
	b.work(b.d)
	b.work(b.dispatcher())
	b.send(task.ID)
	b.send(left.ID)
	b.eventually("ambiguous", func() bool { return b.count(`SELECT count(*) FROM recipient WHERE ambiguous AND state = 0`) == 4 })
	b.exec(`UPDATE form_id SET expires_at = now() + interval '9 min' WHERE form_id LIKE 'first-%'`) // the margin is ten
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 3, Sent: 2, Unknown: 1}, b.audit(task.ID).Counts)
	rows, fates := b.rows(task.ID), b.fates()
	for _, u := range []string{"u0", "u1"} {
		require.Equal(t, push.Sent, rows[u].State)
		require.True(t, rows[u].InDoubt, "it says so: %s", u)
		require.Equal(t, "next-"+u, *rows[u].FormID)
		require.Equal(t, "invalid", fates["first-"+u], "never free")
		require.Equal(t, "used", fates["next-"+u])
	}
	require.Equal(t, push.Unsure, rows["u2"].Reason, "it has no other permit, and may have been reached with the first")
	twice := b.messages("u0")
	require.Len(t, twice, 2)
	require.GreaterOrEqual(t, twice[1].At.Sub(twice[0].At), earliestResend)
	require.Len(t, b.messages("u1"), 1)
	require.Len(t, b.messages("u2"), 1)

	b.wait(left.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 1, Unknown: 1}, b.audit(left.ID).Counts)
	require.Len(t, b.messages("u3"), 1)
	require.Equal(t, "reserved", b.fates()["first-u3"])
	require.Equal(t, "available", b.fates()["next-u3"])
}

// The other end of an ambiguity that leaves it open: 41028 on a permit that has expired by our clock meanwhile.
func TestDoubt_DeadAfterExpiryResends(t *testing.T) {
	t.Parallel()
	b := setup(t, quickCalls)
	users := b.users(1, 0)
	b.permit("u0", "first", 2*time.Hour, true)
	b.permit("u0", "next", time.Hour, true)
	b.faults(sim.Faults{LatencyMS: 200, Rules: []sim.Rule{{Kind: sim.Unavailable, Count: 2, FormIDs: []string{"first"}}, {Kind: sim.ErrCode, Code: 41028, FormIDs: []string{"first"}}}})
	task := b.resendTask(users)
	b.work(b.d)
	b.send(task.ID)
	b.eventually("two attempts are ambiguous", func() bool {
		return b.count(`SELECT count(*) FROM recipient WHERE ambiguous AND state = 0 AND attempt = 2`) == 1
	})
	b.exec(`UPDATE form_id SET expires_at = (SELECT retry_at FROM recipient) + interval '10 min 100 ms' WHERE form_id = 'first'`)
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	r := b.rows(task.ID)["u0"]
	require.Equal(t, push.Sent, r.State)
	require.True(t, r.InDoubt)
	require.Equal(t, map[string]string{"first": "invalid", "next": "used"}, b.fates())
	b.once(users)
}

// One in doubt ends sent or unknown: a later refusal says nothing about the earlier attempt. So does a cancel.
func TestDoubt_NeverEndsFailedOrSkipped(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(4, 1)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40003, OpenIDs: []string{openID("u0")}}, {Kind: sim.ErrCode, Code: 41028, OpenIDs: []string{openID("u1")}}}})
	task := b.resendTask(users)
	b.exec(`UPDATE recipient SET in_doubt = true, openid = 'oOpenID-' || user_id, permit_tries = 1 WHERE user_id <> 'u3'`)
	b.exec(`UPDATE app_user SET openid = NULL WHERE user_id = 'u2'`)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 4, Sent: 1, Unknown: 3}, b.audit(task.ID).Counts)

	canceled := b.resendTask(users[:2])
	b.permits(users[:2], 1)
	b.exec(`UPDATE recipient SET in_doubt = true, openid = 'x' WHERE user_id = 'u0' AND state = 0`)
	_, err := b.d.Send(t.Context(), "test", canceled.ID, nil)
	require.NoError(t, err)
	_, err = b.d.Cancel(t.Context(), "test", canceled.ID)
	require.NoError(t, err)
	b.counted(canceled.ID, push.Counts{Total: 2, Skipped: 1, Unknown: 1})
}
