package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// ErrLeaseLost says that the run is over: another one has taken the chunk, or may. Nothing of the transaction was kept.
var ErrLeaseLost = errors.New("the lease of the chunk is lost")

// ErrClosed says that the task is not sending, or its app is paused: nothing was claimed.
var ErrClosed = errors.New("the task is not sending")

// Claimed is a recipient that was written ahead: it is in sending, with its permit and its attempt, committed.
type Claimed struct {
	Seq       int32
	UserID    string
	OpenID    string
	FormID    string
	PermitID  int64
	ExpiresAt time.Time
	// Vars is the JSON array of the upload's further columns; nil where there are none.
	Vars []byte
	// Attempt counts from 1; Tries are the permits that were found dead before.
	Attempt, Tries int16
	// Ambiguous: an earlier attempt with this same permit may have got through (invariant 5).
	Ambiguous bool
	// Counted: the message counts towards the person's daily cap.
	Counted bool
	// InDoubt: an earlier attempt with another permit may have got through, and the task's policy has it sent again all the same.
	InDoubt bool
}

// Claim is what one claim transaction did to a range of a chunk.
type Claim struct {
	Sending []Claimed
	// Ended counts the rows that were settled, or put off, without a call.
	Ended int
	// Contended says that a permit was held by a rival for the moment: the row stays pending, for it is not without a permit.
	Contended bool
}

// Claim takes the pending, due rows of [lo, hi) in run's chunk, at most 1,000 of them: each with an openid and a permit becomes
// sending; those without become skipped, or waiting if it is a permit that they lack and the task waits for one; all in one transaction that first updates the chunk's row under the lease.
// margin is how long before its expiry a formId is no longer claimed. The result is committed before it is returned (invariant 2).
func (s *Store) Claim(ctx context.Context, run Run, lo, hi int32, margin time.Duration) (Claim, error) {
	var c Claim
	err := s.inBoundTx(ctx, func(ctx context.Context) error {
		look, err := s.fenceOpen(ctx, run)
		if err != nil {
			return err
		}
		misses, err := s.claimFresh(ctx, run, lo, hi, margin, look, &c)
		if err == nil && look.cap > 0 && len(c.Sending) > 0 {
			var over []miss
			over, err = s.countDay(ctx, run, look.cap, &c)
			misses = append(misses, over...)
		}
		if err != nil || len(misses) == 0 {
			return err
		}
		return s.endMisses(ctx, run, lo, hi, margin, misses, &c)
	})
	if isUnexpectedRows(err) {
		// A permit was claimed and given back by a rival between this statement's snapshot and its lock. All was undone.
		return Claim{Contended: true}, nil
	}
	if err != nil {
		return Claim{}, wrap(err, "claim chunk %d/%d", run.TaskID, run.No)
	}
	return c, nil
}

// fenceOpen is the first statement of a claim: it updates the chunk's row under the lease, while the task is sending, and neither in a
// canary that this run is no part of nor in a probe of the quota that it does not know of, and takes the shared side of the lock against
// moves of openids. It also says what of the app's courtesies the claim must look up.
func (s *Store) fenceOpen(ctx context.Context, run Run) (look courtesy, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		UPDATE chunk c SET updated_at = clock_timestamp() FROM task t JOIN app a ON a.id = t.app_id
		 WHERE c.task_id = $1 AND c.no = $2 AND c.lease = $3 AND c.state = 'running'
		   AND t.id = c.task_id AND t.state = 'sending' AND a.paused_at IS NULL AND (NOT $5 OR t.canary_passed_at IS NOT NULL)
		   AND ($6 OR a.quota_probe_task IS DISTINCT FROM t.id)
		RETURNING pg_advisory_xact_lock_shared($4, t.app_id), `+boundTx+`, a.daily_cap, `+anySuppressed("t.app_id"),
		run.TaskID, run.No, run.Lease, lockMoves, run.PastCanary, run.Probe).Scan(nil, nil, &look.cap, &look.suppress)
	if !isNoRows(err) {
		return look, err
	}
	held, err := s.holds(ctx, run)
	if err != nil || held {
		return look, errors.Join(err, ErrClosed)
	}
	return look, ErrLeaseLost
}

func (s *Store) holds(ctx context.Context, run Run) (held bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM chunk WHERE task_id = $1 AND no = $2 AND lease = $3 AND state = 'running')`, run.TaskID, run.No, run.Lease).Scan(&held)
	return held, err
}

// miss is a row that could not be written ahead, and what stood against it.
type miss struct {
	seq    int32
	userID string
	tries  int16
	reason push.Reason
	// inDoubt is as in Claimed.
	inDoubt bool
}

// claimFreshOf is the statement of claimFresh for a channel. Each look-up is a probe of an index under LIMIT, each update goes by
// ctid, so that no statistics can turn the plan into one that reads the table. A row whose openid belonged to another user before is
// held against what that user got in this task. Where the platform takes one call at a time for an openid, the row takes its openid
// as well, in the order of the openids, as all do who let go of one ([letGo]), so that no two wait for each other crosswise; whoever
// finds it taken stays pending. It writes when the call begins, by which an event finds it.
func claimFreshOf(k *permits) string {
	busy, claimed, look, reported, called := "", "", "", "", ""
	id := "coalesce(p.id, 0)"
	if k.oneCall {
		busy = `
		busy AS (
		    INSERT INTO openid_call (openid, app_id, audience_id, seq) SELECT p.openid, $5, $1, p.seq FROM p WHERE p.id IS NOT NULL ORDER BY p.openid
		        ON CONFLICT (openid, app_id) DO UPDATE SET audience_id = excluded.audience_id, seq = excluded.seq, free_at = NULL
		        WHERE openid_call.free_at <= clock_timestamp() RETURNING seq),`
		claimed, look = " JOIN busy b ON b.seq = p.seq", " LEFT JOIN busy b ON b.seq = p.seq"
		id = "CASE WHEN b.seq IS NULL THEN 0 ELSE p.id END"
		called = ", called_at = clock_timestamp()"
		// Whoever is to be sent to again waits for an event that came in and has not found its recipient yet: it may be of the first call.
		reported = `
		       AND NOT (r.in_doubt AND EXISTS (SELECT FROM sent_event e WHERE e.openid = r.openid AND e.app_id = $5 AND e.settled_at IS NULL))`
	}
	return `
		WITH p AS MATERIALIZED (
		    SELECT r.ctid AS rid, r.seq, r.user_id, r.vars, r.attempt, r.permit_tries, r.in_doubt, u.user_id IS NOT NULL AS known, u.openid,
		           d.there IS NOT NULL AS twice, s.there IS NOT NULL AS suppressed, n.there IS NOT NULL AS capped, f.id, f.form_id, f.expires_at, f.fid
		      FROM recipient r
		      LEFT JOIN LATERAL (SELECT u.user_id, u.openid, u.moved FROM app_user u WHERE u.app_id = $5 AND u.user_id = r.user_id LIMIT 1) u ON true
		      LEFT JOIN LATERAL (
		           SELECT true AS there FROM openid_move m
		            CROSS JOIN LATERAL (SELECT o.openid, o.state, o.ambiguous OR o.in_doubt AS doubted FROM recipient o WHERE ` + userInList("o", "m.user_id", "$1") + ` LIMIT 1) o
		            WHERE u.moved AND m.app_id = $5 AND m.openid = u.openid AND o.openid = u.openid
		              AND (o.state IN (1, 2, 5) OR o.doubted) LIMIT 1) d ON true
		      LEFT JOIN LATERAL (` + isSuppressed("$9", "$5", "r.user_id", "u.openid") + `) s ON true
		      LEFT JOIN LATERAL (` + isCapped("$10::int", "$5", "u.openid", dayOf("now()", "$11"), "$7::bigint") + `) n ON true
		      LEFT JOIN LATERAL (
		           SELECT f.id, ` + k.columns + `, f.ctid AS fid FROM ` + k.table + ` f
		            WHERE ` + k.usable("$5", "r.user_id", "u.openid", "$12", "now()", "$6") + `
		              AND u.openid IS NOT NULL AND d.there IS NULL AND s.there IS NULL AND n.there IS NULL AND $12::text IS NOT NULL
		            ` + k.order + ` LIMIT 1 FOR UPDATE SKIP LOCKED) f ON true
		     WHERE r.audience_id = $1 AND r.seq >= $2 AND r.seq < $3 AND r.state = 0 AND NOT r.ambiguous
		       AND (r.retry_at IS NULL OR r.retry_at <= clock_timestamp())` + reported + `),` + busy + `
		permit AS (UPDATE ` + k.table + ` f SET ` + k.take + ` FROM p` + claimed + ` WHERE f.ctid = p.fid RETURNING 1),
		ahead AS (
		    UPDATE recipient x SET state = 1, attempt = x.attempt + 1, permit_id = p.id, openid = p.openid, lease = $4, retry_at = NULL` + called + `
		      FROM p` + claimed + ` WHERE x.ctid = p.rid AND p.id IS NOT NULL RETURNING 1),
		counted AS (
		    UPDATE chunk SET pending = pending - n.claimed, sending = sending + n.claimed
		      FROM (SELECT count(*) AS claimed FROM ahead) n WHERE task_id = $7 AND no = $8 AND n.claimed > 0)
		SELECT p.seq, user_id, vars, attempt + 1, permit_tries, in_doubt, known, coalesce(openid, ''), twice, suppressed, capped, ` + id + `,
		       coalesce(form_id, ''), coalesce(expires_at, 'epoch') FROM p` + look + ` WHERE expect_rows((SELECT count(*) FROM permit), (SELECT count(*) FROM ahead)) ORDER BY p.seq`
}

// claimFresh claims rows that hold no permit. look says what of the app's courtesies there is to look up.
func (s *Store) claimFresh(ctx context.Context, run Run, lo, hi int32, margin time.Duration, look courtesy, c *Claim) ([]miss, error) {
	rows, _ := s.db(ctx).Query(ctx, permitsOf(run.Channel).claimFresh,
		run.AudienceID, lo, hi, run.Lease, run.AppID, margin, run.TaskID, run.No, look.suppress, look.cap, run.Zone, run.TemplateID)
	var misses []miss
	var row Claimed
	var known, twice, suppressed, capped bool
	_, err := pgx.ForEachRow(rows, []any{
		&row.Seq, &row.UserID, &row.Vars, &row.Attempt, &row.Tries, &row.InDoubt, &known, &row.OpenID, &twice, &suppressed, &capped,
		&row.PermitID, &row.FormID, &row.ExpiresAt,
	}, func() error {
		reason := push.NoPermit
		switch {
		case row.PermitID != 0:
			c.Sending = append(c.Sending, row)
			row.Vars = nil
			return nil
		case !known:
			reason = push.NoUser
		case row.OpenID == "":
			reason = push.NoOpenID
		case suppressed:
			reason = push.Suppressed
		case twice:
			reason = push.DuplicateOpenID
		case capped:
			reason = push.Capped
		}
		misses = append(misses, miss{row.Seq, row.UserID, row.Tries, reason, row.InDoubt})
		row.Vars = nil
		return nil
	})
	return misses, err
}

// endMisses settles rows that cannot be sent. One that seemed to have no permit is looked at again, without SKIP LOCKED: a
// permit that a rival holds for a moment is not "no permit" (invariant 3).
func (s *Store) endMisses(ctx context.Context, run Run, lo, hi int32, margin time.Duration, misses []miss, c *Claim) error {
	held, err := s.usable(ctx, run, misses, margin)
	if err != nil {
		return err
	}
	waits, err := s.waits(ctx, run)
	if err != nil {
		return err
	}
	states, reasons := make([]int16, hi-lo), make([]int16, hi-lo)
	counts := outcomeCounts{reasons: map[push.Reason]int{}}
	for _, m := range misses {
		if m.reason == push.NoPermit && held[m.userID] {
			c.Contended = true
			continue
		}
		state, reason := m.end(waits)
		states[m.seq-lo], reasons[m.seq-lo] = int16(state), int16(reason)
		counts.add(push.Pending, state, reason)
		c.Ended++
	}
	if c.Ended == 0 {
		return nil
	}
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE recipient x SET state = ($4::smallint[])[x.seq - $2 + 1], reason = nullif(($5::smallint[])[x.seq - $2 + 1], 0), lease = $6,
		       retry_at = NULL, updated_at = clock_timestamp()
		 WHERE x.audience_id = $1 AND x.seq >= $2 AND x.seq < $3 AND x.state = 0 AND ($4::smallint[])[x.seq - $2 + 1] <> 0`,
		run.AudienceID, lo, hi, states, reasons, run.Lease)
	if err != nil {
		return err
	}
	if int(tag.RowsAffected()) != c.Ended {
		return fmt.Errorf("%d rows to end, %d found: %w", c.Ended, tag.RowsAffected(), ErrLeaseLost)
	}
	return s.count(ctx, run, counts)
}

// end is what a row becomes that cannot be sent. One that lacks a permit waits for it where the task does. One that may have been
// reached with an earlier permit is unknown; one whose earlier permits were dead failed, for a call was made; the rest are skipped.
func (m miss) end(waits bool) (push.RecipientState, push.Reason) {
	switch {
	case m.reason == push.NoPermit && waits:
		return push.Waiting, push.NoReason
	case m.inDoubt:
		return push.Unknown, push.Unsure
	case m.reason == push.NoPermit && m.tries > 0:
		return push.Failed, push.PermitDead
	}
	return push.Skipped, m.reason
}

// usable says which of the users without a claim have a permit after all.
func (s *Store) usable(ctx context.Context, run Run, misses []miss, margin time.Duration) (map[string]bool, error) {
	var users []string
	for _, m := range misses {
		if m.reason == push.NoPermit {
			users = append(users, m.userID)
		}
	}
	held := map[string]bool{}
	if len(users) == 0 {
		return held, nil
	}
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT n.user_id FROM unnest($2::text[]) AS n(user_id)
		  LEFT JOIN LATERAL (SELECT u.openid FROM app_user u WHERE u.app_id = $1 AND u.user_id = n.user_id LIMIT 1) u ON true
		  `+permitsOf(run.Channel).there("JOIN", "$1", "n.user_id", "u.openid", "$4", "$3"), run.AppID, users, margin, run.TemplateID)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, u := range found {
		held[u] = true
	}
	return held, err
}

// HasPermit says which of the users have a permit now that run could claim.
func (s *Store) HasPermit(ctx context.Context, run Run, users []string, margin time.Duration) (map[string]bool, error) {
	misses := make([]miss, len(users))
	for i, u := range users {
		misses[i] = miss{userID: u, reason: push.NoPermit}
	}
	held, err := s.usable(ctx, run, misses, margin)
	return held, wrap(err, "look for permits")
}

// PendingRange says where the rows of run's chunk that are still pending lie, [lo, hi), and how long it is until the first of
// them is due; n is how many there are.
func (s *Store) PendingRange(ctx context.Context, run Run) (lo, hi int32, n int, due time.Duration, err error) {
	var seconds float64
	err = s.db(ctx).QueryRow(ctx, `
		SELECT coalesce(min(seq), 0), coalesce(max(seq) + 1, 0), count(*),
		       coalesce(extract(epoch FROM min(coalesce(retry_at, clock_timestamp())) - clock_timestamp()), 0)::float8
		  FROM recipient WHERE audience_id = $1 AND seq >= $2 AND seq < $3 AND state = 0`, run.AudienceID, run.Lo, run.Hi).
		Scan(&lo, &hi, &n, &seconds)
	return lo, hi, n, time.Duration(seconds * float64(time.Second)), wrap(err, "pending rows of chunk %d/%d", run.TaskID, run.No)
}
