package dispatch_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

// onWire is setup whose dispatcher reaches the database by a wire; the test itself looks at the tables beside it.
func onWire(t *testing.T, change func(*dispatch.Config)) (*bundle, *storetest.Wire) {
	t.Helper()
	b := setup(t, change)
	wire := storetest.NewWire(t, b.st.Pool().Config().ConnString())
	b.d = b.across(wire)
	return b, wire
}

// across makes another process, which reaches the tables by a wire.
func (b *bundle) across(wire *storetest.Wire) *dispatch.Dispatcher {
	b.t.Helper()
	d, err := dispatch.New(b.conf, store.New(storetest.Connect(b.t, wire.URL())), slog.New(slog.NewTextHandler(logWriter{b.t}, nil)))
	require.NoError(b.t, err)
	return d
}

// loseOnce loses the answer to the first exchange that which names, and counts.
func loseOnce(wire *storetest.Wire, which func(storetest.Exchange) bool) *atomic.Int32 {
	var lost atomic.Int32
	wire.Lose(func(e storetest.Exchange) bool { return e.Committed && which(e) && lost.CompareAndSwap(0, 1) })
	return &lost
}

// atMost watches that there are never more than n rows in sending, until the test ends (invariant 2).
func (b *bundle) atMost(n int) {
	b.t.Helper()
	most, stop, done := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var now int
			if err := b.st.Pool().QueryRow(b.t.Context(), `SELECT count(*) FROM recipient WHERE state = 1`).Scan(&now); err == nil {
				most = max(most, now)
			}
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	b.t.Cleanup(func() {
		close(stop)
		<-done
		require.LessOrEqual(b.t, most, n, "rows in sending (invariant 2)")
	})
}

// Whatever commit's answer is lost, what it did is found out: everyone has one message, and nobody was called twice for it
// (invariants 2, 4, 5 and 7). An outcome that was recorded, or a claim that was made, is read back under the lease.
func TestLostAnswer_OfAnyCommitOfASend_NobodyTwiceAndNoCallRepeated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parts  []string
		faults sim.Faults
		calls  int64 // beside one for each recipient
	}{
		"the plan":             {parts: []string{"INSERT INTO chunk"}},
		"chunks queued":        {parts: []string{"SET state = 'queued', generation"}},
		"the lease":            {parts: []string{"SET state = 'running', node_id"}},
		"a claim":              {parts: []string{"permit AS (UPDATE form_id"}},
		"a claim of ambiguous": {parts: []string{"r.state = 0 AND r.ambiguous"}, faults: sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, Count: 1}}}, calls: 1},
		"outcomes":             {parts: []string{"spent AS (UPDATE form_id"}},
		"the end of a run":     {parts: []string{"THEN 'done' ELSE 'idle' END"}},
		"a heartbeat":          {parts: []string{"INSERT INTO node (id, name)"}},
		"a token":              {parts: []string{"UPDATE app_token"}},
		"a job fetched":        {parts: []string{"river_job", "attempted_by"}},
		"a job completed":      {parts: []string{"river_job", "finalized_at", "UPDATE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, wire := onWire(t, nil)
			users := b.users(130, 3)
			b.faults(c.faults)
			task := b.draft(users)
			b.atMost(b.conf.InFlight)
			b.work(b.d)
			lost := loseOnce(wire, func(e storetest.Exchange) bool { return e.Has(c.parts...) })
			b.send(task.ID)
			begun := time.Now()
			b.wait(task.ID, push.TaskDone)
			t.Logf("done after %s", time.Since(begun).Round(time.Millisecond))
			b.eventually("the answer is lost", func() bool { return lost.Load() == 1 })
			require.Equal(t, push.Counts{Total: 130, Sent: 130}, b.audit(task.ID).Counts)
			b.once(users)
			require.Equal(t, 130+c.calls, b.sim.Stats().Calls)
			require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE inferred`))
			require.Equal(t, 130, b.count(`SELECT count(*) FROM form_id WHERE state = 2`))
			require.Equal(t, 260, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
		})
	}
}

// The answer to a claim is lost, and then the database is away for a while: the slots of the rows that it wrote stay taken until they
// are known to be pending again (invariant 2).
func TestLostAnswer_OfAClaim_AndThenTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	b, wire := onWire(t, nil)
	users := b.users(200, 3)
	b.faults(sim.Faults{LatencyMS: 150}) // what is too much can be seen
	task := b.draft(users)
	b.atMost(b.conf.InFlight)
	b.work(b.d)
	var away, over atomic.Int64
	wire.Lose(func(e storetest.Exchange) bool {
		now := time.Now().UnixNano()
		if over.Load() == 0 && e.Committed && e.Has("permit AS (UPDATE form_id") {
			over.Store(now + (400 * time.Millisecond).Nanoseconds())
		}
		lost := now < over.Load() && !strings.HasPrefix(e.SQL, "begin") // whoever reads back gets as far as its first statement
		if lost {
			away.Add(1)
		}
		return lost
	})
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Greater(t, away.Load(), int64(2))
	require.Equal(t, push.Counts{Total: 200, Sent: 200}, b.audit(task.ID).Counts)
	b.once(users)
	require.Equal(t, int64(200), b.sim.Stats().Calls-int64(b.count(`SELECT count(*) FROM recipient WHERE inferred`)))
}
