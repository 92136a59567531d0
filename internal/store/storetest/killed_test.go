package storetest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// killedDir, when set, makes TestKilled_Helper a test run that uses its database until it is killed.
const killedDir = "MINIPUSH_STORETEST_KILLED"

func TestKilled_Helper(t *testing.T) {
	t.Parallel()
	if os.Getenv(killedDir) == "" {
		t.Skip("run by TestRun_Killed_LeavesNoServerAndTheNextRunPasses only")
	}
	require.NoError(t, Pool(t).Ping(t.Context()))
	fmt.Fprintln(os.Stdout, "ready")
	<-t.Context().Done()
}

func TestRun_Killed_LeavesNoServerAndTheNextRunPasses(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		t.Skip("no /proc here to count processes by")
	}
	dir := t.TempDir()
	run := func(test string, env ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$")
		cmd.Env = append(os.Environ(), append(env, "MINIPUSH_TEST_DATA_DIR="+dir, "MINIPUSH_TEST_DATABASE_URL=")...)
		return cmd
	}
	killed := run("TestKilled_Helper", killedDir+"=1")
	stdout, err := killed.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, killed.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "ready" {
	}
	require.Equal(t, "ready", lines.Text())
	require.Positive(t, processesIn(t, dir))
	require.NoError(t, killed.Process.Kill())
	_ = killed.Wait() // it was killed
	require.Eventually(t, func() bool { return processesIn(t, dir) == 0 }, 10*time.Second, 50*time.Millisecond)

	out, err := run("TestPool_DatabasesAreMigratedAndApart").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Eventually(t, func() bool { return processesIn(t, dir) == 0 }, 10*time.Second, 50*time.Millisecond)
}

// processesIn counts the processes that work below a directory, as a server does in its cluster.
func processesIn(t *testing.T, dir string) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, l := range links {
		if cwd, err := os.Readlink(l); err == nil && strings.HasPrefix(cwd, filepath.Join(dir, "postgres")) {
			n++
		}
	}
	return n
}
