package archtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// topLevel is what a visitor sees: what the customer fixed, and four things more (design, section 7).
var topLevel = []string{ //nolint:gochecknoglobals // a table
	"CHANGELOG.md", "Dockerfile", "LICENSE", "README.md", "cmd", "compose.yaml", "config", "docs", "go.mod", "go.sum",
	"internal", "migrations",
}

func TestTopLevel_IsWhatWasAgreed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	if _, err := exec.LookPath("git"); err == nil && exec.CommandContext(t.Context(), "git", "-C", root(t), "rev-parse").Run() == nil {
		for name := range strings.Lines(output(t, "git", "ls-files")) {
			first, _, _ := strings.Cut(strings.TrimSpace(name), "/")
			seen[strings.Trim(first, `"`)] = true
		}
	} else { // an archive of the sources
		entries, err := os.ReadDir(root(t))
		require.NoError(t, err)
		for _, e := range entries {
			seen[e.Name()] = true
		}
	}
	var visible []string
	for name := range seen {
		if !strings.HasPrefix(name, ".") {
			visible = append(visible, name)
		}
	}
	slices.Sort(visible)
	require.Equal(t, topLevel, visible)
}

func TestCustomersModules_AreDirectAndInTheProgram(t *testing.T) {
	t.Parallel()
	customers := []string{
		"github.com/jackc/pgx/v5",
		"github.com/lmittmann/tint",
		"github.com/riverqueue/river",
		"github.com/riverqueue/river/riverdriver/riverpgxv5",
		"github.com/robfig/cron/v3",
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(output(t, "go", "mod", "edit", "-json")), &mod))
	require.Equal(t, module, mod.Module.Path)
	direct := map[string]bool{}
	for _, r := range mod.Require {
		direct[r.Path] = !r.Indirect
	}
	linked := strings.Fields(output(t, "go", "list", "-deps", "./cmd/minipush"))
	for _, m := range customers {
		require.True(t, direct[m], "%s is a direct line of go.mod", m)
		require.Contains(t, linked, m, "the program contains %s", m)
	}
	for _, pkg := range linked {
		require.False(t, strings.HasPrefix(pkg, "github.com/stretchr/testify") || pkg == module+"/internal/store/storetest",
			"the program contains test support: %s", pkg)
	}
}
