package dispatch_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// hand is what a person may do to a job in its pages.
type hand func(ctx context.Context, b *bundle, job int64) error

func hands() map[string]hand {
	return map[string]hand{
		"retry": func(ctx context.Context, b *bundle, job int64) error {
			_, err := b.d.River().JobRetry(ctx, job)
			return err
		},
		"cancel": func(ctx context.Context, b *bundle, job int64) error {
			_, err := b.d.River().JobCancel(ctx, job)
			return err
		},
		"delete": func(ctx context.Context, b *bundle, job int64) error {
			_, err := b.d.River().JobDelete(ctx, job)
			return err
		},
	}
}

// jobInState is a job as the table would hold it: with what its state asks for.
const jobInState = `UPDATE river.river_job SET state = $2::river.river_job_state, attempt = greatest(attempt, CASE WHEN $2 IN ('available', 'scheduled') THEN 0 ELSE 1 END),
	scheduled_at = CASE WHEN $2 IN ('retryable', 'scheduled') THEN now() + interval '1 hour' ELSE now() END,
	attempted_at = CASE WHEN $2 IN ('available', 'scheduled') THEN NULL ELSE now() END,
	finalized_at = CASE WHEN $2 IN ('completed', 'cancelled', 'discarded') THEN now() END WHERE id = $1`

// jobs lists the jobs of a kind.
func (b *bundle) jobs(kind string) []int64 {
	b.t.Helper()
	rows, err := b.st.Pool().Query(b.t.Context(), `SELECT id FROM river.river_job WHERE kind = $1 ORDER BY id`, kind)
	require.NoError(b.t, err)
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		require.NoError(b.t, rows.Scan(&id))
		ids = append(ids, id)
	}
	return ids
}

// inHand applies a hand to every job of a kind; a job that runs may refuse to be deleted.
func (b *bundle) inHand(h hand, kind string) {
	b.t.Helper()
	for _, id := range b.jobs(kind) {
		if err := h(b.t.Context(), b, id); err != nil {
			require.ErrorIs(b.t, err, rivertype.ErrJobRunning)
		}
	}
}

// ended asks that the task ends with everyone sent, once, and no permit held (invariants 1, 7 and 8).
func (b *bundle) ended(task int64, users []string) {
	b.t.Helper()
	b.wait(task, push.TaskDone)
	require.Equal(b.t, push.Counts{Total: len(users), Sent: len(users)}, b.audit(task).Counts)
	b.once(users)
	require.Zero(b.t, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
	require.Equal(b.t, len(users), b.count(`SELECT count(*) FROM form_id WHERE state = 2`))
}

// Whatever a person does to a job in the pages of the job table, in whatever state it is, the ledger is right in the end: the tables of the
// task say what is unfinished, and a job that comes back does nothing twice.
func TestJobPages_RetryCancelDeleteLeaveTheLedgerRight(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"start_task", "send_chunk"} {
		for _, state := range []string{"available", "scheduled", "retryable", "completed", "cancelled", "discarded"} {
			for name, h := range hands() {
				t.Run(fmt.Sprint(kind, " ", state, " ", name), func(t *testing.T) {
					t.Parallel()
					b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.Canary.Sent = 10, -1 })
					users := b.users(30, 2)
					task := b.draft(users)
					b.send(task.ID)
					if kind == "send_chunk" {
						require.NoError(t, b.d.Plan(t.Context(), task.ID))
					}
					require.NotEmpty(t, b.jobs(kind))
					for _, id := range b.jobs(kind) {
						b.exec(jobInState, id, state)
					}
					b.inHand(h, kind)
					b.exec(`UPDATE chunk SET queued_at = queued_at - interval '11 s'`)
					b.exec(`UPDATE river.river_job SET scheduled_at = now() WHERE state IN ('retryable', 'scheduled')`) // its hour is over
					b.work(b.d)
					b.ended(task.ID, users)
					b.inHand(hands()["retry"], kind) // and once more when all is done
					b.eventually("nothing is left to do", func() bool {
						return b.count(`SELECT count(*) FROM river.river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled')`) == 0
					})
					b.ended(task.ID, users)
					require.Equal(t, int64(30), b.sim.Stats().Calls)
				})
			}
		}
	}
}

// The same while the jobs run: a cancel ends the run, whose calls in flight are recorded, and the chunk goes on under a new job.
func TestJobPages_WhileTheJobsRun(t *testing.T) {
	t.Parallel()
	for name, h := range hands() {
		t.Run("send_chunk "+name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { slow(c); c.Canary.Sent = -1 })
			b.faults(sim.Faults{LatencyMS: 60})
			users := b.users(120, 2)
			task := b.draft(users)
			b.work(b.d)
			b.send(task.ID)
			b.eventually("running", func() bool {
				return b.sim.Stats().Messages > 10 && b.count(`SELECT count(*) FROM chunk WHERE sending > 0`) > 0
			})
			b.inHand(h, "send_chunk")
			b.ended(task.ID, users)
			require.Equal(t, int64(120), b.sim.Stats().Calls, "no call was made twice")
		})
		t.Run("start_task "+name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			users := b.users(40, 2)
			task := b.draft(users)
			release := b.blockPlanning(task.ID)
			b.work(b.d)
			b.send(task.ID)
			b.eventually("running", func() bool {
				return b.count(`SELECT count(*) FROM river.river_job WHERE kind = 'start_task' AND state = 'running'`) == 1
			})
			b.inHand(h, "start_task")
			release()
			b.ended(task.ID, users)
			require.Equal(t, int64(40), b.sim.Stats().Calls)
		})
	}
}

// blockPlanning locks the table of chunks, so that a start job runs until release.
func (b *bundle) blockPlanning(int64) (release func()) {
	b.t.Helper()
	tx, err := b.st.Pool().Begin(b.t.Context())
	require.NoError(b.t, err)
	_, err = tx.Exec(b.t.Context(), `LOCK TABLE chunk IN SHARE ROW EXCLUSIVE MODE`)
	require.NoError(b.t, err)
	return func() { require.NoError(b.t, tx.Commit(b.t.Context())) }
}

// The start job of a task that is scheduled for later: whatever becomes of it, the task starts at its time, once (invariant 11).
func TestJobPages_StartJobOfAScheduledTask(t *testing.T) {
	t.Parallel()
	for name, h := range hands() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			users := b.users(20, 2)
			task := b.draft(users)
			at := in(3 * 1e9)
			_, err := b.d.Send(t.Context(), "test", task.ID, at)
			require.NoError(t, err)
			b.inHand(h, "start_task")
			b.work(b.d)
			b.ended(task.ID, users)
			done, err := b.st.Task(t.Context(), task.ID)
			require.NoError(t, err)
			require.False(t, done.StartedAt.Before(*at), "it started at %s, before its time", done.StartedAt)
		})
	}
}

// A queue that a person has paused in the pages is named: its tasks stand still, and go on once it is resumed.
func TestJobPages_PausedQueueIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(20, 1)
	task := b.draft(users)
	b.work(b.d)
	b.eventually("the queue is known", func() bool { return b.count(`SELECT count(*) FROM river.river_queue WHERE name = 'send'`) == 1 })
	require.NoError(t, b.d.River().QueuePause(t.Context(), "send", nil))
	paused, err := b.st.PausedQueues(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"send"}, paused)
	require.NoError(t, b.d.River().QueueResume(t.Context(), "send", nil))
	paused, err = b.st.PausedQueues(t.Context())
	require.NoError(t, err)
	require.Empty(t, paused)
	b.send(task.ID)
	b.ended(task.ID, users)
}
