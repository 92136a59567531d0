package storetest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestWire_LosesTheAnswerToACommit_NotTheCommit(t *testing.T) {
	t.Parallel()
	url := Empty(t)
	w := NewWire(t, url)
	direct, through := Connect(t, url), Connect(t, w.URL())
	_, err := through.Exec(t.Context(), `CREATE TABLE x (n int)`)
	require.NoError(t, err)
	var lost atomic.Int32
	w.Lose(func(e Exchange) bool {
		if e.Committed && e.Has("INSERT INTO x") {
			lost.Add(1)
			return true
		}
		return false
	})
	insert := func(n int) error {
		return pgx.BeginFunc(t.Context(), through, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO x VALUES ($1)`, n)
			require.NoError(t, err)
			return nil
		})
	}
	require.Error(t, insert(1))
	_, err = through.Exec(t.Context(), `INSERT INTO x VALUES ($1)`, 2)
	require.Error(t, err)
	require.EqualValues(t, 2, lost.Load())
	w.Lose(nil)
	require.NoError(t, insert(3))
	var sum int
	require.NoError(t, direct.QueryRow(t.Context(), `SELECT sum(n) FROM x`).Scan(&sum))
	require.Equal(t, 6, sum, "what was lost is the answer")
}

func TestWire_Frozen_TheServerKeepsTheTransactionOpen(t *testing.T) {
	t.Parallel()
	url := Empty(t)
	w := NewWire(t, url)
	direct, through := Connect(t, url), Connect(t, w.URL())
	tx, err := through.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(1)`)
	require.NoError(t, err)
	free := func() (is bool) {
		require.NoError(t, direct.QueryRow(t.Context(), `SELECT pg_try_advisory_xact_lock(1)`).Scan(&is))
		return is
	}
	w.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, direct.QueryRow(ctx, `SELECT pg_advisory_xact_lock(1)`).Scan(nil), "held")
	require.False(t, free())
	ended := make(chan error, 1)
	go func() { ended <- tx.Commit(t.Context()) }()
	require.False(t, free())
	w.Thaw()
	require.NoError(t, <-ended)
	require.True(t, free())
}
