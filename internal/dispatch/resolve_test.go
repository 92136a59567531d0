package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// patient is a daemon that goes on against a platform that does not answer, as long as it takes.
func patient(c *dispatch.Config) {
	c.Canary.Sent = -1
	c.Breaker = dispatch.BreakerConfig{TroublePercent: 101, TroubleFor: time.Hour}
}

// unknowns sends a task to users, of whom the first n end unknown: their permit expired while it could not be learnt whether the message arrived.
func (b *bundle) unknowns(users []string, n int) push.Task {
	b.t.Helper()
	openIDs := make([]string, n)
	for i := range openIDs {
		openIDs[i] = openID(users[i])
	}
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable, OpenIDs: openIDs}}})
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.eventually("ambiguous", func() bool { return b.count(`SELECT count(*) FROM recipient WHERE ambiguous`) == n })
	b.exec(`UPDATE form_id SET expires_at = now() + interval '5 min' WHERE id IN (SELECT permit_id FROM recipient WHERE ambiguous)`)
	b.wait(task.ID, push.TaskDone)
	require.Equal(b.t, n, b.audit(task.ID).Counts.Unknown)
	return task
}

// ledger sums up every row of what a task is made of, to be compared before and after.
func (b *bundle) ledger() string {
	b.t.Helper()
	var sum string
	for _, table := range []string{"task", "audience", "audience_copy", "chunk", "recipient", "form_id"} {
		var part string
		require.NoError(b.t, b.st.Pool().QueryRow(b.t.Context(),
			`SELECT count(*) || ':' || md5(coalesce(string_agg(to_jsonb(x)::text, ' ' ORDER BY to_jsonb(x)::text), '')) FROM `+table+` x`).Scan(&part))
		sum += table + " " + part + "\n"
	}
	return sum
}

// What a person found out settles the unknown ones of a task that is done, with its counts and reasons (invariant 8); to say it again
// changes nothing; no permit is free again, for a word is no proof.
func TestResolve_SettlesAndFreesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	users := b.users(120, 2)
	task := b.unknowns(users, 70) // over two chunks
	free := b.count(`SELECT count(*) FROM form_id WHERE state = 0`)
	got, err := b.d.Resolve(t.Context(), "mary", task.ID, dispatch.Resolution{As: "sent", Seqs: []int32{0, 3, 60, 3}})
	require.NoError(t, err)
	require.Equal(t, 3, got.Resolved)
	require.Equal(t, push.Counts{Total: 120, Sent: 53, Unknown: 67}, b.audit(task.ID).Counts)
	rows := b.rows(task.ID)
	require.Contains(t, *rows["u3"].Note, "by mary")
	require.False(t, rows["u3"].Ambiguous)
	require.Equal(t, "used", b.fates()[*rows["u3"].FormID])

	before := b.ledger()
	got, err = b.d.Resolve(t.Context(), "john", task.ID, dispatch.Resolution{As: "sent", Seqs: []int32{3}})
	require.NoError(t, err)
	require.Zero(t, got.Resolved)
	require.Equal(t, before, b.ledger())

	got, err = b.d.Resolve(t.Context(), "mary", task.ID, dispatch.Resolution{As: "failed", All: true})
	require.NoError(t, err)
	require.Equal(t, 67, got.Resolved)
	done := b.audit(task.ID)
	require.Equal(t, push.Counts{Total: 120, Sent: 53, Failed: 67}, done.Counts)
	require.Equal(t, push.TaskDone, done.State)
	require.Equal(t, push.PlatformError, b.rows(task.ID)["u1"].Reason)
	require.Equal(t, 67, b.count(`SELECT count(*) FROM form_id WHERE state = 3`))
	require.Equal(t, free, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	require.Zero(t, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
}

// Of two people who disagree at the same moment one is told that he lost, and nothing of what he said is kept, not even where nobody
// had said anything before. Of two who agree neither is refused.
func TestResolve_TwoPeople(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	users := b.users(100, 1)
	task := b.unknowns(users, 60)
	other := b.dispatcher()
	for seq := int32(0); seq < 56; seq += 2 {
		answers := make([]error, 2)
		var both sync.WaitGroup
		for i, d := range []*dispatch.Dispatcher{b.d, other} {
			as, seqs := []string{"sent", "failed"}[i], [][]int32{{seq, seq + 2}, {seq + 1, seq}}[i]
			both.Go(func() {
				_, answers[i] = d.Resolve(context.WithoutCancel(t.Context()), as, task.ID, dispatch.Resolution{As: as, Seqs: seqs})
			})
		}
		both.Wait()
		lost := 0
		for i, err := range answers {
			if err == nil {
				continue
			}
			lost++
			refused(t, err, push.RefusedNotUnknown)
			if i == 1 {
				require.Equal(t, 1, b.count(`SELECT count(*) FROM recipient WHERE seq = $1 AND state = 5`, seq+1), "all or none")
			}
		}
		require.Equal(t, 1, lost)
		b.exec(`UPDATE recipient SET state = 5, reason = 14 WHERE seq = $1`, seq+2) // for the next round
		b.exec(`UPDATE chunk c SET (sent, failed, unknown) = (SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3), count(*) FILTER (WHERE state = 5)
			FROM recipient r WHERE r.seq >= c.lo AND r.seq < c.hi)`)
		b.exec(`UPDATE chunk c SET reasons = (SELECT coalesce(jsonb_object_agg(reason, n), '{}') FROM (SELECT reason, count(*) AS n FROM recipient r
			WHERE r.seq >= c.lo AND r.seq < c.hi AND reason IS NOT NULL GROUP BY reason) x)`)
	}
	b.audit(task.ID)
	var both sync.WaitGroup
	total := make([]int, 2)
	left := b.audit(task.ID).Counts.Unknown
	for i, d := range []*dispatch.Dispatcher{b.d, other} {
		both.Go(func() {
			got, err := d.Resolve(context.WithoutCancel(t.Context()), "both", task.ID, dispatch.Resolution{As: "sent", All: true})
			require.NoError(t, err)
			total[i] = got.Resolved
		})
	}
	both.Wait()
	require.Equal(t, left, total[0]+total[1])
	require.Zero(t, b.audit(task.ID).Counts.Unknown)
}

// What is not unknown is not a person's to settle, and what was asked for badly is named.
func TestResolve_Refusals(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	users := b.users(10, 1)
	task := b.unknowns(users, 2)
	before := b.ledger()
	for _, c := range []struct {
		r           dispatch.Resolution
		field, rule string
	}{
		{dispatch.Resolution{As: "unknown", All: true}, "as", "unknown_value"},
		{dispatch.Resolution{As: "sent"}, "seqs", "required"},
		{dispatch.Resolution{As: "sent", All: true, Seqs: []int32{1}}, "seqs", "required"},
		{dispatch.Resolution{As: "sent", Seqs: make([]int32, dispatch.MaxBatch+1)}, "seqs", "batch_size"},
		{dispatch.Resolution{As: "sent", Seqs: []int32{0, 10}}, "seqs[1]", "unknown_recipient"},
		{dispatch.Resolution{As: "sent", Seqs: []int32{-1}}, "seqs[0]", "unknown_recipient"},
	} {
		_, err := b.d.Resolve(t.Context(), "test", task.ID, c.r)
		invalid(t, err, c.field, c.rule)
	}
	_, err := b.d.Resolve(t.Context(), "test", task.ID, dispatch.Resolution{As: "failed", Seqs: []int32{0, 5}})
	refused(t, err, push.RefusedNotUnknown)
	_, err = b.d.Resolve(t.Context(), "test", 999, dispatch.Resolution{As: "failed", All: true})
	require.ErrorIs(t, err, push.ErrNotFound)
	require.Equal(t, before, b.ledger())
	b.exec(`UPDATE task SET ended_at = ended_at - interval '181 days'`)
	require.NoError(t, b.d.Purge(t.Context()))
	_, err = b.d.Resolve(t.Context(), "test", task.ID, dispatch.Resolution{As: "failed", All: true})
	refused(t, err, push.RefusedListGone)
}

// Beside the run of the same chunk: what the run writes and what the person says are both kept, and the counts hold.
func TestResolve_WhileTheChunkIsBeingSent(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight = 200, 10 })
	users := b.users(200, 1)
	b.faults(sim.Faults{LatencyMS: 30})
	task := b.draft(users)
	b.exec(`UPDATE recipient SET state = 5, reason = 14, openid = user_id WHERE seq < 20`)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		_, err := b.d.Send(ctx, "test", task.ID, nil)
		return errors.Join(err, b.d.Plan(ctx, task.ID))
	}))
	b.exec(`UPDATE chunk SET pending = pending - 20, unknown = 20, reasons = '{"14": 20}'`)
	b.work(b.d)
	for seq := range int32(20) {
		_, err := b.d.Resolve(t.Context(), "test", task.ID, dispatch.Resolution{As: "failed", Seqs: []int32{seq}})
		require.NoError(t, err)
		time.Sleep(10 * time.Millisecond) // spread over the run
	}
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 200, Sent: 180, Failed: 20}, b.audit(task.ID).Counts)
}
