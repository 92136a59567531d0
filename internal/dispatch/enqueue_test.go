package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (b *bundle) startJobs() int {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM river.river_job WHERE kind = 'start_task'`)
}

// Invariant 1: of twenty sends at the same instant over two processes one goes through, and one start job stands.
func TestSend_TwentyAtOnceEnqueueOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(40, 1))
	other := b.dispatcher()
	begin := make(chan struct{})
	errs := make([]error, 20)
	var all sync.WaitGroup
	for i := range errs {
		d := b.d
		if i%2 == 1 {
			d = other
		}
		all.Go(func() {
			<-begin
			_, errs[i] = d.Send(t.Context(), "test", task.ID, nil)
		})
	}
	close(begin)
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		var r *push.Refusal
		require.ErrorAs(t, err, &r)
		require.Equal(t, push.RefusedAlreadySent, r.Code)
		require.Equal(t, push.TaskSending, r.State)
	}
	require.Equal(t, 1, won)
	require.Equal(t, 1, b.startJobs())
	b.work(b.d)
	b.work(other)
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	require.Len(t, b.got(), 40)
	b.once(b.names(40))
}

// Invariant 1: state and job are one transaction; a send that is rolled back leaves neither.
func TestSend_RolledBackLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(3, 1))
	before := b.dump()
	changed := errors.New("changed my mind")
	err := b.st.InTx(t.Context(), func(ctx context.Context) error {
		sent, err := b.d.Send(ctx, "test", task.ID, nil)
		require.NoError(t, err)
		require.Equal(t, push.TaskSending, sent.State)
		return changed
	})
	require.ErrorIs(t, err, changed)
	require.Equal(t, before, b.dump())
	b.send(task.ID)
}

// Invariant 1, the unique guard without the compare-and-set: the queue takes one start job for a task, whatever its state.
func TestSend_QueueTakesOneStartJob(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	insert := func() (skipped bool) {
		require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
			res, err := b.d.River().InsertTx(ctx, store.Tx(ctx), dispatch.StartJob(98), nil)
			if err == nil {
				skipped = res.UniqueSkippedAsDuplicate
			}
			return err
		}))
		return skipped
	}
	require.False(t, insert())
	require.True(t, insert())
	for _, state := range []string{"completed", "cancelled", "discarded", "retryable", "running", "scheduled"} {
		b.exec(`UPDATE river.river_job SET state = $1::text::river.river_job_state, finalized_at = CASE WHEN $1 IN ('completed', 'cancelled', 'discarded') THEN now() END`, state)
		require.True(t, insert(), state)
	}
	require.Equal(t, 1, b.startJobs())
}

// Invariant 1, the compare-and-set without the unique guard: with the job gone a second send is refused all the same.
func TestSend_StateAloneRefusesTheSecond(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(3, 1))
	b.send(task.ID)
	b.exec(`DELETE FROM river.river_job`)
	_, err := b.d.Send(t.Context(), "test", task.ID, nil)
	refused(t, err, push.RefusedAlreadySent)
	require.Zero(t, b.startJobs())
	moved, err := b.st.SubmitTask(t.Context(), task.ID, []push.TaskState{push.TaskDraft, push.TaskMissed}, nil)
	require.NoError(t, err)
	require.False(t, moved)
	b.work(b.d) // and the task goes out without its start job: the tables say that it is unfinished (invariant 11)
	b.wait(task.ID, push.TaskDone)
	b.once(b.names(3))
}
