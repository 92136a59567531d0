package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// postmasterRuns says whether the cluster's server is running, and clears what would keep it from starting for ever: a pid file
// whose pid belongs to another program by now, or to a dead child that nobody waits for, as happens in containers.
// That file also keeps a new server away from the old one's last backends, so it is removed only when none is left.
func (h *home) postmasterRuns(ctx context.Context) (bool, error) {
	pid, err := h.postmasterPID()
	if pid == 0 || err != nil {
		return false, err
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false, nil // Postgres itself sees to a pid file whose process has gone
	}
	if h.worksOn(ctx, strconv.Itoa(pid)) {
		return true, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("processes of the server that was killed are still there"))
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for h.hasOrphans() {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("start the private Postgres: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
	for _, stale := range []string{h.path("data/postmaster.pid"), filepath.Join(h.socketDir, ".s.PGSQL.5432.lock")} {
		if err := os.Remove(stale); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("remove stale pid file: %w", err)
		}
	}
	return false, nil
}

// postmasterPID reads the pid file; 0 means that there is none.
func (h *home) postmasterPID() (int, error) {
	b, err := os.ReadFile(h.path("data/postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("read pid file %s: no process id in it", h.path("data/postmaster.pid"))
	}
	return pid, nil
}

// worksOn says whether a process that exists is a server of this cluster: the cluster is its working directory, which a dead
// child does not have. Elsewhere than on Linux its command line has to do.
func (h *home) worksOn(ctx context.Context, pid string) bool {
	if runtime.GOOS == "linux" {
		cwd, err := os.Readlink(filepath.Join("/proc", pid, "cwd"))
		return err == nil && cwd == h.path("data")
	}
	out, err := exec.CommandContext(ctx, "ps", "-o", "args=", "-p", pid).Output()
	return err == nil && bytes.Contains(out, []byte(h.path("data")))
}

// hasOrphans says whether any process works in the cluster. Elsewhere than on Linux that is not known, and Postgres's own check
// of its shared memory is lost with the pid file; there it is reached only when a pid was used again, long after.
func (h *home) hasOrphans() bool {
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd") // the only error is a bad pattern
	for _, link := range cwds {
		if cwd, err := os.Readlink(link); err == nil && cwd == h.path("data") {
			return true
		}
	}
	return false
}
