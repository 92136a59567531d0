package store_test

import (
	"context"
	"testing"

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
