package dispatch

import (
	"context"
	"sync"
)

// slots are the calls that this process may have in flight. A run takes slots before it claims rows and gives them back once
// their outcomes are committed, so that the rows in sending are never more than the slots.
type slots struct {
	mu    sync.Mutex
	free  int
	total int
	// changed is closed and replaced when slots come back.
	changed chan struct{}
}

func newSlots(n int) *slots { return &slots{free: n, total: n, changed: make(chan struct{})} }

// batch is how many slots a run asks for at a time: half of all, so that one batch is called while another is written.
func (s *slots) batch() int { return max(1, s.total/2) }

// tryTake takes up to want slots; none if fewer than least are free.
func (s *slots) tryTake(want, least int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free < min(least, want) || s.free == 0 {
		return 0
	}
	n := min(want, s.free)
	s.free -= n
	return n
}

// take waits for slots: up to want, at least min(least, want). It returns 0 when ctx ends.
func (s *slots) take(ctx context.Context, want, least int) int {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if n := s.tryTake(want, least); n > 0 {
			return n
		}
		select {
		case <-ctx.Done():
			return 0
		case <-changed:
		}
	}
}

// give returns n slots.
func (s *slots) give(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n
	close(s.changed)
	s.changed = make(chan struct{})
}
