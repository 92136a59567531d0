package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"minipush/migrations"
)

// RiverSchema is the schema that holds the job queue's tables.
const RiverSchema = "river"

// migrateLock is the key of the advisory lock under which both halves of the schema are migrated. goose's own locker would
// cover only its half, and River has none.
const migrateLock int64 = 0x6d696e6970757368 // "minipush"

// Migration is one step of the schema.
type Migration struct {
	Line      string     `json:"line"` // "minipush" or "river"
	Version   int64      `json:"version"`
	Name      string     `json:"name"`
	AppliedAt *time.Time `json:"applied_at"` // nil: pending
}

// SchemaError says that the schema is behind what this binary needs.
type SchemaError struct {
	Pending []Migration
}

func (e *SchemaError) Error() string {
	names := make([]string, len(e.Pending))
	for i, m := range e.Pending {
		names[i] = m.Line + " " + m.Name
	}
	return fmt.Sprintf("the database schema is behind by %d steps (%s): run `minipush migrate up`", len(names), strings.Join(names, ", "))
}

// MigrateUp brings the schema to what this binary needs: River's tables, then ours. Concurrent calls wait for each other.
// It needs a direct connection, not a pooler that shares sessions, and a pool of at least 3 connections.
func MigrateUp(ctx context.Context, pool *pgxpool.Pool) error {
	return migrate(ctx, pool, func(ours *goose.Provider, river *rivermigrate.Migrator[pgx.Tx]) error {
		if _, err := pool.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS river`); err != nil {
			return fmt.Errorf("create schema river: %w", err)
		}
		// Not in one transaction: a later version uses an enum value that an earlier one adds.
		if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("migrate river up: %w", err)
		}
		if _, err := ours.Up(ctx); err != nil {
			return fmt.Errorf("migrate up: %w", err)
		}
		return nil
	})
}

// MigrateDown takes our schema back to version to, with all the data that the versions above it hold. To version 0 it removes
// River's tables too.
func MigrateDown(ctx context.Context, pool *pgxpool.Pool, to int64) error {
	return migrate(ctx, pool, func(ours *goose.Provider, river *rivermigrate.Migrator[pgx.Tx]) error {
		if _, err := ours.DownTo(ctx, to); err != nil {
			return fmt.Errorf("migrate down to %d: %w", to, err)
		}
		if to > 0 {
			return nil
		}
		if _, err := river.Migrate(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1}); err != nil {
			return fmt.Errorf("migrate river down: %w", err)
		}
		if _, err := pool.Exec(ctx, `DROP SCHEMA IF EXISTS river`); err != nil {
			return fmt.Errorf("drop schema river: %w", err)
		}
		return nil
	})
}

// MigrateStatus lists every step that this binary knows, River's first, each line in order. It changes nothing.
func MigrateStatus(ctx context.Context, pool *pgxpool.Pool) ([]Migration, error) {
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	ours, river, err := migrators(pool, db)
	if err != nil {
		return nil, err
	}
	applied, err := appliedVersions(ctx, pool, "river_migration", `
		SELECT version, created_at
		FROM river.river_migration`)
	if err != nil {
		return nil, err
	}
	var all []Migration
	add := func(line, name string, version int64) {
		row := Migration{Line: line, Version: version, Name: name}
		if at, ok := applied[version]; ok {
			row.AppliedAt = &at
		}
		all = append(all, row)
	}
	for _, m := range river.AllVersions() {
		add(RiverSchema, fmt.Sprintf("%03d %s", m.Version, m.Name), int64(m.Version))
	}
	applied, err = appliedVersions(ctx, pool, "goose_db_version", `
		SELECT version_id, tstamp AT TIME ZONE current_setting('TimeZone')
		FROM public.goose_db_version
		WHERE is_applied`)
	if err != nil {
		return nil, err
	}
	for _, s := range ours.ListSources() {
		add("minipush", strings.TrimSuffix(path.Base(s.Path), ".sql"), s.Version)
	}
	return all, nil
}

// CheckSchema returns a *SchemaError if a step is missing. A schema that is ahead passes: changes are expanded first and
// contracted a release later, so the binary before still works on it.
func CheckSchema(ctx context.Context, pool *pgxpool.Pool) error {
	all, err := MigrateStatus(ctx, pool)
	if err != nil {
		return fmt.Errorf("check schema: %w", err)
	}
	var pending []Migration
	for _, m := range all {
		if m.AppliedAt == nil {
			pending = append(pending, m)
		}
	}
	if len(pending) > 0 {
		return &SchemaError{Pending: pending}
	}
	return nil
}

// appliedVersions reads a table of applied versions; a table that does not exist yet has none.
func appliedVersions(ctx context.Context, pool *pgxpool.Pool, table, query string) (map[int64]time.Time, error) {
	var exists bool
	err := pool.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM pg_catalog.pg_tables
			WHERE tablename = $1 AND schemaname IN ('public', 'river'))`, table).Scan(&exists)
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", table, err)
	}
	applied := map[int64]time.Time{}
	if !exists {
		return applied, nil
	}
	rows, err := pool.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	var version int64
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&version, &at}, func() error {
		applied[version] = at
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	return applied, nil
}

// migrate runs fn under the lock.
func migrate(ctx context.Context, pool *pgxpool.Pool, fn func(*goose.Provider, *rivermigrate.Migrator[pgx.Tx]) error) error {
	unlock, err := lockMigrations(ctx, pool)
	if err != nil {
		return err
	}
	defer unlock()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	ours, river, err := migrators(pool, db)
	if err != nil {
		return err
	}
	return fn(ours, river)
}

// lockMigrations takes the lock on a session of its own. It asks again and again: a session that waits inside
// pg_advisory_lock holds a snapshot, for which CREATE INDEX CONCURRENTLY in the session that has the lock would wait for ever.
func lockMigrations(ctx context.Context, pool *pgxpool.Pool) (unlock func(), err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock migrations: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var got bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, migrateLock).Scan(&got); err != nil {
			conn.Release()
			return nil, fmt.Errorf("lock migrations: %w", err)
		}
		if got {
			break
		}
		select {
		case <-ctx.Done():
			conn.Release()
			return nil, fmt.Errorf("wait for another migration: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, migrateLock); err != nil {
			_ = conn.Conn().Close(ctx) // the lock ends with its session
		}
		conn.Release()
	}, nil
}

func migrators(pool *pgxpool.Pool, db *sql.DB) (*goose.Provider, *rivermigrate.Migrator[pgx.Tx], error) {
	ours, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	if len(ours.ListSources()) == 0 {
		return nil, nil, errors.New("read migrations: there are none")
	}
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: RiverSchema,
		Logger: slog.New(slog.DiscardHandler), // the caller reports what it did
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read river's migrations: %w", err)
	}
	return ours, river, nil
}
