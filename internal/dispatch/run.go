package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

const (
	// runLimit bounds a run: after it no more rows are claimed, and the chunk is queued again behind the others.
	runLimit = 20 * time.Second
	// flushAfter is how long an outcome may wait for others before it is written.
	flushAfter = 100 * time.Millisecond
	// flushPatience is how long the database may be away before a run gives its outcomes up. Their rows then stay in sending,
	// and are ambiguous under the next lease.
	flushPatience = 30 * time.Second
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
	if lease.Resend {
		lease.ResendAfter = d.resendWait()
	}
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
			if times = pacer.reserve(n); len(times) == 0 {
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
	a := answer{Claimed: c, resendAfter: r.ResendAfter}
	message, err := r.content.message(&c)
	if err != nil {
		r.log.ErrorContext(ctx, "message not rendered", slog.Any("recipient", c.Seq), slog.Any("err", err))
		a.started, a.at, a.result = true, time.Now(), wechat.Result{Class: wechat.ClassField, NotSent: true, Msg: "message not rendered", Err: err}
		return a
	}
	if _, err := r.client.tokens.Token(ctx); err == nil && p != nil && !p.wait(ctx, at, r.open) {
		a.at = time.Now()
		return a
	} // else the send meets the same error, and says what it means
	if !r.open() {
		a.at = time.Now()
		return a
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.d.cfg.CallTimeout+tokenWait, errors.New("the call took too long"))
	defer cancel()
	r.d.metrics.inFlightNow.Add(1)
	a.started, a.result = true, r.client.SendTemplate(ctx, message)
	r.d.metrics.inFlightNow.Add(-1)
	a.at = time.Now()
	r.d.metrics.answered(a.result)
	return a
}

// collect waits for answers until there are enough to write: all that are in flight, a batch, or the oldest has waited enough.
func (r *run) collect() {
	wait := flushAfter
	if p, _ := r.d.gate.pace(r.AppID, r.TaskID); p != nil {
		wait = 2 * slotNear // the next times come soon
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for r.inFlight > 0 && len(r.done) < r.d.slots.batch() {
		select {
		case a := <-r.answers:
			r.take(a)
		case <-timeout.C:
			return
		}
	}
}

func (r *run) take(a answer) {
	r.inFlight--
	if len(r.done) == 0 {
		r.firstDone = time.Now()
	}
	v := judge(a, r.content.personal, r.d.cfg.PermitMargin)
	if v.pause != "" {
		r.d.gate.close(r.TaskID)
	}
	r.done = append(r.done, v)
}

// flushIfDue writes the outcomes gathered, unless it pays to wait for more.
func (r *run) flushIfDue(ctx context.Context) error {
	if len(r.done) == 0 || r.inFlight > 0 && len(r.done) < r.d.slots.batch() && time.Since(r.firstDone) < flushAfter {
		return nil
	}
	return r.flush(ctx)
}

// flush writes the outcomes and gives their slots back.
func (r *run) flush(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // what the platform has answered is written, whatever ends meanwhile
	done := r.done
	r.done = nil
	if err := r.record(ctx, done); err != nil {
		r.owed += len(done)
		return err
	}
	r.d.slots.give(r.TaskID, len(done))
	r.slowIfAsked(ctx, done)
	r.pauseIfAsked(ctx, done)
	r.warnIfAway(ctx, done)
	r.watch(ctx, done)
	return nil
}

func (r *run) record(ctx context.Context, done []verdict) error {
	until := time.Now().Add(flushPatience)
	doubt := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := r.recordOnce(ctx, done)
		if err != nil && doubt && r.written(ctx, done) {
			r.recorded(done)
			return nil
		}
		if err == nil || errors.Is(err, store.ErrLeaseLost) || !time.Now().Add(wait).Before(until) {
			return err
		}
		r.log.WarnContext(ctx, "outcomes not written, trying again", slog.Any("outcomes", len(done)), slog.Any("err", err))
		doubt = true
		<-time.After(wait)
	}
}

// written reads back whether outcomes were committed by a transaction whose answer was lost: the lease is held, and none of
// their rows is in sending.
func (r *run) written(ctx context.Context, done []verdict) bool {
	seqs := make([]int32, len(done))
	for i, v := range done {
		seqs[i] = v.Seq
	}
	left, held, err := r.d.st.SendingRows(ctx, r.Run, seqs)
	return err == nil && held && left == 0
}

func (r *run) recordOnce(ctx context.Context, done []verdict) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("writing outcomes took over 10 s"))
	defer cancel()
	if err := r.endWithoutNext(ctx, done); err != nil {
		return err
	}
	outcomes := make([]store.Outcome, len(done))
	for i, v := range done {
		outcomes[i] = v.Outcome
	}
	pending, err := r.d.st.RecordOutcomes(ctx, r.Run, outcomes)
	if err != nil {
		return err
	}
	r.empty = pending == 0
	r.recorded(done)
	return nil
}

// recorded notes that the outcomes are written.
func (r *run) recorded(done []verdict) {
	for _, v := range done {
		delete(r.users, v.Seq)
		if v.State != push.Pending {
			r.d.metrics.outcomes.WithLabelValues(v.State.String()).Inc()
		}
	}
}

// endWithoutNext ends the recipients whose permit was dead and whose user has no other.
func (r *run) endWithoutNext(ctx context.Context, done []verdict) error {
	var users []string
	for _, v := range done {
		if v.next {
			users = append(users, r.users[v.Seq])
		}
	}
	if len(users) == 0 || r.Waits {
		return nil // where the task waits for permits, the claim decides
	}
	held, err := r.d.st.HasPermit(ctx, r.AppID, users, r.d.cfg.PermitMargin)
	if err != nil {
		return err
	}
	for i := range done {
		if v := &done[i]; v.next && !held[r.users[v.Seq]] {
			v.State, v.Reason, v.next, v.NotCounted = push.Failed, push.PermitDead, false, false
			if v.inDoubt {
				v.State, v.Reason = push.Unknown, push.Unsure
			}
		}
	}
	return nil
}

// pauseIfAsked pauses the task if an answer says that none of its messages can pass. Where the pause cannot be written the run ends
// all the same, and the next one meets the same answer.
func (r *run) pauseIfAsked(ctx context.Context, done []verdict) {
	i := slices.IndexFunc(done, func(v verdict) bool { return v.pause != "" })
	if i < 0 {
		return
	}
	note := fmt.Sprintf("%d: %s", done[i].Code, done[i].advice)
	if done[i].pause == push.CauseBreaker {
		note += " 处理后请继续任务 Mend it, then resume the task."
	}
	if done[i].pause == push.CauseQuota {
		r.closed = true
		r.d.clients.doubt(r.AppID)
		if err := r.d.quotaOut(ctx, r.AppID, r.TaskID, quotaUntil(done[i].begun), note); err != nil {
			r.log.ErrorContext(ctx, "task not paused", slog.Any("err", err))
		}
		return
	}
	r.trip(ctx, done[i].pause, note)
}

// slowIfAsked halves the app's rate if the platform asked for it, and ends the pause for a quota once a probe was not refused for it.
func (r *run) slowIfAsked(ctx context.Context, done []verdict) {
	r.client.rate.add(len(done))
	if slices.ContainsFunc(done, func(v verdict) bool { return v.slow }) {
		rate, slowed, err := r.d.st.SlowDown(ctx, r.AppID, r.client.rate.perSecond())
		if err != nil {
			r.log.ErrorContext(ctx, "app not slowed down", slog.Any("err", err))
		} else if slowed {
			r.log.WarnContext(ctx, "platform asked to slow down", slog.Any("rate_per_second", rate))
		}
	}
	if _, probe := r.d.gate.pace(r.AppID, r.TaskID); !probe {
		return
	}
	if slices.ContainsFunc(done, func(v verdict) bool { return v.State == push.Sent }) {
		if err := r.d.quotaBack(ctx, r.AppID, r.TaskID); err != nil {
			r.log.ErrorContext(ctx, "tasks not resumed", slog.Any("err", err))
		}
	}
}

// warnIfAway says that the platform, the way to it, or the database with its token is away: these recipients are tried again for as long as it takes.
func (r *run) warnIfAway(ctx context.Context, done []verdict) {
	away := 0
	var last error
	for _, v := range done {
		if v.away != nil {
			away, last = away+1, v.away
		}
	}
	if away > 0 {
		r.log.WarnContext(ctx, "calls not made", slog.Any("calls", away), slog.Any("err", last))
	}
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
