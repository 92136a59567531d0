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

// crowd adds users first … first+n-1, each with a formId that the platform knows, in three statements: half a million reports through the
// front door would be most of the test.
func (b *bundle) crowd(first, n int) {
	b.t.Helper()
	b.exec(`INSERT INTO app_user (app_id, user_id, openid) SELECT $1, 'c' || g, 'oOpenID-c' || g FROM generate_series($2::int, $2 + $3 - 1) g`, b.app.ID, first, n)
	b.exec(`INSERT INTO form_id (app_id, user_id, form_id, source, submitted_at, expires_at)
		SELECT $1, 'c' || g, 'f-c' || g, 4, now(), now() + interval '6 days' FROM generate_series($2::int, $2 + $3 - 1) g`, b.app.ID, first, n)
	permits := make([]sim.Permit, n)
	for i := range permits {
		permits[i] = sim.Permit{OpenID: openID(fmt.Sprintf("c%d", first+i)), FormID: fmt.Sprintf("f-c%d", first+i)}
	}
	require.Equal(b.t, n, b.sim.Preload(appID, permits))
}

// taskFor makes a task of a priority for the users that crowd added.
func (b *bundle) taskFor(first, n int, priority string) int64 {
	b.t.Helper()
	s := spec()
	s.Priority = priority
	task, err := b.d.CreateTask(b.t.Context(), "test", s)
	require.NoError(b.t, err)
	users := make([]string, n)
	for i := range users {
		users[i] = fmt.Sprintf("c%d", first+i)
	}
	b.upload(task.ID, users)
	return task.ID
}

// timed sends a task and returns how long it took.
func (b *bundle) timed(task int64) time.Duration {
	b.t.Helper()
	begun := time.Now()
	b.send(task)
	require.Eventually(b.t, func() bool {
		t, err := b.st.Task(b.t.Context(), task)
		return err == nil && t.State == push.TaskDone
	}, time.Minute, 10*time.Millisecond)
	return time.Since(begun)
}

// fairness is one case: small tasks beside huge ones.
type fairness struct {
	rate, small, huge int
	workers, daemons  int
}

// beside measures a small task of a priority alone, and again while huge ones are under way, which must not stand still meanwhile.
func (f fairness) beside(t *testing.T, priority string, others ...string) (alone, beside time.Duration) {
	t.Helper()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 1000, 500, f.workers })
	_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.RatePerSecond = f.rate; return nil })
	require.NoError(t, err)
	b.crowd(0, 3*f.small+len(others)*f.huge)
	b.work(b.d)
	for range f.daemons - 1 {
		b.work(b.dispatcher())
	}
	b.timed(b.taskFor(0, f.small, priority)) // the first task of an app waits a second for its limit
	alone = b.timed(b.taskFor(f.small, f.small, priority))
	var huge []int64
	for i, p := range others {
		id := b.taskFor(3*f.small+i*f.huge, f.huge, p)
		b.send(id)
		huge = append(huge, id)
	}
	b.eventually("the huge ones are under way", func() bool {
		for _, id := range huge {
			task, err := b.st.Task(t.Context(), id)
			if err != nil || task.Counts.Sent == 0 {
				return false
			}
		}
		return true
	})
	sent := func() (n int) {
		for _, id := range huge {
			task, err := b.st.Task(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, push.TaskSending, task.State, "the huge ones run throughout")
			n += task.Counts.Sent
		}
		return n
	}
	small := b.taskFor(2*f.small, f.small, priority)
	before := sent()
	beside = b.timed(small)
	meanwhile := sent() - before
	t.Logf("%s beside %v, %d workers, %d daemons: alone %v, beside %v (%.2f times); the others had %d", priority, others, f.workers, f.daemons,
		alone.Round(time.Millisecond), beside.Round(time.Millisecond), beside.Seconds()/alone.Seconds(), meanwhile)
	if f.rate > 0 {
		require.Positive(t, meanwhile, "nobody starves")
	}
	for _, id := range huge {
		_, err := b.d.Cancel(t.Context(), "test", id)
		require.NoError(t, err)
	}
	return alone, beside
}

// inTime asks for the bar of the design; the other tests of a run keep a small machine busy, and the short form allows for it.
func inTime(t *testing.T, alone, beside time.Duration, times float64) {
	t.Helper()
	bar := time.Duration(times * float64(alone))
	if !*long {
		bar += 2 * time.Second
	}
	require.Less(t, beside, bar, "alone it takes %v", alone)
}

func fairnessForms() []fairness {
	if *long {
		return []fairness{{1000, 1000, 200_000, 4, 1}, {1000, 1000, 200_000, 1, 1}, {1000, 1000, 200_000, 4, 3}}
	}
	return []fairness{{200, 400, 10_000, 1, 1}}
}

func TestFairness_SmallTaskBesideAHugeOne_TakesAtMostThreeTimesAsLong(t *testing.T) {
	for _, f := range fairnessForms() {
		t.Run(fmt.Sprintf("%d workers, %d daemons", f.workers, f.daemons), func(t *testing.T) {
			if !*long {
				t.Parallel()
			}
			alone, beside := f.beside(t, "normal", "normal")
			inTime(t, alone, beside, 3)
		})
	}
}

func TestFairness_UrgentTaskBesideTwoBulkOnes_TakesAtMostHalfAsLongAgain(t *testing.T) {
	for _, f := range fairnessForms() {
		t.Run(fmt.Sprintf("%d workers, %d daemons", f.workers, f.daemons), func(t *testing.T) {
			if !*long {
				t.Parallel()
			}
			alone, beside := f.beside(t, "urgent", "bulk", "bulk")
			inTime(t, alone, beside, 1.5)
		})
	}
}
