package dispatch_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
	"minipush/internal/wechat/callback"
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

// Who accepts by an event of the platform is woken by it, as by a report: here while no daemon sweeps.
func TestSubscribe_AnEventWakesWhoWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(2, 0)
	_, err := b.d.SetAppSettings(t.Context(), "test", appKey, func(s *push.AppSettings) error { s.PermitSource = push.PermitsFromEvents; return nil })
	require.NoError(t, err)
	require.NoError(t, b.d.SetCallback(t.Context(), appKey, dispatch.CallbackSpec{Mode: callback.ModePlain, Token: "tok",
		EncodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"}))
	_, err = b.st.InsertSubscriptions(t.Context(), b.app.ID, []store.SubscriptionReport{{ID: "first", OpenID: openID(users[0]), TemplateID: subscribeID, Accepted: true}})
	require.NoError(t, err)
	b.sim.Accept(appID, subscribeID, []string{openID(users[0])}, 1)
	until := time.Now().Add(time.Hour)
	task := b.subscribeDraft(users, func(s *push.TaskSpec) { s.WaitForPermitUntil = &until })
	b.send(task.ID)
	other := b.dispatcher()
	require.NoError(t, other.Start(t.Context()))
	waiting := func() int {
		return b.count(`SELECT coalesce(sum(waiting), 0)::int FROM chunk WHERE task_id = $1`, task.ID)
	}
	b.eventually("one waits", func() bool {
		return b.count(`SELECT coalesce(sum(sent), 0)::int FROM chunk WHERE task_id = $1`, task.ID) == 1 && waiting() == 1
	})
	require.NoError(t, other.Stop(t.Context()))

	at := fmt.Sprint(time.Now().Unix())
	parts := []string{"tok", at, "nonce"}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // the platform's
	body := fmt.Sprintf(`{"ToUserName":"gh_1","FromUserName":%q,"CreateTime":%s,"MsgType":"event","Event":"subscribe_msg_popup_event",
		"List":{"TemplateId":%q,"SubscribeStatusString":"accept","PopupScene":"0"}}`, openID(users[1]), at, subscribeID)
	require.NoError(t, b.d.TakeCallback(t.Context(), appKey, url.Values{"signature": {hex.EncodeToString(sum[:])}, "timestamp": {at}, "nonce": {"nonce"}}, []byte(body)))
	require.Zero(t, waiting())
}
