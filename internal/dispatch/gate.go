package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// gatePoll is how often a daemon looks whether the tasks that it sends may still be sent: well under the second within which a
// pause must hold.
const gatePoll = 250 * time.Millisecond

// gateTTL is how long a look at the states holds: with it no call starts later than a second after a pause, a cancel or the kill switch
// was committed, however slow the database answers.
const gateTTL = 900 * time.Millisecond

// gate stops the calls of a task between two claims: it polls the states of the tasks that this process runs, with one
// statement for all of them, and closes a task's gate when it is paused or canceled, or its app is paused.
type gate struct {
	d  *Dispatcher
	mu sync.Mutex
	// tasks are the tasks with a run here; the value counts the runs.
	tasks map[int64]int
	// closed says since when a task's gate is shut.
	closed map[int64]time.Time
	// seen is what was last read of them; pacers hand out the slots of the limited ones.
	seen   map[int64]store.TaskGate
	pacers map[int64]*pacer
	stops  map[int64]context.CancelFunc
	pacing sync.WaitGroup
	// quiet says when quiet hours begin for a task that they will pause: from then on its gate is shut here, however slow the database
	// is to say so.
	quiet map[int64]time.Time
	// contents are what those tasks say. A task that has chunks is frozen, so it is read once while it has runs here.
	contents map[int64]*content
	// looked is when the last look that was answered was asked for. A task that came since was looked at by its claim.
	looked atomic.Int64
	start  time.Time
	// queued says that this process has queued the first chunks of a task.
	queued chan struct{}
}

func newGate(d *Dispatcher) *gate {
	return &gate{
		d: d, tasks: map[int64]int{}, closed: map[int64]time.Time{}, seen: map[int64]store.TaskGate{}, pacers: map[int64]*pacer{},
		stops:    map[int64]context.CancelFunc{},
		contents: map[int64]*content{}, start: time.Now(), queued: make(chan struct{}, 1),
	}
}

// enter notes that a run of the task begins; leave that it has ended.
func (g *gate) enter(task int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tasks[task]++
	if g.tasks[task] == 1 {
		delete(g.closed, task)
	}
}

func (g *gate) leave(task int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tasks[task]--; g.tasks[task] == 0 {
		delete(g.tasks, task)
		delete(g.closed, task)
		delete(g.contents, task)
		delete(g.seen, task)
		if stop := g.stops[task]; stop != nil {
			stop()
		}
		delete(g.pacers, task)
		delete(g.stops, task)
	}
}

// content returns what the task says, for a run that has entered.
func (g *gate) content(ctx context.Context, task int64) (*content, error) {
	g.mu.Lock()
	c := g.contents[task]
	g.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := loadContent(ctx, g.d.st, task)
	if err != nil {
		return nil, err
	}
	seen, err := g.d.st.TaskGates(ctx, []int64{task})
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.contents[task] = c
	if _, polled := g.seen[task]; !polled {
		g.seen[task] = seen[task]
	}
	return c, nil
}

// pace returns the pacer of a task whose calls are limited now, or nil; probe says that its calls are to be made one by one.
func (g *gate) pace(app int32, task int64) (p *pacer, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen[task]
	if !seen.Limited {
		return nil, seen.Probe
	}
	if g.pacers[task] == nil {
		weight := push.Weight(seen.Priority)
		p := newPacer(g.d.log.With(slog.Any("task_id", task)), g.d.cfg.InFlight, func(ctx context.Context, want, unused int) (store.Slots, error) {
			return g.d.st.TakeSlots(ctx, app, task, weight, want, unused)
		})
		ctx, stop := context.WithCancel(context.Background())
		g.pacers[task], g.stops[task] = p, stop
		g.pacing.Go(func() { p.run(ctx) })
	}
	return g.pacers[task], seen.Probe
}

// budgeted says whether the calls of a task count against a budget of the day.
func (g *gate) budgeted(task int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[task].Budgeted
}

// close shuts the task's gate at once, on this process.
func (g *gate) close(task int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed[task] = time.Now()
}

// quietFrom notes when quiet hours begin for tasks, in place of what was noted before.
func (g *gate) quietFrom(begins map[int64]time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.quiet = begins
}

// open says whether a call of the task may start now: its gate is open, the last look at the states is not too old, this process is
// not stopping, and its last committed beat is young enough that nobody can have taken its chunks (invariant 6).
func (g *gate) open(task int64) bool {
	g.mu.Lock()
	_, closed := g.closed[task]
	if begin, soon := g.quiet[task]; soon && !time.Now().Before(begin) {
		closed = true
	}
	g.mu.Unlock()
	return !closed && time.Since(g.start)-time.Duration(g.looked.Load()) < gateTTL && !g.d.draining.Load() && g.d.node.fresh()
}

// watch polls until ctx ends.
func (g *gate) watch(ctx context.Context) {
	tick := time.NewTicker(gatePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := g.poll(ctx); err != nil && ctx.Err() == nil {
				g.d.log.WarnContext(ctx, "states of tasks not read", slog.Any("err", err))
			}
		case <-g.queued:
		}
		if err := g.d.shareWorkers(ctx); err != nil && ctx.Err() == nil {
			g.d.log.WarnContext(ctx, "waiting tasks not read", slog.Any("err", err))
		}
	}
}

// chunksQueued has a worker looked for without waiting for the next poll.
func (g *gate) chunksQueued() {
	select {
	case g.queued <- struct{}{}:
	default:
	}
}

func (g *gate) poll(ctx context.Context) error {
	g.mu.Lock()
	ids := make([]int64, 0, len(g.tasks))
	for id := range g.tasks {
		ids = append(ids, id)
	}
	g.mu.Unlock()
	asked := time.Now()
	if len(ids) == 0 {
		g.looked.Store(int64(asked.Sub(g.start)))
		return nil
	}
	seen, err := g.d.st.TaskGates(ctx, ids)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked.Store(int64(asked.Sub(g.start)))
	for _, id := range ids {
		if g.tasks[id] == 0 {
			continue
		}
		open := seen[id].Open
		g.seen[id] = seen[id]
		// A gate that was shut after the states were asked for stays shut: what shut it may not be committed yet.
		if since, closed := g.closed[id]; !open && !closed {
			g.closed[id] = asked
		} else if open && closed && since.Before(asked) {
			delete(g.closed, id)
		}
	}
	return nil
}
