package store_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
)

// limited is a task that is sending under a rate of its app and one of its own; 0 is none. The app's row of the limiter is there, and due.
func (b *bundle) limited(app, own int) int64 {
	b.t.Helper()
	b.exec(`UPDATE app SET rate_per_second = $2 WHERE id = $1`, b.app.ID, app)
	task := b.sending(10, "1")
	b.exec(`UPDATE task SET rate_per_second = $2 WHERE id = $1`, task, own)
	b.exec(`INSERT INTO limiter (app_id, task_id, next_at) VALUES ($1, 0, clock_timestamp()) ON CONFLICT DO NOTHING`, b.app.ID)
	return task
}

func (b *bundle) slots(task int64, weight, want int) store.Slots {
	b.t.Helper()
	got, err := b.st.TakeSlots(b.t.Context(), b.app.ID, task, weight, want, 0)
	require.NoError(b.t, err)
	return got
}

// asks takes slots for tasks in turn until each has been asked for as long as d, as their pacers would, and returns the times of each.
func (b *bundle) asks(d time.Duration, weights map[int64]int, want int) map[int64][]time.Time {
	b.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	times := map[int64][]time.Time{}
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	for task, weight := range weights {
		wg.Go(func() {
			for ctx.Err() == nil {
				got, err := b.st.TakeSlots(ctx, b.app.ID, task, weight, want, 0)
				if err != nil {
					break
				}
				mu.Lock()
				for k := range got.N {
					times[task] = append(times[task], got.First.Add(time.Duration(k)*got.Gap))
				}
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(max(got.Wait, 5*time.Millisecond)):
				}
			}
		})
	}
	wg.Wait()
	return times
}

// Invariant 9: whoever asks, and however often, the slots of an app are apart by the gap of its rate.
func TestTakeSlots_OfSeveralDaemonsAtOnce_AreEvenAndDisjoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.limited(500, 0)
	var all []time.Time
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			got := b.asks(time.Second, map[int64]int{task: 4}, 100)[task]
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
		})
	}
	wg.Wait()
	require.NotEmpty(t, all)
	slices.SortFunc(all, time.Time.Compare)
	gap := 2030 * time.Microsecond // 1 s / (500 * 0.985)
	for i := range all[1:] {
		require.GreaterOrEqual(t, all[i+1].Sub(all[i]), gap-10*time.Microsecond, "slot %d", i) // Postgres keeps microseconds
	}
	require.LessOrEqual(t, time.Until(all[len(all)-1]), 300*time.Millisecond, "nobody reserves far ahead: a change of the rate holds soon")
}

func TestTakeSlots_NoBurstAfterAPause_AndNoMoreThanWanted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.limited(1000, 0)
	b.exec(`UPDATE limiter SET next_at = clock_timestamp() - interval '1 hour'`)
	got := b.slots(task, 4, 1000)
	require.Equal(t, 50, got.N, "a block is 50 ms of the rate, however much time went unused")
	require.False(t, got.First.Before(got.Now.Add(-time.Second)))
	require.Equal(t, 3, b.slots(task, 4, 3).N)
}

func TestTakeSlots_RateChangedLive_HoldsAtTheNextQuestion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.limited(1000, 0)
	require.InDelta(t, 1/985.0, b.slots(task, 4, 10).Gap.Seconds(), 1e-5)
	b.exec(`UPDATE app SET rate_per_second = 100`)
	require.InDelta(t, 1/98.5, b.slots(task, 4, 10).Gap.Seconds(), 1e-4)
}

// The table is emptied by a crash: slots may have been given that nobody remembers.
func TestTakeSlots_RowMissing_WaitsASecond(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.limited(1000, 0)
	b.exec(`TRUNCATE limiter`)
	require.Zero(t, b.slots(task, 4, 10).N)
	got := b.slots(task, 4, 10)
	require.Zero(t, got.N)
	require.InDelta(t, 0.8, got.Wait.Seconds(), 0.3, "slots are given from 200 ms before their time")
}

func TestTakeSlots_DatabaseClockSetBack_WaitsAtMostASecond(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.limited(1000, 100)
	b.slots(task, 4, 1)
	b.exec(`UPDATE limiter SET next_at = clock_timestamp() + interval '3 hours'`)
	require.Zero(t, b.slots(task, 4, 10).N)
	require.Eventually(t, func() bool { return b.slots(task, 4, 10).N > 0 }, 10*time.Second, 50*time.Millisecond)
}

func TestTakeSlots_TaskUnderItsOwnLimit_TakesNoMoreOfItsApps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.limited(1000, 50)
	got := b.asks(2*time.Second, map[int64]int{task: 4}, 100)[task]
	require.LessOrEqual(t, len(got), 110)
	for i := range got[1:] {
		require.GreaterOrEqual(t, got[i+1].Sub(got[i]), time.Millisecond)
	}
}

// Weighted fair queueing: who always wants more gets its weight's share.
func TestTakeSlots_TasksShareTheRateByWeight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	urgent := b.limited(400, 0)
	one, two := b.sending(10, "1"), b.sending(10, "1")
	had := map[int64]int{}
	all := 0
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); { // one after the other, so that a busy machine favours nobody
		for task, weight := range map[int64]int{urgent: 16, one: 4, two: 4} {
			n := b.slots(task, weight, 200).N
			had[task] += n
			all += n
		}
	}
	require.InDelta(t, 16.0/24, float64(had[urgent])/float64(all), 0.1)
	require.InDelta(t, 4.0/24, float64(had[one])/float64(all), 0.06)
	require.InDelta(t, 4.0/24, float64(had[two])/float64(all), 0.06)
}

// A task that does not want its share, or is held up by a limit of its own, must not keep the others at its own pace.
func TestTakeSlots_TaskBehindByItsOwnDoing_HoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	slow := b.limited(200, 5)
	fast := b.sending(10, "1")
	got := b.asks(3*time.Second, map[int64]int{slow: 16, fast: 1}, 100)
	require.LessOrEqual(t, len(got[slow]), 25)
	require.Greater(t, len(got[fast]), 5*len(got[slow]))
	first, last := got[fast][0], got[fast][len(got[fast])-1]
	require.Greater(t, float64(len(got[fast])+len(got[slow]))/last.Sub(first).Seconds(), 0.8*200, "the rest of the rate is not lost")
}

func TestTakeSlots_DailyBudget_IsSharedAndNeverExceeded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.limited(0, 0)
	two := b.sending(10, "1")
	b.exec(`UPDATE app SET daily_budget = 100`)
	var mu sync.Mutex
	var wg sync.WaitGroup
	granted := 0
	for i := range 8 {
		wg.Go(func() {
			task := []int64{one, two}[i%2]
			for range 20 {
				got, err := b.st.TakeSlots(b.t.Context(), b.app.ID, task, 4, 7, 0)
				if err != nil || got.UsedUp {
					return
				}
				mu.Lock()
				granted += got.N
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 100, granted)
	require.True(t, b.slots(one, 4, 1).UsedUp)
	got, err := b.st.TakeSlots(t.Context(), b.app.ID, one, 4, 5, 3)
	require.NoError(t, err)
	require.Positive(t, got.N, "what was granted and not used is given back")
	for !got.UsedUp {
		require.LessOrEqual(t, b.count(`SELECT calls::int FROM app_day`), 100)
		got = b.slots(two, 4, 5)
	}
	require.Equal(t, 100, b.count(`SELECT calls::int FROM app_day`))
}

// Invariant 9, at the low end: where slots are more than a second apart, a question that comes early does not pull the next one nearer.
func TestTakeSlots_AtOneASecond_AreASecondApart(t *testing.T) {
	t.Parallel()
	for name, rates := range map[string][2]int{"app": {1, 0}, "task": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			task := b.limited(rates[0], rates[1])
			times := b.asks(6*time.Second, map[int64]int{task: 4}, 10)[task]
			require.GreaterOrEqual(t, len(times), 4)
			for i := 1; i < len(times); i++ {
				require.GreaterOrEqual(t, times[i].Sub(times[i-1]), time.Second)
			}
		})
	}
}
