package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// Invariant 6: once another run has the chunk, or may have it, the run before changes nothing: not a recipient, not a permit, not a
// counter.
func TestRun_StaleOneChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(2, "a", "X", "b", "Y", "c", "Z", "d", "W")
	task := b.sending(10, "a", "b", "c", "d")
	stale := b.run(task, 0)
	claimed := b.claim(stale, 0, 2).Sending
	require.Len(t, claimed, 2)
	freed, _, err := b.st.FreeChunk(t.Context(), store.ChunkKey{TaskID: task}, int64(b.count(`SELECT node_id FROM chunk`)), 0)
	require.NoError(t, err)
	require.True(t, freed)

	attempts := func(when string) {
		before := b.tables()
		_, err := b.st.RecordOutcomes(t.Context(), stale, []store.Outcome{sent(claimed[0])})
		require.ErrorIs(t, err, store.ErrLeaseLost, when)
		_, err = b.st.Claim(t.Context(), stale, 2, 4, time.Minute)
		require.ErrorIs(t, err, store.ErrLeaseLost, when)
		_, err = b.st.ClaimAmbiguous(t.Context(), stale, 4, time.Minute)
		require.ErrorIs(t, err, store.ErrLeaseLost, when)
		require.ErrorIs(t, b.st.Recover(t.Context(), stale), store.ErrLeaseLost, when)
		held, _, err := b.st.EndRun(t.Context(), stale, 0)
		require.NoError(t, err)
		require.False(t, held, when)
		_, held, err = b.st.SendingRows(t.Context(), stale, []int32{0})
		require.NoError(t, err)
		require.False(t, held, when)
		require.Equal(t, before, b.tables(), when)
	}
	attempts("freed")
	require.Equal(t, 2, b.count(`SELECT count(*) FROM recipient WHERE state = 0 AND ambiguous AND permit_id IS NOT NULL`), "what it left waits for no worker")
	next := b.run(task, 0)
	require.Greater(t, next.Lease, stale.Lease)
	require.Zero(t, next.Left)
	attempts("taken by another")
	again, err := b.st.ClaimAmbiguous(t.Context(), next, 4, time.Minute)
	require.NoError(t, err)
	require.Len(t, again.Sending, 2)
	for i, c := range again.Sending {
		require.Equal(t, claimed[i].PermitID, c.PermitID, "the same permit (invariant 5)")
		require.True(t, c.Ambiguous)
		require.Equal(t, int16(2), c.Attempt)
	}
	attempts("claimed again") // the rows are in sending, under another lease
	b.record(next, sent(again.Sending[0]), sent(again.Sending[1]))
}

// Outcomes are all written or none (invariant 2): one for a row that is not in sending rolls the others back.
func TestRecordOutcomes_AllOrNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X", "b", "Y")
	run := b.run(b.sending(10, "a", "b"), 0)
	c := b.claim(run, 0, 1).Sending[0]
	before := b.tables()
	other := sent(c)
	other.Seq = 1
	_, err := b.st.RecordOutcomes(t.Context(), run, []store.Outcome{sent(c), other})
	require.Error(t, err)
	require.Equal(t, before, b.tables())
	b.record(run, sent(c))
	_, err = b.st.RecordOutcomes(t.Context(), run, []store.Outcome{sent(c)})
	require.Error(t, err, "written twice")
	require.Equal(t, 1, b.count(`SELECT sent FROM chunk`))
}

// A lease goes to one of two, and only for the generation that is queued.
func TestTakeLease_OnceForItsGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X")
	task := b.sending(10, "a")
	node, err := b.st.InsertNode(t.Context(), "n")
	require.NoError(t, err)
	queued, err := b.st.QueueChunks(t.Context(), task, 1, 1)
	require.NoError(t, err)
	require.Equal(t, []store.QueuedChunk{{No: 0, Generation: 1, Priority: "normal"}}, queued)
	for _, generation := range []int32{0, 2} {
		_, ok, err := b.st.TakeLease(t.Context(), task, 0, generation, node)
		require.NoError(t, err)
		require.False(t, ok)
	}
	won := make(chan bool, 2)
	for range 2 {
		go func() {
			_, ok, _ := b.st.TakeLease(t.Context(), task, 0, 1, node)
			won <- ok
		}()
	}
	require.NotEqual(t, <-won, <-won)
	freed, _, err := b.st.FreeChunk(t.Context(), store.ChunkKey{TaskID: task}, node+1, 0)
	require.NoError(t, err)
	require.False(t, freed, "it is another node's")
}

// Invariant 3: a permit that a rival holds for a moment is not "no permit": the row stays, and is sent when the rival lets go.
func TestClaim_PermitHeldByARival(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X")
	run := b.run(b.sending(10, "a"), 0)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		_, err := store.Tx(ctx).Exec(ctx, `SELECT FROM form_id FOR UPDATE`)
		require.NoError(t, err)
		c := b.claim(run, 0, 1)
		require.True(t, c.Contended)
		require.Empty(t, c.Sending)
		require.Zero(t, c.Ended)
		return nil
	}))
	require.Len(t, b.claim(run, 0, 1).Sending, 1)
}

// Invariant 3: of two tasks that want the last permit of a user one gets it.
func TestClaim_OnePermitTwoTasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X")
	runs := []store.Run{b.run(b.sending(10, "a"), 0), b.run(b.sending(10, "a"), 0)}
	got := make(chan store.Claim, 2)
	for _, run := range runs {
		go func() {
			c, _ := b.st.Claim(t.Context(), run, 0, 1, time.Minute)
			got <- c
		}()
	}
	first, second := <-got, <-got
	require.Equal(t, 1, len(first.Sending)+len(second.Sending))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
}

// A claim takes nothing of a task that is not sending, or whose app is paused, and nothing that is not due.
func TestClaim_OnlyWhatIsOpenAndDue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X", "b", "Y")
	task := b.sending(10, "a", "b")
	run := b.run(task, 0)
	b.exec(`UPDATE recipient SET retry_at = now() + interval '1 hour' WHERE user_id = 'b'`)
	_, err := b.st.SetAppPaused(t.Context(), "health", "me")
	require.NoError(t, err)
	_, err = b.st.Claim(t.Context(), run, 0, 2, time.Minute)
	require.ErrorIs(t, err, store.ErrClosed)
	_, err = b.st.SetAppPaused(t.Context(), "health", "")
	require.NoError(t, err)
	_, err = b.st.PauseTask(t.Context(), task, push.CauseOperator, "")
	require.NoError(t, err)
	_, err = b.st.Claim(t.Context(), run, 0, 2, time.Minute)
	require.ErrorIs(t, err, store.ErrClosed)
	_, err = b.st.ResumeTask(t.Context(), task, []push.Cause{push.CauseOperator})
	require.NoError(t, err)
	require.Len(t, b.claim(run, 0, 2).Sending, 1)
	_, _, n, due, err := b.st.PendingRange(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Greater(t, due, 59*time.Minute)
}

// The settle race: two last chunks end in transactions that do not see each other; the second one settles the task.
func TestSettleTask_TwoLastChunksAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X", "b", "Y")
	task := b.sending(1, "a", "b")
	runs := []store.Run{b.run(task, 0), b.run(task, 1)}
	for i, run := range runs {
		b.record(run, sent(b.claim(run, int32(i), int32(i+1)).Sending[0]))
	}
	end := func(ctx context.Context, run store.Run, ended func()) (settled bool) {
		require.NoError(t, b.st.InTx(ctx, func(ctx context.Context) error {
			held, done, err := b.st.EndRun(ctx, run, 0)
			require.NoError(t, err)
			require.True(t, held && done)
			ended()
			if _, err := b.st.LockTask(ctx, task); err != nil {
				return err
			}
			settled, err = b.st.SettleTask(ctx, task)
			return err
		}))
		return settled
	}
	second := make(chan bool, 1)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		_, err := b.st.LockTask(ctx, task) // both have ended their chunk before either looks
		require.NoError(t, err)
		go func() { second <- end(t.Context(), runs[1], func() {}) }()
		b.blocked()
		require.False(t, end(ctx, runs[0], func() {}), "the other one is still open to its eyes")
		return nil
	}))
	require.True(t, <-second)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM task WHERE state = 'done'`))
}

// Dead is: stopped; its lock free and its beat over 3 s old; or its beat over 8 s old, whatever the lock says.
func TestDeadOwners_Matrix(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X")
	task := b.sending(10, "a")
	b.run(task, 0)
	node := int64(b.count(`SELECT node_id FROM chunk`))
	require.Eventually(t, func() bool { // none counts from before two seconds after the start of the server
		return b.count(`SELECT (clock_timestamp() - pg_postmaster_start_time() > interval '11 s')::int`) == 1
	}, 20*time.Second, 50*time.Millisecond)
	conn, err := b.st.Pool().Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for _, c := range []struct {
		name               string
		age                float64
		locked, stop, dead bool
	}{
		{"fresh", 0, true, false, false},
		{"fresh, lock lost", 0, false, false, false},
		{"old, lock held", 5, true, false, false},
		{"old, lock lost", 4, false, false, true},
		{"very old, lock held", 9, true, false, true},
		{"stopped", 0, false, true, true},
	} {
		if c.locked {
			require.NoError(t, store.HoldNode(t.Context(), conn.Conn(), node, "test"))
		}
		b.exec(`UPDATE node SET beat_at = now() - make_interval(secs => $2), stopped_at = CASE WHEN $3 THEN now() END WHERE id = $1`, node, c.age, c.stop)
		dead, err := b.st.DeadOwners(t.Context(), true)
		require.NoError(t, err)
		require.Equal(t, c.dead, len(dead) == 1, c.name)
		dead, err = b.st.DeadOwners(t.Context(), false)
		require.NoError(t, err)
		require.Equal(t, c.stop, len(dead) == 1, "%s, by who has not watched", c.name)
		_, err = conn.Exec(t.Context(), `SELECT pg_advisory_unlock_all()`)
		require.NoError(t, err)
	}
}

// A queue that is asked for a window counts what lives in it, and gives nothing to a task that is not sending or whose app is paused.
func TestQueueChunks_FillsTheWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.sending(1, "a", "b", "c", "d", "e")
	queue := func() int {
		chunks, err := b.st.QueueChunks(t.Context(), task, 2, 2)
		require.NoError(t, err)
		return len(chunks)
	}
	require.Equal(t, 2, queue())
	require.Zero(t, queue())
	b.exec(`UPDATE chunk SET state = 'done', pending = 0, skipped = 1 WHERE no = 0`)
	_, err := b.st.SetAppPaused(t.Context(), "health", "me")
	require.NoError(t, err)
	require.Zero(t, queue())
	_, err = b.st.SetAppPaused(t.Context(), "health", "")
	require.NoError(t, err)
	require.Equal(t, 1, queue())
}

// What a claim wrote ahead although its answer was lost is put back as it was, but for the rows that are being called (invariant 2);
// an ambiguous one keeps its permit (invariant 5). A run that has lost its lease puts nothing back.
func TestUnclaim_PutsBackWhatIsNotCalled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(2, "a", "X", "b", "Y", "c", "Z")
	task := b.sending(10, "a", "b", "c")
	run := b.run(task, 0)
	first := b.claim(run, 0, 1).Sending[0]
	b.record(run, store.Outcome{Seq: first.Seq, PermitID: first.PermitID, State: push.Pending, Ambiguous: true, Permit: store.PermitKept, AnsweredAt: time.Now()})
	before := b.strings(`SELECT concat_ws('|', seq, state, attempt, ambiguous, permit_id) FROM recipient ORDER BY seq`)
	again, err := b.st.ClaimAmbiguous(t.Context(), run, 1, time.Minute)
	require.NoError(t, err)
	require.Len(t, again.Sending, 1)
	require.Len(t, b.claim(run, 1, 3).Sending, 2)

	n, err := b.st.Unclaim(t.Context(), run, []int32{2})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	after := b.strings(`SELECT concat_ws('|', seq, state, attempt, ambiguous, permit_id) FROM recipient ORDER BY seq`)
	require.Equal(t, before[:2], after[:2])
	require.Equal(t, 1, b.count(`SELECT sending FROM chunk`))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM form_id WHERE state = 1`), "of the ambiguous one, and of the one being called")
	n, err = b.st.Unclaim(t.Context(), run, []int32{2})
	require.NoError(t, err)
	require.Zero(t, n)
	found, err := b.st.AuditTask(t.Context(), task)
	require.NoError(t, err)
	require.Empty(t, found)

	_, _, err = b.st.FreeChunk(t.Context(), store.ChunkKey{TaskID: task}, int64(b.count(`SELECT node_id FROM chunk`)), 0)
	require.NoError(t, err)
	_, err = b.st.Unclaim(t.Context(), run, nil)
	require.ErrorIs(t, err, store.ErrLeaseLost)
}

// A run that ended with rows in sending leaves them to the next one, which makes them ambiguous before it claims.
func TestRecover_WhatAnEndedRunLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(2, "a", "X", "b", "Y")
	task := b.sending(10, "a", "b")
	run := b.run(task, 0)
	require.Len(t, b.claim(run, 0, 2).Sending, 2)
	held, done, err := b.st.EndRun(t.Context(), run, 0)
	require.NoError(t, err)
	require.True(t, held)
	require.False(t, done)
	next := b.run(task, 0)
	require.Equal(t, 2, next.Left)
	require.NoError(t, b.st.Recover(t.Context(), next))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM recipient WHERE state = 0 AND ambiguous AND permit_id IS NOT NULL`))
	require.Equal(t, 2, b.count(`SELECT pending FROM chunk`))
}
