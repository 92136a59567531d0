package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// The tables of names say what package push says.
func TestNames_EqualTheCode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var reasons, states []string
	for _, r := range push.Reasons() {
		x := r.Text()
		reasons = append(reasons, fmt.Sprintf("%d|%s|%s|%s|%s", r, x.Code, x.State, x.ZH, x.EN))
	}
	require.Equal(t, reasons, b.strings(`SELECT concat_ws('|', reason, code, state, zh, en) FROM reason ORDER BY reason`))
	for s := push.Pending; s <= push.Waiting; s++ {
		states = append(states, fmt.Sprintf("%d|%s", s, s))
	}
	require.Equal(t, states, b.strings(`SELECT concat_ws('|', state, name) FROM recipient_state ORDER BY state`))
}

// A request that is made twice with one key is done once: the second waits for the first and gets its answer, or, if the first was
// rolled back, does it itself.
func TestIdempotencyKeys_AtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answer := store.StoredAnswer{RequestHash: []byte("h"), Status: 201, ContentType: "application/json", Body: []byte("{}")}
	for _, rolledBack := range []bool{true, false} {
		second := make(chan *store.StoredAnswer, 1)
		err := b.st.InTx(t.Context(), func(ctx context.Context) error {
			first, err := b.st.ReserveIdempotencyKey(ctx, "p", "k", []byte("h"))
			require.NoError(t, err)
			require.Nil(t, first)
			go func() {
				_ = b.st.InTx(t.Context(), func(ctx context.Context) error {
					got, _ := b.st.ReserveIdempotencyKey(ctx, "p", "k", []byte("h"))
					second <- got
					return errors.New("leave no trace")
				})
			}()
			b.blocked()
			require.NoError(t, b.st.StoreAnswer(ctx, "p", "k", answer))
			if rolledBack {
				return errors.New("rolled back")
			}
			return nil
		})
		require.Equal(t, rolledBack, err != nil)
		got := <-second
		if rolledBack {
			require.Nil(t, got)
			continue
		}
		require.Equal(t, &answer, got)
	}
	other, err := b.st.ReserveIdempotencyKey(t.Context(), "q", "k", []byte("h"))
	require.NoError(t, err)
	require.Nil(t, other, "a key is its principal's own")
	n, err := b.st.PurgeIdempotencyKeys(t.Context(), time.Now().Add(time.Minute), 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestAPITokens_LiveByNameAndHash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	insert := func(name, role, hash string) error {
		_, err := b.st.InsertAPIToken(t.Context(), store.APIToken{Name: name, Role: role, AppIDs: []int32{b.app.ID}, CreatedBy: "test"}, []byte(hash))
		return err
	}
	require.NoError(t, insert("n", "viewer", "1"))
	var bad *push.InvalidError
	require.ErrorAs(t, insert("n", "viewer", "2"), &bad)
	require.Equal(t, "name", bad.Field)
	require.ErrorAs(t, insert("m", "king", "2"), &bad)
	require.Equal(t, "role", bad.Field)
	token, err := b.st.APITokenByHash(t.Context(), []byte("1"))
	require.NoError(t, err)
	require.Equal(t, []int32{b.app.ID}, token.AppIDs)
	require.Nil(t, token.LastUsedAt)
	require.NoError(t, b.st.TouchAPIToken(t.Context(), token.ID))
	require.NoError(t, b.st.RevokeAPIToken(t.Context(), "n"))
	require.ErrorIs(t, b.st.RevokeAPIToken(t.Context(), "n"), push.ErrNotFound)
	_, err = b.st.APITokenByHash(t.Context(), []byte("1"))
	require.ErrorIs(t, err, push.ErrNotFound)
	require.NoError(t, insert("n", "admin", "2"), "the name is free again")
	all, err := b.st.APITokens(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.NotNil(t, all[1].LastUsedAt)
	require.NotNil(t, all[1].RevokedAt)
}

// A sweeper runs at one place at a time, and its success and its error are noted.
func TestSweep_OneAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	inside := 0
	ran, err := b.st.Sweep(t.Context(), "s", func(ctx context.Context) error {
		inside++
		ran, err := b.st.Sweep(ctx, "s", func(context.Context) error { inside++; return nil })
		require.NoError(t, err)
		require.False(t, ran, "it runs already")
		ran, err = b.st.Sweep(ctx, "other", func(context.Context) error { return errors.New("broken") })
		require.True(t, ran)
		require.ErrorContains(t, err, "broken")
		return nil
	})
	require.NoError(t, err)
	require.True(t, ran)
	require.Equal(t, 1, inside)
	list, err := b.st.Sweepers(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "broken", list[0].LastError)
	require.Nil(t, list[0].LastSuccessAt)
	require.NotNil(t, list[1].LastSuccessAt)
	never, err := b.st.LastSuccess(t.Context(), "other")
	require.NoError(t, err)
	require.True(t, never.IsZero())
	ran, err = b.st.Sweep(t.Context(), "s", func(context.Context) error { return nil })
	require.NoError(t, err)
	require.True(t, ran, "the lock went with the run before")
}

// Of two daemons that want the token that follows a version one may fetch it, for as long as its hold lasts.
func TestTokenRefresh_OneAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	begin := func(version int32, hold time.Duration) bool {
		mine, err := b.st.BeginTokenRefresh(t.Context(), b.app.ID, version, hold)
		require.NoError(t, err)
		return mine
	}
	_, err := b.st.AppToken(t.Context(), b.app.ID)
	require.ErrorIs(t, err, push.ErrNotFound)
	require.True(t, begin(0, time.Minute))
	require.False(t, begin(0, time.Minute))
	require.NoError(t, b.st.EndTokenRefresh(t.Context(), b.app.ID, 0, []byte("one"), time.Hour))
	require.False(t, begin(0, time.Minute), "it was replaced already")
	require.NoError(t, b.st.EndTokenRefresh(t.Context(), b.app.ID, 0, []byte("late"), time.Hour))
	token, err := b.st.AppToken(t.Context(), b.app.ID)
	require.NoError(t, err)
	require.Equal(t, "one", string(token.Sealed))
	require.Equal(t, int32(1), token.Version)
	require.InDelta(t, time.Hour, token.ExpiresIn, float64(time.Minute))
	require.True(t, begin(1, -time.Second))
	require.True(t, begin(1, time.Minute), "the hold before has run out")
	require.NoError(t, b.st.EndTokenRefresh(t.Context(), b.app.ID, 1, nil, 0))
	require.True(t, begin(1, time.Minute), "the right was given back")
}

func TestRecipients_PagesAndFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X", "b", "", "c", "Z", "e", "W")
	task := b.sending(2, "a", "b", "c", "d", "e")
	for no := range int32(3) {
		run := b.run(task, no)
		for _, c := range b.claim(run, run.Lo, run.Hi).Sending {
			if c.UserID != "e" {
				b.record(run, sent(c))
			}
		}
		_, _, err := b.st.EndRun(t.Context(), run, 0)
		require.NoError(t, err)
	}
	list := func(f store.RecipientFilter) (users []string) {
		f.After = -1
		for { // page by page
			page, err := b.st.Recipients(t.Context(), task, f)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), f.Limit)
			if len(page) == 0 {
				return users
			}
			for _, r := range page {
				users, f.After = append(users, r.UserID), r.Seq
			}
		}
	}
	state := func(s push.RecipientState) *push.RecipientState { return &s }
	for _, limit := range []int{1, 2, 100} {
		require.Equal(t, []string{"a", "b", "c", "d", "e"}, list(store.RecipientFilter{Limit: limit}))
		require.Equal(t, []string{"a", "c"}, list(store.RecipientFilter{Limit: limit, State: state(push.Sent)}))
		require.Equal(t, []string{"b", "d"}, list(store.RecipientFilter{Limit: limit, State: state(push.Skipped)}))
		require.Equal(t, []string{"d"}, list(store.RecipientFilter{Limit: limit, Reason: push.NoUser}))
		require.Equal(t, []string{"e"}, list(store.RecipientFilter{Limit: limit, State: state(push.Sending)}))
		require.Equal(t, []string{"c"}, list(store.RecipientFilter{Limit: limit, UserID: "c"}))
		require.Empty(t, list(store.RecipientFilter{Limit: limit, UserID: "c", State: state(push.Failed)}))
		require.Empty(t, list(store.RecipientFilter{Limit: limit, State: state(push.Pending)}))
	}
	draft := b.task("x", "y")
	rows, err := b.st.Recipients(t.Context(), draft, store.RecipientFilter{After: -1, Limit: 10, State: state(push.Pending)})
	require.NoError(t, err)
	require.Len(t, rows, 2)
}

// The figures of reach add up to the whole list, and say what the claim would do.
func TestReach_AddsUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "soon", "A", "late", "B", "expired", "C", "used", "D", "margin", "M")
	b.users(0, "dry", "E", "noid", "")
	b.exec(`UPDATE form_id SET expires_at = CASE user_id WHEN 'soon' THEN now() + interval '1 hour' WHEN 'expired' THEN now() - interval '1 s'
		WHEN 'margin' THEN now() + interval '9 min' ELSE now() + interval '5 days' END`)
	b.exec(`UPDATE form_id SET state = 2, audience_id = 1 WHERE user_id = 'used'`)
	id := b.task("soon", "late", "expired", "used", "margin", "dry", "noid", "ghost")
	task, err := b.st.Task(t.Context(), id)
	require.NoError(t, err)
	reach := func(in time.Duration) push.Reach {
		r := b.reach(task, in, 10*time.Minute)
		any, err := b.st.AnyReachable(t.Context(), task, time.Now().Add(in), 10*time.Minute, "")
		require.NoError(t, err)
		require.Equal(t, r.Reachable > 0, any)
		r.Expiring = nil
		return r
	}
	require.Equal(t, push.Reach{Total: 8, Reachable: 2, NoPermit: 4, NoUser: 1, NoOpenID: 1}, reach(0))
	require.Equal(t, push.Reach{Total: 8, Reachable: 1, NoPermit: 5, NoUser: 1, NoOpenID: 1, ExpiresBeforeSend: 1}, reach(2*time.Hour))
	require.Equal(t, push.Reach{Total: 8, NoPermit: 6, NoUser: 1, NoOpenID: 1, ExpiresBeforeSend: 2}, reach(6*24*time.Hour))
	require.Equal(t, 2, reach(-time.Hour).Reachable, "a time that has passed is now")
}

// Each transition names the states it starts from: from any other it moves nothing.
func TestTransitions_OnlyFromTheirStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.task("a")
	draft := map[string]func(context.Context) (bool, error){
		"unschedule": func(ctx context.Context) (bool, error) { return b.st.UnscheduleTask(ctx, id) },
		"begin":      func(ctx context.Context) (bool, error) { return b.st.BeginTask(ctx, id) },
		"miss":       func(ctx context.Context) (bool, error) { return b.st.MissTask(ctx, id, "") },
		"pause":      func(ctx context.Context) (bool, error) { return b.st.PauseTask(ctx, id, push.CauseQuota, "") },
		"resume":     func(ctx context.Context) (bool, error) { return b.st.ResumeTask(ctx, id, nil) },
		"cancel":     func(ctx context.Context) (bool, error) { return b.st.CancelTask(ctx, id) },
		"settle":     func(ctx context.Context) (bool, error) { return b.st.SettleTask(ctx, id) },
	}
	before := b.tables()
	for name, move := range draft {
		moved, err := move(t.Context())
		require.NoError(t, err)
		require.False(t, moved, name)
	}
	require.Equal(t, before, b.tables())
	deleted, err := b.st.DeleteTask(t.Context(), b.sending(1, "a"))
	require.NoError(t, err)
	require.False(t, deleted)
}

// A pause ends when its set of causes is empty, and a cause stands in it once.
func TestPause_IsASetOfCauses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.sending(1, "a")
	for _, cause := range []push.Cause{push.CauseOperator, push.CauseQuota, push.CauseQuota} {
		moved, err := b.st.PauseTask(t.Context(), id, cause, "")
		require.NoError(t, err)
		require.True(t, moved)
	}
	task, err := b.st.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []push.Cause{push.CauseOperator, push.CauseQuota}, task.Causes)
	for _, step := range []struct {
		out   push.Cause
		state push.TaskState
	}{{push.CauseBreaker, push.TaskPaused}, {push.CauseQuota, push.TaskPaused}, {push.CauseOperator, push.TaskSending}} {
		_, err := b.st.ResumeTask(t.Context(), id, []push.Cause{step.out})
		require.NoError(t, err)
		task, err = b.st.Task(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, step.state, task.State, step.out)
	}
}
