package dispatch_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// long asks for the whole limit test: 30 s of work at each rate, with one and with three daemons. It wants a quiet machine.
var long = flag.Bool("long", false, "run the long forms of the tests") //nolint:gochecknoglobals // a flag

// limitRun sends one task of n recipients under a limit with several daemons, and returns the times at which the calls arrived.
func limitRun(t *testing.T, n, daemons int, settings push.AppSettings, change func(*push.TaskSpec), during func(b *bundle, id int64)) []time.Time {
	t.Helper()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 1000, 500, 4 })
	_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { *s = settings; return nil })
	require.NoError(t, err)
	users := b.users(n, 0)
	for part := range slices.Chunk(users, 10_000) {
		b.permits(part, 1)
	}
	task := spec()
	if change != nil {
		change(&task)
	}
	created, err := b.d.CreateTask(t.Context(), "test", task)
	require.NoError(t, err)
	b.upload(created.ID, users)
	b.send(created.ID)
	b.work(b.d)
	for range daemons - 1 {
		b.work(b.dispatcher())
	}
	if during != nil {
		during(b, created.ID)
	}
	require.Eventually(t, func() bool {
		task, err := b.st.Task(t.Context(), created.ID)
		return err == nil && task.State == push.TaskDone
	}, 2*time.Minute, 50*time.Millisecond)
	b.once(users)
	var arrived []time.Time
	for m := range b.sim.Ledger(sim.Filter{}) {
		arrived = append(arrived, m.At)
	}
	slices.SortFunc(arrived, time.Time.Compare)
	return arrived
}

// worst is the most arrivals in any window of a second, between from and to.
func worst(arrived []time.Time) int {
	most, lo := 0, 0
	for hi := range arrived {
		for arrived[hi].Sub(arrived[lo]) >= time.Second {
			lo++
		}
		most = max(most, hi-lo+1)
	}
	return most
}

// average is the rate from the first arrival to the last.
func average(arrived []time.Time) float64 {
	return float64(len(arrived)-1) / arrived[len(arrived)-1].Sub(arrived[0]).Seconds()
}

func limitHolds(t *testing.T, arrived []time.Time, rate int) {
	t.Helper()
	allowed := max(rate+1, rate*102/100)
	t.Logf("rate %d: %d calls, average %.1f %%, worst second %d (%.1f %%)", rate, len(arrived), 100*average(arrived)/float64(rate), worst(arrived), 100*float64(worst(arrived))/float64(rate))
	require.LessOrEqual(t, worst(arrived), allowed, "calls in the worst second (invariant 9)")
	// The other tests of a run keep a small machine busy: only the long form, which has it to itself, can ask for the whole average.
	share := 0.1
	if *long {
		share = 0.95
	}
	require.GreaterOrEqual(t, average(arrived), share*float64(rate), "average (invariant 9)")
}

func TestLimit_OfAnApp_IsExactOverDaemons(t *testing.T) {
	if !*long {
		t.Parallel()
		limitHolds(t, limitRun(t, 800, 3, push.AppSettings{RatePerSecond: 200}, nil, nil), 200)
		return
	}
	for _, rate := range []int{50, 1000, 5000} {
		for _, daemons := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d by %d", rate, daemons), func(t *testing.T) {
				limitHolds(t, limitRun(t, 30*rate, daemons, push.AppSettings{RatePerSecond: rate}, nil, nil), rate)
			})
		}
	}
}

func TestLimit_OfATask_IsExactAloneAndUnderItsApps(t *testing.T) {
	t.Parallel()
	for name, app := range map[string]int{"no limit of the app": 0, "a higher limit of the app": 500} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := limitRun(t, 400, 2, push.AppSettings{RatePerSecond: app}, func(s *push.TaskSpec) { s.RatePerSecond = 100 }, nil)
			limitHolds(t, arrived, 100)
		})
	}
}

func TestLimit_ChangedWhileSending_IsObeyedWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	var changed time.Time
	arrived := limitRun(t, 1000, 2, push.AppSettings{RatePerSecond: 200}, nil, func(b *bundle, id int64) {
		b.eventually("a third is sent", func() bool { return b.sim.Stats().Messages > 300 })
		_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.RatePerSecond = 100; return nil })
		require.NoError(t, err)
		changed = time.Now()
	})
	after := slices.DeleteFunc(arrived, func(at time.Time) bool { return at.Before(changed.Add(2 * time.Second)) })
	require.NotEmpty(t, after)
	limitHolds(t, after, 100)
}

func TestLimit_ListOfWhomHalfAreSkipped_StillReachesTheRate(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight = 1000, 500 })
	_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.RatePerSecond = 200; return nil })
	require.NoError(t, err)
	users := b.users(1600, 0)
	var reachable []string
	for i := 0; i < len(users); i += 4 {
		reachable = append(reachable, users[i], users[i+1])
	}
	b.permits(reachable, 1)
	task := b.draft(users)
	b.send(task.ID)
	b.work(b.d)
	done := b.wait(task.ID, push.TaskDone)
	require.Equal(t, 800, done.Counts.Sent)
	var arrived []time.Time
	for m := range b.sim.Ledger(sim.Filter{}) {
		arrived = append(arrived, m.At)
	}
	slices.SortFunc(arrived, time.Time.Compare)
	limitHolds(t, arrived, 200)
}

func TestRamp_TaskStartsSlowAndReachesTheRate(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight = 1000, 500 })
	_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error {
		s.RatePerSecond, s.RampFrom, s.RampMinutes = 400, 50, 1
		return nil
	})
	require.NoError(t, err)
	task := b.draft(b.users(500, 1))
	b.send(task.ID)
	b.exec(`UPDATE task SET started_at = now() - interval '30 s' WHERE id = $1`, task.ID) // half of the ramp: about 225 a second
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	var arrived []time.Time
	for m := range b.sim.Ledger(sim.Filter{}) {
		arrived = append(arrived, m.At)
	}
	slices.SortFunc(arrived, time.Time.Compare)
	require.Greater(t, average(arrived), 20.0)
	require.Less(t, worst(arrived), 300, "half of the ramp is 225 a second, and it grows by 6 a second")
}
