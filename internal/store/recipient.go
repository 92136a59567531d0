package store

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// RecipientFilter narrows a list of recipients.
type RecipientFilter struct {
	// State narrows to one state; nil is all.
	State *push.RecipientState
	// Reason narrows to one reason; NoReason is all.
	Reason push.Reason
	// UserID narrows to one user; empty is all.
	UserID string
	// After lists recipients with a larger seq, from -1, which starts at the first, to MaxInt32-1.
	After int32
	Limit int
}

// recipientPage selects a page of recipients. No index names a state: a page by state or reason walks the chunks whose counters
// say that they hold some. The counters also say how many chunks make up the page, so that it is put in order by a sort of hardly
// more rows than it has: neither what it holds nor what it costs hangs on the plan. A chunk that the page begins in counts for nothing. A list
// that has no chunks yet has no gaps either, so that the numbers say which rows the page has.
var recipientPage = `
	SELECT p.seq, p.user_id, p.openid, p.state, p.attempt, p.ambiguous, p.inferred, p.in_doubt, (SELECT f.form_id FROM form_id f WHERE f.id = p.permit_id AND f.audience_id = p.audience_id),
	       coalesce(p.reason, 0), p.platform_code, p.rid, p.note, p.msgid, (ARRAY['delivered', 'failed'])[p.delivery], p.sent_at, p.made_at, coalesce(p.updated_at, p.made_at), p.vars
	  FROM (
	       (SELECT r.*, l.created_at AS made_at
	          FROM task t JOIN audience l ON l.id = t.audience_id
	         CROSS JOIN LATERAL (
	               SELECT n.lo, n.hi FROM (
	                      SELECT c.lo, c.hi, m.n, sum(CASE WHEN c.lo > $2::int THEN m.n ELSE 0 END) OVER (ORDER BY c.lo) AS upto
	                        FROM chunk c CROSS JOIN LATERAL (SELECT CASE
	                             WHEN $4 > 0 THEN coalesce((c.reasons ->> $4::text)::int, 0) WHEN $3 < 0 THEN c.hi - c.lo
	                             WHEN $3 = 0 THEN c.pending WHEN $3 = 1 THEN c.sending WHEN $3 = 2 THEN c.sent WHEN $3 = 3 THEN c.failed
	                             WHEN $3 = 4 THEN c.skipped WHEN $3 = 5 THEN c.unknown ELSE c.waiting END AS n) m
	                       WHERE c.task_id = t.id AND c.hi > $2::int + 1) n
	                WHERE n.n > 0 AND n.upto - n.n < $6
	               UNION ALL
	               SELECT $2::int + 1, least($2::bigint + 1 + $6, 2147483647)::int WHERE t.planned_at IS NULL AND $3 <= 0 AND $4 = 0) c
	         CROSS JOIN LATERAL (
	               SELECT * FROM recipient r WHERE r.audience_id = t.audience_id AND r.seq >= greatest(c.lo, $2::int + 1) AND r.seq < c.hi
	                  AND ($3 < 0 OR r.state = $3) AND ($4 = 0 OR r.reason = $4) ORDER BY r.seq LIMIT $6) r
	         WHERE t.id = $1 AND $5 = ''
	         ORDER BY r.seq LIMIT $6)
	       UNION ALL
	       (SELECT r.*, l.created_at AS made_at
	          FROM task t JOIN audience l ON l.id = t.audience_id JOIN recipient r ON ` + userInList("r", "$5", "t.audience_id") + `
	         WHERE t.id = $1 AND $5 <> '' AND r.seq > $2::int AND ($3 < 0 OR r.state = $3) AND ($4 = 0 OR r.reason = $4)
	         LIMIT $6)) p
	 ORDER BY p.seq`

// Recipients lists recipients of a task by seq.
func (s *Store) Recipients(ctx context.Context, taskID int64, f RecipientFilter) ([]push.Recipient, error) {
	state := int16(-1)
	if f.State != nil {
		state = int16(*f.State)
	}
	rows, _ := s.db(ctx).Query(ctx, recipientPage, taskID, f.After, state, int16(f.Reason), f.UserID, f.Limit)
	list, err := pgx.CollectRows(rows, scanRecipient)
	return list, wrap(err, "list recipients of task %d", taskID)
}

func scanRecipient(row pgx.CollectableRow) (push.Recipient, error) {
	var r push.Recipient
	var vars []byte
	err := row.Scan(&r.Seq, &r.UserID, &r.OpenID, &r.State, &r.Attempt, &r.Ambiguous, &r.Inferred, &r.InDoubt, &r.FormID, &r.Reason, &r.PlatformCode,
		&r.RID, &r.Note, &r.MsgID, &r.Delivery, &r.SentAt, &r.CreatedAt, &r.UpdatedAt, &vars)
	if err == nil && vars != nil {
		err = json.Unmarshal(vars, &r.Vars)
	}
	return r, err
}
