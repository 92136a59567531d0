package dispatch

import (
	"context"
	"sync"
	"time"
)

// hungerMemory is how long a task that was refused slots is held to want some.
const hungerMemory = 200 * time.Millisecond

// slots are the calls that this process may have in flight. A run takes slots before it claims rows and gives them back once
// their outcomes are committed, so that the rows in sending are never more than the slots.
//
// Tasks share them by weight: while another task has less than its share and wants more, a task gets no further than its own.
type slots struct {
	mu    sync.Mutex
	free  int
	total int
	// changed is closed and replaced when slots come back.
	changed chan struct{}
	holders map[int64]*holder
}

// holder is a task with runs here.
type holder struct {
	runs, weight, held int
	hungry             time.Time
}

func newSlots(n int) *slots {
	return &slots{free: n, total: n, changed: make(chan struct{}), holders: map[int64]*holder{}}
}

// enter notes a run of a task that will take slots; leave that it will take no more, and has given all back.
func (s *slots) enter(task int64, weight int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holders[task]
	if h == nil {
		h = &holder{weight: weight}
		s.holders[task] = h
	}
	h.runs++
}

func (s *slots) leave(task int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.holders[task]; h.runs > 1 {
		h.runs--
		return
	}
	delete(s.holders, task)
}

// batch is how many slots a run asks for at a time: half of all, so that one batch is called while another is written.
func (s *slots) batch() int { return max(1, s.total/2) }

// tryTake takes up to want slots for a task; none if fewer than least may be taken, or than half its share where that is less.
func (s *slots) tryTake(task int64, want, least int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holders[task]
	n := min(want, s.free)
	if len(s.holders) > 1 {
		share := s.share(h)
		least = min(least, max(1, share/2))
		if s.wanted(h) {
			n = min(n, share-h.held)
		}
	}
	if n <= 0 || n < min(least, want) {
		h.hungry = time.Now()
		return 0
	}
	h.hungry = time.Time{}
	h.held += n
	s.free -= n
	return n
}

// share is how many slots a task has a right to. s.mu is held.
func (s *slots) share(h *holder) int {
	weights := 0
	for _, other := range s.holders {
		weights += other.weight
	}
	return max(1, s.total*h.weight/weights)
}

// wanted says whether a task other than h has less than its share and was refused a moment ago. s.mu is held.
func (s *slots) wanted(h *holder) bool {
	for _, other := range s.holders {
		if other != h && time.Since(other.hungry) < hungerMemory && other.held < s.share(other) {
			return true
		}
	}
	return false
}

// take waits for slots: up to want, at least what [slots.tryTake] asks. It returns 0 when ctx ends.
func (s *slots) take(ctx context.Context, task int64, want, least int) int {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if n := s.tryTake(task, want, least); n > 0 {
			return n
		}
		timer := time.NewTimer(hungerMemory) // another's hunger may pass without a slot coming back
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// give returns n slots of a task.
func (s *slots) give(task int64, n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n
	// What a run still owed comes back when its task may have left, or begun anew.
	if h := s.holders[task]; h != nil {
		h.held = max(0, h.held-n)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}
