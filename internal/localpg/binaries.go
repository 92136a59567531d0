package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the oldest version of Postgres that minipush supports.
const oldestMajor = 14

// install says what a person can do where there are no binaries.
const install = "install PostgreSQL (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server postgresql-contrib; " +
	"macOS: brew install postgresql@17), or point MINIPUSH_DATABASE_URL at a server"

// binaries are the programs of one installed Postgres.
type binaries struct {
	dir     string // holds initdb, pg_ctl, postgres
	major   int
	version string // as it calls itself, "15.14"
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// VersionError says that a cluster was made by a version of Postgres that is not installed. The cluster was left as it is.
type VersionError struct {
	DataDir string
	Want    int   // major version of the cluster
	Have    []int // major versions found on the machine
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the data in %s was made by PostgreSQL %d, which is not installed here (found: %v); nothing was changed. "+
		"Install PostgreSQL %d, or upgrade the data with pg_upgrade, or set MINIPUSH_DATA_DIR to another directory to start afresh",
		e.DataDir, e.Want, e.Have, e.Want)
}

// findOrDownload returns binaries that fit the cluster, or the newest if there is no cluster yet.
func findOrDownload(ctx context.Context, cfg Config, h *home) (binaries, error) {
	want, err := h.major()
	if err != nil {
		return binaries{}, err
	}
	found := installed(ctx, cfg.CacheDir)
	if want == 0 && len(found) > 0 {
		return found[0], nil
	}
	have := []int{}
	for _, b := range found {
		if b.major == want {
			return b, nil
		}
		have = append(have, b.major)
	}
	if want != 0 && want != downloadMajor {
		return binaries{}, &VersionError{DataDir: h.path("data"), Want: want, Have: have}
	}
	b, err := download(ctx, cfg)
	if err != nil {
		return binaries{}, fmt.Errorf("this machine has no PostgreSQL (%d or later, or the data's own version), and its download went wrong: %w; %s", oldestMajor, err, install)
	}
	return b, nil
}

// major reads the version of the cluster; 0 means that there is none.
func (h *home) major() (int, error) {
	b, err := os.ReadFile(h.path("data/PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read version of the cluster: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read version of the cluster: %w", err)
	}
	return n, nil
}

// installed lists usable binaries, newest first. Where versions are equal the order of the places decides.
func installed(ctx context.Context, cacheDir string) []binaries {
	var dirs []string
	for _, d := range filepath.SplitList(os.Getenv("PATH")) {
		// Through the links: initdb looks for its share directory relative to where it really lies.
		if p, err := filepath.EvalSymlinks(filepath.Join(d, "initdb")); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
		filepath.Join(cacheDir, "postgresql-*", "bin"),
	} {
		matches, _ := filepath.Glob(pattern) // the only error is a bad pattern
		dirs = append(dirs, matches...)
	}
	var found []binaries
	seen := map[string]bool{}
	for _, d := range dirs {
		if seen[d] {
			continue
		}
		seen[d] = true
		if b, err := inspect(ctx, d); err == nil && b.major >= oldestMajor {
			found = append(found, b)
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return b.major - a.major })
	return found
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// inspect asks the binaries of a directory for their version, which also shows that they run here.
func inspect(ctx context.Context, dir string) (binaries, error) {
	b := binaries{dir: dir}
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		out, err := exec.CommandContext(ctx, b.path(name), "--version").Output()
		if err != nil {
			return b, fmt.Errorf("run %s: %w", b.path(name), err)
		}
		m := versionPattern.FindStringSubmatch(string(out))
		if m == nil {
			return b, fmt.Errorf("%s does not tell its version", b.path(name))
		}
		b.version = m[1]
		if b.major, err = strconv.Atoi(m[2]); err != nil {
			return b, fmt.Errorf("read version of %s: %w", b.path(name), err)
		}
	}
	return b, nil
}

// hasLibrary says whether an extension's library is installed: Debian has those of contrib in a package of their own before 15.
func (b binaries) hasLibrary(ctx context.Context, name string) bool {
	dirs := []string{
		filepath.Join(b.dir, "..", "lib"), filepath.Join(b.dir, "..", "lib", "postgresql"), filepath.Join(b.dir, "..", "lib64", "postgresql"),
	}
	if out, err := exec.CommandContext(ctx, b.path("pg_config"), "--pkglibdir").Output(); err == nil {
		dirs = []string{strings.TrimSpace(string(out))}
	}
	for _, d := range dirs {
		for _, ext := range []string{".so", ".dylib"} {
			if _, err := os.Stat(filepath.Join(d, name+ext)); err == nil {
				return true
			}
		}
	}
	return false
}
