package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"minipush/internal/store"
)

const (
	// slotLate is how late a call may start; a slot missed by more is forfeited, never used late. This bounds the calls of any
	// second under collections of garbage, preemption and frozen processes: slots are given at 0.985 of the rate, so 15 ms of
	// them more make the rate, and the 2 % that a limit may be exceeded by are left to the way to the platform.
	slotLate = 15 * time.Millisecond
	// A run claims rows for slots that are at least slotNear away, which a claim takes, and not so far that the rows that wait for
	// theirs are most of the calls in flight: between slotFarMin and slotFarMax.
	slotNear   = 10 * time.Millisecond
	slotFarMin = 40 * time.Millisecond
	slotFarMax = 100 * time.Millisecond
	// slotSoon is when at the latest a run takes the slots before it, however few: it looks for some every slotNear.
	slotSoon = 3 * slotNear
	// slotAsk is the least time between two questions of a task for slots, slotTimeout bounds one.
	slotAsk     = 5 * time.Millisecond
	slotTimeout = 2 * time.Second
	// slotWanted is how long slots are fetched for a run that wanted some.
	slotWanted = 200 * time.Millisecond
	// slotPoll is how long at most a call waits before it looks again whether it may still be made.
	slotPoll = 50 * time.Millisecond
	// clockSamples are how many readings of the database's clock are kept: the least of them is the nearest.
	clockSamples = 64
)

// pacer hands out, in this process, the times at which calls of one limited task may start. The times come in blocks from the
// database, which holds the limits over all daemons (invariant 9); here they are turned into this process's clock. A goroutine of its own
// fetches them ([pacer.run]), so that neither a claim nor an outcome that takes long costs a slot.
type pacer struct {
	take func(ctx context.Context, want, unused int) (store.Slots, error)
	log  *slog.Logger
	// inFlight is how many calls this process may have in flight.
	inFlight int

	mu    sync.Mutex
	slots []time.Time // in order
	// free are calls that were granted for any time: there is a budget, and no rate.
	free int
	far  time.Duration
	// own is the mean time from one of this process's slots to the next: other daemons have those between. blockAt and blockN are the
	// last block.
	own     time.Duration
	blockAt time.Time
	blockN  int
	lag     [clockSamples]time.Duration
	heard   int
	// wanted is what a run lacked last, at wantedAt; waiting are the calls without a time.
	wanted   int
	wantedAt time.Time
	waiting  int
	// unused are calls of a daily budget that were granted and not made.
	unused int
	// usedUp says that the budget of the day is gone.
	usedUp bool
	// changed is closed and replaced when slots came, or are wanted.
	came, lacking chan struct{}
}

func newPacer(log *slog.Logger, inFlight int, take func(ctx context.Context, want, unused int) (store.Slots, error)) *pacer {
	return &pacer{take: take, log: log, inFlight: inFlight, far: slotFarMax, came: make(chan struct{}), lacking: make(chan struct{}, 1)}
}

// run fetches slots while somebody lacks some, until ctx ends.
func (p *pacer) run(ctx context.Context) {
	for ctx.Err() == nil {
		want, unused := p.lack()
		if want == 0 {
			select {
			case <-ctx.Done():
			case <-p.lacking:
			}
			continue
		}
		pause(ctx, max(slotAsk, p.ask(ctx, want, unused)))
	}
	p.settle(ctx)
}

// settle gives back what was granted of a budget and is not used.
func (p *pacer) settle(ctx context.Context) {
	p.mu.Lock()
	left := p.unused + p.free + len(p.slots)
	p.unused, p.free, p.slots = 0, 0, nil
	p.mu.Unlock()
	if left == 0 {
		return
	}
	call, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), slotTimeout, errors.New("giving slots back took too long"))
	defer cancel()
	if _, err := p.take(call, 0, left); err != nil {
		p.log.InfoContext(ctx, "slots not given back", slog.Any("err", err))
	}
}

// lack says how many slots to fetch now, and what to give back of the budget.
func (p *pacer) lack() (want, unused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.tidy()
	if now.Sub(p.wantedAt) < slotWanted {
		want = p.wanted
	}
	want = max(0, want+p.waiting-len(p.slots)-p.free)
	if want > 0 {
		unused, p.unused = p.unused, 0
	}
	return want, unused
}

// ask fetches slots from the database, and says how long to wait before the next question.
func (p *pacer) ask(ctx context.Context, want, unused int) time.Duration {
	call, cancel := context.WithTimeoutCause(ctx, slotTimeout, errors.New("asking for slots took too long"))
	defer cancel()
	got, err := p.take(call, want, unused)
	received := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.unused += unused
		if ctx.Err() == nil {
			p.log.WarnContext(ctx, "limits not read", slog.Any("err", err))
		}
		return slotPoll
	}
	p.usedUp = got.UsedUp
	lag := received.Sub(got.Now)
	p.lag[p.heard%clockSamples] = lag
	p.heard++
	// received has a monotonic reading, and so have the times that come of it: they do not follow a clock that is set.
	now := received.Add(slices.Min(p.lag[:min(p.heard, clockSamples)]) - lag)
	if got.N > 0 && got.Gap == 0 {
		p.free += got.N
		got.N = 0
		p.announce()
	}
	for k := range got.N {
		p.slots = append(p.slots, now.Add(got.First.Sub(got.Now)+time.Duration(k)*got.Gap))
	}
	slices.SortFunc(p.slots, time.Time.Compare)
	p.look(got)
	if got.N > 0 || got.UsedUp {
		p.announce()
	}
	return got.Wait
}

// look sets how far ahead rows are claimed, by how many slots of this process a span holds. p.mu is held.
func (p *pacer) look(got store.Slots) {
	if got.N == 0 {
		return
	}
	if p.blockN == 0 {
		p.own = got.Gap
	} else {
		p.own += (min(max(got.Gap, got.First.Sub(p.blockAt)/time.Duration(p.blockN)), slotFarMax) - p.own) / 4
	}
	p.blockAt, p.blockN = got.First, got.N
	p.far = min(max(time.Duration(p.inFlight/2)*p.own, slotFarMin), slotFarMax)
}

// announce wakes who waits for slots. p.mu is held.
func (p *pacer) announce() {
	close(p.came)
	p.came = make(chan struct{})
}

// reserve returns at most n of the slots that are neither too near nor too far, and has more fetched, so that there are at least ahead.
// Fewer than n are left to come together until the first of them is soon: a claim costs the same for one row as for many.
func (p *pacer) reserve(n, ahead int) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.tidy()
	lo, _ := slices.BinarySearchFunc(p.slots, now.Add(slotNear), time.Time.Compare)
	hi, _ := slices.BinarySearchFunc(p.slots, now.Add(p.far), time.Time.Compare)
	if hi-lo < n && hi > lo && p.slots[lo].After(now.Add(slotSoon)) {
		hi = lo
	}
	hi = min(hi, lo+n)
	taken := slices.Clone(p.slots[lo:hi])
	p.slots = slices.Delete(p.slots, lo, hi)
	for p.free > 0 && len(taken) < n {
		p.free--
		taken = append(taken, anyTime)
	}
	p.wanted, p.wantedAt = max(n, ahead), now
	p.signal()
	return taken
}

// patience is how long an outcome of this task may wait for others to be written with: the longer, the more of the calls in flight are
// ones that wait, and lack to those whose slots come.
func (p *pacer) patience() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.far / 2
}

// await waits a moment for slots.
func (p *pacer) await(ctx context.Context) {
	p.mu.Lock()
	came := p.came
	p.mu.Unlock()
	timer := time.NewTimer(slotNear)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-came:
	}
}

// giveBack returns slots for which there was no call.
func (p *pacer) giveBack(slots []time.Time) {
	if len(slots) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range slots {
		if at.Equal(anyTime) {
			p.free++
		} else {
			p.slots = append(p.slots, at)
		}
	}
	slices.SortFunc(p.slots, time.Time.Compare)
}

// anyTime stands for a call that may start at any time.
var anyTime = time.Unix(1, 0) //nolint:gochecknoglobals // a constant

// wait waits until slot, or until a later one if that was missed or is zero. It is false if may turned false meanwhile, or the budget is gone.
func (p *pacer) wait(ctx context.Context, slot time.Time, may func() bool) bool {
	if slot.Equal(anyTime) {
		return may()
	}
	if !slot.IsZero() {
		pause(ctx, time.Until(slot))
		if time.Since(slot) <= slotLate {
			return may()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slot.IsZero() {
		p.unused++
	}
	p.waiting++
	defer func() { p.waiting-- }()
	for {
		slot, came := p.first()
		p.mu.Unlock()
		if slot.IsZero() {
			waitFor(ctx, came)
		} else {
			pause(ctx, time.Until(slot))
		}
		ok := may() && ctx.Err() == nil
		p.mu.Lock()
		switch {
		case !ok || slot.IsZero() && p.usedUp:
			return false
		case slot.Equal(anyTime):
			return true
		case !slot.IsZero() && time.Since(slot) <= slotLate:
			return true
		case !slot.IsZero():
			p.unused++
		}
	}
}

// first takes the earliest slot; zero if there is none yet, and what to wait for then. p.mu is held.
func (p *pacer) first() (time.Time, chan struct{}) {
	p.tidy()
	if p.free > 0 {
		p.free--
		return anyTime, nil
	}
	if len(p.slots) == 0 {
		p.signal()
		return time.Time{}, p.came
	}
	slot := p.slots[0]
	p.slots = slices.Delete(p.slots, 0, 1)
	return slot, nil
}

func (p *pacer) signal() {
	select {
	case p.lacking <- struct{}{}:
	default:
	}
}

// exhausted says that the budget of the day is gone.
func (p *pacer) exhausted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usedUp
}

// tidy drops slots that have passed. p.mu is held.
func (p *pacer) tidy() (now time.Time) {
	now = time.Now()
	n, _ := slices.BinarySearchFunc(p.slots, now, time.Time.Compare)
	p.slots = slices.Delete(p.slots, 0, n)
	p.unused += n
	return now
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func waitFor(ctx context.Context, came <-chan struct{}) {
	timer := time.NewTimer(slotPoll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-came:
	}
}
