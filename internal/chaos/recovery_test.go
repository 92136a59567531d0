package chaos_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// Bounds of the recovery.
const (
	onAnother  = 10 * time.Second
	ownRestart = 5 * time.Second
)

// recipientsOf are how many each part of the recovery test sends to: a few seconds of work for two daemons, or one.
const recipientsOf = 700

// part is one thing that happens to a world in the middle of a task.
type part struct {
	name string
	do   func(t *testing.T, w *world)
}

// Nothing but a dead daemon is taken for one (dispatch, "Who is alive"): not one whose connections are cut, not one that is stopped
// for a while, and nobody for a restart of Postgres.
func TestRecovery_TheLivingKeepWhatTheyHave(t *testing.T) {
	t.Parallel()
	throughParts(t, []part{{"cut", cutsKillNobody}, {"stopped", stoppedIsNotDead}, {"restart", restartKillsNobody}})
}

// What a dead daemon had under way goes on within 10 s on another one and within 5 s of its own restart; one that was stopped for longer
// than its lease has lost it, and changes nothing when it wakes (invariants 6 and 10).
func TestRecovery_TheDeadAreReplacedInTime(t *testing.T) {
	t.Parallel()
	throughParts(t, []part{{"killed", killedGoesOnElsewhere}, {"both", killedGoesOnAfterItsRestart}, {"stale", staleRunChangesNothing}})
}

// throughParts sends a task through each part, in one world.
func throughParts(t *testing.T, parts []part) {
	t.Helper()
	w := newWorld(t, 2, sim.Faults{LatencyMS: 150, JitterMS: 200}, "MINIPUSH_SEND_IN_FLIGHT=40", "MINIPUSH_SEND_CHUNK_SIZE=100", "MINIPUSH_BREAKER_CANARY_SENT=0")
	for _, part := range parts {
		passed := t.Run(part.name, func(t *testing.T) { //nolint:paralleltest // one world, one thing after the other
			task := w.draft(t, part.name, recipientsOf)
			after := w.platform.stats(t).Messages
			w.send(t, task, 0)
			for _, d := range w.daemons {
				w.working(t, d)
			}
			part.do(t, w)
			w.ended(t, task)
			r := round{task: task, recipients: recipientsOf}
			w.judge(t, &r, part.name, after)
			r.require(t)
		})
		require.True(t, passed, "what follows needs a world in order")
	}
}

// stalls measures how late this machine wakes who sleeps, until it is asked. A bound is for a machine that runs what is to run: it is
// widened by ten times the worst.
func stalls() (allowance func() time.Duration) {
	stop, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		late := time.Duration(0)
		for {
			asleep := time.Now()
			select {
			case <-stop:
				worst <- late
				return
			case <-time.After(20 * time.Millisecond):
				late = max(late, time.Since(asleep)-20*time.Millisecond)
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		allowed := 10 * <-worst
		if !*longFlag {
			allowed += 2 * time.Second // the other tests of a run keep a small machine busy; the long form runs alone
		}
		return allowed
	}
}

// working waits until a daemon has many calls under way.
func (w *world) working(t *testing.T, d *daemon) {
	t.Helper()
	_, node, _ := d.now()
	require.Eventually(t, func() bool { return w.leftOf(t, w.leases(t, node)) >= 10 }, patience, 10*time.Millisecond, "%s sends nothing", d.name)
}

// busy waits until so many calls are in flight.
func (w *world) busy(t *testing.T, calls int64) {
	t.Helper()
	require.Eventually(t, func() bool { return w.platform.stats(t).InFlight >= calls }, patience, 10*time.Millisecond, "nothing is sent")
}

// deaths counts how often a daemon was taken for dead.
func (w *world) deaths(t *testing.T) (n int) {
	t.Helper()
	for _, d := range w.daemons {
		text, err := os.ReadFile(filepath.Join(w.dir, d.name+".log"))
		require.NoError(t, err)
		n += bytes.Count(text, []byte(`"why":"dead owner"`))
	}
	return n
}

// leases lists the chunks of a node with their leases.
func (w *world) leases(t *testing.T, node int64) (keys []string) {
	t.Helper()
	w.pg.ask(t, `SELECT coalesce(array_agg(task_id || '/' || no || '/' || lease), '{}') FROM chunk WHERE node_id = $1`, []any{node}, &keys)
	return keys
}

// goneOn measures how long it takes until no row is in sending under a lease, and until one of them was called again.
func (w *world) goneOn(t *testing.T, leases []string, from time.Time) (free, called time.Duration) {
	t.Helper()
	require.NotEmpty(t, leases)
	require.Positive(t, w.leftOf(t, leases), "it had rows in sending")
	require.Eventually(t, func() bool { return w.leftOf(t, leases) == 0 }, patience, 20*time.Millisecond)
	free = time.Since(from)
	require.Eventually(t, func() bool {
		return w.pg.count(t, `
			SELECT count(*) FROM unnest($1::text[]) k
			  JOIN chunk c ON c.task_id = split_part(k, '/', 1)::bigint AND c.no = split_part(k, '/', 2)::int
			  JOIN task t ON t.id = c.task_id
			  JOIN recipient r ON r.audience_id = t.audience_id AND r.seq >= c.lo AND r.seq < c.hi
			 WHERE r.attempt > 1`, leases) > 0
	}, patience, 20*time.Millisecond)
	return free, time.Since(from)
}

func cutsKillNobody(t *testing.T, w *world) {
	t.Helper()
	before := w.deaths(t)
	for range 4 {
		require.Eventually(t, func() bool { // and again as soon as they are back
			n, err := w.pg.cut(t.Context())
			return err == nil && n > 2
		}, patience, 300*time.Millisecond)
	}
	require.Equal(t, before, w.deaths(t), "a lost connection is not a dead process")
}

func stoppedIsNotDead(t *testing.T, w *world) {
	t.Helper()
	before := w.deaths(t)
	life, node, _ := w.daemons[0].now()
	life.signal(syscall.SIGSTOP)
	defer life.signal(syscall.SIGCONT)
	time.Sleep(500 * time.Millisecond) // what the server was still to do for it
	leases := w.leases(t, node)
	time.Sleep(4 * time.Second) // longer than a missed beat, shorter than a lease
	require.Equal(t, leases, w.leases(t, node))
	life.signal(syscall.SIGCONT)
	require.Equal(t, before, w.deaths(t), "a stopped process is not a dead one")
}

func killedGoesOnElsewhere(t *testing.T, w *world) {
	t.Helper()
	life, node, _ := w.daemons[0].now()
	allowance, at := stalls(), time.Now()
	life.kill()
	free, called := w.goneOn(t, w.leases(t, node), at)
	t.Logf("rows pending again after %s, called again after %s", free, called)
	require.Less(t, called, onAnother+allowance())
	require.NoError(t, w.daemons[0].start(context.Background()))
}

func killedGoesOnAfterItsRestart(t *testing.T, w *world) {
	t.Helper()
	var leases []string
	for _, d := range w.daemons {
		life, _, _ := d.now()
		life.kill()
	}
	for _, d := range w.daemons {
		_, node, _ := d.now()
		leases = append(leases, w.leases(t, node)...)
	}
	allowance, at := stalls(), time.Now()
	require.NoError(t, w.daemons[1].start(context.Background()))
	free, called := w.goneOn(t, leases, at)
	t.Logf("rows pending again %s after the restart, called again after %s", free, called)
	require.Less(t, free, ownRestart+allowance())
	require.NoError(t, w.daemons[0].start(context.Background()))
}

func staleRunChangesNothing(t *testing.T, w *world) {
	t.Helper()
	life, node, _ := w.daemons[0].now()
	allowance, at := stalls(), time.Now()
	life.signal(syscall.SIGSTOP)
	defer life.signal(syscall.SIGCONT)
	leases := w.leases(t, node)
	free, _ := w.goneOn(t, leases, at)
	require.Greater(t, free, 7*time.Second, "a stopped process is dead only when its lease is over")
	require.Less(t, free, onAnother+allowance())
	require.Eventually(t, func() bool { return w.pg.count(t, `SELECT count(*) FROM chunk WHERE node_id = $1`, node) == 0 }, onAnother, 10*time.Millisecond)
	life.signal(syscall.SIGCONT) // it goes on with calls that it had begun, and writes nothing of them: the judge sees
}

func restartKillsNobody(t *testing.T, w *world) {
	t.Helper()
	before := w.deaths(t)
	require.NoError(t, w.pg.kill())
	time.Sleep(2 * time.Second) // longer than a beat may be old
	require.NoError(t, w.pg.start(context.Background()))
	time.Sleep(3 * time.Second) // time enough to call somebody dead
	require.Equal(t, before, w.deaths(t), "a restart of Postgres kills nobody")
}
