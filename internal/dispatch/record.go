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
)

const (
	// flushAfter is how long an outcome may wait for others before it is written.
	flushAfter = 100 * time.Millisecond
	// flushPatience is how long the database may be away before a run gives its outcomes up. Their rows then stay in sending,
	// and are ambiguous under the next lease.
	flushPatience = 30 * time.Second
)

// collect waits for answers until there are enough to write: all that are in flight, a batch, or the oldest has waited enough.
func (r *run) collect() {
	wait := flushAfter
	if p, _ := r.d.gate.pace(r.AppID, r.TaskID); p != nil {
		wait = slotNear // the next times come soon
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

// patience is how long an outcome may wait for others. A limited task waits less, so that its calls do not lack the slots of
// outcomes that wait.
func (r *run) patience() time.Duration {
	if p, _ := r.d.gate.pace(r.AppID, r.TaskID); p != nil {
		return p.patience()
	}
	return flushAfter
}

func (r *run) take(a answer) {
	r.inFlight--
	if len(r.done) == 0 {
		r.firstDone = time.Now()
	}
	v := judge(a, r.content.blames(a.result), r.d.cfg.PermitMargin)
	if v.pause != "" {
		r.d.gate.close(r.TaskID)
	}
	r.done = append(r.done, v)
}

// flushIfDue writes the outcomes gathered, unless it pays to wait for more.
func (r *run) flushIfDue(ctx context.Context) error {
	if len(r.done) == 0 || r.inFlight > 0 && len(r.done) < r.d.slots.batch() && time.Since(r.firstDone) < r.patience() {
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
	held, err := r.d.st.HasPermit(ctx, r.Run, users, r.d.cfg.PermitMargin)
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
		if err := r.d.quotaOut(ctx, r.AppID, r.TaskID, r.probing, quotaUntil(done[i].begun),
			fmt.Sprintf("平台今日推送次数已用完(%d)", done[i].Code), fmt.Sprintf("The platform's quota of the day is used up (%d)", done[i].Code)); err != nil {
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
		return
	}
	r.warnIfUnanswered(ctx, done)
}

// warnIfUnanswered says that the platform gives no usable answer, at most once a second of a process: long before the breaker opens.
func (r *run) warnIfUnanswered(ctx context.Context, done []verdict) {
	n, last := 0, ""
	for _, v := range done {
		if v.signal == signalTrouble {
			n, last = n+1, v.said()
		}
	}
	if at := r.d.unanswered.Load(); n > 0 && time.Now().Unix() > at && r.d.unanswered.CompareAndSwap(at, time.Now().Unix()) {
		r.log.WarnContext(ctx, "calls not answered", slog.Any("calls", n), slog.Any("last", last))
	}
}
