package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// lease plans a task and takes its first chunk in the name of node, in one transaction, so that no worker gets it first. It claims
// claim of its rows.
func (b *bundle) lease(task int64, node int64, claim int32) []store.Claimed {
	b.t.Helper()
	var claimed store.Claim
	require.NoError(b.t, b.st.InTx(b.t.Context(), func(ctx context.Context) error {
		if _, err := b.d.Send(ctx, "test", task, nil); err != nil {
			return err
		}
		if err := b.d.Plan(ctx, task); err != nil {
			return err
		}
		run, ok, err := b.st.TakeLease(ctx, task, 0, 1, node)
		require.NoError(b.t, err)
		require.True(b.t, ok)
		claimed, err = b.st.Claim(ctx, run, 0, claim, time.Minute)
		return err
	}))
	require.Len(b.t, claimed.Sending, int(claim))
	return claimed.Sending
}

// deliver makes the call of a run that died before it could write the answer.
func (b *bundle) deliver(c store.Claimed) {
	b.t.Helper()
	token := b.post("/cgi-bin/stable_token", map[string]any{"grant_type": "client_credential", "appid": appID, "secret": "s3cret"})
	answer := b.post("/cgi-bin/message/wxopen/template/send?access_token="+token["access_token"].(string), map[string]any{
		"touser": c.OpenID, "template_id": templateID, "page": "p", "form_id": c.FormID, "data": map[string]any{"keyword1": map[string]string{"value": "x"}}})
	require.Zero(b.t, answer["errcode"], answer)
}

func (b *bundle) post(path string, body any) map[string]any {
	b.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(b.t, err)
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, bytes.NewReader(text))
	require.NoError(b.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer res.Body.Close()
	var answer map[string]any
	require.NoError(b.t, json.NewDecoder(res.Body).Decode(&answer))
	return answer
}

// takenOver asks that the rows which the dead run had claimed went out with the permits it had reserved for them, those delivered by
// inference, and that everyone has one message (invariants 5, 6 and 7).
func (b *bundle) takenOver(task int64, claimed []store.Claimed, delivered int, users []string) {
	b.t.Helper()
	b.wait(task, push.TaskDone)
	require.Equal(b.t, push.Counts{Total: len(users), Sent: len(users)}, b.audit(task).Counts)
	rows := b.rows(task)
	for i, c := range claimed {
		require.Equal(b.t, c.FormID, *rows[c.UserID].FormID, c.UserID)
		require.Equal(b.t, c.FormID, b.messages(c.UserID)[0].FormID, c.UserID)
		require.Equal(b.t, i < delivered, rows[c.UserID].Inferred, c.UserID)
	}
	b.once(users)
	require.Equal(b.t, len(users), b.count(`SELECT count(*) FROM form_id WHERE state = 2`))
	require.Zero(b.t, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
}

// A chunk whose owner is dead is taken up by whoever lives.
func TestTakeover_ChunkOfADeadNode(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]string{
		"killed":  `UPDATE node SET beat_at = now() - interval '1 hour' WHERE id = $1`,
		"stopped": `UPDATE node SET stopped_at = now() WHERE id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			users := b.users(60, 3)
			task := b.draft(users)
			dead, err := b.st.InsertNode(t.Context(), "dead")
			require.NoError(t, err)
			claimed := b.lease(task.ID, dead, 10)
			for _, c := range claimed[:4] {
				b.deliver(c)
			}
			require.Equal(t, 10, b.audit(task.ID).Counts.Sending)
			b.exec(die, dead)
			b.work(b.d)
			b.takenOver(task.ID, claimed, 4, users)
		})
	}
}

// A chunk that was freed is worked on next, before the whole window that was queued earlier.
func TestTakeover_ComesBeforeWhatWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) {
		c.ChunkSize, c.InFlight, c.Workers, c.Window, c.Canary.Sent = 20, 4, 1, 8, -1
	})
	users := b.users(240, 3)
	task := b.draft(users)
	b.faults(sim.Faults{LatencyMS: 60})
	dead, err := b.st.InsertNode(t.Context(), "dead")
	require.NoError(t, err)
	claimed := b.lease(task.ID, dead, 5)
	b.exec(`UPDATE node SET stopped_at = now() WHERE id = $1`, dead)
	b.work(b.d)
	b.takenOver(task.ID, claimed, 0, users)
	require.GreaterOrEqual(t, b.count(`
		SELECT count(*) FROM river.river_job j JOIN river.river_job f ON f.args @> '{"chunk": 0, "generation": 2}' AND f.kind = j.kind
		 WHERE j.created_at < f.created_at AND j.attempted_at > f.attempted_at`), 5)
}

// A chunk in a daemon's own name that it does not run is freed by itself: a claim or an end had failed.
func TestTakeover_OrphanInItsOwnName(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 3)
	task := b.draft(users)
	b.work(b.d)
	claimed := b.lease(task.ID, b.d.NodeID(), 5)
	b.takenOver(task.ID, claimed, 0, users)
}

// The chunk table, not the job table, says what is unfinished: a chunk whose job is gone is queued again, once.
func TestTakeover_JobDeleted(t *testing.T) {
	t.Parallel()
	for name, loss := range map[string]string{
		"deleted":   `DELETE FROM river.river_job WHERE kind = 'send_chunk'`,
		"discarded": `UPDATE river.river_job SET state = 'discarded', finalized_at = now() WHERE kind = 'send_chunk'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { c.Canary.Sent = -1 })
			users := b.users(60, 1)
			task := b.draft(users)
			b.send(task.ID)
			require.NoError(t, b.d.Plan(t.Context(), task.ID))
			b.exec(loss)
			require.NoError(t, b.d.Tend(t.Context()))
			require.Equal(t, 2, b.count(`SELECT count(*) FROM chunk WHERE state = 'queued' AND generation = 1`), "it may still be on its way")
			b.exec(`UPDATE chunk SET queued_at = queued_at - interval '11 s'`)
			b.work(b.d)
			b.wait(task.ID, push.TaskDone)
			require.Equal(t, 2, b.count(`SELECT count(*) FROM chunk WHERE generation = 2`))
			b.audit(task.ID)
			b.once(users)
		})
	}
}

// A job that runs twice, or too late, does nothing: its generation is over.
func TestTakeover_OldJobsDoNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 2)
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	b.exec(`UPDATE river.river_job SET state = 'available', finalized_at = NULL, attempt = 0, scheduled_at = now()`)
	b.eventually("all jobs have run again", func() bool {
		return b.count(`SELECT count(*) FROM river.river_job WHERE state <> 'completed'`) == 0
	})
	require.Equal(t, push.Counts{Total: 60, Sent: 60}, b.audit(task.ID).Counts)
	b.once(users)
	require.Equal(t, int64(60), b.sim.Stats().Calls)
}

// Stop is clean (invariant 10): no row is left in sending, nothing is called twice, and another daemon goes on.
func TestStop_MidTask(t *testing.T) {
	t.Parallel()
	b := setup(t, slow)
	task := b.midway(240, 20)
	require.NoError(t, b.d.Stop(t.Context()))
	at := b.audit(task.ID)
	require.Zero(t, at.Counts.Sending)
	require.Positive(t, at.Counts.Pending)
	require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE ambiguous`))
	_, running := b.live()
	require.Zero(t, running)
	require.Equal(t, b.sim.Stats().Calls, int64(at.Counts.Sent))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM node WHERE stopped_at IS NOT NULL`))
	b.work(b.dispatcher())
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 240, Sent: 240}, b.audit(task.ID).Counts)
	b.once(b.names(240))
	require.Equal(t, int64(240), b.sim.Stats().Calls)
}

// Two daemons share the work of a task and the app's token; nobody is sent twice (invariant 7).
func TestTwoDaemons_ShareATask(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers, c.Canary.Sent = 10, 10, 1, -1 })
	// The first calls take so long that the second daemon has the time to take a chunk, however slow the machine is.
	b.faults(sim.Faults{LatencyMS: 2_000})
	b.work(b.dispatcher())
	task := b.draft(b.users(200, 1))
	b.work(b.d)
	b.send(task.ID)
	b.eventually("both send", func() bool { return b.sim.Stats().InFlight > 10 })
	b.faults(sim.Faults{LatencyMS: 40})
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	b.once(b.names(200))
	require.Equal(t, int64(1), b.sim.Stats().TokenCalls)
}
