package localpg

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository is a Maven repository with one archive in it: programs that tell their version and can do nothing else.
type repository struct {
	archive  []byte
	checksum string // "": the repository has none
	fetched  atomic.Int32
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	programs, err := os.ReadFile("testdata/programs.txz") // bin/initdb, bin/pg_ctl, bin/postgres: shell scripts
	require.NoError(t, err)
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create("postgres-any.txz")
	require.NoError(t, err)
	_, err = w.Write(programs)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return &repository{archive: jar.Bytes(), checksum: fmt.Sprintf("%x", sha256.Sum256(jar.Bytes()))}
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case strings.HasSuffix(req.URL.Path, ".jar.sha256") && r.checksum != "":
		_, _ = io.WriteString(w, r.checksum)
	case strings.HasSuffix(req.URL.Path, ".jar") && strings.Contains(req.URL.Path, string(downloadVersion)):
		r.fetched.Add(1)
		_, _ = w.Write(r.archive)
	default:
		http.NotFound(w, req)
	}
}

func downloadFrom(t *testing.T, r *repository, cache string) (binaries, string, error) {
	t.Helper()
	server := httptest.NewServer(r)
	defer server.Close()
	var progress bytes.Buffer
	b, err := download(t.Context(), Config{CacheDir: cache, Mirror: server.URL + "/", Progress: &progress})
	return b, progress.String(), err
}

func TestDownload_OnceIntoTheCache_WithProgress(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "cache")
	r := newRepository(t)
	b, progress, err := downloadFrom(t, r, cache)
	require.NoError(t, err)
	require.Equal(t, downloadMajor, b.major)
	require.Contains(t, progress, "No PostgreSQL found")
	require.Contains(t, progress, "100 %")

	_, progress, err = downloadFrom(t, r, cache)
	require.NoError(t, err)
	require.Empty(t, progress)
	require.Equal(t, int32(1), r.fetched.Load(), "it was there")
	require.Contains(t, installed(t.Context(), cache), b, "and is found like any other")

	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the programs and the lock; nothing half-way")
}

func TestDownload_NothingIsKept(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*repository){
		"WrongChecksum":   func(r *repository) { r.checksum = strings.Repeat("0", 64) },
		"MissingChecksum": func(r *repository) { r.checksum = "" },
		"CutOff":          func(r *repository) { r.archive = r.archive[:len(r.archive)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			r := newRepository(t)
			spoil(r)
			_, _, err := downloadFrom(t, r, cache)
			require.Error(t, err)
			t.Log(err)
			kept, err := filepath.Glob(filepath.Join(cache, "*", "bin"))
			require.NoError(t, err)
			require.Empty(t, kept)
		})
	}
}

func TestDownload_RepositoryOutOfReach_SaysWhatToInstall(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	h, err := openHome(t.TempDir())
	require.NoError(t, err)
	// A cluster of the version that can be downloaded, on a machine that lacks it.
	cfg := Config{CacheDir: t.TempDir(), Mirror: server.URL, Progress: io.Discard}
	for _, b := range installed(t.Context(), cfg.CacheDir) {
		if b.major == downloadMajor {
			t.Skipf("this machine has PostgreSQL %d", downloadMajor)
		}
	}
	require.NoError(t, os.Mkdir(h.path("data"), 0o700))
	require.NoError(t, h.write("data/PG_VERSION", fmt.Sprintln(downloadMajor)))
	_, err = findOrDownload(t.Context(), cfg, h)
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "apt-get install postgresql")
}
