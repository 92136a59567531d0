package store

import (
	"context"
	"time"
)

// Canary is how far the first calls of a task have come.
type Canary struct {
	// On says that they have not yet shown that its messages pass.
	On bool
	// Turn says that this run is the one to make them: its chunk is the first of those queued or running. The others may only end.
	Turn bool
	// Probe says that its next answer decides about the breaker of the app.
	Probe bool
	// Calls counts the calls of ended runs that the platform answered, Sent those that were sent, Refused the last in a row that
	// refused the recipient, Unpermitted those who allow no message.
	Calls, Sent, Refused, Unpermitted int
}

// canaryColumns are a Canary in the statement that takes the lease of chunk c of task t.
const canaryColumns = `
	t.canary_passed_at IS NULL,
	CASE WHEN t.canary_passed_at IS NULL THEN c.no <= (SELECT min(o.no) FROM chunk o WHERE o.task_id = c.task_id AND o.state IN ('queued', 'running')) ELSE false END,
	CASE WHEN t.canary_passed_at IS NULL THEN EXISTS (SELECT FROM breaker b WHERE b.app_id = t.app_id AND b.probe_task = t.id) ELSE false END,
	t.canary_calls, t.canary_sent, t.canary_refused, t.canary_unpermitted`

// SaveCanary keeps how far the canary has come, for the next run.
func (s *Store) SaveCanary(ctx context.Context, taskID int64, c Canary) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET canary_calls = $2, canary_sent = $3, canary_refused = $4, canary_unpermitted = $5
		 WHERE id = $1 AND state = 'sending' AND canary_passed_at IS NULL`, taskID, c.Calls, c.Sent, c.Refused, c.Unpermitted)
	return wrap(err, "save canary of task %d", taskID)
}

// PassCanary says that the messages of a task pass: its window opens.
func (s *Store) PassCanary(ctx context.Context, taskID int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET canary_passed_at = clock_timestamp() WHERE id = $1 AND state = 'sending' AND canary_passed_at IS NULL`, taskID)
	return tag.RowsAffected() == 1, wrap(err, "pass canary of task %d", taskID)
}

// NextToCall finds the first row of [lo, hi) that a claim would most likely make sending: its user has an openid and a usable permit,
// and is neither suppressed nor over the daily cap.
// It returns hi-1 where there is none.
func (s *Store) NextToCall(ctx context.Context, run Run, lo, hi int32, margin time.Duration) (int32, error) {
	seq := hi - 1
	err := s.db(ctx).QueryRow(ctx, `
		SELECT r.seq FROM recipient r
		 CROSS JOIN LATERAL (SELECT u.user_id, u.openid FROM app_user u WHERE u.app_id = $4 AND u.user_id = r.user_id AND u.openid IS NOT NULL LIMIT 1) u
		  `+permitsOf(run.Channel).there("JOIN", "$4", "r.user_id", "u.openid", "$8", "$5")+`
		 WHERE r.audience_id = $1 AND r.seq >= $2 AND r.seq < $3 AND r.state = 0 AND NOT r.ambiguous
		   AND (r.retry_at IS NULL OR r.retry_at <= clock_timestamp())
		   AND NOT EXISTS (`+isSuppressed("true", "$4", "u.user_id", "u.openid")+`)
		   AND NOT EXISTS (`+isCapped("(SELECT daily_cap FROM app WHERE id = $4)", "$4", "u.openid", dayOf("now()", "$6"), "$7::bigint")+`)
		 ORDER BY r.seq LIMIT 1`, run.AudienceID, lo, hi, run.AppID, margin, run.Zone, run.TaskID, run.TemplateID).Scan(&seq)
	if isNoRows(err) {
		err = nil
	}
	return seq, wrap(err, "next to call of chunk %d/%d", run.TaskID, run.No)
}
