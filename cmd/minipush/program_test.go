package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the program under test. The tests of this package run it as people do: as a process.
var binary string //nolint:gochecknoglobals // set once, by TestMain

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "minipush-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "minipush")
	build := exec.Command("go", "build", "-o", binary, ".") //nolint:noctx // go test ends it with its own time limit
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}

const (
	testKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" // 32 bytes, for tests
	// patience bounds every wait of a test: a machine under load is slow, and a test that hangs says nothing.
	patience = 60 * time.Second
)

// program runs the binary with one environment, in an empty home.
type program struct {
	home string
	env  []string
}

// newProgram has an empty home, and only the settings given.
func newProgram(t *testing.T, env ...string) program {
	t.Helper()
	home := t.TempDir()
	cache, err := os.UserCacheDir() // where Postgres lies if it had to be downloaded: once is enough
	require.NoError(t, err)
	return program{home: home, env: append([]string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "USER=tester", "XDG_CACHE_HOME=" + cache, "MINIPUSH_DATA_DIR=" + filepath.Join(home, "data"),
	}, env...)}
}

// onDatabase has a database of its own beside.
func onDatabase(t *testing.T, url string, env ...string) program {
	t.Helper()
	return newProgram(t, append([]string{"MINIPUSH_DATABASE_URL=" + url, "MINIPUSH_SECRET_KEY=" + testKey, "MINIPUSH_HTTP_ADDR=127.0.0.1:0"}, env...)...)
}

// with is the same program with further settings.
func (p program) with(env ...string) program {
	p.env = append(slices.Clip(p.env), env...)
	return p
}

func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = p.env, p.home
	return cmd
}

// try runs a command to its end.
func (p program) try(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := p.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// run runs a command that must succeed, and returns what it printed.
func (p program) run(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := p.try(t, "", args...)
	require.Zero(t, code, "minipush %s: %s", strings.Join(args, " "), stderr)
	return stdout
}

// daemon is a running serve.
type daemon struct {
	cmd  *exec.Cmd
	url  string
	done chan struct{}

	mu   sync.Mutex
	logs bytes.Buffer
}

// serve starts a daemon and waits until it serves. It is killed when the test ends, if it still runs.
func (p program) serve(t *testing.T, args ...string) *daemon {
	t.Helper()
	d := &daemon{cmd: p.command(context.WithoutCancel(t.Context()), append([]string{"serve"}, args...)...), done: make(chan struct{})}
	stderr, err := d.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, d.cmd.Start())
	addr := make(chan string, 1)
	go d.follow(stderr, addr)
	t.Cleanup(func() {
		d.kill()
		if t.Failed() {
			d.mu.Lock()
			defer d.mu.Unlock()
			t.Logf("log of the daemon:\n%s", d.logs.String())
		}
	})
	select {
	case at := <-addr:
		d.url = "http://" + at
	case <-d.done:
		t.Fatal("the daemon ended at its start")
	case <-time.After(patience):
		t.Fatal("the daemon does not serve")
	}
	return d
}

// follow keeps the log, and finds in it the address that is served.
func (d *daemon) follow(stderr io.Reader, addr chan<- string) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		d.mu.Lock()
		d.logs.Write(append(lines.Bytes(), '\n'))
		d.mu.Unlock()
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			addr <- line.Addr
		}
	}
	_ = d.cmd.Wait() // how it ended is asked of ProcessState
	close(d.done)
}

// kill ends the daemon as a crash would.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.done
}

// stop ends the daemon as an operator would, and returns its exit code.
func (d *daemon) stop(t *testing.T) int {
	t.Helper()
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatal("the daemon does not stop")
	}
	return d.cmd.ProcessState.ExitCode()
}

// call makes a call of the API and reads its answer into out, where out is not nil.
func call(t *testing.T, method, url, token string, body, out any) int {
	t.Helper()
	var reader io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case string: // a list to upload
		reader, contentType = strings.NewReader(b), "text/csv"
	default:
		text, err := json.Marshal(b)
		require.NoError(t, err)
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if out != nil {
		require.NoError(t, json.Unmarshal(text, out), "%s", text)
	}
	return resp.StatusCode
}
