package dispatch_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// longList takes every list for a long one.
func longList(c *dispatch.Config) { c.ReachAtOnce = 1 }

func (b *bundle) reachable(id int64) push.Reach {
	b.t.Helper()
	r, err := b.d.Reach(b.t.Context(), id, time.Time{})
	require.NoError(b.t, err)
	return r
}

// countJobs is how many counts there are, ended or not.
func (b *bundle) countJobs() int {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM river.river_job WHERE kind = 'count_reach'`)
}

// countedReach waits for the figure of a long list.
func (b *bundle) countedReach(id int64, total int) push.Reach {
	b.t.Helper()
	var r push.Reach
	b.eventually("the reach is counted", func() bool {
		r = b.reachable(id)
		return r.AsOf != nil && !r.Counting && r.Total == total
	})
	return r
}

func TestReach_ShortList_CountedAtOnceAndNotKept(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(append(b.users(2, 1), "ghost"))
	r := b.reachable(task.ID)
	require.NotNil(t, r.AsOf)
	require.Equal(t, []int{3, 2, 1}, []int{r.Total, r.Reachable, r.NoUser})
	require.Len(t, r.Expiring, 1)
	r, err := b.d.CountReach(t.Context(), task.ID, time.Now().Add(8*24*time.Hour))
	require.NoError(t, err)
	require.Equal(t, []int{3, 0, 2, 2}, []int{r.Total, r.Reachable, r.NoPermit, r.ExpiresBeforeSend})
	require.Zero(t, b.countJobs())
	require.Zero(t, b.count(`SELECT count(*) FROM reach`))
}

// The figure of a list is never shown for the list that replaced it: an upload has it counted beside.
func TestReach_LongList_RecountedAfterAnUpload(t *testing.T) {
	t.Parallel()
	b := setup(t, longList)
	users := b.users(4, 1)
	task := b.draft(users[:3])
	require.Equal(t, 1, b.countJobs(), "the upload asked for it")
	require.Equal(t, push.Reach{Counting: true, Expiring: []push.DayCount{}}, b.reachable(task.ID), "nothing is known yet")
	require.Equal(t, 1, b.countJobs())
	b.work(b.d)
	require.Equal(t, 3, b.countedReach(task.ID, 3).Reachable)

	b.upload(task.ID, append(users, "ghost"))
	r := b.reachable(task.ID)
	require.True(t, r.AsOf == nil && r.Total == 0 || r.Total == 5, "the old list's figure is not shown: %+v", r)
	r = b.countedReach(task.ID, 5)
	require.Equal(t, []int{4, 1}, []int{r.Reachable, r.NoUser})

	later, err := b.d.Reach(t.Context(), task.ID, time.Now().Add(8*24*time.Hour))
	require.NoError(t, err)
	require.Equal(t, []int{5, 0, 4, 4}, []int{later.Total, later.Reachable, later.NoPermit, later.ExpiresBeforeSend}, "the kept figure answers for any time")
	require.Equal(t, r.AsOf, later.AsOf)
	jobs := b.countJobs()
	require.False(t, b.reachable(task.ID).Counting)
	require.Equal(t, jobs, b.countJobs(), "a fresh figure is not counted again")
}

func TestReach_StaleFigure_ShownAndRecounted(t *testing.T) {
	t.Parallel()
	b := setup(t, longList)
	users := b.users(3, 1)
	task := b.draft(users)
	b.work(b.d)
	old := b.countedReach(task.ID, 3)
	b.exec(`DELETE FROM form_id WHERE user_id = 'u0'`)
	require.Equal(t, 3, b.reachable(task.ID).Reachable)
	b.exec(`UPDATE reach SET as_of = as_of - interval '6 minutes'`)
	r := b.reachable(task.ID)
	require.True(t, r.Counting)
	require.Equal(t, 3, r.Reachable)
	r = b.countedReach(task.ID, 3)
	b.eventually("it is counted anew", func() bool {
		r = b.reachable(task.ID)
		return r.AsOf.After(*old.AsOf)
	})
	require.Equal(t, []int{2, 1}, []int{r.Reachable, r.NoPermit})
}

// The losing side: whoever asks while a count stands begins no second one.
func TestReach_AskedByManyAtOnce_OneCount(t *testing.T) {
	t.Parallel()
	b := setup(t, longList)
	task := b.draft(b.users(3, 1))
	b.exec(`DELETE FROM river.river_job`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, err := b.d.AskReach(t.Context(), task.ID, time.Time{})
			if err != nil || !r.Counting {
				t.Error(r, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, b.countJobs())
	b.work(b.d)
	first := b.countedReach(task.ID, 3)
	r, err := b.d.AskReach(t.Context(), task.ID, time.Time{})
	require.NoError(t, err)
	require.True(t, r.Counting)
	require.Equal(t, first.AsOf, r.AsOf, "what there is, meanwhile")
	b.eventually("it is counted anew", func() bool { return b.reachable(task.ID).AsOf.After(*first.AsOf) })
}

func TestReach_DeletedDraft_CountEndsWithNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, longList)
	task := b.draft(b.users(3, 1))
	require.NoError(t, b.d.DeleteTask(t.Context(), task.ID))
	_, err := b.d.Reach(t.Context(), task.ID, time.Time{})
	require.ErrorIs(t, err, push.ErrNotFound)
	b.work(b.d)
	b.eventually("the job has ended", func() bool {
		return b.count(`SELECT count(*) FROM river.river_job WHERE kind = 'count_reach' AND state = 'completed'`) == 1
	})
	require.Zero(t, b.count(`SELECT count(*) FROM reach`))
}

// Scheduling and moving have it counted for whoever looks before the start. A request that is refused does not.
func TestReach_CountedBeforeASend(t *testing.T) {
	t.Parallel()
	b := setup(t, longList)
	task := b.draft(b.users(3, 1))
	b.exec(`DELETE FROM river.river_job`)
	at := time.Now().Add(time.Hour)
	_, err := b.d.Send(t.Context(), "test", task.ID, &at)
	require.NoError(t, err)
	require.Equal(t, 1, b.countJobs())
	b.exec(`DELETE FROM river.river_job WHERE kind = 'count_reach'`)
	_, err = b.d.Send(t.Context(), "test", task.ID, nil)
	refused(t, err, push.RefusedAlreadyScheduled)
	require.Zero(t, b.countJobs())
	at = at.Add(time.Hour)
	_, err = b.d.Send(t.Context(), "test", task.ID, &at)
	require.NoError(t, err)
	require.Equal(t, 1, b.countJobs())
}

// Everyone with a permit, counted whole whatever the size of the tables is thought to be.
func TestReach_All_LongApp(t *testing.T) {
	t.Parallel()
	b := setup(t, longList)
	users := b.users(5, 1)
	s := spec()
	s.Audience = push.AudienceAll
	task, err := b.d.CreateTask(t.Context(), "test", s)
	require.NoError(t, err)
	b.exec(`DELETE FROM form_id WHERE user_id = $1`, users[0])
	b.exec(`ANALYZE`)
	require.Nil(t, b.reachable(task.ID).AsOf)
	b.work(b.d)
	require.Equal(t, 4, b.countedReach(task.ID, 4).Reachable)
}
