package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// subscribing makes a task of the subscribe channel that is sending to users, of whom user n has the openid o<n> and units of the template,
// and returns a run of its one chunk.
func (b *bundle) subscribing(template string, users ...string) store.Run {
	b.t.Helper()
	_, err := b.st.UpsertTemplate(b.t.Context(), b.app.ID, push.Template{TemplateID: template, Channel: push.ChannelSubscribe, Name: "n",
		Fields: []push.Field{{Key: "thing1", Value: "{{topic}}"}}})
	require.NoError(b.t, err)
	pairs := make([]string, 0, 2*len(users))
	for _, u := range users {
		pairs = append(pairs, u, "o"+u)
		b.exec(`INSERT INTO subscription (app_id, openid, template_id, available) VALUES ($1, $2, $3, 3)`, b.app.ID, "o"+u, template)
	}
	b.users(0, pairs...)
	id := b.sending(len(users), users...)
	b.exec(`UPDATE task SET template_id = $2, channel = 'subscribe', canary_passed_at = now() WHERE id = $1`, id, template)
	return b.run(id, 0)
}

func numbered(n int) []string {
	users := make([]string, n)
	for i := range users {
		users[i] = fmt.Sprintf("%03d", i)
	}
	return users
}

// Two tasks of different templates, for the same people in opposite orders: one records its outcomes while the other claims, each
// with half of what the other wants, and neither waits for the other crosswise.
func TestOneCall_ClaimAndOutcomesOfTwoTemplates_DoNotWaitCrosswise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	users := numbered(40)
	back := slices.Clone(users)
	slices.Reverse(back)
	first, second := b.subscribing("S1", back...), b.subscribing("S2", users...)
	var outcomes []store.Outcome
	for _, c := range b.claim(first, 0, 40).Sending {
		outcomes = append(outcomes, sent(c))
	}
	require.Len(t, outcomes, 40)

	// Somebody holds the one in the middle until both have what comes before it in their order.
	held, err := b.st.Pool().Begin(t.Context())
	require.NoError(t, err)
	defer held.Rollback(t.Context()) //nolint:errcheck // it has ended by then
	_, err = held.Exec(t.Context(), `SELECT FROM openid_call WHERE openid = 'o020' FOR UPDATE`)
	require.NoError(t, err)
	done := make(chan error, 2)
	go func() {
		_, err := b.st.RecordOutcomes(t.Context(), first, outcomes)
		done <- err
	}()
	go func() {
		_, err := b.st.Claim(t.Context(), second, 0, 40, time.Minute)
		done <- err
	}()
	require.Eventually(t, func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 2
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, held.Commit(t.Context()))
	require.NoError(t, errors.Join(<-done, <-done))
	require.Equal(t, 40, b.count(`SELECT sent FROM chunk WHERE task_id = $1`, first.TaskID))
}

// An openid of a dead run stays taken when its task is canceled, as long as a call may be under way (invariant 7).
func TestOneCall_OfACanceledTask_IsKeptUntilNobodyCanBeCalling(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.subscribing("S1", "1", "2")
	b.claim(first, 0, 2)
	node := int64(b.count(`SELECT node_id FROM chunk WHERE task_id = $1`, first.TaskID))
	freed, left, err := b.st.FreeChunk(t.Context(), store.ChunkKey{TaskID: first.TaskID, No: 0}, node, time.Hour)
	require.NoError(t, err)
	require.True(t, freed)
	require.Equal(t, 2, left)
	b.exec(`UPDATE openid_call SET free_at = now() WHERE openid = 'o2'`)
	b.exec(`UPDATE task SET state = 'canceled', ended_at = now() WHERE id = $1`, first.TaskID)
	_, err = b.st.CancelChunk(t.Context(), first.TaskID)
	require.NoError(t, err)
	second := b.subscribing("S2", "1", "2")
	claim := b.claim(second, 0, 2)
	require.Len(t, claim.Sending, 1)
	require.Equal(t, "o2", claim.Sending[0].OpenID)
	b.exec(`UPDATE openid_call SET free_at = now() WHERE openid = 'o1'`)
	require.Len(t, b.claim(second, 0, 2).Sending, 1)
}

// A unit that is kept for a recipient whose outcome was never learnt counts as used once the recipient is purged (invariant 3), and the audit
// finds a counter that has one too many or too few.
func TestUnits_OfARecipientThatIsPurged_CountAsUsed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	run := b.subscribing("S1", "1", "2", "3")
	claimed := b.claim(run, 0, 3).Sending
	unknown := func(c store.Claimed) store.Outcome {
		return store.Outcome{Seq: c.Seq, PermitID: c.PermitID, State: push.Unknown, Reason: push.Unsure, Ambiguous: true, Permit: store.PermitKept, AnsweredAt: time.Now()}
	}
	b.record(run, sent(claimed[0]), unknown(claimed[1]), unknown(claimed[2]))
	stock := func() [2]int {
		return [2]int{b.count(`SELECT sum(reserved)::int FROM subscription`), b.count(`SELECT sum(used)::int FROM subscription`)}
	}
	require.Equal(t, [2]int{2, 1}, stock())
	violations := func() []store.Violation {
		found, err := b.st.AuditPermits(t.Context())
		require.NoError(t, err)
		return found
	}
	require.Empty(t, violations())
	for _, wrong := range []string{"reserved + 1", "reserved - 1"} {
		b.exec(`UPDATE subscription SET reserved = ` + wrong + ` WHERE openid = 'o2'`)
		found := violations()
		require.Len(t, found, 1, wrong)
		require.Equal(t, "subscription_reserved_wrong", found[0].Check)
		b.exec(`UPDATE subscription SET reserved = 1 WHERE openid = 'o2'`)
	}

	b.exec(`UPDATE task SET state = 'done', ended_at = now() - interval '1 year' WHERE id = $1`, run.TaskID)
	n, err := b.st.PurgeTasks(t.Context(), time.Now(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, violations())
	b.purge()
	require.Zero(t, b.count(`SELECT count(*) FROM recipient`))
	require.Equal(t, [2]int{0, 3}, stock())
	require.Empty(t, violations())
}

// Whatever comes first, what was accepted before the person turned the messages off counts no more, and what was accepted after it does.
func TestInsertSubscriptions_InAnyOrder_FollowTheirTimes(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Hour)
	accepted := store.SubscriptionReport{ID: "a", Accepted: true, At: at}
	off := store.SubscriptionReport{ID: "b", TurnedOff: true, At: at.Add(time.Minute)}
	again := store.SubscriptionReport{ID: "c", Accepted: true, At: at.Add(2 * time.Minute)}
	for _, longTerm := range []bool{false, true} {
		for _, order := range [][]store.SubscriptionReport{{accepted, off, again}, {off, accepted, again}, {again, off, accepted}, {off, again, accepted}} {
			b := setup(t)
			_, err := b.st.UpsertTemplate(t.Context(), b.app.ID, push.Template{TemplateID: "S", Channel: push.ChannelSubscribe, Name: "n", LongTerm: longTerm, Fields: []push.Field{{Key: "thing1", Value: "x"}}})
			require.NoError(t, err)
			for i, r := range order {
				r.OpenID, r.TemplateID = "o", "S"
				_, err := b.st.InsertSubscriptions(t.Context(), b.app.ID, []store.SubscriptionReport{r})
				require.NoError(t, err)
				if r.ID == "a" && i == 1 && order[0].ID == "b" {
					require.Zero(t, b.count(`SELECT available FROM subscription`), "it was turned off after that")
				}
			}
			require.Equal(t, 1, b.count(`SELECT available FROM subscription`), "%v, long-term %v", order, longTerm)
		}
	}
}
