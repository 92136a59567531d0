package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
)

const (
	// maxWait bounds how long after its start a task may wait for permits. A longer campaign is another task.
	maxWait = 30 * 24 * time.Hour
	// leaseTime is how long at most a chunk is left to a process that gives no sign of life.
	leaseTime = 8 * time.Second
	// wakeBatch is how many chunks with waiting rows one statement of the sweep looks at, wakeBudget how long a round may take. The
	// sweep runs each second, so that it costs a tenth of a connection at most; some 10,000 rows a round.
	wakeBatch  = 4
	wakeBudget = 100 * time.Millisecond
	// wakeChunks bounds the chunks that one report of formIds wakes by itself; the sweep wakes the rest.
	wakeChunks = 100
)

// resendWait is how long after an attempt whose outcome is not known another permit may be used, where the policy has it so: by then
// no process can still make, or have under way, a call of that attempt, and the platform's event, where there is one, has most likely come.
func (d *Dispatcher) resendWait(channel push.Channel) time.Duration {
	if provider.For(channel).ResendSafe() {
		return leaseTime + tokenWait + d.cfg.CallTimeout
	}
	return max(leaseTime+tokenWait+d.cfg.CallTimeout, d.cfg.ResendWait)
}

// checkWait checks the time until which a task waits for permits against when it starts.
func checkWait(spec push.TaskSpec, start time.Time, longest time.Duration) error {
	until := spec.WaitForPermitUntil
	if until == nil {
		return nil
	}
	if !until.After(start) {
		return &push.InvalidError{Field: "wait_for_permit_until", Rule: "bad_time", Message: "must be later than the start of the task"}
	}
	if until.Sub(start) > longest {
		return &push.InvalidError{Field: "wait_for_permit_until", Rule: "bad_time", Message: fmt.Sprintf("must be at most %d days after the start of the task", maxWait/(24*time.Hour))}
	}
	return nil
}

// wakeUsers wakes the recipients who waited for the permits that were just taken in. What it misses, or leaves, the sweep finds:
// an error is logged only, for the permits are in; unless they are not yet, and the transaction that they are in is spoilt.
func (d *Dispatcher) wakeUsers(ctx context.Context, appID int32, users []string) error {
	found, err := d.st.WaitingOf(ctx, appID, users)
	for _, w := range found[:min(len(found), wakeChunks)] {
		if _, failed := d.st.WakeChunk(ctx, w.Chunk, w.Seqs, d.cfg.PermitMargin); failed != nil {
			err = errors.Join(err, failed)
			break
		}
	}
	if err != nil && store.Tx(ctx) == nil {
		d.log.WarnContext(ctx, "waiting recipients not woken, the sweep will", slog.Any("err", err))
		err = nil
	}
	return err
}

// wakeWaiting goes on round the recipients that wait for permits, for a bounded time, and wakes those who have one or whose task
// waits no longer. Their chunks are queued by the sweep that called it: at most once a second each, however they trickle in.
func (d *Dispatcher) wakeWaiting(ctx context.Context) error {
	for until := time.Now().Add(wakeBudget); time.Now().Before(until); {
		keys, last, err := d.st.NextWaiting(ctx, d.wakeFrom, wakeBatch, d.cfg.PermitMargin)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if _, err := d.st.WakeChunk(ctx, k, nil, d.cfg.PermitMargin); err != nil {
				return err
			}
		}
		if d.wakeFrom = last; last == (store.ChunkKey{}) {
			return nil
		}
	}
	return nil
}

// narrow bounds the first pass to where rows are pending: of a chunk whose rows wait for permits, a few at a time are woken.
func (r *run) narrow(ctx context.Context) error {
	lo, hi, _, _, err := r.d.st.PendingRange(ctx, r.Run)
	r.cursor, r.hi = lo, hi
	return err
}
