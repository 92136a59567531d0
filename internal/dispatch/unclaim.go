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

// unclaim puts back what a claim wrote ahead although it failed: the answer to its commit may have been lost. Until that is
// certain the claim's slots stay taken, so that the rows in sending are no more than the slots (invariant 2). A database that
// stays away leaves the rows to the next lease, which takes them for ambiguous. It is true where the run may go on.
func (r *run) unclaim(ctx context.Context, failed error) bool {
	if failed == nil || errors.Is(failed, store.ErrClosed) || errors.Is(failed, store.ErrLeaseLost) {
		return false
	}
	ctx = context.WithoutCancel(ctx)
	until := time.Now().Add(flushPatience)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		n, err := r.unclaimOnce(ctx)
		if err == nil {
			r.log.WarnContext(ctx, "claim failed", slog.Any("put_back", n), slog.Any("err", failed))
			return true
		}
		if errors.Is(err, store.ErrLeaseLost) || !time.Now().Add(wait).Before(until) {
			return false
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
