package archtest

import (
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// instruction is one line of the Dockerfile, continued lines joined.
type instruction struct {
	stage      int // counted from 0 at each FROM
	name, args string
}

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), "Dockerfile"))
	require.NoError(t, err)
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(b), "")
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, "")
	var all []instruction
	stage := -1
	for line := range strings.Lines(text) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		if name == "FROM" {
			stage++
		}
		all = append(all, instruction{stage: stage, name: name, args: args})
	}
	return all
}

// last returns the arguments of an instruction in the final stage, which has exactly one of that name.
func last(t *testing.T, all []instruction, name string) string {
	t.Helper()
	var found []string
	for _, in := range all {
		if in.name == name && in.stage == all[len(all)-1].stage {
			found = append(found, in.args)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

func execForm(t *testing.T, args string) (argv []string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(args), &argv), "%s is in exec form", args)
	return argv
}

func TestDockerfile_FinalImage(t *testing.T) {
	t.Parallel()
	all := dockerfile(t)
	require.Equal(t, "scratch", last(t, all, "FROM"))
	require.Equal(t, []string{"/minipush"}, execForm(t, last(t, all, "ENTRYPOINT")), "signals reach the program, not a shell")
	require.Equal(t, []string{"serve"}, execForm(t, last(t, all, "CMD")))
	_, health, found := strings.Cut(last(t, all, "HEALTHCHECK"), "CMD ")
	require.True(t, found)
	require.Equal(t, []string{"/minipush", "health"}, execForm(t, health), "there is no shell and no curl in the image")
	require.Equal(t, "SIGTERM", last(t, all, "STOPSIGNAL"))
	uid, _, _ := strings.Cut(last(t, all, "USER"), ":")
	n, err := strconv.Atoi(uid)
	require.NoError(t, err, "numeric: Kubernetes checks runAsNonRoot by it")
	require.Positive(t, n)
	env := last(t, all, "ENV")
	require.Contains(t, env, "MINIPUSH_HTTP_ADDR=0.0.0.0:8080")
	require.Contains(t, env, "MINIPUSH_CONTAINER=1")
	require.Equal(t, "8080", last(t, all, "EXPOSE"))
	for _, in := range all {
		if in.name == "FROM" && in.args != "scratch" {
			require.Regexp(t, `^(golang:1\.26|debian:|alpine:)`, in.args, "official images only")
		}
	}
}

// TestDockerfile_Build builds the image where a Docker engine answers. Elsewhere it does in a directory what the build stage
// does: the files that .dockerignore lets through, then each RUN, with /image and /src in that directory.
func TestDockerfile_Build(t *testing.T) {
	t.Parallel()
	if exec.CommandContext(t.Context(), "docker", "version", "--format", "{{.Server.Version}}").Run() == nil {
		output(t, "docker", "build", "--tag", "minipush-archtest", ".")
		refuses(t, exec.CommandContext(t.Context(), "docker", "run", "--rm", "minipush-archtest"))
		return
	}
	t.Log("NOTE: no Docker engine answers here, so the image was NOT built. Its build stage is run outside instead.")
	if runtime.GOOS != "linux" {
		t.Skip("the build stage is Linux")
	}
	dir := t.TempDir()
	src, image := filepath.Join(dir, "src"), filepath.Join(dir, "image")
	copyContext(t, src)
	for _, in := range dockerfile(t) {
		if in.name != "RUN" || in.stage != 0 {
			continue
		}
		line := strings.ReplaceAll(in.args, "/image", image)
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
		cmd.Dir = src
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(string(out), "ca-certificates.crt") {
			t.Logf("this machine has no certificates to copy, unlike the build image: %s", out)
			continue
		}
		require.NoError(t, err, "RUN %s\n%s", in.args, out)
		t.Logf("ran outside: RUN %s", in.args)
	}
	program := filepath.Join(image, "minipush")
	requireStatic(t, program)
	info, err := os.Stat(filepath.Join(image, "tmp"))
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&fs.ModeSticky)

	cmd := exec.CommandContext(t.Context(), program, "serve")
	cmd.Env = []string{"MINIPUSH_CONTAINER=1", "MINIPUSH_HTTP_ADDR=127.0.0.1:0"}
	refuses(t, cmd)
}

// refuses checks that the program does not start without a database: a private one would be lost with the container.
func refuses(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "MINIPUSH_DATABASE_URL")
}

func requireStatic(t *testing.T, program string) {
	t.Helper()
	f, err := elf.Open(program)
	require.NoError(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "scratch has no dynamic loader")
	}
	libraries, err := f.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
}

// copyContext copies what git knows, or would know, and .dockerignore lets through.
func copyContext(t *testing.T, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), ".dockerignore"))
	require.NoError(t, err)
	var allow, deny []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line == "*" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(line, "!"); ok {
			allow = append(allow, name)
		} else {
			deny = append(deny, line)
		}
	}
	for _, top := range allow {
		err := filepath.WalkDir(filepath.Join(root(t), top), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root(t), p)
			if err != nil {
				return err
			}
			if ignored(filepath.ToSlash(rel), deny) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			target := filepath.Join(to, rel)
			if d.IsDir() {
				return os.MkdirAll(target, 0o755)
			}
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return os.WriteFile(target, content, 0o644)
		})
		require.NoError(t, err)
	}
}

func ignored(name string, deny []string) bool {
	return slices.ContainsFunc(deny, func(pattern string) bool {
		if base, ok := strings.CutPrefix(pattern, "**/"); ok {
			match, _ := path.Match(base, path.Base(name)) // the patterns are ours
			return match
		}
		return name == pattern
	})
}
