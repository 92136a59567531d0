package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"minipush/internal/sim"
)

// kind is a way to break something.
type kind string

const (
	kill         kind = "kill"
	term         kind = "term"
	freeze       kind = "freeze"
	postgresKill kind = "postgres kill"
	cut          kind = "cut"
	unavailable  kind = "503"
	html         kind = "html"
	hang         kind = "hang"
	late         kind = "late"
	drop         kind = "drop"
	dropAfter    kind = "drop after delivery"
	tokenInvalid kind = "token"
	missedStart  kind = "missed start"
)

// weights say how often a kind is drawn; the missed start is not: it begins a round.
func weights() []struct {
	kind   kind
	weight int
} {
	return []struct {
		kind   kind
		weight int
	}{
		{kill, 22}, {term, 10}, {freeze, 6}, {postgresKill, 9}, {cut, 10},
		{unavailable, 6}, {html, 6}, {hang, 6}, {late, 6}, {drop, 6}, {dropAfter, 8}, {tokenInvalid, 5},
	}
}

// platformFault is the rule of a kind that the platform commits, or the latency that it adds.
func platformFault(k kind, chance float64) (rule *sim.Rule, extra time.Duration) {
	switch k {
	case unavailable:
		return &sim.Rule{Kind: sim.Unavailable, Probability: chance}, 0
	case html:
		return &sim.Rule{Kind: sim.GatewayPage, Probability: chance, AfterDelivery: true}, 0
	case hang:
		return &sim.Rule{Kind: sim.Hang, Probability: chance, AfterDelivery: true}, 0
	case drop:
		return &sim.Rule{Kind: sim.Drop, Probability: chance}, 0
	case dropAfter:
		return &sim.Rule{Kind: sim.Reset, Probability: chance, AfterDelivery: true}, 0
	case tokenInvalid:
		return &sim.Rule{Kind: sim.TokenInvalid, Count: 1}, 0
	case late: // the first half passes before the delivery: longer than a call may take
		return nil, 3 * time.Second
	}
	return nil, 0
}

// event is one fault that fell.
type event struct {
	kind   kind
	target string
	at     time.Time
	// inFlight are the calls under way at the platform just before.
	inFlight int64
	lasted   time.Duration
	// exit is how long a daemon took to end after SIGTERM, code how it ended.
	exit time.Duration
	code int
	// recovery is how long it took until no row was left in sending under a lease of the daemon that was killed.
	recovery time.Duration
	left     int
}

// storm makes faults fall. Faults on one target come one after the other; those on different ones overlap.
type storm struct {
	t   *testing.T
	w   *world
	rng *rand.Rand // of the goroutine that draws

	mu     sync.Mutex
	busy   map[string]bool
	events []*event
	all    sync.WaitGroup
}

func newStorm(t *testing.T, w *world, seed uint64) *storm {
	t.Helper()
	return &storm{t: t, w: w, rng: rand.New(rand.NewPCG(seed, 0)), busy: map[string]bool{}} //nolint:gosec // repeatable on purpose
}

// between draws a time.
func (s *storm) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rng.Int64N(int64(most-least)))
}

// blow lets n faults fall, a while apart, unless the task ends before, and returns when all have passed. Every other one waits a
// little for calls to be in flight: what is broken already would else be all that is broken.
func (s *storm) blow(n int, apart time.Duration, ended func() bool) {
	s.t.Helper()
	for i := range n {
		time.Sleep(s.between(apart/3, apart*5/3)) // the moment is the point
		for wait := 0; i%2 == 0 && wait < 100 && s.w.platform.stats(s.t).InFlight < many && !ended(); wait++ {
			time.Sleep(50 * time.Millisecond)
		}
		if ended() {
			break
		}
		s.next()
	}
	s.all.Wait()
}

// next draws a fault whose target is free, and lets it fall.
func (s *storm) next() {
	for {
		k := s.draw()
		target := string(k)
		var d *daemon
		switch k {
		case kill, term, freeze:
			d = s.w.daemons[s.rng.IntN(len(s.w.daemons))]
			target = d.name
		case postgresKill, cut:
			target = "postgres"
		}
		lasts, chance := s.between(300*time.Millisecond, 2500*time.Millisecond), 0.4+0.6*s.rng.Float64()
		if k == freeze {
			lasts += 8500 * time.Millisecond // longer than a lease
		}
		if !s.take(target) {
			time.Sleep(20 * time.Millisecond) // every target of the kind is broken already
			continue
		}
		e := s.note(k, target)
		s.all.Go(func() {
			defer s.give(target)
			s.fall(e, d, lasts, chance)
			e.lasted = time.Since(e.at)
		})
		return
	}
}

func (s *storm) draw() kind {
	total := 0
	for _, w := range weights() {
		total += w.weight
	}
	at := s.rng.IntN(total)
	for _, w := range weights() {
		if at -= w.weight; at < 0 {
			return w.kind
		}
	}
	panic("weights add up")
}

func (s *storm) take(target string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[target] {
		return false
	}
	s.busy[target] = true
	return true
}

func (s *storm) give(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, target)
}

// note writes a fault down, with the calls in flight before it falls.
func (s *storm) note(k kind, target string) *event {
	e := &event{kind: k, target: target, inFlight: s.w.platform.stats(s.t).InFlight, at: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return e
}

// fall breaks something, for a while.
func (s *storm) fall(e *event, d *daemon, lasts time.Duration, chance float64) {
	switch e.kind {
	case kill:
		life, node, _ := d.now()
		life.kill()
		s.all.Go(func() { s.recovered(e, node) })
		time.Sleep(lasts)
		s.must(d.start(context.Background()))
	case term:
		life, _, _ := d.now()
		e.exit, e.code = life.term()
		s.must(d.start(context.Background()))
	case freeze:
		life, _, _ := d.now()
		life.signal(syscall.SIGSTOP)
		time.Sleep(lasts)
		life.signal(syscall.SIGCONT)
	case postgresKill:
		s.must(s.w.pg.kill())
		time.Sleep(lasts / 2)
		s.must(s.w.pg.start(context.Background()))
	case cut:
		_, err := s.w.pg.cut(context.Background())
		s.must(err)
	default:
		rule, extra := platformFault(e.kind, chance)
		s.must(s.w.platform.spoil(string(e.kind), rule, extra))
		time.Sleep(lasts)
		s.must(s.w.platform.heal(string(e.kind), extra))
	}
}

func (s *storm) must(err error) {
	if err != nil {
		s.t.Errorf("the suite itself failed: %v", err)
	}
}

// recovered measures how long the rows of a killed daemon stay in sending under its leases.
func (s *storm) recovered(e *event, node int64) {
	var keys []string
	s.w.pg.ask(s.t, `SELECT coalesce(array_agg(task_id || '/' || no || '/' || lease), '{}') FROM chunk WHERE node_id = $1`, []any{node}, &keys)
	deadline := time.Now().Add(patience)
	for first := true; time.Now().Before(deadline); first = false {
		left := s.w.leftOf(s.t, keys)
		if first {
			e.left = left
		}
		if left == 0 && s.w.pg.count(s.t, `SELECT count(*) FROM chunk WHERE node_id = $1`, node) == 0 {
			e.recovery = time.Since(e.at)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Errorf("rows of killed node %d are still in its name", node)
}

// leftOf counts the rows in sending under the leases named, "task/chunk/lease" each.
func (w *world) leftOf(t *testing.T, leases []string) (n int) {
	t.Helper()
	if len(leases) == 0 {
		return 0
	}
	return w.pg.count(t, `
		SELECT count(*) FROM unnest($1::text[]) k
		  JOIN chunk c ON c.task_id = split_part(k, '/', 1)::bigint AND c.no = split_part(k, '/', 2)::int
		  JOIN task t ON t.id = c.task_id
		  JOIN recipient r ON r.audience_id = t.audience_id AND r.seq >= c.lo AND r.seq < c.hi
		 WHERE r.state = 1 AND r.lease <= split_part(k, '/', 3)::int`, leases)
}

func (e *event) String() string {
	text := fmt.Sprintf("%s on %s with %d in flight, %s", e.kind, e.target, e.inFlight, e.lasted.Round(time.Millisecond))
	if e.kind == kill {
		text += fmt.Sprintf(", %d rows recovered in %s", e.left, e.recovery.Round(time.Millisecond))
	}
	if e.kind == term {
		text += fmt.Sprintf(", exit %d after %s", e.code, e.exit.Round(time.Millisecond))
	}
	return text
}
