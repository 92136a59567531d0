package dispatch_test

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// What must hold whenever nothing runs, by the tables and by the platform's ledger, which is the judge.

// auditTables holds the tables against each other.
func (w *world) auditTables() {
	for _, task := range w.tasks {
		state := w.texts(`SELECT state FROM task WHERE id = $1`, task.id)
		require.Equal(w.r, []string{string(task.state)}, state, "the model has followed task %s", task.topic)
	}
	require.Empty(w.r, w.texts(`
		SELECT args::text FROM river.river_job WHERE kind = 'start_task' GROUP BY args HAVING count(*) > 1
		UNION ALL
		SELECT args::text FROM river.river_job WHERE kind = 'send_chunk' GROUP BY args HAVING count(*) > 1`), "a job stands twice (invariant 1)")
	require.Empty(w.r, w.texts(`
		SELECT f.form_id FROM form_id f JOIN recipient r ON r.permit_id = f.id WHERE r.state IN (0, 1, 2, 5) GROUP BY 1 HAVING count(*) > 1`),
		"two recipients share a permit (invariant 3)")
	require.Empty(w.r, w.texts(`
		SELECT r.user_id FROM recipient r GROUP BY r.audience_id, r.user_id HAVING count(*) > 1`), "a user stands twice in a task (invariant 7)")
	require.Empty(w.r, w.texts(`
		SELECT format('task %s: %s', t.id, r.user_id) FROM task t JOIN recipient r ON r.audience_id = t.audience_id
		 WHERE t.state IN ('draft', 'scheduled', 'missed') AND r.state <> 0`), "a task that has not begun has touched a recipient")
	rows, _ := w.st.Pool().Query(w.ctx, `
		SELECT DISTINCT c.task_id, c.no FROM chunk c JOIN task t ON t.id = c.task_id JOIN recipient r ON r.audience_id = t.audience_id
		   AND r.seq >= c.lo AND r.seq < c.hi WHERE r.state = 1`)
	sending, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.ChunkKey])
	require.NoError(w.r, err)
	for _, key := range sending {
		require.True(w.r, w.lost[key], "chunk %d/%d has rows in sending, and nothing runs and no run of it died (invariants 2, 10)", key.TaskID, key.No)
	}
}

// permitRow is a formId with the recipient that it is, or was last, reserved for.
type permitRow struct {
	FormID  string
	UserID  string
	State   push.PermitState
	Topic   *string
	OpenID  *string
	Row     *push.RecipientState
	Waiting bool // an ambiguous row that waits for its next attempt
	Held    bool // the row names this permit
}

func (w *world) permitRows() map[string]permitRow {
	rows, _ := w.st.Pool().Query(w.ctx, `
		SELECT f.form_id, f.user_id, f.state, t.topic, r.openid, r.state, coalesce(r.ambiguous, false), coalesce(r.permit_id = f.id, false)
		  FROM form_id f LEFT JOIN recipient r ON r.audience_id = f.audience_id AND r.seq = f.seq LEFT JOIN task t ON t.audience_id = r.audience_id`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[permitRow])
	require.NoError(w.r, err)
	byID := map[string]permitRow{}
	for _, p := range list {
		byID[p.FormID] = p
	}
	return byID
}

// delivered are the messages of this check, by formId.
func (w *world) delivered() map[string]sim.Message {
	byID := map[string]sim.Message{}
	for m := range w.sim.Ledger(sim.Filter{After: w.first}) {
		require.NotContains(w.r, byID, m.FormID, "the platform took a formId twice")
		byID[m.FormID] = m
	}
	return byID
}

func topicOf(m sim.Message) string { return m.Data[0].Value }

// auditLedger holds the tables against what people received.
func (w *world) auditLedger() {
	messages, permits := w.delivered(), w.permitRows()
	type person struct{ topic, openID string }
	got := map[person]string{}
	for formID, m := range messages {
		if topicOf(m) == burnedTopic {
			continue
		}
		who := person{topicOf(m), m.OpenID}
		require.NotContains(w.r, got, who, "%s got the task twice, by %s and %s (invariant 7)", m.OpenID, got[who], formID)
		got[who] = formID
		w.auditMessage(m, permits)
	}
	for formID, p := range permits {
		known := w.permits[formID]
		m, sent := messages[formID]
		sent = sent && topicOf(m) != burnedTopic
		switch p.State {
		case push.PermitUsed:
			require.True(w.r, sent || known.burned, "%s is used, and nobody received anything with it (invariant 4)", formID)
		case push.PermitInvalid:
			require.False(w.r, sent, "%s is invalid, and %s received a message with it (invariant 5)", formID, m.OpenID)
			require.True(w.r, known.dead || known.burned || w.moved[known.user], "%s is invalid, and the platform would have taken it (invariant 4)", formID)
		case push.PermitAvailable, push.PermitReserved:
		}
	}
	w.auditSent(messages)
}

// auditMessage asks that a message is accounted for: its permit is reserved or used, and its row holds it.
func (w *world) auditMessage(m sim.Message, permits map[string]permitRow) {
	p, there := permits[m.FormID]
	require.True(w.r, there, "%s carried a message and is forgotten", m.FormID)
	require.Contains(w.r, []push.PermitState{push.PermitReserved, push.PermitUsed}, p.State, "%s carried a message and may be used again (invariant 4)", m.FormID)
	require.True(w.r, p.Held, "%s carried a message, and its row goes on without it (invariant 5)", m.FormID)
	require.Equal(w.r, topicOf(m), *p.Topic, m.FormID)
	require.Equal(w.r, m.OpenID, *p.OpenID, m.FormID)
	open := *p.Row == push.Sending || *p.Row == push.Unknown || *p.Row == push.Pending && p.Waiting
	require.True(w.r, *p.Row == push.Sent || open, "%s received a message and is %v", m.OpenID, *p.Row)
}

// auditSent asks that who is said to be sent has received the message, and that each other end has its reason.
func (w *world) auditSent(messages map[string]sim.Message) {
	rows, _ := w.st.Pool().Query(w.ctx, `
		SELECT t.topic, r.state, coalesce(r.reason, 0), coalesce(r.openid, ''), coalesce(f.form_id, ''), r.inferred, t.state = 'canceled', r.permit_tries, r.attempt,
		       coalesce(f.expires_at, 'epoch')
		  FROM task t JOIN recipient r ON r.audience_id = t.audience_id LEFT JOIN form_id f ON f.id = r.permit_id WHERE r.state IN (2, 3, 4, 5)`)
	var topic, openid, formID string
	var state push.RecipientState
	var reason push.Reason
	var inferred, canceled bool
	var tries, attempt int16
	var expires time.Time
	_, err := pgx.ForEachRow(rows, []any{&topic, &state, &reason, &openid, &formID, &inferred, &canceled, &tries, &attempt, &expires}, func() error {
		switch state {
		case push.Sent:
			m, sent := messages[formID]
			sent = sent && topicOf(m) == topic && m.OpenID == openid
			require.True(w.r, sent || inferred && w.permits[formID].burned, "%s is sent and received nothing", openid)
		case push.Unknown:
			require.True(w.r, canceled || time.Until(expires) < modelMargin+time.Second, "%s is unknown, and its permit could still tell", openid)
		case push.Failed:
			w.auditFailure(reason, tries, attempt)
		case push.Skipped:
			require.Equal(w.r, canceled && reason == push.Canceled, reason == push.Canceled, "skipped as canceled, and the task is not")
			require.Equal(w.r, push.Skipped, reason.Text().State, reason)
		case push.Pending, push.Sending, push.Waiting:
		}
		return nil
	})
	require.NoError(w.r, err)
}

// auditFailure asks that the platform has given cause for a failure.
func (w *world) auditFailure(reason push.Reason, tries, attempt int16) {
	switch reason {
	case push.BadOpenID:
		require.True(w.r, w.faulty[40003])
	case push.Refused:
		require.True(w.r, w.faulty[43101])
	case push.PlatformError:
		require.True(w.r, w.faulty[99999] || attempt >= 6, "failed after %d attempts", attempt)
	case push.PermitDead:
		require.Positive(w.r, tries)
		require.LessOrEqual(w.r, tries, int16(3))
	default:
		require.Fail(w.r, "failed", "for %v", reason)
	}
}
