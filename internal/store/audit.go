package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Violation is a rule of the ledger that some rows of a task break. None of them may ever be seen, at any commit: the audit of a
// task reads one snapshot, so that a daemon at work makes none.
type Violation struct {
	// TaskID is zero for what belongs to no task.
	TaskID int64 `json:"task_id"`
	// Check is a stable code, such as "permit_not_reserved".
	Check string `json:"check"`
	// Count is how many rows break it.
	Count int64 `json:"count"`
	// Examples name up to five of them.
	Examples []string `json:"examples"`
}

// auditExamples bounds the examples of a violation.
const auditExamples = 5

// auditStatements each yield (check, example), one row for each row that breaks a rule. $1 is the task, $2 its list, $3 its app.
// Each reads the task's own rows by their key, and probes what they point at: an audit costs what the task is large.
func auditStatements() []string {
	return []string{
		// Recipients to permits: who is not terminal and holds a permit, or is unknown, has it reserved for him; who was sent used it.
		// A used permit may have been purged, after its expiry.
		`SELECT CASE
		        WHEN r.permit_id IS NULL AND (r.state = 1 OR r.state = 5 AND NOT r.in_doubt OR r.state = 0 AND r.ambiguous) THEN 'permit_missing'
		        WHEN r.state IN (0, 1, 5, 6) AND r.permit_id IS NOT NULL AND (f.id IS NULL AND r.state <> 5 OR f.state <> 1 OR f.audience_id <> r.audience_id OR f.seq <> r.seq) THEN 'permit_not_reserved'
		        WHEN r.state = 0 AND r.permit_id IS NOT NULL AND NOT r.ambiguous THEN 'permit_kept_without_cause'
		        WHEN r.state = 2 AND (r.permit_id IS NULL AND NOT r.in_doubt OR f.id IS NULL AND r.sent_at > now() - interval '1 day'
		             OR f.state <> 2 OR f.audience_id <> r.audience_id OR f.seq <> r.seq) THEN 'sent_without_used_permit'
		        WHEN r.permit_id IS NOT NULL AND f.user_id <> r.user_id THEN 'permit_of_another_user'
		        END, 'recipient ' || r.seq || ', permit ' || coalesce(r.permit_id::text, 'none')
		   FROM recipient r LEFT JOIN form_id f ON f.id = r.permit_id
		  WHERE r.audience_id = $2 AND EXISTS (SELECT FROM task WHERE id = $1 AND channel = 'form_id' AND app_id = $3)`,
		// Permits to recipients: a reserved one is the permit of a recipient that is not terminal or is unknown, a used one of one that was sent.
		`SELECT CASE f.state WHEN 1 THEN 'permit_reserved_for_nobody' ELSE 'permit_used_but_not_sent' END,
		        'permit ' || f.id || ', recipient ' || r.seq
		   FROM recipient r JOIN form_id f ON f.user_id = r.user_id AND f.app_id = $3 AND f.audience_id = r.audience_id
		  WHERE r.audience_id = $2 AND $1 > 0
		    AND (f.state = 1 AND (r.state NOT IN (0, 1, 5, 6) OR r.permit_id IS DISTINCT FROM f.id)
		      OR f.state = 2 AND (r.state <> 2 OR r.permit_id IS DISTINCT FROM f.id))`,
		// Counters of chunks are their rows, by state and by reason.
		`SELECT CASE WHEN n.reasons IS DISTINCT FROM c.reasons THEN 'reasons_differ_from_rows' ELSE 'counters_differ_from_rows' END,
		        'chunk ' || c.no || ', rows ' || n.counts::text || ', counters ' || ARRAY[c.pending, c.sending, c.sent, c.failed, c.skipped, c.unknown, c.waiting]::text
		   FROM chunk c
		  CROSS JOIN LATERAL (
		        SELECT ARRAY[count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3),
		               count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5), count(*) FILTER (WHERE state = 6)] AS counts,
		               (SELECT coalesce(jsonb_object_agg(reason, n), '{}') FROM (SELECT reason, count(*) AS n FROM recipient
		                 WHERE audience_id = $2 AND seq >= c.lo AND seq < c.hi AND reason IS NOT NULL GROUP BY reason) g) AS reasons
		          FROM recipient WHERE audience_id = $2 AND seq >= c.lo AND seq < c.hi) n
		  WHERE c.task_id = $1 AND $3 > 0 AND (n.counts <> ARRAY[c.pending, c.sending, c.sent, c.failed, c.skipped, c.unknown, c.waiting]::bigint[]
		        OR n.reasons IS DISTINCT FROM (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(c.reasons) WHERE value <> '0'))`,
		// Nobody twice: an openid is in one recipient of a task that was, is being, or may have been sent to.
		`SELECT 'openid_twice', 'recipients ' || string_agg(seq::text, ', ' ORDER BY seq)
		   FROM recipient WHERE audience_id = $2 AND $1 > 0 AND $3 > 0 AND openid IS NOT NULL AND (state IN (1, 2, 5) OR ambiguous)
		  GROUP BY openid HAVING count(*) > 1`,
		// A row in sending was claimed under a lease that its chunk has given out.
		`SELECT 'lease_never_given', 'recipient ' || r.seq || ', lease ' || r.lease || ', chunk ' || coalesce(c.no::text, 'none') || ', lease ' || coalesce(c.lease::text, 'none')
		   FROM recipient r LEFT JOIN chunk c ON c.task_id = $1 AND r.seq >= c.lo AND r.seq < c.hi
		  WHERE r.audience_id = $2 AND $3 > 0 AND r.state = 1 AND (c.lease IS NULL OR r.lease > c.lease)`,
		// Chunks cover the list, each recipient once, and the task's state agrees with theirs.
		`SELECT 'chunks_do_not_cover_the_list', 'chunk ' || c.no || ', [' || c.lo || ', ' || c.hi || ')'
		   FROM (SELECT no, lo, hi, lag(hi, 1, 0) OVER w AS before, lead(lo, 1, (SELECT accepted FROM audience WHERE id = $2)) OVER w AS after
		           FROM chunk WHERE task_id = $1 WINDOW w AS (ORDER BY no)) c
		  WHERE $3 > 0 AND (c.lo <> c.before OR c.hi <> c.after)`,
		`SELECT 'task_done_with_open_chunks', 'chunk ' || c.no || ' is ' || c.state
		   FROM task t JOIN chunk c ON c.task_id = t.id WHERE t.id = $1 AND t.audience_id = $2 AND t.app_id = $3 AND t.state = 'done' AND c.state <> 'done'`,
	}
}

// AuditedTasks lists the tasks that an audit can look at: those with chunks whose rows are still there, the oldest first.
func (s *Store) AuditedTasks(ctx context.Context) ([]int64, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT id FROM task WHERE planned_at IS NOT NULL AND audience_id IS NOT NULL ORDER BY id`)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, wrap(err, "list tasks to audit")
}

// AuditTask holds the rows of a task against the rules of the ledger (invariants 3, 4, 6, 7 and 8), in one snapshot. It returns
// what breaks them; nothing, for a task that has no chunks yet. push.ErrNotFound if there is no such task.
func (s *Store) AuditTask(ctx context.Context, id int64) ([]Violation, error) {
	found := []Violation{}
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var audience *int64
		var app int32
		var planned bool
		if err := tx.QueryRow(ctx, `SELECT audience_id, app_id, planned_at IS NOT NULL FROM task WHERE id = $1`, id).Scan(&audience, &app, &planned); err != nil {
			return err
		}
		if audience == nil || !planned {
			return nil
		}
		for _, sql := range auditStatements() {
			v, err := violations(ctx, tx, sql, id, *audience, app)
			if err != nil {
				return err
			}
			found = append(found, v...)
		}
		return nil
	})
	return found, wrap(err, "audit task %d", id)
}

// AuditPermits looks for reserved permits whose recipient does not exist, for counters whose reserved units are not as many as the recipients that
// name them, or more fresh ones than there are, and for openids that are held by no call. It reads all permits and all recipients once.
func (s *Store) AuditPermits(ctx context.Context) ([]Violation, error) {
	found, err := violations(ctx, s.db(ctx), `
		SELECT 'permit_reserved_for_nobody', 'permit ' || f.id || ', recipient ' || coalesce(f.seq::text, 'none') || ' of list ' || f.audience_id
		  FROM form_id f LEFT JOIN recipient r ON r.audience_id = f.audience_id AND r.seq = f.seq WHERE f.state = 1 AND r.seq IS NULL
		UNION ALL
		SELECT 'subscription_reserved_wrong', 'subscription ' || s.id || ', reserved ' || s.reserved || ', recipients ' || coalesce(n.n, 0)
		  FROM subscription s LEFT JOIN (
		       SELECT permit_id, count(*) AS n FROM recipient WHERE called_at IS NOT NULL AND permit_id IS NOT NULL AND state IN (1, 5) GROUP BY 1) n
		       ON n.permit_id = s.id WHERE s.reserved <> coalesce(n.n, 0)
		UNION ALL
		SELECT 'subscription_fresh_too_many', 'subscription ' || id || ', available ' || available || ', fresh ' || fresh FROM subscription WHERE fresh NOT BETWEEN 0 AND available
		UNION ALL
		SELECT 'openid_held_by_no_call', 'recipient ' || o.seq || ' of list ' || o.audience_id
		  FROM openid_call o LEFT JOIN recipient r ON r.audience_id = o.audience_id AND r.seq = o.seq WHERE r.state IS DISTINCT FROM 1 AND o.free_at IS NULL`)
	return found, wrap(err, "audit permits")
}

// violations gathers the rows of an audit statement by check. It counts where it runs, so that a broken ledger of a million rows
// comes back as a handful.
func violations(ctx context.Context, db DBTX, sql string, args ...any) ([]Violation, error) {
	rows, _ := db.Query(ctx, fmt.Sprintf(`
		SELECT broken, count(*), (array_agg(example ORDER BY example))[1:%d] FROM (%s) AS found (broken, example)
		 WHERE broken IS NOT NULL GROUP BY 1 ORDER BY 1`, auditExamples, sql), args...)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Violation, error) {
		var v Violation
		if len(args) > 0 {
			v.TaskID, _ = args[0].(int64)
		}
		return v, row.Scan(&v.Check, &v.Count, &v.Examples)
	})
}

// String is the violation as a line for a person.
func (v Violation) String() string {
	return fmt.Sprintf("task %d: %s: %d (%s)", v.TaskID, v.Check, v.Count, strings.Join(v.Examples, "; "))
}
