package chaos_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// settings of the daemons: small chunks, so that many runs are cut through, and few calls at a time, so that a task lasts.
func stormy() []string {
	return []string{"MINIPUSH_SEND_IN_FLIGHT=64", "MINIPUSH_SEND_CHUNK_SIZE=250", "MINIPUSH_SEND_WORKERS=4",
		// A breaker that a storm trips looks again soon.
		"MINIPUSH_BREAKER_PROBE_FIRST=500ms", "MINIPUSH_BREAKER_PROBE_MAX=2s"}
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
	r := newStorm(t, w, n).play("s", 3000, 9, 900*time.Millisecond, true)
	r.require(t)
}

// The long form: 200 faults over 200,000 recipients, in tasks of 10,000 each of which every third begins with both daemons dead.
const (
	longFaults     = 200
	longRecipients = 200_000
	longTask       = 10_000
	longStorm      = 11 // faults of a task, at most
)

// The same for as long as 200 faults take, with a report.
func TestChaosLong_TwoHundredFaults_NobodyLostAndNobodyTwice(t *testing.T) {
	t.Parallel()
	if !*longFlag {
		t.Skip("takes a quarter of an hour: -long")
	}
	n := seed(t)
	faults, recipients := longFaults**shareFlag/100, longRecipients**shareFlag/100
	w := newWorld(t, 2, sim.Faults{Seed: n, LatencyMS: 100, JitterMS: 200}, stormy()...)
	s := newStorm(t, w, n)
	var rounds []round
	for sent := 0; len(s.events) < faults || sent < recipients; sent += longTask {
		left := max(1, min(longStorm, faults-len(s.events)))
		r := s.play("l"+strconv.Itoa(len(rounds)), longTask, left, 2*time.Second, len(rounds)%3 == 0)
		rounds = append(rounds, r)
		write(t, report(n, rounds)) // as far as it has come: a failure is in it
		r.require(t)
	}
	thick := 0
	for _, e := range s.events {
		if e.inFlight >= many {
			thick++
		}
	}
	require.GreaterOrEqual(t, thick, len(s.events)/4, "faults in the thick of it")
}
