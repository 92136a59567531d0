package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

func pending(t *testing.T, pool *pgxpool.Pool) (n, all int) {
	t.Helper()
	status, err := store.MigrateStatus(t.Context(), pool)
	require.NoError(t, err)
	for _, m := range status {
		if m.AppliedAt == nil {
			n++
		}
	}
	return n, len(status)
}

func tables(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT count(*)
		FROM pg_tables
		WHERE schemaname IN ('public', 'river') AND tablename <> 'goose_db_version'`).Scan(&n))
	return n
}

func TestMigrate_UpDownUp(t *testing.T) {
	t.Parallel()
	pool := storetest.Connect(t, storetest.Empty(t))
	n, all := pending(t, pool)
	require.Equal(t, all, n)
	require.Zero(t, tables(t, pool), "status changes nothing")

	require.NoError(t, store.MigrateUp(t.Context(), pool))
	n, _ = pending(t, pool)
	require.Zero(t, n)
	up := tables(t, pool)
	before := dump(t, pool)

	require.NoError(t, store.MigrateDown(t.Context(), pool, 1))
	require.NoError(t, store.MigrateDown(t.Context(), pool, 0))
	require.Zero(t, tables(t, pool), "nothing is left, of River neither")
	var schemas int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = 'river'").Scan(&schemas))
	require.Zero(t, schemas)

	require.NoError(t, store.MigrateUp(t.Context(), pool))
	require.Equal(t, up, tables(t, pool))
	require.Equal(t, before, dump(t, pool))
	require.NoError(t, store.MigrateUp(t.Context(), pool), "again changes nothing")
}

func TestMigrateUp_AtOnce_EachStepOnce(t *testing.T) {
	t.Parallel()
	url := storetest.Empty(t)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		pool := storetest.Connect(t, url)
		wg.Go(func() { errs[i] = store.MigrateUp(t.Context(), pool) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	pool := storetest.Connect(t, url)
	n, _ := pending(t, pool)
	require.Zero(t, n)
	var twice int
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT count(*)
		FROM (SELECT version_id FROM goose_db_version GROUP BY version_id HAVING count(*) > 1) AS d`).Scan(&twice))
	require.Zero(t, twice)
}

func TestMigrateUp_CanceledWhileAnotherMigrates_Returns(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	holder, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer holder.Release()
	_, err = holder.Exec(t.Context(), "SELECT pg_advisory_lock($1)", int64(0x6d696e6970757368))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, store.MigrateUp(ctx, pool), context.Canceled)
}

func TestCheckSchema(t *testing.T) {
	t.Parallel()
	t.Run("Complete_Passes", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, store.CheckSchema(t.Context(), storetest.Pool(t)))
	})
	t.Run("Ahead_Passes", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		_, err := pool.Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
		require.NoError(t, err)
		require.NoError(t, store.CheckSchema(t.Context(), pool))
	})
	t.Run("Empty_NamesTheCommand", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Connect(t, storetest.Empty(t))
		requireBehind(t, pool)
		require.Zero(t, tables(t, pool), "a check changes nothing")
	})
	t.Run("OursBehind_NamesTheCommand", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		require.NoError(t, store.MigrateDown(t.Context(), pool, 1))
		requireBehind(t, pool)
	})
	t.Run("RiverBehind_NamesTheCommand", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Pool(t)
		_, err := pool.Exec(t.Context(), "DELETE FROM river.river_migration WHERE version = (SELECT max(version) FROM river.river_migration)")
		require.NoError(t, err)
		behind := requireBehind(t, pool)
		require.Len(t, behind, 1)
		require.Equal(t, store.RiverSchema, behind[0].Line)
	})
}

func requireBehind(t *testing.T, pool *pgxpool.Pool) (pending []store.Migration) {
	t.Helper()
	err := store.CheckSchema(t.Context(), pool)
	var behind *store.SchemaError
	require.ErrorAs(t, err, &behind)
	require.NotEmpty(t, behind.Pending)
	require.ErrorContains(t, err, "minipush migrate up")
	return behind.Pending
}
