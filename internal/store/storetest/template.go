package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"minipush/internal/store"
	"minipush/migrations"
)

const (
	templatePrefix = "minipush_template_"
	testPrefix     = "minipush_test_"
	keptPrefix     = "minipush_failed_"

	// keptFor is how long databases of failed tests, and templates of other migrations, are kept.
	keptFor = 24 * time.Hour

	invalidCatalogName = "3D000" // there is no such database

	// Advisory locks of class processClass say that a test process lives; buildLock is held while a template is built.
	processClass int32 = 0x6d70
	buildLock    int64 = 0x6d707465737462
)

// templateName names the template after everything that makes it what it is.
func templateName() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(migrations.FS, p)
		fmt.Fprintf(sum, "%s %d\n%s", p, len(b), b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read migrations: %w", err)
	}
	river, err := rivermigrate.New(riverpgxv5.New(nil), &rivermigrate.Config{Schema: store.RiverSchema})
	if err != nil {
		return "", fmt.Errorf("read river's migrations: %w", err)
	}
	for _, m := range river.AllVersions() {
		fmt.Fprintf(sum, "river %d\n%s", m.Version, m.SQLUp)
	}
	return fmt.Sprintf("%s%x", templatePrefix, sum.Sum(nil)[:8]), nil
}

// register picks the process's number and holds its lock.
func (s *server) register(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.admin.String())
	if err != nil {
		return fmt.Errorf("reach test server: %w", err)
	}
	s.alive = conn
	for {
		s.token = rand.Int32() //nolint:gosec // a number, not a secret
		var got bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", processClass, s.token).Scan(&got); err != nil {
			return fmt.Errorf("register test process: %w", err)
		}
		if got {
			break
		}
	}
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&s.version); err != nil {
		return fmt.Errorf("read version of test server: %w", err)
	}
	return nil
}

// prepare sweeps up after others and makes sure that the template is there, one process at a time.
func (s *server) prepare(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, s.admin.String())
	if err != nil {
		return fmt.Errorf("reach test server: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }() // and with it the lock
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", buildLock); err != nil {
		return fmt.Errorf("wait for another test process: %w", err)
	}
	if err := sweep(ctx, conn, s.template); err != nil {
		return err
	}
	var state string
	err = conn.QueryRow(ctx, `
		SELECT CASE WHEN datistemplate THEN 'whole' ELSE 'half' END
		FROM pg_database
		WHERE datname = $1`, s.template).Scan(&state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return fmt.Errorf("look for template: %w", err)
	case state == "whole":
		return nil
	default: // its builder was killed
		if err := drop(ctx, conn, s.template); err != nil {
			return err
		}
	}
	return s.build(ctx, conn)
}

func (s *server) build(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+s.template+" TEMPLATE template0"); err != nil {
		return fmt.Errorf("create template: %w", err)
	}
	pool, err := pgxpool.New(ctx, s.url(s.template))
	if err != nil {
		return fmt.Errorf("reach template: %w", err)
	}
	err = store.MigrateUp(ctx, pool)
	pool.Close()
	if err != nil {
		return fmt.Errorf("migrate template: %w", err)
	}
	for _, sql := range []string{
		fmt.Sprintf("COMMENT ON DATABASE %s IS '%d'", s.template, time.Now().Unix()),
		fmt.Sprintf("ALTER DATABASE %s IS_TEMPLATE true ALLOW_CONNECTIONS false", s.template),
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("finish template: %w", err)
		}
	}
	return nil
}

// cloneSQL copies files: three times as fast as the default, which logs every block.
func (s *server) cloneSQL() string {
	if s.version >= 150000 {
		return "TEMPLATE " + s.template + " STRATEGY FILE_COPY"
	}
	return "TEMPLATE " + s.template
}

// sweep drops databases of processes that are gone, and those kept long enough.
func sweep(ctx context.Context, conn *pgx.Conn, current string) error {
	rows, err := conn.Query(ctx, `
		SELECT datname::text, COALESCE(shobj_description(oid, 'pg_database'), '')
		FROM pg_database
		WHERE datname LIKE 'minipush\_%\_%'`)
	if err != nil {
		return fmt.Errorf("list test databases: %w", err)
	}
	var name, comment string
	var stale []string
	owners := map[string]string{} // database → number of its process
	if _, err := pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		switch {
		case strings.HasPrefix(name, testPrefix):
			owners[name], _, _ = strings.Cut(strings.TrimPrefix(name, testPrefix), "_")
		case strings.HasPrefix(name, keptPrefix):
			made, _, _ := strings.Cut(strings.TrimPrefix(name, keptPrefix), "_")
			if old(made) {
				stale = append(stale, name)
			}
		case strings.HasPrefix(name, templatePrefix) && name != current && old(comment):
			stale = append(stale, name)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("list test databases: %w", err)
	}
	for name, owner := range owners {
		var gone bool
		if err := conn.QueryRow(ctx, `
			SELECT NOT EXISTS (
				SELECT FROM pg_locks
				WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = $1 AND objid::bigint = $2::text::bigint)`,
			processClass, owner).Scan(&gone); err != nil {
			return fmt.Errorf("look for owner of %s: %w", name, err)
		}
		if gone {
			stale = append(stale, name)
		}
	}
	for _, name := range stale {
		if err := drop(ctx, conn, name); err != nil {
			return err
		}
	}
	return nil
}

// old reads a unix time that was written some while ago; what is none is taken to be old.
func old(unix string) bool {
	at, err := strconv.ParseInt(unix, 10, 64)
	return err != nil || time.Since(time.Unix(at, 0)) > keptFor
}

func drop(ctx context.Context, conn *pgx.Conn, name string) error {
	for _, sql := range []string{
		fmt.Sprintf("ALTER DATABASE %s IS_TEMPLATE false", name),
		fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name),
	} {
		_, err := conn.Exec(ctx, sql)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == invalidCatalogName {
			return nil // its process dropped it and ended in between
		}
		if err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
	}
	return nil
}
