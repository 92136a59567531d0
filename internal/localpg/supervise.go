package localpg

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed supervise.sh
var superviseScript string

// joinTimeout bounds the wait for a server, which may have to recover first.
const joinTimeout = 3 * time.Minute

const launchScript = `script=$1; shift; /bin/sh -c "$script" minipush-postgres-supervisor "$@" &`

// join makes sure that the server runs under a supervisor, and returns the end of the pipe that keeps it running.
// The caller holds start.lock and users.lock.
func (h *home) join(ctx context.Context, bin binaries, settings map[string]string) (*os.File, error) {
	if err := syscall.Mkfifo(h.path("hello"), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, joinTimeout, fmt.Errorf("it does not answer after %v; see %s", joinTimeout, h.path("server.log")))
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		pipe, err := h.attempt(ctx, bin, settings)
		if !errors.Is(err, errGone) {
			return pipe, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("start the private Postgres: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// attempt joins once. What it found may have been about to end: then it returns errGone.
func (h *home) attempt(ctx context.Context, bin binaries, settings map[string]string) (*os.File, error) {
	running, err := h.postmasterRuns(ctx)
	if err != nil {
		return nil, err
	}
	if !running {
		if err := h.configure(ctx, bin, settings); err != nil {
			return nil, err
		}
	}
	pipe, err := h.tryJoin(ctx, bin)
	if err != nil {
		return nil, err
	}
	// A server that has just been killed still has its pid for a moment; it does not answer.
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(h.socketDir, ".s.PGSQL.5432"))
	if err != nil {
		_ = pipe.Close()
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
			return nil, errGone
		}
		return nil, fmt.Errorf("reach the private Postgres: %w", err)
	}
	return pipe, conn.Close()
}

// errGone says that the supervisor, or the server, that was there has just gone.
var errGone = errors.New("it has just gone")

func (h *home) tryJoin(ctx context.Context, bin binaries) (*os.File, error) {
	sup, err := tryAcquire(h.path("supervisor.lock"), exclusive)
	if err != nil && !errors.Is(err, errHeld) {
		return nil, err
	}
	var pipe *os.File
	if sup != nil {
		pipe, err = h.supervise(bin, sup)
	} else {
		// Without O_NONBLOCK this would wait for a reader: a supervisor that is just ending may have none.
		pipe, err = openPipe(h.path("hello"), syscall.O_WRONLY|syscall.O_NONBLOCK)
		if errors.Is(err, syscall.ENXIO) {
			return nil, errGone
		}
	}
	if err != nil {
		return nil, err
	}
	if err := h.hello(ctx, pipe); err != nil {
		_ = pipe.Close()
		return nil, err
	}
	return pipe, nil
}

// supervise starts a supervisor, which takes over the lock, and returns the writing end of its pipe.
func (h *home) supervise(bin binaries, held *lock) (*os.File, error) {
	defer held.release() // the supervisor's copy keeps it
	// A reader opened without waiting lets the writer open; the reader that is handed over must then be one that waits.
	probe, err := openPipe(h.path("hello"), syscall.O_RDONLY|syscall.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	w, err := openPipe(h.path("hello"), syscall.O_WRONLY|syscall.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	r, err := openPipe(h.path("hello"), syscall.O_RDONLY)
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	defer r.Close()
	// The supervisor must outlive this process, so it has no context, is nobody's child (the launcher ends at once), and has
	// a session of its own, where no signal meant for this process reaches it.
	cmd := h.as(exec.Command("/bin/sh", "-c", launchScript, "launch", superviseScript, //nolint:noctx // see above
		bin.path("pg_ctl"), h.path("data"), h.path("server.log"), h.path("ack")))
	cmd.SysProcAttr.Setsid = true
	cmd.ExtraFiles = []*os.File{r, held.file}
	if err := cmd.Run(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start supervisor of the private Postgres: %w", err)
	}
	return w, nil
}

// hello asks the supervisor to have the server running, and waits for its answer. Once answered, the supervisor cannot meet
// the end of the pipe before this end is closed.
func (h *home) hello(ctx context.Context, pipe *os.File) error {
	if err := os.Remove(h.path("ack")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("greet supervisor: %w", err)
	}
	token := rand.Text()
	if _, err := io.WriteString(pipe, token+"\n"); err != nil {
		if errors.Is(err, syscall.EPIPE) {
			return errGone
		}
		return fmt.Errorf("greet supervisor: %w", err)
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the private Postgres to start: %w", context.Cause(ctx))
		case <-tick.C:
		}
		// The order matters: an answer given just before the supervisor ended does not count.
		l, err := tryAcquire(h.path("supervisor.lock"), shared)
		if err == nil {
			l.release()
			return errGone
		}
		if !errors.Is(err, errHeld) {
			return err
		}
		answer, err := os.ReadFile(h.path("ack"))
		if err != nil || !strings.HasPrefix(string(answer), token+" ") {
			continue
		}
		if status := strings.TrimSpace(string(answer[len(token):])); status != "0" {
			return fmt.Errorf("start the private Postgres: pg_ctl ended with %s; the end of %s:\n%s", status, h.path("server.log"), h.logTail())
		}
		return nil
	}
}

// logTail returns the last lines of the server's log, for an error message.
func (h *home) logTail() string {
	b, err := os.ReadFile(h.path("server.log"))
	if err != nil {
		return err.Error()
	}
	if len(b) > 2000 {
		b = b[len(b)-2000:]
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return string(b)
}

// openPipe opens an end of a named pipe. It bypasses os.OpenFile, which would make a pipe that waits into one that does not.
func openPipe(path string, flags int) (*os.File, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open pipe %s: %w", filepath.Base(path), err)
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}
