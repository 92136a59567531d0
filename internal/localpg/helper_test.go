package localpg

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// helperDir names the data directory of a helper: the test binary, started again as a process that uses the server until its
// standard input ends.
const helperDir = "MINIPUSH_LOCALPG_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(helperDir); ok {
		os.Exit(beHelper(dir))
	}
	os.Exit(m.Run())
}

func beHelper(dir string) int {
	s, err := Start(context.Background(), Config{DataDir: dir, Settings: map[string]string{"shared_buffers": "16MB"}})
	if err != nil {
		fmt.Fprintln(os.Stdout, "error", err)
		return 1
	}
	fmt.Fprintln(os.Stdout, s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stdout, "error", err)
		return 1
	}
	return 0
}

type helper struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

// launch starts a helper and returns at once; ready waits until it has the server.
func launch(t *testing.T, exe, dir string, attr *syscall.SysProcAttr, env ...string) (h *helper, ready func()) {
	t.Helper()
	cmd := exec.Command(exe) //nolint:noctx // it is killed below, or by the test
	cmd.Env = append(append(os.Environ(), helperDir+"="+dir), env...)
	cmd.SysProcAttr = attr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Dir = "/"
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	h = &helper{cmd: cmd, stdin: stdin}
	return h, func() {
		t.Helper()
		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err, line)
		require.True(t, strings.HasPrefix(line, "postgres://"), line)
		h.url = strings.TrimSpace(line)
	}
}

func startHelper(t *testing.T, dir string) *helper {
	t.Helper()
	h, ready := launch(t, self(t), dir, nil)
	ready()
	return h
}

func (h *helper) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, h.stdin.Close())
	require.NoError(t, h.cmd.Wait())
}

func (h *helper) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, h.cmd.Process.Kill())
	_ = h.cmd.Wait()
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	return exe
}

func begin(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(t.Context(), Config{DataDir: dir, Settings: map[string]string{"shared_buffers": "16MB"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(t.Context()))) })
	return s
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	var v string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&v))
	return v
}

// alive counts the processes that work in a cluster; one that is dead but not waited for has no working directory.
func alive(t *testing.T, dir string) int {
	t.Helper()
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		t.Skip("no /proc here to count processes by")
	}
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	n := 0
	for _, l := range links {
		if cwd, err := os.Readlink(l); err == nil && strings.HasPrefix(cwd, filepath.Join(dir, "postgres")) {
			n++
		}
	}
	return n
}

// requireGone waits for the end of a server that ran: the stop's own bound.
func requireGone(t *testing.T, dir string) {
	t.Helper()
	requireGoneWithin(t, dir, 10*time.Second)
}

func requireGoneWithin(t *testing.T, dir string, limit time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool { return alive(t, dir) == 0 }, limit, 50*time.Millisecond)
}

func listing(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !strings.HasSuffix(p, ".lock") {
			names = append(names, fmt.Sprint(p, info.Size(), info.ModTime()))
		}
		return nil
	}))
	return names
}
