package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// pool plays a daemon whose workers are always all held: each tick a task that is told to yields, and the worker it frees goes to whoever
// [shares] names. It returns how long each task held a worker.
func pool(s *shares, d time.Duration, tasks []store.WaitingTask, begun map[int64]int) map[int64]time.Duration {
	const tick = 50 * time.Millisecond
	clock := time.Unix(1e9, 0)
	s.now = func() time.Time { return clock }
	s.wait(nil)
	priority := map[int64]string{}
	for _, t := range tasks {
		priority[t.ID] = t.Priority
	}
	var running []*ticket
	for task, n := range begun {
		for range n {
			running = append(running, s.enter(task, priority[task]))
		}
	}
	had := map[int64]time.Duration{}
	for range d / tick {
		clock = clock.Add(tick)
		for _, run := range running {
			had[run.task] += tick
		}
		s.wait(tasks)
		for i, run := range running {
			if !s.yields(run) {
				continue
			}
			s.leave(run)
			next := run.task // the queue knows no better than to hand out the same again
			if other := s.instead(next); other != 0 {
				next = other
			}
			running[i] = s.enter(next, priority[next])
		}
	}
	return had
}

func waiting(priorities ...string) []store.WaitingTask {
	tasks := make([]store.WaitingTask, len(priorities))
	for i, p := range priorities {
		tasks[i] = store.WaitingTask{ID: int64(i) + 1, Priority: p}
	}
	return tasks
}

func TestShares_NewcomerGetsAWorkerAtOnce_AlsoTheOnlyOne(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 4} {
		s := newShares(workers)
		had := pool(s, 100*time.Millisecond, waiting("normal", "normal"), map[int64]int{1: workers})
		require.Equal(t, 50*time.Millisecond, had[2], "%d workers", workers)
	}
}

func TestShares_WorkersAreHeldByWeight_AndNobodyStarves(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 4} {
		s := newShares(workers)
		had := pool(s, 10*time.Minute, waiting("bulk", "urgent", "bulk", "normal"), map[int64]int{1: workers})
		whole := 10 * time.Minute * time.Duration(workers)
		for task, weight := range map[int64]int{1: push.Weight("bulk"), 2: push.Weight("urgent"), 3: push.Weight("bulk"), 4: push.Weight("normal")} {
			require.InEpsilon(t, float64(weight)/22, float64(had[task])/float64(whole), 0.1, "task %d of %d workers", task, workers)
		}
	}
}

func TestShares_NobodyYieldsForATaskThatIsAheadItself(t *testing.T) {
	t.Parallel()
	s := newShares(2)
	had := pool(s, time.Minute, waiting("normal")[:1], map[int64]int{1: 2})
	require.Equal(t, 2*time.Minute, had[1], "a task that is alone has all workers")
	clock := time.Unix(1e9, 0)
	s = newShares(2)
	s.now = func() time.Time { return clock }
	s.wait(nil)
	one, two := s.enter(1, "normal"), s.enter(2, "normal")
	clock = clock.Add(200 * time.Millisecond)
	s.wait(waiting("normal", "normal"))
	require.False(t, s.yields(one) || s.yields(two), "each has its share")
}

func TestShares_Newcomer_IsServedBeforeAHugeTaskThatWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1e9, 0)
	s := newShares(1)
	s.now = func() time.Time { return clock }
	s.wait(nil)
	run := s.enter(1, "bulk")
	s.wait([]store.WaitingTask{{ID: 2, Priority: "bulk"}})
	clock = clock.Add(10 * time.Second) // 2 waits, and is far behind
	s.wait([]store.WaitingTask{{ID: 2, Priority: "bulk"}, {ID: 3, Priority: "urgent"}})
	s.leave(run)
	require.EqualValues(t, 3, s.instead(1), "as far behind as the other, and it weighs more")
}

func TestShares_WhileAWorkerComesFree_NoOtherRunYields(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1e9, 0)
	s := newShares(2)
	s.now = func() time.Time { return clock }
	s.wait(nil)
	one, two := s.enter(1, "normal"), s.enter(1, "normal")
	s.wait(waiting("normal", "normal", "normal"))
	require.True(t, s.yields(one))
	require.False(t, s.yields(two))
	s.wait(waiting("normal", "normal", "normal"))
	require.False(t, s.yields(two), "one worker comes free already")
	s.leave(one)
	s.wait(waiting("normal", "normal", "normal"))
	require.False(t, s.yields(two), "one worker is free")
	require.EqualValues(t, 2, s.instead(1))
	s.gone(2)
	require.EqualValues(t, 3, s.instead(1))
}

func TestShares_TaskThatComesBackAtOnce_IsNoNewcomer(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1e9, 0)
	s := newShares(1)
	s.now = func() time.Time { return clock }
	s.wait(nil)
	s.leave(s.enter(1, "normal"))
	two := s.enter(2, "normal")
	s.leave(two)
	clock = clock.Add(shareMemory)
	run := s.enter(1, "normal")
	clock = clock.Add(time.Second)
	s.leave(run)
	require.Len(t, s.tasks, 1, "who did not come back is forgotten")
	before := s.tasks[1].used
	s.leave(s.enter(1, "normal"))
	require.Equal(t, before, s.tasks[1].used)
}

func TestSlots_AreSharedByWeightOnceBothWantSome(t *testing.T) {
	t.Parallel()
	s := newSlots(100)
	s.enter(1, 1)
	require.Equal(t, 100, s.tryTake(1, 100, 50), "a task that is alone has all slots")
	s.enter(2, 4)
	require.Zero(t, s.tryTake(2, 50, 25), "none is free")
	s.give(1, 50)
	require.Zero(t, s.tryTake(1, 50, 25), "the other has less than its share and wants some: 20 are this one's, and it has 50")
	require.Equal(t, 50, s.tryTake(2, 50, 25))
	s.give(1, 50)
	require.Equal(t, 50, s.tryTake(1, 50, 1), "the other was given what it asked: what is free may be used")
	require.Zero(t, s.tryTake(2, 50, 25))
	s.give(1, 50)
	require.Equal(t, 50, s.tryTake(2, 50, 25))
	s.give(2, 100)
	s.leave(2)
	require.Equal(t, 100, s.tryTake(1, 200, 100), "alone again")
}

func TestSlots_HungerOfATaskThatNoLongerAsks_Passes(t *testing.T) {
	t.Parallel()
	s := newSlots(10)
	s.enter(1, 4)
	s.enter(2, 4)
	require.Equal(t, 10, s.tryTake(1, 10, 1))
	require.Zero(t, s.tryTake(2, 5, 1))
	s.give(1, 5)
	require.Equal(t, 5, s.take(t.Context(), 1, 5, 3), "what another was refused is its own only for a moment")
}
