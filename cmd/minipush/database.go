package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"minipush/internal/config"
	"minipush/internal/localpg"
	"minipush/internal/seal"
	"minipush/internal/store"
)

// stopTimeout bounds the stop of the private Postgres: it flushes what it holds.
const stopTimeout = 15 * time.Second

// database is the open database: the one that the settings name, or the private one.
type database struct {
	cfg     *config.Config
	store   *store.Store
	url     string
	dataDir string
	// private is nil where the settings name a database.
	private *localpg.Server
}

// openDatabase opens the database. The private one is started if it is not running, and shared with other commands.
func (c *cli) openDatabase(ctx context.Context, cfg *config.Config, log *slog.Logger) (*database, error) {
	db := &database{cfg: cfg, url: cfg.Database.URL.Reveal()}
	if db.url == "" {
		if err := c.startPrivate(ctx, db, log); err != nil {
			return nil, err
		}
	}
	st, err := store.Open(ctx, store.Config{URL: db.url, MaxConns: int32(cfg.Database.MaxConns)}) //nolint:gosec // at most 1,000 by its settings
	if err != nil {
		return nil, errors.Join(hintError{err, "The database is the one of MINIPUSH_DATABASE_URL; minipush doctor looks closer."}, db.close(ctx))
	}
	db.store = st
	return db, nil
}

func (c *cli) startPrivate(ctx context.Context, db *database, log *slog.Logger) error {
	if c.env(containerVar) != "" {
		return hintError{
			errors.New("no database is named, and in a container there is no private one: it would be lost with the container"),
			"Set MINIPUSH_DATABASE_URL, for example postgres://user:password@host:5432/minipush (or MINIPUSH_DATABASE_URL_FILE).",
		}
	}
	dir, err := db.cfg.ResolveDataDir(runtime.GOOS, os.Geteuid(), c.environ)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	server, err := localpg.Start(ctx, localpg.Config{DataDir: dir, Logger: log, Progress: c.stderr})
	if err != nil {
		return fmt.Errorf("start the private Postgres in %s: %w", dir, err)
	}
	db.dataDir, db.private, db.url = dir, server, server.URL()
	return nil
}

// close ends the use of the database. The private one stops with its last user.
func (db *database) close(ctx context.Context) error {
	err := db.closeStore()
	if db.private == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := db.private.Stop(ctx); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop the private Postgres: %w", stopErr))
	}
	return err
}

// closeStore closes the pool. A part that did not stop in time may still hold a connection, for which the pool would wait: the end
// of the process closes it too, and what it wrote is whole or not there.
func (db *database) closeStore() error {
	if db.store == nil {
		return nil
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		db.store.Close()
	}()
	select {
	case <-closed:
		return nil
	case <-time.After(time.Second):
		return errors.New("close database: a connection is still in use")
	}
}

// requireSchema brings a private database up to date, and refuses to work on another one that is behind: who runs it decides
// when it changes.
func (db *database) requireSchema(ctx context.Context) error {
	err := store.CheckSchema(ctx, db.store.Pool())
	var behind *store.SchemaError
	if db.private != nil && errors.As(err, &behind) {
		if err := store.MigrateUp(ctx, db.store.Pool()); err != nil {
			return fmt.Errorf("migrate the private database: %w", err)
		}
		return nil
	}
	if errors.As(err, &behind) {
		return hintError{behind, "Whoever runs the database decides when its schema changes: minipush migrate up"}
	}
	return err
}

// key is what seals app secrets. For the private database one is made and kept beside it; for another it must be given,
// or its secrets would be lost with this machine.
func (db *database) key() (*seal.Key, error) {
	text := db.cfg.SecretKey.Reveal()
	if text == "" && db.private == nil {
		return nil, hintError{
			errors.New("MINIPUSH_SECRET_KEY is not set; it seals the app secrets in the database"),
			"Make one and keep it: openssl rand -base64 32 (every daemon and command on this database needs the same).",
		}
	}
	if text == "" {
		kept, err := keepKey(filepath.Join(db.dataDir, "secret_key"))
		if err != nil {
			return nil, err
		}
		text = kept
	}
	key, err := seal.NewKey(text)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return key, nil
}

// keepKey reads the key that lies at path, or makes one there. Two commands that start at the same time agree on one: a
// complete file is put in place by a link, which only the first can do.
func keepKey(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return string(data), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the secret key: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".secret_key.*") // 0600 from the start
	if err != nil {
		return "", fmt.Errorf("make the secret key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(seal.GenerateKey() + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", fmt.Errorf("make the secret key: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the secret key: %w", err)
	}
	data, err = os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the secret key: %w", err)
	}
	return string(data), nil
}
