package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// A failure that may pass is tried again with a backoff and holds no worker: with one worker, a task whose recipients all wait for their
// next attempt does not keep another task's from going out.
func TestRetry_BackoffHoldsNoWorker(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.Workers, c.Window = 1, 1 })
	users := b.users(20, 2)
	openIDs := make([]string, 10)
	for i := range openIDs {
		openIDs[i] = openID(users[i])
	}
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 43108, OpenIDs: openIDs}}})
	stuck, fine := b.draft(users[:10]), b.draft(users[10:])
	b.work(b.d)
	b.send(stuck.ID)
	b.eventually("all wait for a further attempt", func() bool {
		return b.count(`SELECT count(*) FROM recipient WHERE state = 0 AND attempt >= 2 AND retry_at > now()`) == 10
	})
	require.Equal(t, 10, b.count(`SELECT count(*) FROM form_id WHERE user_id IN ('u0','u1','u2','u3','u4','u5','u6','u7','u8','u9') AND state = 0`)-10,
		"nothing was spent (invariant 4)")
	calls := b.sim.Stats().Calls
	b.send(fine.ID)
	done := b.wait(fine.ID, push.TaskDone)
	require.Less(t, done.EndedAt.Sub(*done.StartedAt), 5*time.Second)
	require.Equal(t, push.Counts{Total: 10, Sent: 10}, b.audit(fine.ID).Counts)
	require.LessOrEqual(t, b.sim.Stats().Calls-calls, int64(10+30), "no busy loop over those that wait")
	b.faults(sim.Faults{})
	b.wait(stuck.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 10, Sent: 10}, b.audit(stuck.ID).Counts)
	b.once(users)
}
