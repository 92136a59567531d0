package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// Invariant 7: however an openid comes to another user while a task is under way, the person gets the task once.
func TestUpsertUsers_OpenIDThatChangesHandsIsNotSentTwice(t *testing.T) {
	t.Parallel()
	for name, reports := range map[string][][]string{
		"taken":                              {{"b", "X"}},
		"given up, then taken":               {{"a", "Y"}, {"b", "X"}},
		"cleared, then taken":                {{"a", ""}, {"b", "X"}},
		"over a third user":                  {{"c", "X"}, {"b", "X"}},
		"given up by a third user":           {{"c", "X"}, {"c", "Z"}, {"b", "X"}},
		"given up and taken back by another": {{"b", "X"}, {"b", "Q"}, {"b", "X"}},
		"in one report":                      {{"a", "Y", "b", "X"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, outcome := range []store.Outcome{
				{State: push.Sent, Permit: store.PermitSpent}, {State: push.Pending, Permit: store.PermitKept, Ambiguous: true},
				{State: push.Unknown, Permit: store.PermitKept, Reason: push.Unsure, Ambiguous: true}, {State: push.Sending},
			} {
				b := setup(t)
				b.users(2, "a", "X", "b", "", "c", "")
				run := b.run(b.sending(10, "a", "b"), 0)
				first := b.claim(run, 0, 1)
				require.Len(t, first.Sending, 1)
				if outcome.State != push.Sending {
					outcome.PermitID, outcome.AnsweredAt = first.Sending[0].PermitID, time.Now()
					b.record(run, outcome)
				}
				for _, report := range reports {
					b.users(0, report...)
				}
				second := b.claim(run, 1, 2)
				require.Empty(t, second.Sending, outcome.State)
				require.Equal(t, 1, second.Ended)
				require.Equal(t, 1, b.count(`SELECT count(*) FROM recipient WHERE user_id = 'b' AND reason = $1`, int16(push.DuplicateOpenID)))
			}
		})
	}
}

// The losing side: an openid whose former user got nothing is sent, and so is a user who takes their own one back.
func TestUpsertUsers_OpenIDThatGotNothingIsSent(t *testing.T) {
	t.Parallel()
	for name, reports := range map[string][][]string{
		"moved": {{"b", "X"}}, "given up and taken": {{"a", "Y"}, {"b", "X"}}, "new": {{"b", "N"}}, "there and back": {{"a", "X", "b", "N"}, {"b", "X"}, {"a", "X", "b", "N"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.users(1, "a", "X", "b", "")
			run := b.run(b.sending(10, "a", "b"), 0)
			for _, report := range reports {
				b.users(0, report...)
			}
			require.Len(t, b.claim(run, 1, 2).Sending, 1)
		})
	}
}

// No claim straddles a move: a report by which an openid changes hands waits for the claims that are under way, and its claim then
// sees what they wrote (invariant 7). A report that changes nothing waits for nobody.
func TestUpsertUsers_MoveWaitsForTheClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X", "b", "")
	run := b.run(b.sending(10, "a", "b"), 0)
	moved := make(chan error, 1)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		c, err := b.st.Claim(ctx, run, 0, 1, time.Minute)
		require.NoError(t, err)
		require.Len(t, c.Sending, 1)
		go func() { moved <- b.st.UpsertUsers(t.Context(), b.app.ID, []string{"b"}, []string{"X"}) }()
		b.blocked()
		require.NoError(t, b.st.UpsertUsers(t.Context(), b.app.ID, []string{"a"}, []string{"X"}))
		require.Empty(t, moved)
		return nil
	}))
	require.NoError(t, <-moved)
	require.Empty(t, b.claim(run, 1, 2).Sending)
}

// And the other way round: a claim waits for the move.
func TestClaim_WaitsForTheMove(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X", "b", "")
	run := b.run(b.sending(10, "a", "b"), 0)
	claimed := make(chan store.Claim, 1)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		require.NoError(t, b.st.UpsertUsers(ctx, b.app.ID, []string{"b"}, []string{"X"}))
		go func() {
			c, _ := b.st.Claim(t.Context(), run, 0, 2, time.Minute)
			claimed <- c
		}()
		b.blocked()
		return nil
	}))
	c := <-claimed
	require.Len(t, c.Sending, 1)
	require.Equal(t, "b", c.Sending[0].UserID)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM recipient WHERE user_id = 'a' AND reason = $1`, int16(push.NoOpenID)))
}

// Two reports of one openid that nobody had, at the same time: the later one wins, and neither fails.
func TestUpsertUsers_TwoAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	second := make(chan error, 1)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		require.NoError(t, b.st.UpsertUsers(ctx, b.app.ID, []string{"a", "c"}, []string{"X", "Y"}))
		go func() { second <- b.st.UpsertUsers(t.Context(), b.app.ID, []string{"b", "d"}, []string{"Y", "X"}) }()
		b.blocked()
		return nil
	}))
	require.NoError(t, <-second)
	require.Equal(t, []string{"b=Y", "d=X"}, b.strings(`SELECT user_id || '=' || openid FROM app_user WHERE openid IS NOT NULL ORDER BY user_id`))
}
