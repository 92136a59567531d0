package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
)

// What a working daemon does by itself, for tests that do it one step at a time.

// Tend looks once after what was left lying.
func (d *Dispatcher) Tend(ctx context.Context) error { return d.tendOnce(ctx) }

// Plan cuts a task into chunks and queues the first window of them.
func (d *Dispatcher) Plan(ctx context.Context, task int64) error { return d.plan(ctx, task) }

// ExpireFormIDs is the cron entry of that name.
func (d *Dispatcher) ExpireFormIDs(ctx context.Context) error {
	_, err := d.st.Sweep(ctx, sweeperExpire, d.expireFormIDs)
	return err
}

// Purge is the cron entry of that name.
func (d *Dispatcher) Purge(ctx context.Context) error { return d.purge(ctx) }

// NodeID is the node that a working daemon has registered.
func (d *Dispatcher) NodeID() int64 { return d.node.id }

// StartJob is the start job of a task, as the queue takes it.
func StartJob(task int64) river.JobArgs { return startArgs{TaskID: task} }

// TickDue deals with the schedules that are due.
func (d *Dispatcher) TickDue(ctx context.Context) error { return d.tickDue(ctx) }

// TurnClock makes the clock of schedules run ahead of the database's.
func (d *Dispatcher) TurnClock(ahead time.Duration) { d.clockAhead.Store(int64(ahead)) }

// The rest makes a daemon that does nothing by itself: it has a node and beats when it is told to, and each job is one call.

// Join registers this process as a node.
func (d *Dispatcher) Join(ctx context.Context) (err error) {
	d.node, err = startNode(ctx, d.st, d.st.Pool().Config().ConnString(), d.cfg.NodeName, d.log, d.checkIdentity)
	return err
}

// Leave ends what Join began.
func (d *Dispatcher) Leave(ctx context.Context) error {
	d.tending.Wait()
	d.node.hangUp(ctx)
	d.gate.pacing.Wait()
	d.callers.close()
	d.clients.close()
	return d.st.StopNode(ctx, d.node.id)
}

// Beat writes one heartbeat, and looks once at the states of the tasks that have runs here.
func (d *Dispatcher) Beat(ctx context.Context) error {
	return errors.Join(d.node.beat(ctx), d.gate.poll(ctx))
}

// RunStartJob is the work of a start job.
func (d *Dispatcher) RunStartJob(ctx context.Context, task int64) error {
	return d.startTask(ctx, task)
}

// RunChunkJob is the work of a chunk job. ran is false if this process would have put the job off.
func (d *Dispatcher) RunChunkJob(ctx context.Context, task int64, no, generation int32) (ran bool, err error) {
	err = d.runChunk(ctx, task, no, generation)
	if errors.Is(err, errNotNow) {
		return false, nil
	}
	return true, err
}

// TendAll is one round of everything that the daemons look after each second.
func (d *Dispatcher) TendAll(ctx context.Context) error {
	err := errors.Join(d.freeOrphans(ctx), d.freeDead(ctx), d.tendOnce(ctx))
	d.tending.Wait()
	return err
}

// StartDue is the cron entry that starts tasks scheduled for later.
func (d *Dispatcher) StartDue(ctx context.Context) { d.startDueAndPlan(ctx) }

// QuotaUntil is when a quota is tried again.
var QuotaUntil = quotaUntil //nolint:gochecknoglobals // for the test

// Beats is a node's memory of its beats, for a test that lets time pass by itself.
type Beats struct{ n *node }

// NewBeats is a node that has been one for age.
func NewBeats(age time.Duration) Beats { return Beats{&node{start: time.Now().Add(-age)}} }

// At notes a beat asked for at an age.
func (b Beats) At(age time.Duration) { b.n.note(age, age, false) }

// Held says that a lease taken at an age is held now.
func (b Beats) Held(since time.Duration) bool { return b.n.held(since) }
