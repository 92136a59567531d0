package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

const (
	// runLimit bounds a run: after it no more rows are claimed, and the chunk is queued again behind the others.
	runLimit = 20 * time.Second
	// maxTokens is how many tokens of one call the platform may refuse before the task is paused.
	maxTokens = 3
	// contendedWait is how long a row waits whose permit a rival holds for the moment.
	contendedWait = 500 * time.Millisecond
)

// run is one run of a chunk: it claims rows batch by batch, calls the platform for each, and writes what became of them. One
// goroutine owns it; the calls run in goroutines of their own and answer through a channel.
type run struct {
	store.Run
	d       *Dispatcher
	log     *slog.Logger
	content *content
	canary  *canary
	client  *appClient
	answers chan answer
	until   time.Time
	// begun is when the lease was asked for, by the age of the node.
	begun time.Duration
	// place is the run's hold of a worker, which another task may come to need more.
	place *ticket

	// cursor and hi are what is left of the current pass over the chunk's rows.
	cursor, hi int32
	// yield is the share of claimed rows that were to be called lately: a limited run claims so many that its slots are used.
	yield float64
	// ambiguous says that rows with a kept permit may be due in this pass.
	ambiguous bool
	// claimed counts the rows settled or called in this pass; contended that a permit was held by a rival.
	claimed   int
	contended bool
	inFlight  int
	done      []verdict
	users     map[int32]string
	firstDone time.Time
	// owed are the slots of rows that may stand in sending with nobody to call or record them ([runs.owe]).
	owed int
	// misclaims counts the claims that failed without an answer.
	misclaims int
	closed    bool
	// probing says that a call of this run was to find out whether the app's quota is back.
	probing bool
	// wait is how long the chunk is to rest after this run.
	wait time.Duration
	// empty says that the chunk had no pending row left when outcomes were last written.
	empty bool
}

// runChunk is the work of one chunk job. A chunk that is not queued under this generation is none of its business.
func (d *Dispatcher) runChunk(ctx context.Context, taskID int64, no, generation int32) error {
	if d.draining.Load() || !d.node.fresh() {
		return errNotNow
	}
	begun := d.node.age()
	lease, ok, err := d.lease(ctx, taskID, no, generation)
	if err != nil || !ok {
		return err
	}
	lease.Zone = d.cfg.Location.String()
	taskID, no = lease.TaskID, lease.No
	key := store.ChunkKey{TaskID: taskID, No: no}
	d.runs.begin(key)
	defer d.runs.end(key)
	place := d.shares.enter(taskID, lease.Priority)
	defer d.shares.leave(place)
	d.slots.enter(taskID, push.Weight(lease.Priority))
	defer d.slots.leave(taskID)
	lease.ResendAfter = d.resendWait(lease.Channel)
	d.gate.enter(taskID)
	defer d.gate.leave(taskID)
	r := &run{
		Run: lease, d: d, log: d.log.With(slog.Any("task_id", taskID), slog.Any("chunk", no), slog.Any("lease", lease.Lease)), answers: make(chan answer, d.cfg.InFlight),
		until: time.Now().Add(runLimit), begun: begun, place: place, cursor: lease.Lo, hi: lease.Hi, users: map[int32]string{}, yield: 1, ambiguous: lease.Generation > 1 || lease.Left > 0,
	}
	if r.canary = d.newCanary(lease); r.canary != nil && !r.canary.Turn {
		r.wait = contendedWait
		return d.endRun(ctx, r)
	}
	r.PastCanary = r.canary == nil && d.cfg.Canary.Sent >= 0
	if lease.Left > 0 {
		r.log.WarnContext(ctx, "chunk taken over", slog.Any("ambiguous", lease.Left))
		if err := d.st.Recover(ctx, lease); err != nil {
			return err
		}
	}
	if lease.Waiting > 0 {
		if err := r.narrow(ctx); err != nil {
			return err
		}
	}
	if r.content, err = d.gate.content(ctx, taskID); err != nil {
		if unsayable(err) {
			err = errors.Join(err, d.pauseTask(ctx, taskID, push.CauseBreaker, "内容不符合模板要求,请修改后继续 What the task says does not fit its template: "+err.Error()))
		}
		return err
	}
	if r.client, err = d.clients.get(ctx, lease.AppID); err != nil {
		if errors.Is(err, errApp) {
			err = errors.Join(err, d.pauseTask(ctx, taskID, push.CauseBreaker, err.Error()))
		}
		return err
	}
	if err := r.send(ctx); err != nil {
		r.abandon(err)
		return err
	}
	return d.endRun(ctx, r)
}

// send works until the chunk has no row that is due, or the run must end. It returns nil if the lease is still held.
func (r *run) send(ctx context.Context) error {
	for {
		if err := r.claim(ctx); err != nil {
			return errors.Join(err, r.drain(ctx))
		}
		if r.inFlight > 0 {
			r.collect()
		}
		if err := r.flushIfDue(ctx); err != nil {
			return err
		}
		if r.inFlight > 0 || len(r.done) > 0 {
			continue
		}
		if r.stopped(ctx) {
			return nil
		}
		if r.cursor >= r.hi && !r.ambiguous {
			more, err := r.nextPass(ctx)
			if err != nil || !more {
				return err
			}
		}
	}
}

// open says whether a call of this run may start now.
func (r *run) open() bool { return r.d.gate.open(r.TaskID) && r.d.node.held(r.begun) }

// stopped says that nothing more is to be claimed in this run.
func (r *run) stopped(ctx context.Context) bool {
	return r.closed || ctx.Err() != nil || !r.open() || !time.Now().Before(r.until) || r.d.shares.yields(r.place)
}

// claim claims batches while there are slots. With nothing in flight it waits for slots; otherwise it takes what there is.
func (r *run) claim(ctx context.Context) error {
	for (r.ambiguous || r.cursor < r.hi) && !r.stopped(ctx) {
		want := r.d.slots.batch()
		if !r.ambiguous {
			want = min(want, int(r.hi-r.cursor))
		}
		if want = r.bound(want); want == 0 {
			return nil
		}
		pacer, probe := r.d.gate.pace(r.AppID, r.TaskID)
		r.Probe, r.probing = probe, r.probing || probe
		if probe {
			if r.inFlight > 0 || len(r.done) > 0 {
				return nil
			}
			want = 1
		}
		n := r.d.slots.tryTake(r.TaskID, want, (want+1)/2)
		if n == 0 && r.inFlight == 0 && len(r.done) == 0 {
			n = r.d.slots.take(ctx, r.TaskID, want, (want+1)/2)
		}
		if n == 0 {
			return nil
		}
		var times []time.Time
		if pacer != nil {
			if times = pacer.reserve(n, r.ahead(n)); len(times) == 0 {
				r.d.slots.give(r.TaskID, n)
				return r.awaitTimes(ctx, pacer)
			}
			paced := min(n, int(float64(len(times))/r.yield))
			r.d.slots.give(r.TaskID, n-paced)
			n = paced
		}
		if err := r.claimAndStart(ctx, n, pacer, times); err != nil || r.closed {
			return err
		}
	}
	return nil
}

// awaitTimes waits a moment for the next times of a limited task, if there is nothing else to do.
func (r *run) awaitTimes(ctx context.Context, p *pacer) error {
	if p.exhausted() {
		r.closed = true
		return r.d.budgetUsedUp(ctx, r.AppID, r.TaskID)
	}
	if r.inFlight == 0 && len(r.done) == 0 {
		p.await(ctx)
	}
	return nil
}

// claimAndStart claims n rows, for which slots are held, and starts their calls; times are the ones at which they may start.
func (r *run) claimAndStart(ctx context.Context, n int, p *pacer, times []time.Time) error {
	from := r.cursor
	claim, err := r.claimBatch(ctx, n)
	if isUncertain(err) {
		if err = r.unclaim(ctx, err); err != nil {
			r.owed, n = r.owed+n, 0
		}
		from, r.contended = r.cursor, true // what was put back is pending, for the next pass
	}
	r.d.slots.give(r.TaskID, n-len(claim.Sending))
	if p != nil {
		used := min(len(times), len(claim.Sending))
		p.giveBack(times[used:])
		times = times[:used]
		if rows := int(r.cursor - from); rows > 0 && err == nil {
			r.yield = min(1, max(0.02, 0.7*r.yield+0.3*float64(len(claim.Sending))/float64(rows)))
		}
	}
	if errors.Is(err, store.ErrClosed) {
		r.closed = true
		return nil
	}
	if err != nil {
		return err
	}
	r.claimed += len(claim.Sending) + claim.Ended
	r.contended = r.contended || claim.Contended
	r.canary.claimed(len(claim.Sending))
	for i := range claim.Sending {
		var at time.Time
		if i < len(times) {
			at = times[i]
		}
		r.start(ctx, claim.Sending[i], p, at)
	}
	return nil
}

func (r *run) claimBatch(ctx context.Context, n int) (store.Claim, error) {
	if r.ambiguous {
		claim, err := r.d.st.ClaimAmbiguous(ctx, r.Run, n, r.d.cfg.PermitMargin)
		r.ambiguous = err == nil && len(claim.Sending)+claim.Ended == n
		return claim, err
	}
	to, err := r.boundRange(ctx, min(r.cursor+int32(n), r.hi)) //nolint:gosec // n is at most a batch
	if err != nil {
		return store.Claim{}, err
	}
	claim, err := r.d.st.Claim(ctx, r.Run, r.cursor, to, r.d.cfg.PermitMargin)
	r.cursor = to
	return claim, err
}

// start calls the platform for one recipient, in a goroutine that answers exactly once. A limited task has a pacer, and the
// time at which the call may start; zero: it asks for one.
func (r *run) start(ctx context.Context, c store.Claimed, p *pacer, at time.Time) {
	r.inFlight++
	r.users[c.Seq] = c.UserID
	r.d.callers.do(func() { r.answers <- r.call(context.WithoutCancel(ctx), c, p, at) })
}

// call makes the call unless the gate has closed since the claim. Its context is not the job's: a call that is cut short is an
// ambiguous one. The token is fetched before the gate is asked, so that no call starts on what the gate said before a wait.
func (r *run) call(ctx context.Context, c store.Claimed, p *pacer, at time.Time) answer {
	a := answer{Claimed: c, channel: r.content.channel}
	if r.Resend {
		a.resendAfter = r.ResendAfter
	}
	message, err := r.content.message(&c)
	if err != nil {
		// Of this recipient's own data, for the rest was checked before: it fails, and the others go on.
		r.log.WarnContext(ctx, "message not rendered", slog.Any("recipient", c.Seq), slog.Any("err", err))
		a.started, a.at, a.result = true, time.Now(), wechat.Result{Class: wechat.ClassField, NotSent: true, Msg: err.Error(), Err: err}
		return a
	}
	r.attempt(ctx, &a, message, p, at)
	for tokens := 1; a.result.Class == wechat.ClassToken; tokens++ {
		// The platform has given the token up, and nothing was sent: again, as a call of its own. It may give up two in a row, but a third
		// says that there is something to mend.
		if tokens == maxTokens {
			a.result.Class = wechat.ClassConfig
			break
		}
		r.attempt(ctx, &a, message, p, time.Time{})
	}
	a.at = time.Now()
	return a
}

// attempt makes one call, once there is a token, its time has come and the gate is open, in this order.
func (r *run) attempt(ctx context.Context, a *answer, message provider.Message, p *pacer, at time.Time) {
	a.started, a.result = false, wechat.Result{}
	token, err := r.client.tokens.Token(ctx)
	if err != nil {
		if r.open() {
			a.started, a.result = true, wechat.TokenFailure(err)
		}
		return
	}
	if p != nil && !p.wait(ctx, at, r.open) || !r.open() {
		return
	}
	message.Token = token
	ctx, cancel := context.WithTimeoutCause(ctx, r.d.cfg.CallTimeout+tokenWait, errors.New("the call took too long"))
	defer cancel()
	r.d.metrics.inFlightNow.Add(1)
	a.started, a.result = true, r.content.channel.Send(ctx, r.client.Client, message)
	r.d.metrics.inFlightNow.Add(-1)
	r.d.metrics.answered(a.result)
}

// drain waits for the calls in flight and writes their outcomes: the end of a run that cannot claim.
func (r *run) drain(ctx context.Context) error {
	for r.inFlight > 0 {
		r.take(<-r.answers)
	}
	if len(r.done) == 0 {
		return nil
	}
	return r.flush(ctx)
}

// nextPass goes over the rows that are pending again, or ends the run: for good, or until the first of them is due.
func (r *run) nextPass(ctx context.Context) (more bool, err error) {
	if r.empty {
		return false, nil
	}
	if r.claimed == 0 && r.contended {
		r.wait = contendedWait
		return false, nil
	}
	lo, hi, n, due, err := r.d.st.PendingRange(ctx, r.Run)
	if err != nil || n == 0 {
		return false, err
	}
	if due > 0 || r.claimed == 0 {
		r.wait = max(due, contendedWait)
		return false, nil
	}
	r.cursor, r.hi, r.ambiguous, r.claimed, r.contended = lo, hi, true, 0, false
	return true, nil
}
