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
	// After lists recipients with a larger seq; -1 starts at the first.
	After int32
	Limit int
}

// Recipients lists recipients of a task by seq. A list by state or reason walks only the chunks whose counters say that they
// hold some: no index names a state.
func (s *Store) Recipients(ctx context.Context, taskID int64, f RecipientFilter) ([]push.Recipient, error) {
	state := int16(-1)
	if f.State != nil {
		state = int16(*f.State)
	}
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT r.seq, r.user_id, r.openid, r.state, r.attempt, r.ambiguous, r.inferred, f.form_id, coalesce(r.reason, 0), r.platform_code,
		       r.rid, r.note, r.msgid, r.sent_at, r.updated_at, r.vars
		  FROM task t
		  CROSS JOIN LATERAL (
		       SELECT c.lo, c.hi FROM chunk c WHERE c.task_id = t.id AND c.hi > $2 + 1
		          AND ($3 < 0 OR CASE $3 WHEN 0 THEN c.pending WHEN 1 THEN c.sending WHEN 2 THEN c.sent WHEN 3 THEN c.failed
		                              WHEN 4 THEN c.skipped WHEN 5 THEN c.unknown ELSE c.waiting END > 0)
		          AND ($4 = 0 OR c.reasons ? $4::text)
		       UNION ALL
		       SELECT 0, 2147483647 WHERE t.planned_at IS NULL AND $3 <= 0 AND $4 = 0
		       ORDER BY 1) c
		  CROSS JOIN LATERAL (
		       SELECT * FROM recipient r WHERE r.audience_id = t.audience_id AND r.seq >= greatest(c.lo, $2 + 1) AND r.seq < c.hi
		          AND ($3 < 0 OR r.state = $3) AND ($4 = 0 OR r.reason = $4) ORDER BY r.seq LIMIT $6) r
		  LEFT JOIN form_id f ON f.id = r.permit_id
		 WHERE t.id = $1 AND $5 = ''
		 UNION ALL
		SELECT r.seq, r.user_id, r.openid, r.state, r.attempt, r.ambiguous, r.inferred, f.form_id, coalesce(r.reason, 0), r.platform_code,
		       r.rid, r.note, r.msgid, r.sent_at, r.updated_at, r.vars
		  FROM task t JOIN recipient r ON `+userInList("r", "$5", "t.audience_id")+` LEFT JOIN form_id f ON f.id = r.permit_id
		 WHERE t.id = $1 AND $5 <> '' AND r.seq > $2 AND ($3 < 0 OR r.state = $3) AND ($4 = 0 OR r.reason = $4)
		 LIMIT $6`, taskID, f.After, state, int16(f.Reason), f.UserID, f.Limit)
	list, err := pgx.CollectRows(rows, scanRecipient)
	return list, wrap(err, "list recipients of task %d", taskID)
}

func scanRecipient(row pgx.CollectableRow) (push.Recipient, error) {
	var r push.Recipient
	var vars []byte
	err := row.Scan(&r.Seq, &r.UserID, &r.OpenID, &r.State, &r.Attempt, &r.Ambiguous, &r.Inferred, &r.FormID, &r.Reason, &r.PlatformCode,
		&r.RID, &r.Note, &r.MsgID, &r.SentAt, &r.UpdatedAt, &vars)
	if err == nil && vars != nil {
		err = json.Unmarshal(vars, &r.Vars)
	}
	return r, err
}
