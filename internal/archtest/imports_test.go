package archtest

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// levels puts every package on a floor. A package imports only packages of lower floors, so those of one floor never import
// each other: a change of the platform's protocol stays in wechat, a change of the database in store.
var levels = map[string]int{ //nolint:gochecknoglobals // a table
	"internal/push":        0, // the words and the rules
	"internal/wechat":      0, // the platform's protocol
	"internal/localpg":     0, // a private Postgres
	"internal/seal":        0, // secrets at rest
	"internal/cronspec":    0, // when cron entries run
	"migrations":           0,
	"internal/sim":         1, // the platform, simulated
	"internal/intake":      1, // bytes to recipients and permits
	"internal/store":       1, // every SQL statement
	"internal/export":      2, // recipients to files
	"internal/dispatch":    2, // the engine
	"internal/chaos":       2, // what breaks all of it, in tests
	"internal/web/auth":    3,
	"internal/web/patient": 3, // uploads and downloads that take long
	"internal/web/api":     4,
	"internal/web/console": 4, // the pages for people; never through api
	"internal/web":         5,
	"internal/config":      6,
	"cmd/minipush":         7,
	"cmd/bench":            7,

	"internal/wechat/callback": 0, // the platform's protocol, where it calls us
	"internal/provider":        1, // the ways of sending
}

// thirdParty says which packages, or which one file, may import a module that is not ours. Every module has a row.
var thirdParty = map[string][]string{ //nolint:gochecknoglobals // a table
	"github.com/boombuler/barcode":               {"internal/web/console"}, // QR codes
	"github.com/caarlos0/env":                    {"internal/config"},
	"github.com/coreos/go-oidc":                  {"internal/web/auth"},
	"github.com/fergusstrange/embedded-postgres": {"internal/localpg"},
	"github.com/jackc/pgx":                       {"internal/store", "internal/dispatch", "internal/web", "cmd/minipush", "cmd/bench"},
	"github.com/lmittmann/tint":                  {"internal/config"},
	"github.com/pressly/goose":                   {"internal/store/migrate.go"},
	"github.com/prometheus/client_golang":        {"internal/dispatch", "internal/web"},
	"github.com/riverqueue/river":                {"internal/dispatch", "internal/store/migrate.go", "internal/web", "cmd/minipush", "cmd/bench"},
	"github.com/rivo/uniseg":                     {"internal/push", "cmd/minipush"}, // characters as a person counts them
	"github.com/robfig/cron":                     {"internal/cronspec", "internal/dispatch"},
	"github.com/schollz/progressbar":             {"cmd/minipush"},
	"github.com/spf13/pflag":                     {"cmd/minipush"}, // cobra's flags
	"github.com/spf13/cobra":                     {"cmd/minipush", "cmd/bench"},
	"github.com/xuri/excelize":                   {"internal/intake", "internal/export"},
	"go.yaml.in/yaml":                            {"internal/config", "cmd/minipush/template.go"},
	"golang.org/x/crypto":                        {"internal/seal", "internal/web/auth"},
	"golang.org/x/oauth2":                        {"internal/web/auth"},
	"golang.org/x/sync":                          {"internal/dispatch", "internal/web", "internal/web/auth", "cmd/minipush", "cmd/bench"},
	"golang.org/x/term":                          {"cmd/minipush"},
	"golang.org/x/text":                          {"internal/intake"},
	"riverqueue.com/riverui":                     {"internal/web"},
}

// isTestPackage says whether a package is support for tests, such as store/storetest.
func isTestPackage(dir string) bool { return strings.HasSuffix(dir, "test") }

func TestImports_GoDownwardsOnly(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || isTestPackage(s.dir) {
			continue
		}
		from, known := levels[s.dir]
		require.True(t, known, "%s: the package has no floor yet: give it a row in levels", s.file)
		for _, imp := range s.imports {
			dir, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			require.False(t, isTestPackage(dir), "%s imports %s, which is for tests only", s.file, imp)
			to, known := levels[dir]
			require.True(t, known, "%s imports %s, which has no floor", s.file, imp)
			require.Less(t, to, from, "%s (floor %d) imports %s (floor %d)", s.file, from, imp, to)
		}
	}
}

func TestImports_ThirdPartyStaysWhereItBelongs(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || isTestPackage(s.dir) {
			continue
		}
		for _, imp := range s.imports {
			first, _, _ := strings.Cut(imp, "/")
			if !strings.Contains(first, ".") { // the standard library, or ours
				continue
			}
			row := rowOf(imp)
			require.NotEmpty(t, row, "%s imports %s, which has no row in thirdParty: is it worth one?", s.file, imp)
			allowed := thirdParty[row]
			require.True(t, slices.Contains(allowed, s.dir) || slices.Contains(allowed, s.file),
				"%s imports %s, which belongs in %v only", s.file, imp, allowed)
		}
	}
}

// rowOf finds the longest row that is a prefix of an import path, at a slash.
func rowOf(imp string) (row string) {
	for r := range thirdParty {
		if (imp == r || strings.HasPrefix(imp, r+"/")) && len(r) > len(row) {
			row = r
		}
	}
	return row
}

func TestImports_PushDoesNoIO(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.dir != "internal/push" || s.test {
			continue
		}
		for _, imp := range s.imports {
			require.NotContains(t, []string{"net", "net/http", "os", "io/fs", "database/sql", "log/slog", "context"}, imp, s.file)
		}
	}
}

func TestPackages_SayWhatTheyAre(t *testing.T) {
	t.Parallel()
	docs := map[string]int{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if _, seen := docs[s.dir]; !seen {
			docs[s.dir] = 0
		}
		if s.syntax.Doc == nil {
			continue
		}
		docs[s.dir]++
		want := "Package " + path.Base(s.dir) + " "
		if s.syntax.Name.Name == "main" {
			want = "Command " + path.Base(s.dir) + " "
		}
		require.True(t, strings.HasPrefix(s.syntax.Doc.Text(), want), "%s: its doc comment begins with %q", s.file, want)
	}
	for dir, n := range docs {
		require.Equal(t, 1, n, "%s: one file of a package has its doc comment", dir)
	}
}

func TestPackages_AreNounsNotBags(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		require.NotContains(t, []string{"util", "utils", "common", "model", "models", "types", "helpers", "misc", "database"}, path.Base(s.dir), s.file)
	}
}
