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
	running sync.WaitGroup
}

func newCallers() *callers { return &callers{work: make(chan func())} }

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
		}
	}
}
