package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Names inside the cluster; [Server.URL] carries them.
const (
	superuser = "minipush"
	database  = "minipush"
)

// Config says where the private server keeps its data and how it is tuned.
type Config struct {
	// CacheDir receives downloaded Postgres binaries; "" is DefaultCacheDir.
	CacheDir string
	// DataDir is the directory of minipush; the cluster lies in its subdirectory postgres. "" is DefaultDataDir.
	DataDir string
	// Logger receives what happened; nil discards it.
	Logger *slog.Logger
	// Mirror is the base URL of a Maven repository to download Postgres from where the machine has none; "" is Maven Central.
	Mirror string
	// Progress receives lines for a person about what takes more than a second (a download, the first start); nil discards them.
	Progress io.Writer
	// Settings are added to, and win over, the package's settings of the server. They count for the process that starts the
	// server; one that finds it running takes it as it is.
	Settings map[string]string
}

// Server is this process's use of a running private Postgres, which lasts until Stop, the end of the process, or until nothing
// refers to the Server any more. Its methods may be called concurrently.
type Server struct {
	home  *home
	users *lock // held shared until Stop
	pipe  *os.File

	stopOnce sync.Once
	stopErr  error
}

// Start makes the cluster if there is none, starts the server if it is not running, and registers this process as a user of it.
// It returns when the server accepts connections. Several processes may call it at the same time with the same data directory:
// they share one server. The caller calls Stop when done; if it dies before, nothing is left behind.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	h, err := openHome(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	starting, err := acquire(ctx, h.path("start.lock"), exclusive)
	if err != nil {
		return nil, fmt.Errorf("wait for another start of the private Postgres: %w", err)
	}
	defer starting.release()

	if err := h.settleSocketDir(); err != nil {
		return nil, err
	}
	bin, err := findOrDownload(ctx, cfg, h)
	if err != nil {
		return nil, err
	}
	if err := h.initialise(ctx, bin, cfg.Progress); err != nil {
		return nil, err
	}
	// Shared before hello: who could take it alone (Stop) must be sure that nobody else holds the pipe.
	users, err := acquire(ctx, h.path("users.lock"), shared)
	if err != nil {
		return nil, fmt.Errorf("wait for the private Postgres to stop: %w", err)
	}
	pipe, err := h.join(ctx, bin, cfg.Settings)
	if err != nil {
		users.release()
		return nil, err
	}
	cfg.Logger.InfoContext(ctx, "private postgres ready",
		slog.String("data_dir", cfg.DataDir), slog.String("version", bin.version), slog.String("bin_dir", bin.dir))
	return &Server{home: h, users: users, pipe: pipe}, nil
}

func (c Config) withDefaults() (Config, error) {
	var err error
	if c.DataDir == "" {
		if c.DataDir, err = DefaultDataDir(); err != nil {
			return c, err
		}
	}
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return c, fmt.Errorf("find data directory: %w", err)
	}
	if c.CacheDir == "" {
		if c.CacheDir, err = DefaultCacheDir(); err != nil {
			return c, err
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c, nil
}

// URL returns the connection string of the server's database minipush, over its unix socket. It holds no secret: the
// directory of the socket is closed to other accounts.
func (s *Server) URL() string {
	q := url.Values{"host": {s.home.socketDir}, "user": {superuser}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}).String()
}

// DataDir returns the cluster's own directory (PGDATA).
func (s *Server) DataDir() string { return s.home.path("data") }

// Stop ends this process's use of the server. The last user's Stop returns when the server has stopped; every other returns at
// once. A second call returns what the first did.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	err := s.pipe.Close()
	s.users.release()
	last, lockErr := tryAcquire(s.home.path("users.lock"), exclusive)
	if errors.Is(lockErr, errHeld) {
		return err // others still use it
	}
	if lockErr != nil {
		return errors.Join(err, lockErr)
	}
	// Holding users.lock alone keeps newcomers out until the supervisor, which now meets the end of the pipe, has gone.
	defer last.release()
	gone, lockErr := acquire(ctx, s.home.path("supervisor.lock"), exclusive)
	if lockErr != nil {
		return errors.Join(err, fmt.Errorf("wait for the private Postgres to stop: %w", lockErr))
	}
	gone.release()
	return err
}

// DefaultDataDir is where minipush keeps its data for this account: /var/lib/minipush for root, else the account's data home
// ($XDG_DATA_HOME/minipush or ~/.local/share/minipush; on macOS ~/Library/Application Support/minipush).
func DefaultDataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/minipush", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "minipush"), nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find data directory (set MINIPUSH_DATA_DIR): %w", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(dir, "Library", "Application Support", "minipush"), nil
	}
	return filepath.Join(dir, ".local", "share", "minipush"), nil
}

// DefaultCacheDir is where downloaded binaries are kept for this account, shared by all data directories: /var/cache/minipush
// for root, whose home the server's account cannot enter, else minipush in the account's cache home.
func DefaultCacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/minipush", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return filepath.Join(dir, "minipush"), nil
}
