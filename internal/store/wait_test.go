package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// waits runs late in a transaction that finds the rows locked by early, which commits once it does.
func (b *bundle) waits(early, late func(ctx context.Context) error) {
	b.t.Helper()
	done := make(chan error, 1)
	require.NoError(b.t, b.st.InTx(b.t.Context(), func(ctx context.Context) error {
		if err := early(ctx); err != nil {
			return err
		}
		go func() { done <- b.st.InTx(context.WithoutCancel(b.t.Context()), late) }()
		b.blocked()
		return nil
	}))
	require.NoError(b.t, <-done)
}

// Whoever waits for a breaker's lock sees the task that has become its probe meanwhile as sending, not as it was before the wait: it
// would pause it again.
func TestLockBreaker_ShowsWhatWasCommittedWhileItWaited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.sending(10, "1")
	_, err := b.st.OpenBreaker(t.Context(), b.app.ID, "503", 0)
	require.NoError(t, err)
	_, err = b.st.BreakTasks(t.Context(), b.app.ID, 0, "away")
	require.NoError(t, err)
	var got store.Breaker
	b.waits(func(ctx context.Context) error {
		if _, _, err := b.st.LockBreakerOf(ctx, task); err != nil {
			return err
		}
		if _, err := b.st.ResumeTask(ctx, task, []push.Cause{push.CauseBreaker}); err != nil {
			return err
		}
		return b.st.SetProbe(ctx, b.app.ID, task, 0, 0)
	}, func(ctx context.Context) (err error) {
		got, err = b.st.LockBreaker(ctx, b.app.ID)
		return err
	})
	require.Equal(t, task, got.ProbeTask)
	require.True(t, got.Probing)
}

// A cause that is added while a person's resume waits for the task's row stays: the task is not sent.
func TestResumeTask_KeepsACauseAddedWhileItWaited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.sending(10, "1")
	_, err := b.st.PauseTask(t.Context(), task, push.CauseOperator, "")
	require.NoError(t, err)
	b.waits(func(ctx context.Context) error {
		_, err := b.st.HoldTasks(ctx, b.app.ID, "held")
		return err
	}, func(ctx context.Context) error {
		_, err := b.st.ResumeTask(ctx, task, []push.Cause{push.CauseOperator})
		return err
	})
	require.Equal(t, 1, b.count(`SELECT count(*) FROM task WHERE id = $1 AND state = 'paused' AND causes = ARRAY['restored']`, task))
}

// A list for which a schedule is made while its removal waits is in use.
func TestDeleteList_SeesAScheduleMadeWhileItWaited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO saved_list (app_id, name, created_by) VALUES ($1, 'vip', 'mary')`, b.app.ID)
	list := int64(b.count(`SELECT id FROM saved_list`))
	var inUse bool
	b.waits(func(ctx context.Context) error {
		_, err := b.st.InsertSchedule(ctx, b.app.ID, push.ScheduleSpec{Name: "daily", Cron: "0 9 * * *", TimeZone: "Asia/Shanghai"}, &list, "mary")
		return err
	}, func(ctx context.Context) (err error) {
		inUse, err = b.st.DeleteList(ctx, list)
		return err
	})
	require.True(t, inUse)
}

// The quota probe takes no task whose pause has got another cause while it waited for its row: a person's pause is not undone.
func TestBeginQuotaProbe_LeavesATaskThatWasPausedForMoreMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.sending(10, "1")
	_, err := b.st.PauseTask(t.Context(), task, push.CauseQuota, "")
	require.NoError(t, err)
	b.exec(`UPDATE app SET quota_until = now() - interval '1 s'`)
	b.waits(func(ctx context.Context) error {
		_, err := b.st.PauseTask(ctx, task, push.CauseOperator, "")
		return err
	}, func(ctx context.Context) error {
		_, err := b.st.BeginQuotaProbe(ctx, b.app.ID, time.Minute)
		return err
	})
	require.Equal(t, 1, b.count(`SELECT count(*) FROM task WHERE id = $1 AND state = 'paused' AND 'operator' = ANY (causes)`, task))
}

// A version that is put in force while somebody waits for the list is the one that he finds.
func TestSavedListByID_FindsTheVersionPutInForceWhileItWaited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 2 {
		_, err := b.st.BeginListVersion(t.Context(), b.app.ID, "vip", "a.csv", nil, "mary")
		require.NoError(t, err)
	}
	versions := b.strings(`SELECT id::text FROM audience ORDER BY id`)
	require.Len(t, versions, 2)
	first, second := int64(b.count(`SELECT min(id) FROM audience`)), int64(b.count(`SELECT max(id) FROM audience`))
	require.NoError(t, b.st.FlipList(t.Context(), push.Audience{ID: first}))
	var found push.SavedList
	b.waits(func(ctx context.Context) error {
		return b.st.FlipList(ctx, push.Audience{ID: second})
	}, func(ctx context.Context) (err error) {
		found, err = b.st.SavedListByID(ctx, int64(b.count(`SELECT id FROM saved_list`)))
		return err
	})
	require.NotNil(t, found.Newest)
	require.Equal(t, second, found.Newest.ID)
}

// A schedule is read with the list that a change gave it while the reader waited.
func TestLockSchedule_NamesTheListItWasGivenWhileItWaited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO saved_list (app_id, name, created_by) VALUES ($1, 'old', 'mary'), ($1, 'new', 'mary')`, b.app.ID)
	list := func(name string) *int64 {
		id := int64(b.count(`SELECT id FROM saved_list WHERE name = $1`, name))
		return &id
	}
	spec := push.ScheduleSpec{Name: "daily", Cron: "0 9 * * *", TimeZone: "Asia/Shanghai"}
	id, err := b.st.InsertSchedule(t.Context(), b.app.ID, spec, list("old"), "mary")
	require.NoError(t, err)
	var found push.Schedule
	b.waits(func(ctx context.Context) error {
		_, err := b.st.UpdateSchedule(ctx, id, spec, list("new"))
		return err
	}, func(ctx context.Context) (err error) {
		found, err = b.st.LockSchedule(ctx, id)
		return err
	})
	require.Equal(t, "new", found.List)
}

// However many tasks are to be planned at once, what plans them gets the connections that it needs beside.
func TestPlanAlone_LeavesConnectionsForItsWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conf := b.st.Pool().Config().Copy()
	conf.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(t.Context(), conf)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	st := store.New(pool)
	var planned atomic.Int32
	var all sync.WaitGroup
	for id := range int64(20) {
		all.Go(func() {
			_, err := st.PlanAlone(t.Context(), id, func(ctx context.Context) error {
				planned.Add(1)
				_, err := st.Apps(ctx)
				return err
			})
			assert.NoError(t, err)
		})
	}
	all.Wait()
	require.Equal(t, int32(20), planned.Load())
}

// What the token was fetched with has changed: it is given up, and so is one that is on its way.
func TestUpdateApp_GivesTheTokenUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine, err := b.st.BeginTokenRefresh(t.Context(), b.app.ID, 0, time.Minute)
	require.NoError(t, err)
	require.True(t, mine)
	require.NoError(t, b.st.EndTokenRefresh(t.Context(), b.app.ID, 0, []byte("old"), time.Hour))
	before, err := b.st.AppToken(t.Context(), b.app.ID)
	require.NoError(t, err)
	mine, err = b.st.BeginTokenRefresh(t.Context(), b.app.ID, before.Version, time.Minute)
	require.NoError(t, err)
	require.True(t, mine)
	_, err = b.st.UpdateApp(t.Context(), b.app, nil)
	require.NoError(t, err)
	after, err := b.st.AppToken(t.Context(), b.app.ID)
	require.NoError(t, err)
	require.Empty(t, after.Sealed)
	require.Greater(t, after.Version, before.Version, "whoever holds it asks again")
	require.NoError(t, b.st.EndTokenRefresh(t.Context(), b.app.ID, before.Version, []byte("late"), time.Hour))
	after, err = b.st.AppToken(t.Context(), b.app.ID)
	require.NoError(t, err)
	require.Empty(t, after.Sealed)
}

// A run whose task was told to begin with a canary again claims nothing, though the task is sending.
func TestClaim_PastTheCanary_EndsWhereTheTaskBeginsAfresh(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "1", "o1")
	task := b.sending(10, "1")
	run := b.run(task, 0)
	run.PastCanary = true
	_, err := b.st.Claim(t.Context(), run, 0, 10, time.Minute)
	require.ErrorIs(t, err, store.ErrClosed)
	b.exec(`UPDATE task SET canary_passed_at = now()`)
	claim, err := b.st.Claim(t.Context(), run, 0, 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, claim.Sending, 1)
}

// A run that goes on from before its task became the probe of the app's quota, and takes it for a task like any other, claims nothing.
func TestClaim_OfAProbeThatItDoesNotKnowOf_IsClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "1", "o1")
	task := b.sending(10, "1")
	run := b.run(task, 0)
	b.exec(`UPDATE app SET quota_probe_task = $1, quota_until = now()`, task)
	_, err := b.st.Claim(t.Context(), run, 0, 10, time.Minute)
	require.ErrorIs(t, err, store.ErrClosed)
	_, err = b.st.ClaimAmbiguous(t.Context(), run, 10, time.Minute)
	require.ErrorIs(t, err, store.ErrClosed)
	run.Probe = true
	claim, err := b.st.Claim(t.Context(), run, 0, 1, time.Minute)
	require.NoError(t, err)
	require.Len(t, claim.Sending, 1)
}

// A task that finds out whether the quota is back does so with one chunk, whatever its window.
func TestQueueChunks_OfAQuotaProbe_IsOneChunk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.sending(1, "1", "2", "3", "4")
	b.exec(`UPDATE task SET canary_passed_at = now()`)
	b.exec(`UPDATE app SET quota_probe_task = $1, quota_until = now()`, task)
	queued, err := b.st.QueueChunks(t.Context(), task, 16, 1)
	require.NoError(t, err)
	require.Len(t, queued, 1)
	b.exec(`UPDATE app SET quota_probe_task = NULL, quota_until = NULL`)
	queued, err = b.st.QueueChunks(t.Context(), task, 16, 1)
	require.NoError(t, err)
	require.Len(t, queued, 3)
}
