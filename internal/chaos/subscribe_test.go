package chaos_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
)

const (
	subscribeID       = "zun-LzcQyW-edafCVvzPkK4de2Rllr1fFpw2A_x0oXE"
	subscribeTemplate = `{"name":"活动提醒","channel":"subscribe","page":"pages/goods/detail/detail?goodsId={{product.code}}","fields":[
		{"key":"thing1","label":"活动主题","value":"{{topic}}"},{"key":"amount2","label":"商品金额","value":"￥{{product.price}}"}]}`
	callbackToken = "tok"
	callbackKey   = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
)

// subscribe sets the channel up: the template, here and at the platform.
func (w *world) subscribe(t *testing.T) {
	t.Helper()
	w.call(t, http.MethodPut, "/api/v1/apps/"+appKey+"/templates/"+subscribeID, subscribeTemplate, nil)
	require.NoError(t, w.platform.post("/sim/templates", map[string]any{"appid": appID, "templates": []sim.Template{{ID: subscribeID, Title: "活动提醒", Type: sim.OneTime,
		Fields: []sim.TemplateField{{Key: "thing1", Label: "活动主题"}, {Key: "amount2", Label: "商品金额"}}}}}, nil))
}

// listen sets up the platform's message push, with an address that outlives the daemons.
func (w *world) listen(t *testing.T) {
	t.Helper()
	secrets := filepath.Join(w.dir, "callback.txt")
	require.NoError(t, os.WriteFile(secrets, []byte(callbackToken+"\n"+callbackKey+"\n"), 0o600))
	_, code := run(t, w.env, nil, "app", "callback", "--key", appKey, "--mode", "safe", "--secret-file", secrets)
	require.Zero(t, code)
	w.unheard = w.platform.stats(t).Accepts
	front := httptest.NewServer(http.HandlerFunc(w.forward))
	t.Cleanup(front.Close)
	require.NoError(t, w.platform.post("/sim/callback", map[string]any{"appid": appID, "url": front.URL + "/callbacks/wechat/" + appKey, "token": callbackToken,
		"encoding_aes_key": callbackKey, "mode": "safe", "delay_ms": 200}, nil))
}

// forward hands a request to the first daemon that takes it, as a load balancer would, for as long as the platform waits.
func (w *world) forward(out http.ResponseWriter, in *http.Request) {
	body, _ := io.ReadAll(in.Body)
	for until := time.Now().Add(4500 * time.Millisecond); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		for _, d := range w.daemons {
			_, _, url := d.now()
			req, err := http.NewRequestWithContext(in.Context(), in.Method, url+in.URL.RequestURI(), bytes.NewReader(body))
			if err != nil {
				continue
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				continue
			}
			answer, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK {
				_, _ = out.Write(answer)
				return
			}
		}
	}
	out.WriteHeader(http.StatusServiceUnavailable)
}

// subscribers makes a draft for n people who have each accepted perUser messages.
func (w *world) subscribers(t *testing.T, prefix string, n int, onUnknown string) int64 {
	t.Helper()
	type report struct {
		ID         string `json:"id"`
		UserID     string `json:"user_id"`
		TemplateID string `json:"template_id"`
		Result     string `json:"result"`
	}
	list := strings.Builder{}
	list.WriteString("user_id\n")
	var users []map[string]string
	var reports []report
	var openIDs []string
	for i := range n {
		user := fmt.Sprintf("%s-%d", prefix, i)
		list.WriteString(user + "\n")
		users, openIDs = append(users, map[string]string{"user_id": user, "openid": openID(prefix, i)}), append(openIDs, openID(prefix, i))
		for k := range perUser {
			reports = append(reports, report{fmt.Sprintf("%s-%d-%d", prefix, i, k), user, subscribeID, "accept"})
		}
	}
	for part := range slices.Chunk(openIDs, batch) {
		require.NoError(t, w.platform.post("/sim/subscriptions", map[string]any{"appid": appID, "template_id": subscribeID, "openids": part, "times": perUser, "result": "accept"}, nil))
	}
	for part := range slices.Chunk(users, batch) {
		w.call(t, http.MethodPost, "/api/v1/apps/"+appKey+"/users", map[string]any{"users": part}, nil)
	}
	for part := range slices.Chunk(reports, batch) {
		var got struct{ Accepted, Duplicate int }
		w.call(t, http.MethodPost, "/api/v1/apps/"+appKey+"/subscriptions", map[string]any{"subscriptions": part}, &got)
		require.Equal(t, len(part), got.Accepted+got.Duplicate)
	}
	var task push.Task
	w.call(t, http.MethodPost, "/api/v1/tasks", map[string]string{"app": appKey, "template_id": subscribeID, "topic": "健康助利", "product_code": "1989",
		"audience": "list", "on_unknown": onUnknown}, &task)
	w.call(t, http.MethodPut, fmt.Sprintf("/api/v1/tasks/%d/audience?filename=users.csv", task.ID), list.String(), nil)
	return task.ID
}

// heard waits until every event that the platform pushed has found its recipient, or nobody.
func (w *world) heard(t *testing.T) {
	t.Helper()
	patience := time.Minute
	if *longFlag {
		patience = 5 * time.Minute // with so many the platform is behind
	}
	require.Eventually(t, func() bool {
		stats := w.platform.stats(t)
		return stats.Events+stats.EventsLost >= stats.Accepts-w.unheard+stats.Messages && w.pg.count(t, `SELECT count(*) FROM sent_event WHERE settled_at IS NULL`) == 0
	}, patience, 100*time.Millisecond, "events are not settled")
}

// On the subscribe channel, through faults of every kind, nobody has two messages, and once the platform's events are in each one that arrived
// is sent. Of a task that leaves what is unknown, whoever has no message is unknown; of one that sends again, each has one (invariants 5, 7 and 8).
func TestChaos_Subscribe_NobodyTwice_AndTheRestUnknownOrSentToAgain(t *testing.T) {
	t.Parallel()
	recipients, faults, apart := 600, 5, 900*time.Millisecond
	wait := 20 * time.Second // longer than the platform tries to bring an event
	if *longFlag {
		recipients, faults, apart = 100_000, 40, 4*time.Second
		wait = time.Minute
	}
	settings := append(stormy(), "MINIPUSH_SEND_RESEND_WAIT="+wait.String())
	if *longFlag {
		settings = append(settings, "MINIPUSH_SEND_IN_FLIGHT=250", "MINIPUSH_SEND_CHUNK_SIZE=1000")
	}
	n := seed(t)
	w := newWorld(t, 2, sim.Faults{Seed: n, LatencyMS: 100, JitterMS: 200}, settings...)
	w.subscribe(t)
	if !*longFlag { // the events of so many acceptances would hold up those of the messages
		w.listen(t)
	}
	s := newStorm(t, w, n)
	left := round{task: w.subscribers(t, "c", recipients, "leave"), recipients: recipients}
	again := round{task: w.subscribers(t, "d", recipients, "resend"), recipients: recipients}
	if *longFlag {
		w.listen(t)
	}
	begun := time.Now()
	w.send(t, left.task, 0)
	w.send(t, again.task, 0)
	s.blow(faults, apart, func() bool {
		return w.pg.count(t, `SELECT count(*) FROM task WHERE id = ANY ($1) AND state = 'done'`, []int64{left.task, again.task}) == 2
	})
	w.ended(t, left.task)
	w.ended(t, again.task)
	w.heard(t)
	left.took = time.Since(begun)
	w.judge(t, &left, "c", 0)
	w.judge(t, &again, "d", 0)
	for _, e := range s.events {
		t.Log(e)
	}
	stats := w.platform.stats(t)
	late := w.pg.count(t, `SELECT count(*) FROM sent_event WHERE received_at > at + $1::interval`, wait)
	t.Logf("%d faults, %d messages in %s; %d events, %d of them never taken and %d later than %s", len(s.events), stats.Messages, left.took.Round(time.Second),
		stats.Events, stats.EventsLost, late, wait)
	for name, r := range map[string]round{"leave": left, "resend": again} {
		t.Logf("%s: %d recipients, %d messages, %d without one, %d twice; %d sent, %d unknown, %d failed, %d skipped; %d attempts", name, r.recipients, r.messages, r.lost, r.twice,
			r.sent, r.unknown, r.failed, r.skipped, r.attempts)
		require.Zero(t, r.failed+r.skipped, name)
		require.Equal(t, recipients, r.sent+r.unknown, name)
		require.Empty(t, r.violations, name)
	}
	require.Equal(t, stats.Messages, int64(left.messages+again.messages), "messages to others")
	require.Zero(t, left.twice)
	require.GreaterOrEqual(t, left.unknown, left.lost, "whoever has no message is unknown")
	require.LessOrEqual(t, int64(left.messages-left.sent), stats.EventsLost, "every message that arrived is sent, if its event did")
	require.LessOrEqual(t, int64(again.twice), stats.EventsLost+int64(late), "nobody is sent to again whose event came in time")
	require.Zero(t, again.lost)
	require.Zero(t, again.unknown)
	if *longFlag {
		require.Greater(t, again.attempts, again.recipients, "nobody had to be sent to again: the storm was too mild to show anything")
	}
	broken, code := run(t, w.env, nil, "doctor", "--audit")
	require.Zero(t, code, "%s", broken)
}
