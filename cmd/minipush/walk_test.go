package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// walkStep is one command of the walk-through, and what the page says that it prints.
type walkStep struct{ command, want string }

// walkSteps reads the blocks of the README that are marked with <!-- walk -->: "$ " begins a command, "> " goes on with it, the
// rest is what it prints.
func walkSteps(t *testing.T, page string) []walkStep {
	t.Helper()
	var steps []walkStep
	for _, block := range regexp.MustCompile("(?s)<!-- walk -->\n```console\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				steps = append(steps, walkStep{command: command})
				continue
			}
			require.NotEmpty(t, steps)
			step := &steps[len(steps)-1]
			if more, ok := strings.CutPrefix(line, "> "); ok {
				step.command += more
			} else {
				step.want += line
			}
		}
	}
	require.NotEmpty(t, steps)
	return steps
}

// shell is a bash that runs one command after the other, in an empty home.
type shell struct {
	in  io.Writer
	out *bufio.Reader
}

const endMark = "--- end of command ---"

func newShell(t *testing.T, p program) shell {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed: the walk-through calls the API with it")
	}
	bash := exec.Command("bash", "--norc", "--noprofile") //nolint:noctx // ended by its group, below, with all that it started
	bash.Dir, bash.Env = p.home, p.env
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := bash.StdinPipe()
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	bash.Stdout, bash.Stderr = w, w
	require.NoError(t, bash.Start())
	require.NoError(t, w.Close())
	require.NoError(t, r.SetReadDeadline(time.Now().Add(patience)))
	t.Cleanup(func() {
		_ = syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) // gone already when all went well
		_ = bash.Wait()
		_ = r.Close()
	})
	return shell{in, bufio.NewReader(r)}
}

// run returns what a command printed, on both outputs.
func (s shell) run(t *testing.T, command string) string {
	t.Helper()
	_, err := fmt.Fprintf(s.in, "%s\necho '%s'\n", strings.TrimSuffix(command, "\n"), endMark)
	require.NoError(t, err)
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		require.NoError(t, err, "after %q it printed %q", command, printed.String()+line)
		if before, ended := strings.CutSuffix(line, endMark+"\n"); ended {
			printed.WriteString(before)
			return printed.String()
		}
		printed.WriteString(line)
	}
}

// likeThePage takes out what differs from run to run: times, and a state that a task may be in when nobody looks.
func likeThePage(text string) string {
	text = regexp.MustCompile(`\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?`).ReplaceAllString(text, "TIME")
	text = strings.NewReplacer("task 1 is sending 发送中\n", "", "\r\n", "\n").Replace(text) // the CSV ends its lines for Windows
	return strings.TrimSuffix(strings.TrimPrefix(text, "\ufeff"), "\n")
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// The walk-through of the README is run as it stands, in an empty home where nothing has been set up: no database is named,
// so the private Postgres is made too. What the phones received is part of it: five values, their colour, the page with its raw &&.
func TestREADME_WalkThrough_PrintsWhatThePageSays(t *testing.T) {
	t.Parallel()
	p := walk(t, "../../README.md")
	secret, err := os.Stat(filepath.Join(p.home, "data", "secret_key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), secret.Mode().Perm(), "the key is its owner's alone")
}

// The walk-through of the subscribe channel, with its events.
func TestDocs_Subscribe_WalkThrough_PrintsWhatThePageSays(t *testing.T) {
	t.Parallel()
	walk(t, "../../docs/subscribe.md")
}

// walk runs the walk-through of a page in an empty home.
func walk(t *testing.T, file string) program {
	t.Helper()
	api, platform := freeAddr(t), freeAddr(t)
	page := strings.NewReplacer("127.0.0.1:8080", api, "127.0.0.1:8090", platform).Replace(read(t, file))
	p := newProgram(t, "MINIPUSH_HTTP_ADDR="+api).with("PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"))
	sh := newShell(t, p)
	for _, step := range walkSteps(t, page) {
		require.Equal(t, likeThePage(step.want), likeThePage(sh.run(t, step.command)), "after: %s", step.command)
	}
	sh.run(t, "wait")
	return p
}
