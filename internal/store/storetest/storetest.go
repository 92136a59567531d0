// Package storetest gives each test a Postgres database of its own: fresh, migrated, dropped after.
//
// The server is the one of MINIPUSH_TEST_DATABASE_URL (an account that may create databases), or else a private one, shared by
// all test processes that run at the same time and stopped by the last. It lies in MINIPUSH_TEST_DATA_DIR, or else in the
// account's cache (/var/cache/minipush/test for root, ~/.cache/minipush/test). It writes nothing through to the disk: what a
// test's crash loses, no one misses. Tests that kill the server or measure it use [Durable].
//
// A migrated template database is built once per set of migrations, under an advisory lock, and cloned for each test. A test
// that fails keeps its database, renamed and logged. What killed runs left is dropped by the next: the name of a
// database carries a number, and its process holds an advisory lock on that number for as long as it lives.
//
// Only tests may import this package.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/localpg"
	"minipush/internal/store"
)

// startTimeout bounds what a test waits for the server and the template, which the first test of a run makes.
const startTimeout = 3 * time.Minute

// One server, and one number, per test process.
var (
	theServer = sync.OnceValues(openServer) //nolint:gochecknoglobals // shared by all tests of the process
	serial    atomic.Int64                  //nolint:gochecknoglobals // numbers the process's databases
)

// Pool returns a pool on a fresh migrated database. It is closed, and the database dropped, when the test ends.
func Pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	return Connect(tb, URL(tb))
}

// URL returns the connection string of a fresh migrated database, dropped when the test ends.
func URL(tb testing.TB) string {
	tb.Helper()
	s := mustServer(tb)
	return s.database(tb, s.cloneSQL())
}

// Empty returns the connection string of a fresh database with nothing in it, dropped when the test ends.
func Empty(tb testing.TB) string {
	tb.Helper()
	return mustServer(tb).database(tb, "TEMPLATE template0")
}

// Durable returns the connection string of a migrated database on a private server of the test's own, with the settings of
// production: fsync and synchronous_commit on. It takes seconds to start; the server ends with the test.
func Durable(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	s, err := localpg.Start(ctx, localpg.Config{DataDir: tb.TempDir(), Progress: os.Stderr})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Stop(context.WithoutCancel(tb.Context()))) })
	require.NoError(tb, store.MigrateUp(ctx, Connect(tb, s.URL())))
	return s.URL()
}

// Connect returns a pool of up to 10 connections on a database, closed when the test ends.
func Connect(tb testing.TB, rawURL string) *pgxpool.Pool {
	tb.Helper()
	pc, err := pgxpool.ParseConfig(rawURL)
	require.NoError(tb, err)
	pc.MaxConns = 10
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pc.ConnConfig.RuntimeParams["application_name"] = "storetest"
	pool, err := pgxpool.NewWithConfig(tb.Context(), pc)
	require.NoError(tb, err)
	tb.Cleanup(pool.Close)
	return pool
}

func mustServer(tb testing.TB) *server {
	tb.Helper()
	s, err := theServer()
	require.NoError(tb, err, "the tests need Postgres: see MINIPUSH_TEST_DATABASE_URL in the package's documentation")
	return s
}

// server is the server of the test process.
type server struct {
	admin    *url.URL
	version  int // server_version_num
	token    int32
	template string
	alive    *pgx.Conn       // holds the advisory lock on token until the process ends
	private  *localpg.Server // nil with MINIPUSH_TEST_DATABASE_URL; kept, because the server runs for as long as this is
}

func openServer() (*server, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), startTimeout, fmt.Errorf("no test database after %v", startTimeout))
	defer cancel()
	s := &server{}
	raw := os.Getenv("MINIPUSH_TEST_DATABASE_URL")
	if raw == "" {
		var err error
		if s.private, err = startPrivate(ctx); err != nil {
			return nil, err
		}
		raw = s.private.URL()
	}
	admin, err := url.Parse(raw)
	if err != nil || !strings.HasPrefix(admin.Scheme, "postgres") {
		return nil, errors.New("MINIPUSH_TEST_DATABASE_URL is not of the form postgres://…")
	}
	s.admin = admin
	if s.template, err = templateName(); err != nil {
		return nil, err
	}
	if err := s.register(ctx); err != nil {
		return nil, err
	}
	return s, s.prepare(ctx)
}

// startPrivate joins the test server of this account. The process never leaves it in so many words: its end does.
func startPrivate(ctx context.Context) (*localpg.Server, error) {
	dir := os.Getenv("MINIPUSH_TEST_DATA_DIR")
	if dir == "" {
		cache, err := localpg.DefaultCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(cache, "test") // never where the account's own data is
	}
	s, err := localpg.Start(ctx, localpg.Config{
		DataDir:  dir,
		Progress: os.Stderr,
		Settings: map[string]string{
			"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
			"max_connections": "500", "shared_buffers": "128MB", "max_wal_size": "4GB",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start test server: %w", err)
	}
	return s, nil
}

// database creates a database for a test and sees to its end.
func (s *server) database(tb testing.TB, how string) string {
	tb.Helper()
	name := fmt.Sprintf("%s%d_%d", testPrefix, s.token, serial.Add(1))
	require.NoError(tb, s.exec(tb.Context(), fmt.Sprintf("CREATE DATABASE %s %s", name, how)))
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
		defer cancel()
		if tb.Failed() {
			s.keep(ctx, tb, name)
			return
		}
		require.NoError(tb, s.exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)))
	})
	return s.url(name)
}

// keep renames the database of a failed test, so that the next run leaves it alone, and says how to look into it.
func (s *server) keep(ctx context.Context, tb testing.TB, name string) {
	tb.Helper()
	kept := fmt.Sprintf("%s%d_%d_%d", keptPrefix, time.Now().Unix(), os.Getpid(), serial.Add(1))
	err := s.exec(ctx,
		fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", name),
		fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", name, kept))
	if err != nil {
		tb.Logf("the database of the failed test could not be kept: %v", err)
		return
	}
	tb.Logf("the database of the failed test is kept for %v, while a test process has the server up: psql '%s'", keptFor, s.url(kept))
}

func (s *server) url(name string) string {
	u := *s.admin
	u.Path = "/" + name
	u.RawPath = ""
	return u.String()
}

// exec runs statements, each by itself, in a session of its own.
func (s *server) exec(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.admin.String())
	if err != nil {
		return fmt.Errorf("reach test server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
