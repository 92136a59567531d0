package dispatch

import (
	"sync"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

const (
	// shareQuantum is how far a task may get ahead of another that waits for a worker, in time of one worker at normal priority. A
	// newcomer starts at least this far behind, and behind all others, so that the first worker is given up to it at once.
	shareQuantum = 500 * time.Millisecond
	// shareMemory is how long a task is remembered that neither runs here nor waits: one that comes back meanwhile is no newcomer.
	shareMemory = 2 * time.Second
)

// shares divides the workers of this process among the tasks that have work, by the weights of their priorities. Each task is charged for
// the time that its runs hold a worker, divided by its weight; whoever is furthest behind is served next, and a run of whoever is
// furthest ahead ends early while another waits that holds fewer (stride scheduling). So a small task begins within a moment beside a huge one, a task of
// low priority goes on beside urgent ones, and a task that is alone has all workers.
type shares struct {
	workers int
	now     func() time.Time

	mu    sync.Mutex
	at    time.Time
	tasks map[int64]*charge
	// running are the runs here and whether each was told to yield.
	running  int
	yielding int
}

// charge is what one task has had.
type charge struct {
	weight  int
	used    time.Duration
	runs    []*ticket // oldest first
	waiting bool
	seen    time.Time
}

// held is how many workers the task holds, with more, for its weight.
func (c *charge) held(more int) float64 { return float64(len(c.runs)+more) / float64(c.weight) }

// ticket is one run's place at a worker.
type ticket struct {
	task int64
	// yield says that the worker is wanted for another task. Guarded by shares.mu.
	yield bool
}

func newShares(workers int) *shares {
	return &shares{workers: workers, now: time.Now, tasks: map[int64]*charge{}}
}

// enter notes that a run of the task holds a worker from now on; leave that it is free again.
func (s *shares) enter(task int64, priority string) *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	t := &ticket{task: task}
	c := s.charge(task, priority)
	c.runs = append(c.runs, t)
	s.running++
	return t
}

func (s *shares) leave(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	c := s.tasks[t.task]
	for i, run := range c.runs {
		if run == t {
			c.runs = append(c.runs[:i], c.runs[i+1:]...)
			break
		}
	}
	c.seen = s.at
	s.running--
	if t.yield {
		s.yielding--
	}
}

// yields says whether the run is to end early, for another task.
func (s *shares) yields(t *ticket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.yield
}

// busy says whether every worker is held: only then is there anything to divide.
func (s *shares) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running >= s.workers
}

// wait notes which tasks have chunks queued, and tells the run of a task that is ahead of one of them to yield.
func (s *shares) wait(tasks []store.WaitingTask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	for _, c := range s.tasks {
		c.waiting = false
	}
	for _, t := range tasks {
		c := s.charge(t.ID, t.Priority)
		c.waiting, c.seen = true, s.at
	}
	if s.running < s.workers || s.yielding > 0 {
		return // a worker is free already, or about to be
	}
	behind := s.tasks[s.furthestBehind()]
	if behind == nil {
		return
	}
	ahead := s.furthestAhead(func(c *charge) bool { return c.held(0) > behind.held(0) })
	if ahead == nil || s.tasks[ahead.task].used-behind.used < shareQuantum {
		return
	}
	ahead.yield = true
	s.yielding++
}

// instead returns the task that is to have the worker which came free for a chunk of task: 0 if it may keep it.
func (s *shares) instead(task int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	mine, behind := s.tasks[task], s.furthestBehind()
	if mine == nil || behind == 0 || mine.held(1) <= s.tasks[behind].held(0) || mine.used-s.tasks[behind].used < shareQuantum {
		return 0
	}
	return behind
}

// gone notes that a task has no chunk queued after all.
func (s *shares) gone(task int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.tasks[task]; c != nil {
		c.waiting = false
	}
}

// advance charges the tasks for the time since the last look. s.mu is held.
func (s *shares) advance() {
	now := s.now()
	passed := now.Sub(s.at)
	s.at = now
	normal := time.Duration(push.Weight("normal"))
	for task, c := range s.tasks {
		c.used += time.Duration(len(c.runs)) * passed * normal / time.Duration(c.weight)
		if len(c.runs) > 0 {
			c.seen = now
		}
		if !c.waiting && now.Sub(c.seen) > shareMemory {
			delete(s.tasks, task)
		}
	}
}

// charge finds a task, or takes a newcomer in. s.mu is held.
func (s *shares) charge(task int64, priority string) *charge {
	c := s.tasks[task]
	if c == nil {
		c = &charge{weight: push.Weight(priority), seen: s.at}
		if ahead := s.furthestAhead(func(*charge) bool { return true }); ahead != nil {
			c.used = s.tasks[ahead.task].used - shareQuantum
		}
		for _, other := range s.tasks {
			c.used = min(c.used, other.used) // a huge task that waits for its turn may be further behind
		}
		s.tasks[task] = c
	}
	return c
}

// furthestBehind is the task that has had least of those that wait; 0 if none waits. s.mu is held.
func (s *shares) furthestBehind() (task int64) {
	for id, c := range s.tasks {
		if c.waiting && (task == 0 || c.before(s.tasks[task], id < task)) {
			task = id
		}
	}
	return task
}

// before says whether c is to be served before other: it has had less or, after as much, weighs more or is the older task.
func (c *charge) before(other *charge, older bool) bool {
	if c.used != other.used {
		return c.used < other.used
	}
	return c.weight > other.weight || c.weight == other.weight && older
}

// furthestAhead is the oldest run of the task that has had most of those that run and may be chosen; nil if there is none. s.mu is held.
func (s *shares) furthestAhead(may func(c *charge) bool) (oldest *ticket) {
	for _, c := range s.tasks {
		if len(c.runs) > 0 && may(c) && (oldest == nil || c.used > s.tasks[oldest.task].used) {
			oldest = c.runs[0]
		}
	}
	return oldest
}
