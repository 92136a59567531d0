package dispatch

import (
	"context"

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

// QuotaUntil is when a quota is tried again.
var QuotaUntil = quotaUntil //nolint:gochecknoglobals // for the test
