package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// BreakerConfig says what stops the tasks of an app. Shares are per cent of the last Window answers that this process has had.
// Zero values are replaced by the defaults named.
type BreakerConfig struct {
	// Window is how many answers a share is taken of, at least 20. Default 200.
	Window int
	// FailedPercent of a task's calls failed for the recipient's sake or found the permit dead: the task is paused for a person. Default 80.
	FailedPercent int
	// UnpermittedPercent of a task's calls were refused because the person allows no message (43101): the same. Default 50.
	UnpermittedPercent int
	// Refused is how many recipients in a row were refused: the same. Default 50.
	Refused int
	// TroublePercent of an app's calls got no usable answer: its tasks are paused, and one call tries again. Default 50.
	TroublePercent int
	// TroubleFor is how long an app's calls, at least 5 of them, may go without any answer: the same. Default 30 s.
	TroubleFor time.Duration
	// ProbeFirst is how long after it the platform is tried again, by one call; the wait doubles to at most ProbeMax. Defaults 30 s, 5 min.
	ProbeFirst, ProbeMax time.Duration
	// Used is how many unused formIds in a row the platform may call used: the app's tasks are held as of a restored database. Default 10.
	Used int
}

const (
	// troubleLeast is how few calls without an answer are no trouble yet, however long it lasts.
	troubleLeast = 5
	// windowGap: answers older than a pause of this length say nothing about now.
	windowGap = 10 * time.Second
	// watchKept is how long a task's answers are kept after its last.
	watchKept = 10 * time.Minute
	// probePatience is how long a task may take to make the call that it is to try with: its next row may be due only in a minute.
	probePatience = 90 * time.Second
)

// window is the last answers, good and bad.
type window struct {
	ring []bool
	next int
	full bool
	bad  int
	last time.Time
}

func (w *window) add(bad bool, size int, now time.Time) {
	if w.ring == nil || now.Sub(w.last) > windowGap {
		*w = window{ring: make([]bool, size)}
	}
	w.last = now
	if w.ring[w.next] {
		w.bad--
	}
	if bad {
		w.bad++
	}
	w.ring[w.next] = bad
	w.next++
	if w.next == size {
		w.next, w.full = 0, true
	}
}

// over says that the window is full and holds percent or more bad ones.
func (w *window) over(percent int) bool { return w.full && w.bad*100 >= percent*len(w.ring) }

// fill replaces zero values by the defaults.
func (c *BreakerConfig) fill() {
	c.Window = cmp.Or(c.Window, 200)
	c.FailedPercent = cmp.Or(c.FailedPercent, 80)
	c.UnpermittedPercent = cmp.Or(c.UnpermittedPercent, 50)
	c.Refused = cmp.Or(c.Refused, 50)
	c.TroublePercent = cmp.Or(c.TroublePercent, 50)
	c.TroubleFor = cmp.Or(c.TroubleFor, 30*time.Second)
	c.ProbeFirst = cmp.Or(c.ProbeFirst, 30*time.Second)
	c.ProbeMax = cmp.Or(c.ProbeMax, 5*time.Minute)
	c.Used = cmp.Or(c.Used, 10)
}

// watch is what this process has seen of an app or a task.
type watch struct {
	window
	// unpermitted are a task's calls by whether the person allowed no message.
	unpermitted window
	// run are the bad ones in a row, the first of them at since; used the permits in a row that were used before.
	run, used int
	since     time.Time
}

// breaker watches the answers of this process. What it decides is written to the tables, which all daemons obey: a task's pause,
// an app's row in table breaker.
type breaker struct {
	conf  BreakerConfig
	mu    sync.Mutex
	apps  map[int32]*watch
	tasks map[int64]*watch
}

func newBreaker(conf BreakerConfig) *breaker {
	return &breaker{conf: conf, apps: map[int32]*watch{}, tasks: map[int64]*watch{}}
}

// tripped is what the answers of a batch came to.
type tripped int

const (
	tripNone tripped = iota
	tripRefused
	tripFailed
	tripUnpermitted
	tripUsed
	tripTrouble
)

// see takes a batch in and says what it came to. What is said is counted afresh from then on.
func (b *breaker) see(app int32, task int64, done []verdict, now time.Time) (trip tripped, at verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, t := b.watches(app, task, now)
	for _, v := range done {
		if trip = b.one(a, t, v.signal, now); trip == tripNone {
			continue
		}
		if trip == tripTrouble {
			delete(b.apps, app)
		}
		delete(b.tasks, task)
		return trip, v
	}
	return tripNone, verdict{}
}

func (b *breaker) watches(app int32, task int64, now time.Time) (a, t *watch) {
	if a = b.apps[app]; a == nil {
		a = &watch{}
		b.apps[app] = a
	}
	if t = b.tasks[task]; t == nil {
		for id, w := range b.tasks {
			if now.Sub(w.last) > watchKept {
				delete(b.tasks, id)
			}
		}
		t = &watch{}
		b.tasks[task] = t
	}
	return a, t
}

// one takes one answer in, for its app a and its task t.
func (b *breaker) one(a, t *watch, s signal, now time.Time) tripped {
	if s == signalNone {
		return tripNone
	}
	a.add(s == signalTrouble, b.conf.Window, now)
	if s == signalTrouble {
		if a.run == 0 {
			a.since = now
		}
		a.run++
		if a.over(b.conf.TroublePercent) || a.run >= troubleLeast && now.Sub(a.since) >= b.conf.TroubleFor {
			return tripTrouble
		}
		return tripNone
	}
	a.run = 0
	t.add(s == signalRefused || s == signalDead, b.conf.Window, now)
	t.unpermitted.add(s == signalUnpermitted, b.conf.Window, now)
	switch s {
	case signalRefused:
		t.run++
	case signalUsed:
		t.used++
	case signalSent:
		t.run, t.used = 0, 0
	case signalNone, signalAnswered, signalUnpermitted, signalDead, signalTrouble:
	}
	switch {
	case t.used >= b.conf.Used:
		return tripUsed
	case t.run >= b.conf.Refused:
		return tripRefused
	case t.over(b.conf.FailedPercent):
		return tripFailed
	case t.unpermitted.over(b.conf.UnpermittedPercent):
		return tripUnpermitted
	}
	return tripNone
}

// watch is shown the verdicts of each batch, once they are written.
func (r *run) watch(ctx context.Context, done []verdict) {
	r.watchCanary(ctx, done)
	trip, v := r.d.breaker.see(r.AppID, r.TaskID, done, time.Now())
	if r.closed || trip == tripNone {
		return
	}
	conf := r.d.cfg.Breaker
	switch trip {
	case tripRefused:
		r.trip(ctx, push.CauseBreaker, fmt.Sprintf("连续 %d 名用户被平台拒绝(最近:%s);请核对名单与内容后继续 "+
			"The platform refused %[1]d recipients in a row (the last: %[2]s). Check the list and what the message says, then resume.", conf.Refused, v.said()))
	case tripFailed:
		r.trip(ctx, push.CauseBreaker, fmt.Sprintf("最近 %d 次调用中有 %d%% 以上失败(最近:%s);请核对名单、formId 来源与内容后继续 "+
			"%[2]d %% or more of the last %[1]d calls failed (the last: %[3]s). Check the list, the source of the formIds and the message, then resume.",
			conf.Window, conf.FailedPercent, v.said()))
	case tripUnpermitted:
		r.trip(ctx, push.CauseBreaker, unpermittedNote((conf.Window*conf.UnpermittedPercent+99)/100, conf.Window))
	case tripUsed:
		r.hold(ctx)
	case tripTrouble:
		r.closed = true
		r.d.gate.close(r.TaskID)
		if err := r.d.openBreaker(ctx, r.AppID, v.said()); err != nil {
			r.log.ErrorContext(ctx, "breaker not opened", slog.Any("err", err))
		}
	case tripNone:
	}
}

// trip pauses the task and ends the run. Where the pause cannot be written the next run meets the same answers.
func (r *run) trip(ctx context.Context, cause push.Cause, note string) {
	r.closed = true
	r.d.clients.doubt(r.AppID)
	if err := r.d.pauseTask(ctx, r.TaskID, cause, note); err != nil {
		r.log.ErrorContext(ctx, "task not paused", slog.Any("err", err))
	}
}

// backoff is how long after so many probes without an answer the next is made.
func (c BreakerConfig) backoff(probes int) time.Duration {
	return min(c.ProbeFirst<<min(probes, 20), c.ProbeMax)
}

// openBreaker pauses the tasks of an app whose platform does not answer, until a probe is answered.
func (d *Dispatcher) openBreaker(ctx context.Context, app int32, reason string) error {
	wait := d.cfg.Breaker.backoff(0)
	return d.st.InTx(ctx, func(ctx context.Context) error {
		opened, err := d.st.OpenBreaker(ctx, app, reason, wait)
		if err != nil || !opened {
			return err
		}
		d.log.ErrorContext(ctx, "breaker opened: the platform does not answer", d.clients.name(app), slog.Any("reason", reason), slog.Any("probe_in", wait))
		return d.breakTasks(ctx, store.Breaker{AppID: app, Reason: reason, DueAt: time.Now().Add(wait)})
	})
}

// breakTasks pauses the tasks of the app, but for the one that probes, and says in their notes how they go on.
func (d *Dispatcher) breakTasks(ctx context.Context, b store.Breaker) error {
	next := b.DueAt.In(d.cfg.Location).Format(time.TimeOnly)
	note := fmt.Sprintf("微信平台没有应答(%s),已暂停;%s 自动重试一次,成功即继续,也可立即继续 "+
		"The platform does not answer (%[1]s). One call tries again at %[2]s, and all goes on once it is answered; resume to try at once.", b.Reason, next)
	if b.ProbeTask != 0 {
		note = fmt.Sprintf("微信平台没有应答(%s),已暂停;任务 %d 正在重试,成功即继续 "+
			"The platform does not answer (%[1]s). Task %[2]d is trying again, and all goes on once it is answered.", b.Reason, b.ProbeTask)
	}
	broken, err := d.st.BreakTasks(ctx, b.AppID, b.ProbeTask, note)
	for _, id := range broken {
		d.gate.close(id)
	}
	return err
}

// probed takes the answer of the one call that tries the platform again.
func (r *run) probed(ctx context.Context, v verdict) {
	var err error
	if v.signal == signalTrouble {
		r.closed = true
		r.d.gate.close(r.TaskID)
		err = r.d.failProbe(ctx, r.AppID, r.TaskID, v.said())
	} else {
		err = r.d.closeBreaker(ctx, r.AppID)
	}
	if err != nil {
		r.log.ErrorContext(ctx, "probe not recorded", slog.Any("err", err))
	}
}

func (d *Dispatcher) failProbe(ctx context.Context, app int32, task int64, reason string) error {
	return d.withBreaker(ctx, app, func(ctx context.Context, b store.Breaker) error {
		if b.ProbeTask != task {
			return nil
		}
		wait := d.cfg.Breaker.backoff(b.Probes + 1)
		d.log.WarnContext(ctx, "probe not answered", d.clients.name(app), slog.Any("reason", reason), slog.Any("probe_in", wait))
		if err := d.st.SetProbe(ctx, app, 0, b.Probes+1, wait); err != nil {
			return err
		}
		return d.breakTasks(ctx, store.Breaker{AppID: app, Reason: reason, DueAt: time.Now().Add(wait)})
	})
}

// closeBreaker lets the tasks of an app go on: the platform has answered.
func (d *Dispatcher) closeBreaker(ctx context.Context, app int32) error {
	return d.withBreaker(ctx, app, func(ctx context.Context, _ store.Breaker) error {
		if _, err := d.st.CloseBreaker(ctx, app); err != nil {
			return err
		}
		healed, err := d.st.HealTasks(ctx, app, 0)
		for _, id := range healed {
			err = errors.Join(err, d.goOn(ctx, id))
		}
		d.log.InfoContext(ctx, "breaker closed: the platform answers", d.clients.name(app), slog.Any("resumed", len(healed)))
		return err
	})
}

// withBreaker runs fn with the app's breaker locked, in a transaction; not if there is none. Whoever changes tasks as well locks it first.
func (d *Dispatcher) withBreaker(ctx context.Context, app int32, fn func(ctx context.Context, b store.Breaker) error) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		b, err := d.st.LockBreaker(ctx, app)
		if errors.Is(err, push.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(ctx, b)
	})
}

// withProbe runs resume, in a transaction; where the app's breaker is open, the task that goes on is the one that tries the platform.
func (d *Dispatcher) withProbe(ctx context.Context, task int64, resume func(ctx context.Context) (push.Task, error)) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		b, open, err := d.st.LockBreakerOf(ctx, task)
		if err != nil {
			return err
		}
		t, err := resume(ctx)
		if err != nil || !open || t.State != push.TaskSending {
			return err
		}
		// A person's try that fails does not put the next one by itself further off.
		return d.st.SetProbe(ctx, b.AppID, task, max(b.Probes-1, 0), probePatience)
	})
}

// tendBreakers makes the probes that are due, and keeps the tasks of an app whose breaker is open from sending: those too that were
// sent meanwhile. It reads the tables, and so goes on after any restart.
func (d *Dispatcher) tendBreakers(ctx context.Context) error {
	open, err := d.st.Breakers(ctx)
	errs := []error{err}
	for _, b := range open {
		errs = append(errs, d.withBreaker(ctx, b.AppID, d.tendBreaker))
	}
	return errors.Join(errs...)
}

func (d *Dispatcher) tendBreaker(ctx context.Context, b store.Breaker) error {
	if b.ProbeTask != 0 && (b.Due || !b.Probing) {
		// It has ended, was paused by a person, or had nothing to call in all this time: another one is to try.
		b.ProbeTask, b.Due, b.DueAt = 0, true, time.Now()
		if err := d.st.SetProbe(ctx, b.AppID, 0, b.Probes, 0); err != nil {
			return err
		}
	}
	if err := d.breakTasks(ctx, b); err != nil || b.ProbeTask != 0 || !b.Due {
		return err
	}
	id, waiting, err := d.st.ProbeCandidate(ctx, b.AppID)
	switch {
	case err != nil:
		return err
	case id != 0:
		return d.probe(ctx, b, id)
	case waiting:
		return d.st.SetProbe(ctx, b.AppID, 0, b.Probes, d.cfg.Breaker.ProbeFirst)
	}
	_, err = d.st.CloseBreaker(ctx, b.AppID) // nobody waits for it; the next task's canary will see
	return err
}

// probe lets one task go on with its canary, whose first call decides.
func (d *Dispatcher) probe(ctx context.Context, b store.Breaker, task int64) error {
	if err := d.st.SetProbe(ctx, b.AppID, task, b.Probes, probePatience); err != nil {
		return err
	}
	healed, err := d.st.HealTasks(ctx, b.AppID, task)
	for _, id := range healed {
		err = errors.Join(err, d.goOn(ctx, id))
	}
	return err
}
