package store

import (
	"context"
	"time"
)

// Chores says which kinds of things that are looked after every second there are at all. Mostly there is none: one look in place of one
// for each.
type Chores struct {
	// LostJobs: a chunk has been queued for long.
	LostJobs bool
	// Waiting: a task that waits for permits. Copies: a list that is being copied. Canceled: a canceled task with open chunks.
	Waiting, Copies, Canceled bool
	// Breakers: an open one. DueQuota: a quota that is to be tried again. AskQuota: one that may have to be asked for.
	Breakers, DueQuota, AskQuota bool
	// Events: the platform reported something of a message, and its recipient does not show it yet.
	Events bool
	// Tests: one stands still, or was begun long ago.
	Tests bool
	// Realign: a template turned into a long-term one, or back, and not all counters have followed.
	Realign bool
}

// Chores looks what there is to do: queued chunks longer than lostJob, and quotas that were asked for longer than askQuota ago, and tests
// that were begun longer than oldTest ago.
func (s *Store) Chores(ctx context.Context, lostJob, askQuota, oldTest time.Duration) (c Chores, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM chunk WHERE state <> 'done' AND state = 'queued' AND queued_at < clock_timestamp() - $1::interval),
		       EXISTS (SELECT FROM task WHERE state = 'sending' AND wait_for_permit_until IS NOT NULL),
		       EXISTS (SELECT FROM audience_copy),
		       EXISTS (SELECT FROM chunk c JOIN task t ON t.id = c.task_id WHERE c.state <> 'done' AND t.state = 'canceled'),
		       EXISTS (SELECT FROM breaker),
		       EXISTS (SELECT FROM app WHERE quota_until <= clock_timestamp() AND paused_at IS NULL),
		       EXISTS (SELECT FROM app a JOIN task t ON t.app_id = a.id WHERE t.state = 'sending' AND t.planned_at IS NOT NULL AND a.paused_at IS NULL
		          AND (a.quota_asked_at IS NULL OR a.quota_asked_at < clock_timestamp() - $2::interval OR a.quota_asked_at < t.started_at)),
		       EXISTS (SELECT FROM sent_event WHERE settled_at IS NULL),
		       EXISTS (SELECT FROM task WHERE `+stuckTest("$3")+`),
		       EXISTS (SELECT FROM template WHERE realign_after IS NOT NULL)`,
		lostJob, askQuota, oldTest).
		Scan(&c.LostJobs, &c.Waiting, &c.Copies, &c.Canceled, &c.Breakers, &c.DueQuota, &c.AskQuota, &c.Events, &c.Tests, &c.Realign)
	return c, wrap(err, "look for chores")
}
