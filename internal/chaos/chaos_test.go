package chaos_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"minipush/internal/sim"
)

// settings of the daemons: small chunks, so that many runs are cut through, and few calls at a time, so that a task lasts.
func stormy() []string {
	return []string{"MINIPUSH_SEND_IN_FLIGHT=64", "MINIPUSH_SEND_CHUNK_SIZE=250", "MINIPUSH_SEND_WORKERS=4"}
}

func seed(t *testing.T) uint64 {
	t.Helper()
	n := *seedFlag
	if n == 0 {
		n = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("seed %d; repeat it with: go test ./internal/chaos -run %s -seed %d", n, t.Name(), n)
	return n
}

// Through faults of every kind, one upon the other, each user gets one message, nothing is left unknown, and the tables are in order
// (invariants 2 to 8, 10 and 11). The short form.
func TestChaos_FaultsAtRandom_NobodyLostAndNobodyTwice(t *testing.T) {
	t.Parallel()
	if *longFlag {
		t.Skip("the long form runs")
	}
	n := seed(t)
	w := newWorld(t, 2, sim.Faults{Seed: n, LatencyMS: 100, JitterMS: 200}, stormy()...)
	r := newStorm(t, w, n).play("s", 4000, 10, 900*time.Millisecond, true)
	r.require(t)
}
