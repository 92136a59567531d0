package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

const (
	tendEvery = time.Second
	// orphanAge: a chunk in this node's name that it does not run is freed after this long.
	orphanAge = 2 * time.Second
	// lostJobAge: a queued chunk is looked at for its job after this long.
	lostJobAge = 10 * time.Second
	// startAge: a task that is sending without chunks is planned by the sweeper after this long; before, its start job is at it.
	startAge = time.Second
	// dueAhead: a task that is due within it is waited for, so that it starts on time and not at the next tick.
	dueAhead  = 2 * time.Second
	purgeSize = 5000
)

// tend looks after what was left lying, every second: on each daemon chunks without a live owner, and on one at a time the rest.
// The former is done beside, for no other work may hold it up: the rest may wait for a lock that only it sets free.
func (d *Dispatcher) tend(ctx context.Context) {
	var beside sync.WaitGroup
	beside.Go(func() {
		everySecond(ctx, func() {
			if err := errors.Join(d.freeOrphans(ctx), d.freeDead(ctx)); err != nil && ctx.Err() == nil {
				d.log.WarnContext(ctx, "chunks not looked at", slog.Any("err", err))
			}
		})
	})
	everySecond(ctx, func() {
		d.sweep(ctx, "tend", d.tendOnce)
		d.tending.Go(func() { d.sweepSchedules(ctx, false) })
	})
	beside.Wait()
}

// everySecond runs fn at each tick until ctx ends.
func everySecond(ctx context.Context, fn func()) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fn()
		}
	}
}

// chore names work that goes on beside the sweeps.
type chore struct {
	kind string
	id   int64
}

// beside does work that a sweep begins and does not wait for: it goes on when the sweep, and so ctx, has ended, until Stop. What is
// still being done in this process is not begun again.
func (d *Dispatcher) beside(ctx context.Context, c chore, work func(ctx context.Context)) {
	if _, underWay := d.chores.LoadOrStore(c, true); underWay {
		return
	}
	if d.life != nil {
		ctx = d.life
	}
	d.tending.Go(func() {
		defer d.chores.Delete(c)
		work(ctx)
	})
}

// sweep runs fn unless it runs on another daemon, and logs its error.
func (d *Dispatcher) sweep(ctx context.Context, name string, fn func(ctx context.Context) error) {
	if _, err := d.st.Sweep(ctx, name, fn); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "sweep failed", slog.Any("sweeper", name), slog.Any("err", err))
	}
}

// freeOrphans frees chunks that are written to this node and that it does not run: an end or a claim failed. The slots that are
// owed for them come back once they are in nobody's name, or in another's.
func (d *Dispatcher) freeOrphans(ctx context.Context) error {
	// Asked before the list is: what has been owed for this long is on the list if it is still in this name.
	owed := d.runs.overdue(orphanAge + tendEvery)
	keys, err := d.st.RunningOn(ctx, d.node.id, orphanAge)
	if err != nil {
		return err
	}
	mine := map[store.ChunkKey]bool{}
	for _, k := range keys {
		mine[k] = true
		if d.runs.has(k) {
			continue
		}
		freed, err := d.free(ctx, k, d.node.id, "orphan")
		if err != nil {
			return err
		}
		if freed {
			d.slots.give(k.TaskID, d.runs.paid(k))
		}
	}
	for _, k := range owed {
		if !mine[k] && !d.runs.has(k) {
			d.slots.give(k.TaskID, d.runs.paid(k))
		}
	}
	return nil
}

// freeDead frees the chunks of nodes that are dead.
func (d *Dispatcher) freeDead(ctx context.Context) error {
	dead, err := d.st.DeadOwners(ctx, d.node.watches())
	errs := []error{err}
	for _, c := range dead {
		_, err := d.free(ctx, c.Key, c.Node, "dead owner")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// free frees a chunk and queues it in the same transaction, before all that waits: whoever was being called has waited longest, and a
// call that was ambiguous is best made again while the platform knows its permit.
func (d *Dispatcher) free(ctx context.Context, key store.ChunkKey, node int64, why string) (freed bool, err error) {
	var inDoubt int
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if freed, inDoubt, err = d.st.FreeChunk(ctx, key, node, d.resendWait(push.ChannelSubscribe)); err != nil || !freed {
			return err
		}
		queued, ok, err := d.st.QueueFreed(ctx, key)
		if err != nil || !ok {
			return err
		}
		queued.Priority = priorityFirst
		return d.insertChunkJobs(ctx, key.TaskID, []store.QueuedChunk{queued})
	})
	if freed = freed && err == nil; freed {
		d.log.WarnContext(ctx, "chunk freed", slog.Any("task_id", key.TaskID), slog.Any("chunk", key.No), slog.Any("owner", node), slog.Any("why", why), slog.Any("in_doubt", inDoubt))
	}
	return freed, err
}

// tendOnce takes up chunks without a live job, plans tasks whose start job died, fills windows, settles and cancels. Of what is mostly
// not there at all it looks first whether it is.
func (d *Dispatcher) tendOnce(ctx context.Context) error {
	there, err := d.st.Chores(ctx, lostJobAge, quotaAskEvery, testPatience)
	if err != nil {
		return err
	}
	if there.LostJobs {
		if err := d.freeLostJobs(ctx); err != nil {
			return err
		}
	}
	var errs []error
	for _, chore := range []struct {
		there bool
		do    func(ctx context.Context) error
	}{
		{there.Tests, d.tendTests}, {there.Waiting, d.wakeWaiting}, {there.Copies, d.tendCopies}, {true, d.tendTasks},
		{there.Breakers, d.tendBreakers}, {there.DueQuota, d.tendQuota}, {there.AskQuota, d.askQuotas}, {there.Canceled, d.tendCanceled}, {there.Events, d.tendEvents},
		{there.Realign, d.tendRealign},
	} {
		if chore.there {
			errs = append(errs, chore.do(ctx))
		}
	}
	return errors.Join(errs...)
}

func (d *Dispatcher) freeLostJobs(ctx context.Context) error {
	n, err := d.st.FreeLostJobs(ctx, lostJobAge)
	if n > 0 {
		d.log.WarnContext(ctx, "chunks without a job freed", slog.Any("chunks", n))
	}
	return err
}

func (d *Dispatcher) tendCanceled(ctx context.Context) error {
	canceled, err := d.st.CanceledTasks(ctx)
	errs := []error{err}
	for _, id := range canceled {
		errs = append(errs, d.cancelChunks(ctx, id, cancelRound))
	}
	return errors.Join(errs...)
}

func (d *Dispatcher) tendTasks(ctx context.Context) error {
	tasks, err := d.st.OpenTasks(ctx)
	errs := []error{err}
	for _, t := range tasks {
		errs = append(errs, d.tendTask(ctx, t))
	}
	return errors.Join(errs...)
}

func (d *Dispatcher) tendTask(ctx context.Context, t store.OpenTask) error {
	switch {
	case !t.Planned:
		if t.StartedAgo > startAge {
			// Beside the sweep: filling an audience may take minutes. Whoever plans already keeps this one out.
			d.beside(ctx, chore{"plan", t.ID}, func(ctx context.Context) { d.planLogged(ctx, t.ID) })
		}
	case t.Open == 0:
		return d.settle(ctx, t.ID)
	case t.Idle > 0 && t.Live < d.cfg.Window:
		return d.fillWindow(ctx, t.ID)
	}
	return nil
}

// sweepDue is the cron entry that starts tasks scheduled for later. A task that is due before the next tick is waited for.
func (d *Dispatcher) sweepDue(ctx context.Context) {
	d.startDueAndPlan(ctx)
	wait, some, err := d.st.NextDue(ctx)
	if err != nil || !some || wait <= 0 || wait > dueAhead {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		d.startDueAndPlan(ctx)
	}
}

// startDueAndPlan begins what is due and plans it here and now: the start job, which would do it, wakes only at the queue's poll.
func (d *Dispatcher) startDueAndPlan(ctx context.Context) {
	var begun []int64
	d.sweep(ctx, sweeperDue, func(ctx context.Context) (err error) {
		begun, err = d.startDue(ctx)
		return err
	})
	for _, id := range begun {
		d.planLogged(ctx, id)
	}
}

func (d *Dispatcher) planLogged(ctx context.Context, id int64) {
	if err := d.plan(ctx, id); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "task not planned", slog.Any("task_id", id), slog.Any("err", err))
	}
}

// startDue begins the scheduled tasks whose time has come, or misses them by their policy. Two daemons that do so at the same
// time share the tasks between them.
func (d *Dispatcher) startDue(ctx context.Context) (begun []int64, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		due, err := d.st.LockDueTasks(ctx, 100)
		if err != nil {
			return err
		}
		for _, t := range due {
			if t.Overdue || t.Late > d.grace(t.Misfire) {
				if err := d.miss(ctx, t); err != nil {
					return err
				}
				continue
			}
			a, err := d.st.Approval(ctx, t.ID)
			if err == nil && a.Missing() {
				if err = d.missUnapproved(ctx, t.ID, a); err == nil {
					continue
				}
			}
			if err != nil {
				return err
			}
			if _, err := d.st.BeginTask(ctx, t.ID); err != nil {
				return err
			}
			if err := d.beginQuiet(ctx, t.ID); err != nil {
				return err
			}
			if err := d.insertStartJob(ctx, t.ID, nil); err != nil {
				return err
			}
			begun = append(begun, t.ID)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("start due tasks: %w", err)
	}
	return begun, nil
}

// grace is how late a task of that misfire policy may start.
func (d *Dispatcher) grace(misfire string) time.Duration {
	if misfire == push.MisfireSkip {
		return d.cfg.SkipGrace
	}
	return d.cfg.LateGrace
}

func (d *Dispatcher) miss(ctx context.Context, t store.DueTask) error {
	late := t.Late.Round(time.Second)
	note := fmt.Sprintf("已错过发送时间 %s,超过允许的 %s,可重新排期 It was %s late, and its policy (%s) allows %s; schedule it again.",
		late, d.grace(t.Misfire), late, t.Misfire, d.grace(t.Misfire))
	if t.Overdue {
		note = fmt.Sprintf("已超过最晚发送时间,可修改后重新排期 Its not_after has passed; change it (task set %d --not-after TIME) and schedule the task again.", t.ID)
	}
	return d.missTask(ctx, t.ID, note, slog.Any("late", late))
}

// missUnapproved misses a task whose time has come and that nobody has approved as it is.
func (d *Dispatcher) missUnapproved(ctx context.Context, id int64, a push.Approval) error {
	return d.missTask(ctx, id, a.State.MissingNote()+" 审批后请重新排期 Then schedule it again.", slog.Any("cause", string(push.RefusedNotApproved)), slog.Any("approval", string(a.State)))
}

func (d *Dispatcher) missTask(ctx context.Context, id int64, note string, why ...any) error {
	if _, err := d.st.MissTask(ctx, id, note); err != nil {
		return err
	}
	d.log.ErrorContext(ctx, "task missed", append([]any{slog.Any("task_id", id)}, why...)...)
	return d.replaceStartJob(ctx, id, nil)
}

// expireFormIDs is the cron entry that retires formIds whose time has passed.
func (d *Dispatcher) expireFormIDs(ctx context.Context) error {
	last, err := d.st.LastSuccess(ctx, sweeperExpire)
	if err != nil {
		return err
	}
	if !last.IsZero() {
		last = last.Add(-time.Hour)
	}
	return d.expireSince(ctx, last)
}

func (d *Dispatcher) expireSince(ctx context.Context, since time.Time) error {
	total := 0
	for {
		n, err := d.st.RetireExpiredFormIDs(ctx, d.cfg.Location.String(), since, purgeSize)
		if err != nil {
			return err
		}
		if total += n; n < purgeSize {
			break
		}
	}
	if total > 0 {
		d.log.InfoContext(ctx, "expired formIds retired", slog.Any("count", total))
	}
	return nil
}

// purge is the cron entry that removes old rows, in batches.
func (d *Dispatcher) purge(ctx context.Context) error {
	now := time.Now()
	if err := d.expireSince(ctx, time.Time{}); err != nil {
		return err
	}
	for _, batch := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) {
			return d.st.PurgeFormIDs(ctx, now.Add(-d.cfg.Retention.FormIDs), purgeSize)
		},
		func(ctx context.Context) (int, error) {
			return d.st.PurgeTasks(ctx, now.Add(-d.cfg.Retention.Recipients), purgeSize)
		},
		func(ctx context.Context) (int, error) {
			return d.st.PurgeListVersions(ctx, now.Add(-d.cfg.Retention.ListVersions), purgeSize)
		},
		func(ctx context.Context) (int, error) {
			return d.st.PurgeTicks(ctx, now.Add(-d.cfg.Retention.Recipients), purgeSize)
		},
		func(ctx context.Context) (int, error) {
			return d.st.PurgeSubscriptionReports(ctx, now.Add(-d.cfg.Retention.FormIDs), purgeSize)
		},
		func(ctx context.Context) (int, error) {
			return d.st.PurgeSentEvents(ctx, now.Add(-d.cfg.Retention.FormIDs), purgeSize)
		},
		// A formId lives seven days: an older figure knows nothing any more.
		func(ctx context.Context) (int, error) { return d.st.PurgeReach(ctx, now.AddDate(0, 0, -7), purgeSize) },
		func(ctx context.Context) (int, error) { return d.st.PurgeOpenIDCalls(ctx, purgeSize) },
		func(ctx context.Context) (int, error) { return d.st.PurgeDroppedAudiences(ctx, purgeSize) },
		func(ctx context.Context) (int, error) {
			return d.st.PurgeIdempotencyKeys(ctx, now.Add(-d.cfg.Retention.IdempotencyKeys), purgeSize)
		},
		func(ctx context.Context) (int, error) {
			return d.st.PurgeUserDays(ctx, d.cfg.Location.String(), now, purgeSize)
		},
		// A move matters to the tasks whose rows are still there.
		func(ctx context.Context) (int, error) {
			return d.st.PurgeOpenIDMoves(ctx, now.Add(-d.cfg.Retention.Recipients), purgeSize)
		},
		func(ctx context.Context) (int, error) {
			return d.st.PurgeSessions(ctx, now.Add(-24*time.Hour), purgeSize)
		},
	} {
		for n := 1; n > 0; {
			var err error
			if n, err = batch(ctx); err != nil {
				return err
			}
		}
	}
	return errors.Join(d.st.PurgeLimits(ctx, now.AddDate(0, 0, -32)), d.st.PurgeNodes(ctx, now.Add(-24*time.Hour)))
}
