package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// The cap is by person and day over all tasks of the app: two tasks that claim the last unit of each of many persons at once share
// them, and whoever loses is skipped with the permit given back.
func TestClaim_LastUnitOfTheDay_OneOfTwoTasksGetsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dailyCap(2)
	var names, pairs []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("u%02d", i))
		pairs = append(pairs, names[i], fmt.Sprint("O", i))
	}
	b.users(3, pairs...)
	earlier := b.run(b.sending(100, names...), 0)
	claimed := b.claim(earlier, 0, 40).Sending
	require.Len(t, claimed, 40)
	for _, c := range claimed {
		require.True(t, c.Counted)
		b.record(earlier, counted(sent(c), c))
	}
	backward := slices.Clone(names)
	slices.Reverse(backward)
	tasks := []int64{b.sending(100, names...), b.sending(100, backward...)}
	got := make([]store.Claim, 2)
	var done sync.WaitGroup
	for i, task := range tasks {
		run := b.run(task, 0)
		done.Go(func() {
			for lo := int32(0); lo < 40; lo += 10 {
				c, err := b.st.Claim(t.Context(), run, lo, lo+10, time.Minute)
				require.NoError(t, err)
				got[i].Sending = append(got[i].Sending, c.Sending...)
				got[i].Ended += c.Ended
			}
		})
	}
	done.Wait()
	all := append(users(got[0]), users(got[1])...)
	slices.Sort(all)
	require.Equal(t, names, all, "each person once")
	require.Equal(t, 40, got[0].Ended+got[1].Ended)
	require.Equal(t, 40, b.count(`SELECT count(*) FROM task_recipient WHERE reason = 'capped' AND state = 'skipped'`))
	require.Equal(t, 40, b.count(`SELECT sum((reasons->>'6')::int) FROM chunk`))
	require.Equal(t, 40, b.count(`SELECT count(*) FROM form_id WHERE state = 1`), "a permit is held for those in sending only")
	require.Equal(t, 40, b.count(`SELECT count(*) FROM user_day WHERE cardinality(tasks) = 2`))
}

func counted(o store.Outcome, c store.Claimed) store.Outcome {
	o.CountedFor = c.OpenID
	return o
}

// The loser waits for the rival's transaction, and is skipped only if that one commits.
func TestClaim_CapHeldByARival_WaitsForItsEnd(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprintf("commits %v", commits), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.dailyCap(1)
			b.users(2, "a", "X")
			winner, loser := b.run(b.sending(10, "a"), 0), b.run(b.sending(10, "a"), 0)
			got := make(chan store.Claim, 1)
			err := b.st.InTx(t.Context(), func(ctx context.Context) error {
				require.Len(t, b.claimIn(ctx, winner, 0, 1).Sending, 1)
				go func() {
					c, _ := b.st.Claim(t.Context(), loser, 0, 1, time.Minute)
					got <- c
				}()
				b.blocked()
				if !commits {
					return context.Canceled
				}
				return nil
			})
			require.Equal(t, commits, err == nil)
			second := <-got
			require.Equal(t, commits, len(second.Sending) == 0)
			require.Equal(t, commits, second.Ended == 1)
			require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
			require.Equal(t, 1, b.count(`SELECT cardinality(tasks) FROM user_day`))
		})
	}
}

// A unit is given back when it is certain that nothing was sent, and stays taken while the outcome is in doubt (invariant 4).
func TestRecordOutcomes_GivesTheDaysUnitBackOnlyOnCertainty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		state push.RecipientState
		fate  store.PermitFate
		doubt bool
		kept  bool
	}{
		{"sent", push.Sent, store.PermitSpent, false, true},
		{"ambiguous, to be tried again", push.Pending, store.PermitKept, true, true},
		{"in doubt, to go on with another permit", push.Pending, store.PermitDied, true, true},
		{"unknown", push.Unknown, store.PermitKept, true, true},
		{"retried after a certain failure", push.Pending, store.PermitFreed, false, false},
		{"not called, the gate was closed", push.Pending, store.PermitFreed, false, false},
		{"dead permit, the next is to be tried", push.Pending, store.PermitDied, false, false},
		{"failed, every permit dead", push.Failed, store.PermitDied, false, false},
		{"failed for good", push.Failed, store.PermitFreed, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.dailyCap(1)
			b.users(3, "a", "X")
			run := b.run(b.sending(10, "a"), 0)
			row := b.claim(run, 0, 1).Sending[0]
			o := store.Outcome{Seq: row.Seq, PermitID: row.PermitID, State: c.state, Permit: c.fate, Ambiguous: c.doubt && c.fate == store.PermitKept,
				InDoubt: c.doubt && c.fate == store.PermitDied, CountedFor: row.OpenID, AnsweredAt: time.Now()}
			switch c.state {
			case push.Failed:
				o.Reason = push.PlatformError
			case push.Unknown:
				o.Reason = push.Unsure
			default:
			}
			b.exec(`UPDATE user_day SET day = day - 1`) // the answer comes after midnight: the unit is the one of the claim's day
			b.record(run, o)
			want := 0
			if c.kept {
				want = 1
			}
			require.Equal(t, want, b.count(`SELECT cardinality(tasks) FROM user_day`))
			b.exec(`UPDATE user_day SET day = day + 1`)
			next := b.claim(b.run(b.sending(10, "a"), 0), 0, 1)
			require.Equal(t, c.kept, len(next.Sending) == 0, "another task of the day")
		})
	}
}

// A message in doubt is sent again with its own permit under its own unit, and is given back once the platform has said that
// nothing got through.
func TestClaimAmbiguous_UsesTheUnitItHas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dailyCap(1)
	b.users(2, "a", "X")
	run := b.run(b.sending(10, "a"), 0)
	row := b.claim(run, 0, 1).Sending[0]
	b.record(run, store.Outcome{Seq: 0, PermitID: row.PermitID, State: push.Pending, Ambiguous: true, CountedFor: "X", AnsweredAt: time.Now()})
	again, err := b.st.ClaimAmbiguous(t.Context(), run, 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, again.Sending, 1)
	require.True(t, again.Sending[0].Counted)
	require.Equal(t, 1, b.count(`SELECT cardinality(tasks) FROM user_day`))
	b.record(run, store.Outcome{Seq: 0, PermitID: row.PermitID, State: push.Pending, Permit: store.PermitDied, CountedFor: "X", AnsweredAt: time.Now()})
	require.Zero(t, b.count(`SELECT cardinality(tasks) FROM user_day`))
	require.Len(t, b.claim(run, 0, 1).Sending, 1, "with the next permit")
}

// The cap counts persons, not ids: an openid that went to another user of the app brings its day with it.
func TestClaim_Cap_FollowsTheOpenID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dailyCap(1)
	b.users(1, "a", "X", "b", "Y")
	require.Len(t, b.claim(b.run(b.sending(10, "a"), 0), 0, 1).Sending, 1)
	b.users(0, "b", "X")
	task := b.sending(10, "b")
	require.Empty(t, b.claim(b.run(task, 0), 0, 1).Sending)
	require.Equal(t, []string{"b capped"}, b.reasons(task))
}

// The day is the one of the zone: where it is another day already, the count begins anew.
func TestClaim_Cap_DayOfTheZone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dailyCap(1)
	b.users(3, "a", "X")
	claim := func(zone string) int {
		run := b.run(b.sending(10, "a"), 0)
		run.Zone = zone
		return len(b.claim(run, 0, 1).Sending)
	}
	require.Equal(t, 1, claim("Pacific/Kiritimati"))
	require.Equal(t, 0, claim("Pacific/Kiritimati"))
	require.Equal(t, 1, claim("Pacific/Pago_Pago"), "25 hours behind")
	require.Equal(t, 2, b.count(`SELECT count(DISTINCT day) FROM user_day`))
}

// Two daemons that claim and give back for the same persons in opposite order never wait for each other in a circle.
func TestCap_OppositeOrders_NoDeadlock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dailyCap(1000)
	var forward, pairs []string
	for i := range 60 {
		forward = append(forward, fmt.Sprintf("u%02d", i))
		pairs = append(pairs, forward[i], fmt.Sprint("O", 1000-i))
	}
	b.users(4, pairs...)
	backward := slices.Clone(forward)
	slices.Reverse(backward)
	var done sync.WaitGroup
	for i, list := range [][]string{forward, backward, forward, backward} {
		run := b.run(b.sending(100, list...), 0)
		done.Go(func() {
			for range 15 {
				c, err := b.st.Claim(t.Context(), run, 0, 60, time.Minute)
				if err != nil || len(c.Sending) == 0 {
					require.NoError(t, err)
					continue
				}
				outcomes := make([]store.Outcome, len(c.Sending))
				for k, row := range c.Sending {
					outcomes[k] = store.Outcome{Seq: row.Seq, PermitID: row.PermitID, State: push.Pending, Permit: store.PermitFreed, CountedFor: row.OpenID, AnsweredAt: time.Now()}
				}
				if i%2 == 1 {
					slices.Reverse(outcomes)
				}
				_, err = b.st.RecordOutcomes(t.Context(), run, outcomes)
				require.NoError(t, err)
			}
		})
	}
	done.Wait()
	require.Zero(t, b.count(`SELECT coalesce(sum(cardinality(tasks)), 0) FROM user_day`), "all given back")
}

func TestPurgeUserDays_KeepsYesterdayAndToday(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO user_day (openid, app_id, day, tasks)
		SELECT 'X', 1, (now() AT TIME ZONE 'Asia/Shanghai')::date - g, '{1}' FROM generate_series(0, 9) g`)
	for _, want := range []int{5, 3, 0} {
		n, err := b.st.PurgeUserDays(t.Context(), "Asia/Shanghai", time.Now(), 5)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Equal(t, 2, b.count(`SELECT count(*) FROM user_day`))
}

// A claim whose answer was lost, and that is put back, gives the day's message back with the permit; one in doubt keeps both.
func TestUnclaim_GivesTheDaysUnitBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dailyCap(1)
	b.users(2, "a", "X", "b", "Y")
	run := b.run(b.sending(10, "a", "b"), 0)
	rows := b.claim(run, 0, 2).Sending
	b.record(run, store.Outcome{Seq: 1, PermitID: rows[1].PermitID, State: push.Pending, Ambiguous: true, CountedFor: "Y", AnsweredAt: time.Now()})
	again, err := b.st.ClaimAmbiguous(t.Context(), run, 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, again.Sending, 1)
	n, err := b.st.Unclaim(t.Context(), run, []int32{})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []string{"X 0", "Y 1"}, b.strings(`SELECT openid || ' ' || cardinality(tasks) FROM user_day ORDER BY openid`))
	require.Equal(t, []string{"a"}, users(b.claim(b.run(b.sending(10, "a", "b"), 0), 0, 2)))
}
