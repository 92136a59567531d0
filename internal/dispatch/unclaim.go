package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"minipush/internal/store"
)

// maxMisclaims is how many claims of a run may fail: one for each connection that a restart of the database has left dead in the
// pool is the rule, and without an end it would be a loop.
const maxMisclaims = 20

// isUncertain says that a claim may have been committed although it failed: its answer is what is missing.
func isUncertain(err error) bool {
	return err != nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrLeaseLost)
}

// unclaim puts back what a claim wrote ahead although it failed: the answer to its commit may have been lost. Until that is
// certain the claim's slots stay taken, so that the rows in sending are no more than the slots (invariant 2). After nil the run may
// go on; a database that stays away leaves the rows to the next lease, which takes them for ambiguous.
func (r *run) unclaim(ctx context.Context, failed error) error {
	if r.misclaims++; r.misclaims > maxMisclaims {
		return failed
	}
	stopping := ctx
	ctx = context.WithoutCancel(ctx)
	until := time.Now().Add(flushPatience)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		n, err := r.unclaimOnce(ctx)
		if err == nil {
			r.log.WarnContext(ctx, "claim failed", slog.Any("put_back", n), slog.Any("err", failed))
			return nil
		}
		if errors.Is(err, store.ErrLeaseLost) || stopping.Err() != nil || !time.Now().Add(wait).Before(until) {
			return err
		}
		<-time.After(wait)
	}
}

func (r *run) unclaimOnce(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("putting claimed rows back took over 10 s"))
	defer cancel()
	calling := slices.AppendSeq(make([]int32, 0, len(r.users)), maps.Keys(r.users)) // those whose outcome is not yet written
	return r.d.st.Unclaim(ctx, r.Run, calling)
}

// abandon ends a run that has lost its lease or its database: it waits for the calls in flight. Their rows stay in sending, to be
// ambiguous under the next lease, and keep their slots until then; whoever took this lease has seen to them already.
func (r *run) abandon(err error) {
	for ; r.inFlight > 0; r.inFlight-- {
		<-r.answers
		r.owed++
	}
	r.owed += len(r.done)
	r.done = nil
	if errors.Is(err, store.ErrLeaseLost) {
		r.d.slots.give(r.TaskID, r.owed)
		return
	}
	r.d.runs.owe(store.ChunkKey{TaskID: r.TaskID, No: r.No}, r.owed)
}
