package dispatch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// live counts the chunks that are queued or running, and those that run.
func (b *bundle) live() (live, running int) {
	b.t.Helper()
	require.NoError(b.t, b.st.Pool().QueryRow(b.t.Context(), `
		SELECT count(*) FILTER (WHERE state IN ('queued', 'running')), count(*) FILTER (WHERE state = 'running') FROM chunk`).Scan(&live, &running))
	return live, running
}

func (b *bundle) chunkJobs() int {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM river.river_job WHERE kind = 'send_chunk'`)
}

// watch calls look until the task is done.
func (b *bundle) watch(task int64, look func()) {
	b.t.Helper()
	b.eventually("done", func() bool {
		look()
		return b.count(`SELECT count(*) FROM task WHERE id = $1 AND state = 'done'`, task) == 1
	})
}

// A task keeps at most Window chunks queued or running, and when nothing fails each chunk takes one job.
func TestWindow_BoundsTheChunksAndCostsOneJobEach(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Window, c.InFlight = 7, 3, 14 })
	b.faults(sim.Faults{LatencyMS: 10})
	task := b.draft(b.users(200, 1))
	b.work(b.d)
	b.send(task.ID)
	most := 0
	b.watch(task.ID, func() { live, _ := b.live(); most = max(most, live) })
	require.LessOrEqual(t, most, 3)
	require.Equal(t, push.ChunkCount(200, 7), b.chunkJobs())
	b.audit(task.ID)
	b.once(b.names(200))
}

// The window holds over pauses too: what a resume queues is counted with what is queued still.
func TestWindow_HoldsOverPauses(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Window, c.Canary.Sent = 1, 4, -1 })
	task := b.draft(b.users(30, 1))
	b.send(task.ID)
	for range 3 {
		require.NoError(t, b.d.Plan(t.Context(), task.ID))
		_, err := b.d.Pause(t.Context(), "test", task.ID)
		require.NoError(t, err)
		_, err = b.d.Resume(t.Context(), "test", task.ID)
		require.NoError(t, err)
		live, _ := b.live()
		require.Equal(t, 4, live)
	}
	require.Equal(t, 4, b.chunkJobs())
}

// With one worker no two chunks run at the same time.
func TestWorkers_OneRunsOneChunkAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers = 10, 1 })
	b.faults(sim.Faults{LatencyMS: 10})
	task := b.draft(b.users(120, 1))
	b.work(b.d)
	b.send(task.ID)
	most := 0
	b.watch(task.ID, func() { _, running := b.live(); most = max(most, running) })
	require.Equal(t, 1, most)
	require.LessOrEqual(t, b.sim.Stats().MaxInFlight, int64(10))
}

// Invariant 2: the rows in sending, and the calls, are never more than this process may have in flight, whatever number of chunks it runs.
func TestInFlight_SevenNeverEight(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers, c.InFlight = 20, 4, 7 })
	b.faults(sim.Faults{LatencyMS: 20})
	task := b.draft(b.users(160, 1))
	b.work(b.d)
	b.send(task.ID)
	most := 0
	b.watch(task.ID, func() {
		most = max(most, b.count(`SELECT count(*) FROM recipient WHERE state = 1`), b.count(`SELECT coalesce(sum(sending), 0) FROM chunk`))
	})
	require.LessOrEqual(t, most, 7)
	require.LessOrEqual(t, b.sim.Stats().MaxInFlight, int64(7))
	require.Greater(t, b.sim.Stats().MaxInFlight, int64(3))
	require.Zero(t, b.d.InFlight())
	b.audit(task.ID)
	b.once(b.names(160))
}

// Chunks of one recipient, many of which end at the same time: the task is settled all the same (invariant 8).
func TestSettle_ChunksThatEndTogether(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Workers = 1, 8 })
	users := b.users(2, 6)
	tasks := make([]push.Task, 6)
	for i := range tasks {
		tasks[i] = b.draft(users)
	}
	b.work(b.d)
	b.work(b.dispatcher())
	for _, task := range tasks {
		b.send(task.ID)
	}
	for _, task := range tasks {
		done := b.wait(task.ID, push.TaskDone)
		require.Equal(t, push.Counts{Total: 2, Sent: 2}, done.Counts)
	}
	require.Equal(t, map[string]int{openID("u0"): 6, openID("u1"): 6}, b.got())
}

// Settling needs the last chunk: while one is open nothing happens, and a second settle changes nothing.
func TestSettle_OnlyWhenNothingIsOpen(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(3, 1))
	b.send(task.ID)
	settle := func() (settled bool) {
		require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) (err error) {
			settled, err = b.st.SettleTask(ctx, task.ID)
			return err
		}))
		return settled
	}
	require.False(t, settle(), "not planned")
	require.NoError(t, b.d.Plan(t.Context(), task.ID))
	planned, err := b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, push.TaskSending, planned.State, "its chunk is open")
	require.False(t, settle(), "its chunk is open")
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	require.False(t, settle())
}
