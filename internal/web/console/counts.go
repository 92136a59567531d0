package console

import (
	"context"
	"sync"
	"time"

	"minipush/internal/push"
)

const (
	// stockKept is how long a count is shown before it is made anew, stockWait how long a page waits for one, and stockBound how long one may
	// take.
	stockKept  = 30 * time.Second
	stockWait  = 50 * time.Millisecond
	stockBound = time.Minute
)

// stockCounts keeps the last count of each app's permits. One count of an app runs at a time, beside the requests that ask for it: a page
// is answered with what is known. The zero value is ready.
type stockCounts struct {
	mu    sync.Mutex
	byApp map[int32]*stockCount
}

type stockCount struct {
	last *push.Stock
	at   time.Time // by the monotonic clock
	// running is closed when the count under way ends; nil if there is none.
	running chan struct{}
}

// of returns the last count of an app, nil if there is none, and whether a newer one is under way.
func (s *stockCounts) of(ctx context.Context, appID int32, count func(context.Context) (push.Stock, error)) (stock *push.Stock, counting bool) {
	running := s.start(ctx, appID, count)
	if running != nil {
		timer := time.NewTimer(stockWait)
		defer timer.Stop()
		select {
		case <-running:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byApp[appID]
	return n.last, n.running != nil
}

// start starts a count where the last one is old, and returns what is closed when the one under way ends; nil if there is none.
func (s *stockCounts) start(ctx context.Context, appID int32, count func(context.Context) (push.Stock, error)) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byApp == nil {
		s.byApp = map[int32]*stockCount{}
	}
	n := s.byApp[appID]
	if n == nil {
		n = &stockCount{}
		s.byApp[appID] = n
	}
	if n.running != nil || n.last != nil && time.Since(n.at) < stockKept {
		return n.running
	}
	done := make(chan struct{})
	n.running = done
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stockBound)
		defer cancel()
		stock, err := count(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		n.running = nil
		if err == nil { // after an error the page asks again
			n.last, n.at = &stock, time.Now()
		}
		close(done)
	}()
	return done
}

// forget makes the next page count anew.
func (s *stockCounts) forget(appID int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.byApp[appID]; n != nil {
		n.last = nil
	}
}
