package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// Invariant 5: whoever is to be sent to again is not while an event of theirs is in, however long it takes until it has found them.
func TestSubscribe_NobodyIsSentToAgainWhoseEventCame(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ResendWait = time.Second })
	users := b.subscribed(20, 2)
	task := b.subscribeDraft(users, func(s *push.TaskSpec) { s.OnUnknown = "resend" })
	dead, err := b.st.InsertNode(t.Context(), "dead")
	require.NoError(t, err)
	var events []store.SentEvent
	for i, c := range b.lease(task.ID, dead, 6) {
		events = append(events, store.SentEvent{MsgID: int64(i + 1), OpenID: c.OpenID, TemplateID: subscribeID, At: time.Now()})
	}
	require.NoError(t, b.st.InsertSentEvents(t.Context(), b.app.ID, events))
	b.exec(`UPDATE sent_event SET received_at = now() + interval '1 hour'`) // nobody looks for their recipients yet
	b.exec(`UPDATE node SET stopped_at = now() WHERE id = $1`, dead)
	b.work(b.d)
	b.eventually("they are due for long", func() bool {
		return b.count(`SELECT count(*) FROM recipient WHERE state = 0 AND in_doubt AND retry_at < now() - interval '2 s'`) == 6
	})
	b.exec(`UPDATE sent_event SET received_at = now() - interval '1 min'`)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 20, Sent: 20}, b.audit(task.ID).Counts)
	for _, e := range events {
		require.Zero(t, b.got()[e.OpenID], "no call was made for it but the dead daemon's")
	}
	b.sound(task.ID)
}

// Events that have to wait do not stand in the way of those that came after them.
func TestSubscribe_EventsThatWait_HoldUpNoOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(20, 1)
	b.exec(`INSERT INTO openid_call (app_id, openid, audience_id, seq) VALUES ($1, 'o-busy', 0, 0)`, b.app.ID)
	b.exec(`INSERT INTO sent_event (msgid, app_id, openid, template_id, code, at, received_at)
		SELECT g, $1, 'o-busy', 'other', 0, now(), now() - interval '1 min' FROM generate_series(1, 10000) g`, b.app.ID)
	b.reported(sim.Callback{})
	task := b.subscribeDraft(users, nil)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	b.eventually("all are shown as delivered", func() bool { return b.count(`SELECT count(*) FROM recipient WHERE delivery = 1`) == 20 })
	require.Equal(t, 10000, b.count(`SELECT count(*) FROM sent_event WHERE settled_at IS NULL`), "their openid has a call in flight")
}
