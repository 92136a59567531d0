package mutanttest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var plant = flag.Bool("mutants", false, "plant each fault in a copy of the tree, and ask that its tests fail (about a quarter of an hour)") //nolint:gochecknoglobals // a flag

var update = flag.Bool("update", false, "write the table into docs/testing.md") //nolint:gochecknoglobals // a flag

// limitOfOne bounds the tests of one fault, which may hang in it; limitOfBuild what is added to build them.
const limitOfOne, limitOfBuild = 5 * time.Minute, 10 * time.Minute

// root is the repository's directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "go.mod"))
	return dir
}

// TestMutants_FitTheTree keeps the table from rotting: each text stands where it is said to, once, and each test exists.
func TestMutants_FitTheTree(t *testing.T) {
	t.Parallel()
	planted := map[int]bool{}
	var misfits []string
	for _, m := range mutants() {
		planted[m.invariant] = true
		text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(m.file)))
		require.NoError(t, err)
		if n := strings.Count(string(text), m.old); n != 1 {
			misfits = append(misfits, fmt.Sprintf("%d, %s: its text stands %d times in %s", m.invariant, m.fault, n, m.file))
		}
		require.NotEqual(t, m.old, m.new)
		for _, name := range m.tests {
			require.True(t, testExists(t, m.pkg, name), "%s has no test %s", m.pkg, name)
		}
	}
	require.Empty(t, misfits, "the code has changed: the fault is to be planted in what it is now")
	for invariant := 1; invariant <= 11; invariant++ {
		require.True(t, planted[invariant], "no fault is planted in invariant %d", invariant)
	}
}

func testExists(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), filepath.FromSlash(pkg), "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// TestMutants_InTheDocument holds the table of docs/testing.md against this one.
func TestMutants_InTheDocument(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- mutants -->\n", "<!-- /mutants -->\n"
	file := filepath.Join(root(t), "docs", "testing.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), begin)
	require.True(t, found, begin)
	shown, after, found := strings.Cut(rest, end)
	require.True(t, found, end)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+markdown()+end+after), 0o644)) //nolint:gosec // a document
		return
	}
	require.Equal(t, markdown(), shown, "-update writes the table into the document")
}

// markdown is the table as the document shows it.
func markdown() string {
	var b strings.Builder
	b.WriteString("| invariant | planted fault | found by |\n|---|---|---|\n")
	for _, m := range mutants() {
		fmt.Fprintf(&b, "| %d | %s | `%s` |\n", m.invariant, m.fault, strings.Join(m.tests, "`, `"))
	}
	return b.String()
}

// TestMutants_AreFound plants the faults. Without any, all the tests pass; with one, each of its tests fails.
func TestMutants_AreFound(t *testing.T) {
	if !*plant {
		t.Skip("with -mutants only")
	}
	dir := t.TempDir()
	copyTree(t, root(t), dir)
	t.Run("none", func(t *testing.T) {
		byPackage := map[string][]string{}
		for _, m := range mutants() {
			byPackage[m.pkg] = append(byPackage[m.pkg], m.tests...)
		}
		for pkg, tests := range byPackage {
			out, err := runTests(t, dir, pkg, tests)
			require.NoError(t, err, "%s", out)
		}
	})
	for _, m := range mutants() {
		t.Run(fmt.Sprintf("%d, %s", m.invariant, m.fault), func(t *testing.T) {
			file := filepath.Join(dir, filepath.FromSlash(m.file))
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600))
			defer func() { require.NoError(t, os.WriteFile(file, text, 0o600)) }()
			begun := time.Now()
			out, err := runTests(t, dir, m.pkg, m.tests)
			exit, failed := errors.AsType[*exec.ExitError](err)
			require.True(t, failed, "nothing was noticed (%v)", err)
			require.NotContains(t, out, "[build failed]", "the fault must be one that compiles")
			for _, name := range m.tests {
				require.Contains(t, out, "--- FAIL: "+name, "%s did not notice (exit %d):\n%s", name, exit.ExitCode(), out)
			}
			t.Logf("found by %s in %s: %s", strings.Join(m.tests, ", "), time.Since(begun).Round(time.Second), firstError(out))
		})
	}
}

// runTests runs tests of a package in the copy. The model stops at its first failure there: nobody reads the shortest one.
func runTests(t *testing.T, dir, pkg string, tests []string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limitOfOne+limitOfBuild)
	defer cancel()
	args := []string{"test", "./" + pkg, "-count=1", "-vet=off", "-timeout", limitOfOne.String(), "-run", "^(" + strings.Join(tests, "|") + ")$"}
	if pkg == dispatchDir {
		args = append(args, "-rapid.checks=60", "-rapid.shrinktime=0s", "-rapid.nofailfile")
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// firstError is the line of a test's output that says what was wrong.
func firstError(out string) string {
	found := regexp.MustCompile(`(?m)^\s*(?:Messages:|Error:)\s+(\S.*)$`).FindAllStringSubmatch(out, 2)
	var parts []string
	for _, f := range found {
		parts = append(parts, strings.TrimSpace(f[1]))
	}
	return strings.Join(parts, " ")
}

// copyTree copies what the tests need to be built and run.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || strings.HasSuffix(filepath.ToSlash(rel), "testdata/rapid") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if !d.Type().IsRegular() || d.Name() == ".git" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o600)
	}))
}
