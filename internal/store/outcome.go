package store

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"minipush/internal/push"
)

// PermitFate is what an outcome does to the permit that the attempt used.
type PermitFate int8

// The fates of a permit.
const (
	// PermitKept stays reserved for the recipient: the outcome is not certain.
	PermitKept PermitFate = iota
	// PermitSpent was used: the platform said so, or sent.
	PermitSpent
	// PermitDied is of no use to anybody: the platform said so.
	PermitDied
	// PermitFreed goes back to its owner: it is certain that nothing was sent with it.
	PermitFreed
)

// Outcome is what became of one recipient in sending.
type Outcome struct {
	Seq      int32
	PermitID int64
	// State is what the recipient becomes: Sent, Failed, Unknown, or Pending for another attempt.
	State     push.RecipientState
	Reason    push.Reason
	Permit    PermitFate
	Code      int32
	Inferred  bool
	Ambiguous bool
	// CountedFor is the openid whose daily cap the message counts towards; empty if it does not.
	CountedFor string
	// InDoubt says that an attempt with this permit may have got through, and that the recipient goes on with another one.
	InDoubt bool
	// NotCounted says that the attempt does not count: no call was made, or the trouble was not the recipient's.
	NotCounted bool
	MsgID      int64
	RID, Note  string
	// AnsweredAt is when the answer came, by this process's clock.
	AnsweredAt time.Time
	// RetryIn is, for Pending, how long after the write the row is due again (zero: at once); the database's clock counts it.
	RetryIn time.Duration
}

// Bits of the flags array of RecordOutcomes.
const (
	flagInferred = 1 << iota
	flagAmbiguous
	flagKeepPermit
	flagPermitTried
	flagSent
	flagNotCounted
	flagInDoubt
)

// recordOutcomesOf is the statement of recordOutcomes for a channel: one,  so that a batch costs one round trip and one commit. The chunk's row is updated first, under
// the lease and with its counters; where that finds no row, nothing else is written. EXISTS keeps it out of the plans of the
// others, which stay a range of the key and probes of the key. expect_rows ends the statement with an error, and so undoes it,
// if a row was not there.
func recordOutcomesOf(k *permits) string {
	fate := func(set, ids string) string {
		return `UPDATE ` + k.table + ` SET ` + set + ` WHERE id = ANY (` + ids + `::bigint[]) AND ` + k.held + ` AND EXISTS (SELECT FROM held) RETURNING 1`
	}
	over := ""
	if k.oneCall {
		over = `
	over AS (` + letGo(`audience_id = $1 AND seq >= $2 AND seq < $3 AND ($5::smallint[])[seq - $2 + 1] >= 0 AND EXISTS (SELECT FROM held)`) + `),`
	}
	return `
	WITH held AS (
	    UPDATE chunk SET pending = pending + $16, sending = sending + $17, sent = sent + $18, failed = failed + $19, skipped = skipped + $20,
	           unknown = unknown + $21, waiting = waiting + $22, updated_at = clock_timestamp(),
	           reasons = CASE WHEN $23::jsonb = '{}' THEN reasons ELSE add_reasons(reasons, $23) END
	     WHERE task_id = $14 AND no = $15 AND lease = $4 AND state = 'running' RETURNING pending),
	written AS (
	    UPDATE recipient x SET state = ($5::smallint[])[x.seq - $2 + 1], reason = nullif(($6::smallint[])[x.seq - $2 + 1], 0),
	           platform_code = nullif(($7::int[])[x.seq - $2 + 1], 0),
	           inferred = (($8::smallint[])[x.seq - $2 + 1] & 1) <> 0,
	           ambiguous = (($8::smallint[])[x.seq - $2 + 1] & 2) <> 0,
	           in_doubt = x.in_doubt OR (($8::smallint[])[x.seq - $2 + 1] & 64) <> 0,
	           permit_id = CASE WHEN (($8::smallint[])[x.seq - $2 + 1] & 4) <> 0 THEN x.permit_id END,
	           permit_tries = x.permit_tries + ((($8::smallint[])[x.seq - $2 + 1] & 8) >> 3)::smallint,
	           attempt = x.attempt - ((($8::smallint[])[x.seq - $2 + 1] & 32) >> 5)::smallint,
	           updated_at = $9::timestamptz + ($10::int[])[x.seq - $2 + 1] * interval '1 ms',
	           sent_at = CASE WHEN (($8::smallint[])[x.seq - $2 + 1] & 16) <> 0 THEN $9::timestamptz + ($10::int[])[x.seq - $2 + 1] * interval '1 ms' END,
	           retry_at = CASE WHEN ($11::int[])[x.seq - $2 + 1] > 0 THEN clock_timestamp() + ($11::int[])[x.seq - $2 + 1] * interval '1 ms' END,
	           msgid = nullif(($12::bigint[])[x.seq - $2 + 1], 0),
	           rid = $13::jsonb -> x.seq::text ->> 'rid', note = $13::jsonb -> x.seq::text ->> 'note'
	     WHERE x.audience_id = $1 AND x.seq >= $2 AND x.seq < $3 AND x.state = 1 AND x.lease = $4
	       AND ($5::smallint[])[x.seq - $2 + 1] >= 0 AND EXISTS (SELECT FROM held)
	    RETURNING 1),` + over + `
	spent AS (` + fate(k.spend, "$24") + `),
	died  AS (` + fate(k.die, "$25") + `),
	freed AS (` + fate(k.free, "$26") + `)
	SELECT pending, expect_rows((SELECT count(*) FROM written), $27)
	       AND expect_rows((SELECT count(*) FROM spent) + (SELECT count(*) FROM died) + (SELECT count(*) FROM freed),
	                       coalesce(cardinality($24), 0) + coalesce(cardinality($25), 0) + coalesce(cardinality($26), 0)) FROM held`
}

// RecordOutcomes writes the outcomes of a batch and the fates of their permits in one transaction, which first updates the
// chunk's row, with its counters, under the lease (invariants 2, 6 and 8). ErrLeaseLost means that nothing was written.
// All seqs lie in run's chunk, each once. It returns how many rows of the chunk are then pending. A message that counted towards a
// daily cap and was certainly not sent is taken out of the count in the same transaction.
func (s *Store) RecordOutcomes(ctx context.Context, run Run, outcomes []Outcome) (pending int, err error) {
	back := uncounted(outcomes)
	if len(back) == 0 {
		return s.recordOutcomes(ctx, run, outcomes)
	}
	err = s.InTx(ctx, func(ctx context.Context) error {
		if pending, err = s.recordOutcomes(ctx, run, outcomes); err != nil {
			return err
		}
		return s.uncount(ctx, run, back)
	})
	return pending, wrap(err, "record outcomes of chunk %d/%d", run.TaskID, run.No)
}

func (s *Store) recordOutcomes(ctx context.Context, run Run, outcomes []Outcome) (pending int, err error) {
	b := packOutcomes(outcomes)
	d := b.counts.delta
	var all bool
	err = s.db(ctx).QueryRow(ctx, permitsOf(run.Channel).recordOutcomes,
		run.AudienceID, b.lo, b.hi, run.Lease, b.states, b.reasons, b.codes, b.flags, b.base, b.answered, b.retry, b.msgids, b.texts,
		run.TaskID, run.No, d[push.Pending], d[push.Sending], d[push.Sent], d[push.Failed], d[push.Skipped], d[push.Unknown], d[push.Waiting],
		b.counts.json(), b.spent, b.died, b.freed, len(outcomes)).Scan(&pending, &all)
	if isNoRows(err) { // not joined: wrap would make "not found" of it
		err = ErrLeaseLost
	}
	if isUnexpectedRows(err) {
		err = errors.Join(err, ErrLeaseLost)
	}
	return pending, wrap(err, "record outcomes of chunk %d/%d", run.TaskID, run.No)
}

// packed is a batch of outcomes as dense arrays over [lo, hi). They hold no NULL: an array with one is read in O(n) an element.
type packed struct {
	lo, hi                 int32
	base                   time.Time
	states, reasons, flags []int16
	codes, answered, retry []int32
	msgids                 []int64
	// texts are the rid and note of those that have one, {"<seq>": {"rid", "note"}}; nil where none has.
	texts              []byte
	spent, died, freed []int64
	counts             outcomeCounts
}

func packOutcomes(outcomes []Outcome) packed {
	b := packed{lo: outcomes[0].Seq, hi: outcomes[0].Seq + 1, base: outcomes[0].AnsweredAt, counts: outcomeCounts{reasons: map[push.Reason]int{}}}
	for _, o := range outcomes {
		b.lo, b.hi = min(b.lo, o.Seq), max(b.hi, o.Seq+1)
		if o.AnsweredAt.Before(b.base) {
			b.base = o.AnsweredAt
		}
	}
	n := b.hi - b.lo
	b.states, b.reasons, b.flags = make([]int16, n), make([]int16, n), make([]int16, n)
	b.codes, b.answered, b.retry, b.msgids = make([]int32, n), make([]int32, n), make([]int32, n), make([]int64, n)
	for i := range b.states {
		b.states[i] = -1
	}
	texts := map[string]map[string]string{}
	for _, o := range outcomes {
		i := o.Seq - b.lo
		b.states[i], b.reasons[i], b.codes[i], b.msgids[i] = int16(o.State), int16(o.Reason), o.Code, o.MsgID
		b.flags[i] = o.flags()
		b.answered[i] = milliseconds(o.AnsweredAt.Sub(b.base))
		if o.RetryIn > 0 {
			b.retry[i] = max(1, milliseconds(o.RetryIn))
		}
		if o.RID != "" || o.Note != "" {
			texts[strconv.Itoa(int(o.Seq))] = map[string]string{"rid": o.RID, "note": o.Note}
		}
		switch o.Permit {
		case PermitSpent:
			b.spent = append(b.spent, o.PermitID)
		case PermitDied:
			b.died = append(b.died, o.PermitID)
		case PermitFreed:
			b.freed = append(b.freed, o.PermitID)
		case PermitKept:
		}
		b.counts.add(push.Sending, o.State, o.Reason)
	}
	if len(texts) > 0 {
		b.texts, _ = json.Marshal(texts) // a map of strings always marshals
	}
	return b
}

// milliseconds fits a batch: its answers, and their retries, lie minutes apart.
func milliseconds(d time.Duration) int32 { return int32(d.Milliseconds()) } //nolint:gosec // see above

func (o Outcome) flags() int16 {
	var f int16
	if o.Inferred {
		f |= flagInferred
	}
	if o.Ambiguous {
		f |= flagAmbiguous
	}
	// Whoever ends unknown names a permit only while that is reserved for him: settling him takes it.
	dead := o.State == push.Unknown && o.Permit == PermitDied
	if o.Permit == PermitKept || o.State != push.Pending && o.Permit != PermitFreed && !dead {
		f |= flagKeepPermit
	}
	if o.Permit == PermitDied || o.Permit == PermitSpent && o.State == push.Pending {
		f |= flagPermitTried
	}
	if o.State == push.Sent {
		f |= flagSent
	}
	if o.NotCounted {
		f |= flagNotCounted
	}
	if o.InDoubt {
		f |= flagInDoubt
	}
	return f
}

// outcomeCounts are changes to a chunk's counters.
type outcomeCounts struct {
	delta   [7]int
	reasons map[push.Reason]int
}

func (c *outcomeCounts) add(from, to push.RecipientState, reason push.Reason) {
	c.delta[from]--
	c.delta[to]++
	if reason != push.NoReason {
		c.reasons[reason]++
	}
}

func (c *outcomeCounts) json() []byte {
	reasons := make(map[string]int, len(c.reasons))
	for r, n := range c.reasons {
		reasons[strconv.Itoa(int(r))] = n
	}
	text, _ := json.Marshal(reasons) // a map of numbers always marshals
	return text
}

// count adds to the counters of run's chunk under its lease.
func (s *Store) count(ctx context.Context, run Run, c outcomeCounts) error {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE chunk SET pending = pending + $4, sending = sending + $5, sent = sent + $6, failed = failed + $7, skipped = skipped + $8,
		       unknown = unknown + $9, waiting = waiting + $10, updated_at = clock_timestamp(),
		       reasons = CASE WHEN $11::jsonb = '{}' THEN reasons ELSE add_reasons(reasons, $11) END
		 WHERE task_id = $1 AND no = $2 AND lease = $3 AND state = 'running'`,
		run.TaskID, run.No, run.Lease, c.delta[push.Pending], c.delta[push.Sending], c.delta[push.Sent], c.delta[push.Failed],
		c.delta[push.Skipped], c.delta[push.Unknown], c.delta[push.Waiting], c.json())
	if err == nil && tag.RowsAffected() == 0 {
		return ErrLeaseLost
	}
	return err
}

// isUnexpectedRows says that expect_rows ended a statement.
func isUnexpectedRows(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "MP001"
}

// SendingRows counts how many of the seqs are still in sending under run's lease: after a commit whose answer was lost, none
// means that it took place.
func (s *Store) SendingRows(ctx context.Context, run Run, seqs []int32) (n int, held bool, err error) {
	if held, err = s.holds(ctx, run); err != nil || !held {
		return 0, held, wrap(err, "read back chunk %d/%d", run.TaskID, run.No)
	}
	err = s.db(ctx).QueryRow(ctx, `
		SELECT count(*) FROM recipient WHERE audience_id = $1 AND seq >= $2 AND seq < $3 AND state = 1 AND lease = $4 AND seq = ANY ($5)`,
		run.AudienceID, run.Lo, run.Hi, run.Lease, seqs).Scan(&n)
	return n, true, wrap(err, "read back chunk %d/%d", run.TaskID, run.No)
}
