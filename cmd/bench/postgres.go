package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"minipush/internal/localpg"
)

const (
	serveRole   = "bench_serve" // whose statements are counted
	perJobConns = 32
	benchConns  = 4
)

// shownSettings are printed with every report: they decide what a rate is worth.
func shownSettings() []string {
	return []string{
		"server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_compression", "shared_buffers", "max_wal_size",
		"checkpoint_timeout", "autovacuum", "shared_preload_libraries",
	}
}

// postgres is the fresh private server of the run.
type postgres struct {
	server *localpg.Server
	admin  *pgxpool.Pool
	role   string
}

// startPostgres makes a cluster in dir and starts it. keepLog is how much of the log is kept at least, to be read back (pg_walinspect).
func startPostgres(ctx context.Context, dir, keepLog string, log *progress) (_ *postgres, err error) {
	server, err := localpg.Start(ctx, localpg.Config{
		DataDir: dir, Logger: slog.New(slog.DiscardHandler), Progress: log,
		Settings: map[string]string{"wal_keep_size": keepLog},
	})
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	p := &postgres{server: server, role: serveRole}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop(context.WithoutCancel(ctx)))
		}
	}()
	if p.admin, err = connect(ctx, server.URL(), benchConns); err != nil {
		return nil, err
	}
	if err := p.ensure(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, serveRole, `CREATE ROLE `+serveRole+` LOGIN`); err != nil {
		return nil, fmt.Errorf("make role of serve: %w", err)
	}
	settings, err := p.settings(ctx)
	if err != nil {
		return nil, err
	}
	for _, must := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if settings[must] != "on" {
			return nil, fmt.Errorf("%s is %s: a rate that is not durable is worth nothing", must, settings[must])
		}
	}
	if !strings.Contains(settings["shared_preload_libraries"], "pg_stat_statements") {
		return nil, errors.New("pg_stat_statements is not loaded: install the contrib package of Postgres")
	}
	return p, nil
}

// ensure runs a statement unless what it makes is there, in a cluster that was kept.
func (p *postgres) ensure(ctx context.Context, there, name, statement string) error {
	var is bool
	err := p.admin.QueryRow(ctx, there, name).Scan(&is)
	if err == nil && !is {
		_, err = p.admin.Exec(ctx, statement)
	}
	return err
}

func (p *postgres) stop(ctx context.Context) error {
	if p.admin != nil {
		p.admin.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.server.Stop(ctx); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	return nil
}

func (p *postgres) settings(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	rows, _ := p.admin.Query(ctx, `SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY ($1)`, shownSettings())
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		all[name] = value
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return all, nil
}

// set changes a setting of the running server and waits until it holds.
func (p *postgres) set(ctx context.Context, name, value string) error {
	if _, err := p.admin.Exec(ctx, `ALTER SYSTEM SET `+pgx.Identifier{name}.Sanitize()+` = '`+value+`'`); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	if _, err := p.admin.Exec(ctx, `SELECT pg_reload_conf()`); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	tick := time.NewTicker(pollTask)
	defer tick.Stop()
	for range 100 {
		settings, err := p.settings(ctx)
		if err != nil || settings[name] == value {
			return err
		}
		<-tick.C
	}
	return fmt.Errorf("set %s: it did not take effect", name)
}

// database is one that lives as long as a round.
type database struct {
	pg   *postgres
	name string
	url  string // as the role of serve
	pool *pgxpool.Pool
}

// create makes a database that belongs to the role of serve, with the extensions that the meter reads.
func (p *postgres) create(ctx context.Context, name string) (*database, error) {
	if err := p.ensure(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name, `CREATE DATABASE `+name+` OWNER `+serveRole); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	d := &database{pg: p, name: name}
	var mine string
	var err error
	if mine, err = withNames(p.server.URL(), name, ""); err != nil {
		return nil, err
	}
	if d.url, err = withNames(p.server.URL(), name, serveRole); err != nil {
		return nil, err
	}
	if d.pool, err = connect(ctx, mine, benchConns); err != nil {
		return nil, err
	}
	_, err = d.pool.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS pg_stat_statements; ALTER SCHEMA public OWNER TO `+serveRole)
	if err != nil {
		return nil, fmt.Errorf("prepare database: %w", err)
	}
	var walks bool // Postgres 15 and later
	err = d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_walinspect')`).Scan(&walks)
	if err == nil && walks {
		_, err = d.pool.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS pg_walinspect`)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare database: %w", err)
	}
	return d, nil
}

// connect opens a further pool on the database, as the superuser.
func (d *database) connect(ctx context.Context, conns int32) (*pgxpool.Pool, error) {
	u, err := withNames(d.pg.server.URL(), d.name, "")
	if err != nil {
		return nil, err
	}
	return connect(ctx, u, conns)
}

// drop removes the database with whatever connections are left.
func (d *database) drop(ctx context.Context) error {
	d.pool.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := d.pg.admin.Exec(ctx, `DROP DATABASE `+d.name+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	return nil
}

func connect(ctx context.Context, url string, conns int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read database url: %w", err)
	}
	cfg.MaxConns = conns
	cfg.ConnConfig.RuntimeParams["application_name"] = "bench"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to postgres: %w", err)
	}
	return pool, nil
}

// withNames replaces the database of a URL, and its user unless that is empty.
func withNames(raw, database, user string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("read database url: %w", err)
	}
	u.Path = "/" + database
	if q := u.Query(); user != "" {
		u.User = nil
		q.Set("user", user)
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}

// copyRows fills a table with n rows.
func copyRows(ctx context.Context, tx pgx.Tx, table pgx.Identifier, columns []string, n int, row func(i int) []any) error {
	_, err := tx.CopyFrom(ctx, table, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
	if err != nil {
		return fmt.Errorf("fill %s: %w", table.Sanitize(), err)
	}
	return nil
}
