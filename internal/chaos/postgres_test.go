package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/localpg"
	"minipush/internal/store"
)

// appSuite is what the suite's own connections call themselves: they are not cut.
const appSuite = "chaos suite"

// postgres is a durable server of the suite's own, whose postmaster is killed and started again.
type postgres struct {
	dir  string
	url  string
	pool *pgxpool.Pool

	mu  sync.Mutex
	use *localpg.Server
}

func startPostgres(t *testing.T, dir string) *postgres {
	t.Helper()
	pg := &postgres{dir: dir}
	require.NoError(t, pg.start(t.Context()))
	pg.url = pg.use.URL()
	t.Cleanup(func() {
		pg.mu.Lock()
		defer pg.mu.Unlock()
		require.NoError(t, pg.use.Stop(context.Background()))
	})
	cfg, err := pgxpool.ParseConfig(pg.url)
	require.NoError(t, err)
	cfg.MaxConns = 6
	cfg.ConnConfig.RuntimeParams["application_name"] = appSuite
	pg.pool, err = pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pg.pool.Close)
	require.NoError(t, store.MigrateUp(t.Context(), pg.pool))
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		require.NoError(t, pg.pool.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&value))
		require.Equal(t, "on", value, name)
	}
	return pg
}

// start makes the server run, again if it was killed. What its old backends still hold keeps a new one from starting for a moment.
func (pg *postgres) start(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for {
		use, err := localpg.Start(ctx, localpg.Config{DataDir: pg.dir})
		if err == nil {
			pg.mu.Lock()
			before := pg.use
			pg.use = use
			pg.mu.Unlock()
			if before != nil {
				return before.Stop(ctx) // the new use keeps the server up
			}
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("start postgres: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// kill ends the postmaster with SIGKILL; its backends end when they notice.
func (pg *postgres) kill() error {
	text, err := os.ReadFile(filepath.Join(pg.use.DataDir(), "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("find postmaster: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return errors.Join(errors.New("find postmaster: no process id"), err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill postmaster: %w", err)
	}
	return nil
}

// cut ends every connection but the suite's own, and says how many there were.
func (pg *postgres) cut(ctx context.Context) (n int, err error) {
	err = pg.pool.QueryRow(ctx, `
		SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		 WHERE datname = current_database() AND application_name <> $1 AND backend_type = 'client backend'`, appSuite).Scan(&n)
	return n, err
}

// ask runs a query that answers one row, over restarts of the server.
func (pg *postgres) ask(t *testing.T, sql string, args []any, into ...any) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := pg.pool.QueryRow(context.WithoutCancel(t.Context()), sql, args...).Scan(into...)
		if err == nil {
			return
		}
		require.NotErrorIs(t, err, pgx.ErrNoRows)
		require.True(t, time.Now().Before(deadline), "%v", err)
		time.Sleep(50 * time.Millisecond) // between two tries, under a deadline
	}
}

func (pg *postgres) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	pg.ask(t, sql, args, &n)
	return n
}
