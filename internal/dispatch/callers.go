package dispatch

import (
	"sync"
	"time"
)

// callerIdle is how long a goroutine waits for the next call before it ends.
const callerIdle = time.Second

// callers run calls on goroutines that are used again: a new one would grow its stack anew for each call, which costs as much as
// everything else that a run does for a recipient. There are never more than calls in flight, and none once work has ceased.
type callers struct {
	work    chan func()
	closed  chan struct{}
	running sync.WaitGroup
}

func newCallers() *callers { return &callers{work: make(chan func()), closed: make(chan struct{})} }

// do runs fn on a goroutine that has nothing to do, or on a new one.
func (c *callers) do(fn func()) {
	select {
	case c.work <- fn:
	default:
		c.running.Go(func() { c.serve(fn) })
	}
}

func (c *callers) serve(fn func()) {
	idle := time.NewTimer(callerIdle)
	defer idle.Stop()
	for {
		fn()
		idle.Reset(callerIdle)
		select {
		case fn = <-c.work:
		case <-idle.C:
			return
		case <-c.closed:
			return
		}
	}
}

// close ends the goroutines that have nothing to do, and waits for all. No call may be asked for any more. It is called once.
func (c *callers) close() {
	close(c.closed)
	c.running.Wait()
}
