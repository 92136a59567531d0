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

// Rows that were last used in another cluster, timeline or database are a copy: whatever was sent since is not in them. No task makes
// a call until a person decides, each by itself; a scheduled one is then scheduled as before.
func TestRestored_HoldsEveryTaskUntilAPersonDecides(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"system_id = system_id + 1", "timeline_id = timeline_id + 1", "database_id = database_id + 1"} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			users := b.users(30, 4)
			d := b.dispatcher()
			require.NoError(t, d.Start(t.Context()))
			require.NoError(t, d.Stop(t.Context()))
			require.Equal(t, 1, b.count(`SELECT count(*) FROM database_identity`))

			sending, due, later, draft := b.draft(users), b.draft(users), b.draft(users), b.draft(users)
			b.send(sending.ID)
			_, err := b.d.Send(t.Context(), "test", due.ID, in(time.Second))
			require.NoError(t, err)
			_, err = b.d.Send(t.Context(), "test", later.ID, in(time.Hour))
			require.NoError(t, err)
			b.exec(`UPDATE database_identity SET ` + change)
			b.two()
			for _, id := range []int64{sending.ID, due.ID, later.ID} {
				held := b.wait(id, push.TaskPaused)
				require.Equal(t, []push.Cause{push.CauseRestored}, held.Causes)
				require.Contains(t, held.Note, "resume or cancel")
			}
			b.wait(draft.ID, push.TaskDraft)
			b.exec(`UPDATE task SET start_at = now() - interval '1 s' WHERE id = $1`, due.ID)
			ticks := b.ticks()
			b.eventually("three rounds of the sweeper", func() bool { return b.ticks() >= ticks+3 })
			require.Zero(t, b.sim.Stats().Calls)

			b.resume(sending.ID)
			b.wait(sending.ID, push.TaskDone)
			again, err := b.d.Resume(t.Context(), "test", later.ID)
			require.NoError(t, err)
			require.Equal(t, push.TaskScheduled, again.State)
			_, err = b.d.Resume(t.Context(), "test", due.ID)
			require.NoError(t, err)
			b.wait(due.ID, push.TaskDone)
			require.Equal(t, int64(60), b.sim.Stats().Calls)
			_, err = b.d.Cancel(t.Context(), "test", later.ID)
			require.NoError(t, err)
		})
	}
}

// The same database again is no restore, however often a daemon starts.
func TestRestored_NotByARestart(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(5, 1))
	_, err := b.d.Send(t.Context(), "test", task.ID, in(time.Hour))
	require.NoError(t, err)
	for range 2 {
		d := b.dispatcher()
		require.NoError(t, d.Start(t.Context()))
		require.NoError(t, d.Stop(t.Context()))
	}
	b.wait(task.ID, push.TaskScheduled)
}

// A snapshot of a volume has the identity of its origin; what gives it away is that formIds which stand as unused were used. A run of
// them holds the app's tasks before their users are sent to a second time.
func TestRestored_RunOfUsedFormIDsHoldsTheTasks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers = 20, 4 })
	users := b.users(100, 0)
	for _, u := range users {
		b.permit(u, "first-"+u, 2*time.Hour, true)
		b.permit(u, "other-"+u, time.Hour, true)
	}
	used := make([]string, len(users))
	for i, u := range users {
		used[i] = "first-" + u
	}
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 41029, FormIDs: used}}})
	task, other := b.draft(users), b.draft(users)
	_, err := b.d.Send(t.Context(), "test", other.ID, in(time.Hour))
	require.NoError(t, err)
	b.two()
	b.send(task.ID)
	held := b.wait(task.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseRestored}, held.Causes)
	require.Contains(t, held.Note, "formId")
	b.wait(other.ID, push.TaskPaused)
	b.quiet()
	require.Equal(t, int64(10), b.sim.Stats().Calls)
	require.Zero(t, b.sim.Stats().Messages)
	require.Equal(t, push.Counts{Total: 100, Pending: 100}, b.audit(task.ID).Counts)
	require.Equal(t, 10, b.count(`SELECT count(*) FROM form_id WHERE state = 3`))
	require.Equal(t, 190, b.count(`SELECT count(*) FROM form_id WHERE state = 0`), fmt.Sprint(b.fates()))
}
