package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// What is downloaded where a machine has no Postgres. The library names the releases that its repository has.
const (
	downloadVersion = embeddedpostgres.V17
	downloadMajor   = 17
	mavenCentral    = "https://repo1.maven.org/maven2"
)

// download fetches Postgres into the cache directory and returns it.
//
// The library's only way in is a function that fetches, checks and unpacks the binaries, and then goes on: it deletes and makes
// data directories and starts a server on a TCP port, which must not happen here. So it is given nothing but directories made
// for it, and its data directory lies below a plain file: there it ends, before a cluster is made. What it unpacked is moved
// to the cache once it is whole. It also takes a missing checksum for a good one and shows no progress: the repository that
// it talks to is a gate on loopback, which sees to both.
func download(ctx context.Context, cfg Config) (binaries, error) {
	target := filepath.Join(cfg.CacheDir, "postgresql-"+string(downloadVersion))
	// Not closed to others, also for root's umask: the server's account reads the binaries.
	if err := os.MkdirAll(cfg.CacheDir, 0o755); err != nil {
		return binaries{}, fmt.Errorf("make cache directory: %w", err)
	}
	fetching, err := acquire(ctx, filepath.Join(cfg.CacheDir, "download.lock"), exclusive)
	if err != nil {
		return binaries{}, fmt.Errorf("wait for another download: %w", err)
	}
	defer fetching.release()
	if b, err := inspect(ctx, filepath.Join(target, "bin")); err == nil {
		return b, nil // another process was first
	}
	staging, err := os.MkdirTemp(cfg.CacheDir, "download-")
	if err != nil {
		return binaries{}, fmt.Errorf("make download directory: %w", err)
	}
	defer os.RemoveAll(staging)
	if err := fetch(ctx, cfg, staging); err != nil {
		return binaries{}, err
	}
	if err := os.Rename(filepath.Join(staging, "pgsql"), target); err != nil {
		return binaries{}, fmt.Errorf("put download in place: %w", err)
	}
	fmt.Fprintf(cfg.Progress, "Downloaded PostgreSQL %s to %s\n", downloadVersion, target)
	b, err := inspect(ctx, filepath.Join(target, "bin"))
	if err != nil {
		return b, fmt.Errorf("try what was downloaded: %w", err)
	}
	return b, nil
}

// fetch has the library unpack Postgres into staging/pgsql.
func fetch(ctx context.Context, cfg Config, staging string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open gate for the download: %w", err)
	}
	g := &gate{ctx: ctx, upstream: strings.TrimSuffix(cmp.Or(cfg.Mirror, mavenCentral), "/"), progress: cfg.Progress}
	server := &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Close
	}()
	defer func() { _ = server.Close(); <-done }()

	stop := filepath.Join(staging, "stop")
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		return fmt.Errorf("prepare download: %w", err)
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	pgsql := filepath.Join(staging, "pgsql")
	err = embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(downloadVersion).
		BinaryRepositoryURL("http://" + listener.Addr().String()).
		CachePath(filepath.Join(staging, "cache")).
		BinariesPath(pgsql).
		RuntimePath(filepath.Join(staging, "runtime")).
		DataPath(filepath.Join(stop, "data")).
		Port(port).
		Logger(io.Discard)).Start()
	if g.err != nil {
		return g.err
	}
	if _, statErr := os.Stat(filepath.Join(pgsql, "bin", "initdb")); statErr != nil {
		return cmp.Or(err, statErr)
	}
	return os.Chmod(pgsql, 0o755) // the server's account runs what is in it
}

// freePort finds a port for the library's check that its server could listen; nothing listens on it.
func freePort(ctx context.Context) (uint32, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("find a free port: no TCP address")
	}
	return uint32(addr.Port), nil //nolint:gosec // a port
}

// gate stands between the library and the repository: it serves an archive only if the repository has its checksum, which
// the library then compares, and tells how far the archive has come. It serves one request at a time.
type gate struct {
	ctx      context.Context //nolint:containedctx // of the one download that the gate is made for
	upstream string
	progress io.Writer
	err      error // why something was refused, in more words than the library repeats
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, ".jar") {
		sum, err := g.get(r.URL.Path + ".sha256")
		if err != nil {
			g.refuse(w, err)
			return
		}
		_ = sum.Body.Close()
	}
	resp, err := g.get(r.URL.Path)
	if err != nil {
		g.refuse(w, err)
		return
	}
	defer resp.Body.Close()
	body := io.Reader(resp.Body)
	if strings.HasSuffix(r.URL.Path, ".jar") {
		fmt.Fprintf(g.progress, "No PostgreSQL found on this machine. Downloading PostgreSQL %s from %s\n", downloadVersion, g.upstream)
		body = io.TeeReader(resp.Body, &meter{out: g.progress, total: resp.ContentLength})
	}
	if _, err := io.Copy(w, body); err != nil {
		g.err = fmt.Errorf("download %s: %w", r.URL.Path, err)
		panic(http.ErrAbortHandler) // the library must not take half an archive for a whole one
	}
}

func (g *gate) refuse(w http.ResponseWriter, err error) {
	g.err = err
	http.Error(w, "refused", http.StatusBadGateway)
}

func (g *gate) get(path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(g.ctx, http.MethodGet, g.upstream+path, nil)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("download %s: %s", req.URL, resp.Status)
	}
	return resp, nil
}

// meter writes a line at each tenth of the total; where that is unknown, at each MiB.
type meter struct {
	out         io.Writer
	total, done int64
	next        int64
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	step := int64(1 << 20)
	if m.total > 0 {
		step = max(m.total/10, 1)
	}
	if m.done < m.next {
		return len(p), nil
	}
	m.next = (m.done/step + 1) * step
	if m.total > 0 {
		fmt.Fprintf(m.out, "  %3d %%  %.1f of %.1f MB\n", m.done*100/m.total, float64(m.done)/1e6, float64(m.total)/1e6)
	} else {
		fmt.Fprintf(m.out, "  %.1f MB\n", float64(m.done)/1e6)
	}
	return len(p), nil
}
