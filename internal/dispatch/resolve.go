package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"minipush/internal/push"
	"minipush/internal/store"
)

// Resolution is what a person found out about recipients whose outcome is unknown, for example by asking them.
type Resolution struct {
	// As is what they are to be: "sent" or "failed".
	As string `json:"as"`
	// Seqs are the recipients, at most MaxBatch; or All of the task's unknown ones.
	Seqs []int32 `json:"seqs"`
	All  bool    `json:"all"`
	// Begun is called in the first transaction; may be nil.
	Begun func(ctx context.Context) error `json:"-"`
}

// begun runs Begun, where there is one.
func (r Resolution) begun(ctx context.Context) error {
	if r.Begun == nil {
		return nil
	}
	return r.Begun(ctx)
}

// Resolved is what became of a Resolution.
type Resolved struct {
	// Resolved counts the recipients that were unknown until then.
	Resolved int       `json:"resolved"`
	Task     push.Task `json:"task"`
}

func (r Resolution) validate() error {
	var errs []error
	if r.As != push.Sent.String() && r.As != push.Failed.String() {
		errs = append(errs, &push.InvalidError{Field: "as", Rule: "unknown_value", Message: `must be "sent" or "failed"`})
	}
	switch {
	case r.All == (len(r.Seqs) > 0):
		errs = append(errs, &push.InvalidError{Field: "seqs", Rule: "required", Message: "must name the recipients, or all must be true; not both"})
	case len(r.Seqs) > MaxBatch:
		errs = append(errs, &push.InvalidError{Field: "seqs", Rule: "batch_size", Message: fmt.Sprintf("must have at most %d items", MaxBatch)})
	}
	if i := slices.IndexFunc(r.Seqs, func(seq int32) bool { return seq < 0 }); i >= 0 {
		errs = append(errs, unknownSeq(i))
	}
	return errors.Join(errs...)
}

func unknownSeq(i int) error {
	return &push.InvalidError{Field: fmt.Sprintf("seqs[%d]", i), Rule: "unknown_recipient", Message: "is not a recipient of the task"}
}

// Resolve settles recipients whose outcome is unknown by a person's word, of a task in any state. A permit that they still hold is
// used (sent) or invalid (failed), and never free again: a word is no proof that nothing was sent with it. Of seqs all are settled or
// none: one that is neither unknown nor what it is to be is the refusal not_unknown, so that of two people who disagree the later one
// learns of it. To say the same again changes nothing and is no error. All of a task are settled in short transactions: ctx carries none then.
func (d *Dispatcher) Resolve(ctx context.Context, actor string, id int64, r Resolution) (Resolved, error) {
	if err := r.validate(); err != nil {
		return Resolved{}, err
	}
	t, err := d.st.Task(ctx, id)
	if err != nil {
		return Resolved{}, err
	}
	if t.AudienceID == 0 && t.Counts.Unknown > 0 {
		return Resolved{}, listGone(t)
	}
	what := store.Resolve{State: push.Sent, Permit: store.PermitSpent, Note: "人工确认为已送达 settled by hand as sent by " + actor}
	if r.As == push.Failed.String() {
		what = store.Resolve{
			State: push.Failed, Reason: push.PlatformError, Permit: store.PermitDied, Note: "人工确认为未送达 settled by hand as failed by " + actor,
		}
	}
	var n int
	if r.All {
		if err = d.st.InTx(ctx, r.begun); err == nil {
			n, err = d.resolveAll(ctx, id, what)
		}
	} else {
		err = d.st.InTx(ctx, func(ctx context.Context) error {
			if n, err = d.resolveSeqs(ctx, t, r.Seqs, what); err != nil {
				return err
			}
			return r.begun(ctx)
		})
	}
	if err != nil {
		return Resolved{}, err
	}
	d.log.InfoContext(ctx, "unknown outcomes settled by hand", slog.Any("task_id", id), slog.Any("as", r.As), slog.Any("recipients", n), slog.Any("actor", actor))
	t, err = d.st.Task(ctx, id)
	return Resolved{Resolved: n, Task: t}, err
}

// resolveAll settles what is unknown now, a short transaction a chunk.
func (d *Dispatcher) resolveAll(ctx context.Context, id int64, what store.Resolve) (n int, err error) {
	chunks, err := d.st.ChunksWithUnknown(ctx, id)
	if err != nil {
		return 0, err
	}
	for _, c := range chunks {
		some, _, err := d.st.ResolveChunk(ctx, c, what)
		if err != nil {
			return n, err
		}
		n += some
	}
	return n, nil
}

// resolveSeqs settles the recipients named, in the transaction that ctx carries.
func (d *Dispatcher) resolveSeqs(ctx context.Context, t push.Task, seqs []int32, what store.Resolve) (n int, err error) {
	chunks, err := d.st.ChunksOf(ctx, t.ID, seqs)
	if err != nil {
		return 0, err
	}
	known := map[int32]bool{}
	for _, c := range chunks {
		for _, seq := range c.Seqs {
			known[seq] = true
		}
	}
	if i := slices.IndexFunc(seqs, func(seq int32) bool { return !known[seq] }); i >= 0 {
		return 0, unknownSeq(i)
	}
	for _, c := range chunks {
		some, stuck, err := d.st.ResolveChunk(ctx, c, what)
		if err != nil {
			return 0, err
		}
		if stuck != nil {
			return 0, &push.Refusal{
				Code: push.RefusedNotUnknown, TaskID: t.ID, State: t.State, Detail: fmt.Sprintf("recipient %d is %s", stuck.Seq, stuck.State),
			}
		}
		n += some
	}
	return n, nil
}

func listGone(t push.Task) error {
	return &push.Refusal{Code: push.RefusedListGone, TaskID: t.ID, State: t.State}
}
