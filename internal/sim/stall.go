package sim

import (
	"context"
	"net/http"
	"time"
)

const (
	watchTick = 5 * time.Millisecond
	// stallAfter is how late a tick must be to count as a stall of the process.
	stallAfter = 10 * time.Millisecond
	maxStalls  = 100_000
)

// Stall is a time in which the simulator itself stood still, by its own ticker: what arrived then bears the time at which it went on, so
// that arrival times say nothing about the callers.
type Stall struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Watch notes stalls of over 10 ms until ctx ends.
func (s *Sim) Watch(ctx context.Context) {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s.ticked(last, now)
		last = now
	}
}

// ticked notes a stall if now comes too late after the tick before.
func (s *Sim) ticked(last, now time.Time) {
	if now.Sub(last) <= watchTick+stallAfter {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.stalls) < maxStalls {
		s.stalls = append(s.stalls, Stall{From: last, To: now})
	}
}

// Stalls are the stalls that [Sim.Watch] has noted, in order.
func (s *Sim) Stalls() []Stall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Stall{}, s.stalls...)
}

func (s *Sim) handleStalls(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Stalls []Stall `json:"stalls"`
	}{s.Stalls()})
}
