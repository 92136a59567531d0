package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// purge runs the purge of lists until it finds nothing more.
func (b *bundle) purge() {
	b.t.Helper()
	for {
		n, err := b.st.PurgeDroppedAudiences(b.t.Context(), 2)
		require.NoError(b.t, err)
		if n == 0 {
			return
		}
	}
}

// The rows that an upload adds to a version that was dropped meanwhile are found by the purge; once it has taken the version,
// nothing can be added: no row is left that nobody finds.
func TestPurgeDroppedAudiences_LeavesNoRowBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kept := b.task("k")
	id := b.task("a")
	a, err := b.st.BeginAudience(t.Context(), id, "list.csv", nil, "test")
	require.NoError(t, err)
	deleted, err := b.st.DeleteTask(t.Context(), id)
	require.NoError(t, err)
	require.True(t, deleted)

	fill := func(ctx context.Context, next int) error {
		if err := b.st.AddRejects(ctx, a.ID, []store.Reject{{Line: next + 1, Code: "blank"}}); err != nil {
			return err
		}
		_, err := b.st.AddRecipients(ctx, a.ID, next, 0, []store.NewRecipient{{UserID: string(rune('x' + next))}})
		return err
	}
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		require.NoError(t, fill(ctx, 0))
		b.purge()
		require.Equal(t, 1, b.count(`SELECT count(*) FROM audience WHERE id = $1`, a.ID), "a version under an upload stays")
		return nil
	}))
	require.NoError(t, fill(t.Context(), 1))
	b.purge()
	require.ErrorIs(t, fill(t.Context(), 2), push.ErrNotFound)
	_, err = b.st.AddRecipients(t.Context(), a.ID, 2, 0, []store.NewRecipient{{UserID: "z"}})
	require.ErrorIs(t, err, push.ErrNotFound)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM recipient`), "of the task that is kept")
	require.Equal(t, 0, b.count(`SELECT count(*) FROM audience_reject`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM audience`))
	list, err := b.st.Recipients(t.Context(), kept, store.RecipientFilter{After: -1, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestBeginAudience_OfATaskThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.st.BeginAudience(t.Context(), 4711, "list.csv", nil, "test")
	require.ErrorIs(t, err, push.ErrNotFound)
}

// Old moves are forgotten a few at a time, young ones are kept.
func TestPurgeOpenIDMoves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(0, "a", "X", "b", "Y", "c", "Z", "d", "")
	b.users(0, "d", "X")
	b.users(0, "d", "Y")
	b.exec(`UPDATE openid_move SET moved_at = now() - interval '40 days'`)
	b.users(0, "d", "Z")
	old := b.count(`SELECT count(*) FROM openid_move WHERE moved_at < now() - interval '1 day'`)
	require.Greater(t, old, 1)
	young := b.count(`SELECT count(*) FROM openid_move`) - old
	require.Positive(t, young)
	before := time.Now().AddDate(0, 0, -30)
	for range old {
		n, err := b.st.PurgeOpenIDMoves(t.Context(), before, 1)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	n, err := b.st.PurgeOpenIDMoves(t.Context(), before, 10)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, young, b.count(`SELECT count(*) FROM openid_move`))
}
