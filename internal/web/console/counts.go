package console

import (
	"context"
	"sync"
	"time"
)

const (
	// countKept is how long a count is shown before it is made anew, countWait how long a page waits for one, and countBound how long one may
	// take.
	countKept  = 30 * time.Second
	countWait  = 30 * time.Millisecond
	countBound = time.Minute
	// countsKept is of how many things counts are kept, old ones apart.
	countsKept = 1000
)

// counts keeps the last count of each of some things, by their ids: what takes a look at all permits of an app, or all recipients of a
// task. One count of a thing runs at a time, beside the requests that ask for it: a page is answered with what is known. The zero value is ready.
type counts[K comparable, V any] struct {
	mu   sync.Mutex
	byID map[K]*count[V]
}

type count[V any] struct {
	last *V
	at   time.Time // by the monotonic clock
	// running is closed when the count under way ends; nil if there is none.
	running chan struct{}
}

// of returns the last count of a thing, nil if there is none, and whether a newer one is under way.
func (s *counts[K, V]) of(ctx context.Context, id K, how func(context.Context) (V, error)) (last *V, counting bool) {
	n, running := s.start(ctx, id, how)
	if running != nil {
		timer := time.NewTimer(countWait)
		defer timer.Stop()
		select {
		case <-running:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.last, n.running != nil
}

// start starts a count where the last one is old, and returns what is closed when the one under way ends; nil if there is none.
func (s *counts[K, V]) start(ctx context.Context, id K, how func(context.Context) (V, error)) (*count[V], <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byID[id]
	if n == nil {
		s.makeRoom()
		n = &count[V]{}
		s.byID[id] = n
	}
	if n.running != nil || n.last != nil && time.Since(n.at) < countKept {
		return n, n.running
	}
	done := make(chan struct{})
	n.running = done
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countBound)
		defer cancel()
		found, err := how(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		n.running = nil
		if err == nil { // after an error the page asks again
			n.last, n.at = &found, time.Now()
		}
		close(done)
	}()
	return n, done
}

// makeRoom forgets old counts once there are many.
func (s *counts[K, V]) makeRoom() {
	if s.byID == nil {
		s.byID = map[K]*count[V]{}
	}
	if len(s.byID) < countsKept {
		return
	}
	for id, n := range s.byID {
		if n.running == nil && time.Since(n.at) >= countKept {
			delete(s.byID, id)
		}
	}
}

// forget makes the next page count anew.
func (s *counts[K, V]) forget(id K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.byID[id]; n != nil {
		n.last = nil
	}
}
