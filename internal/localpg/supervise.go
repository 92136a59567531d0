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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed supervise.sh
var superviseScript string

// join makes sure that the server runs under a supervisor, and returns the end of the pipe that keeps it running.
// The caller holds start.lock and users.lock.
func (h *home) join(ctx context.Context, bin binaries, settings map[string]string) (*os.File, error) {
	if err := syscall.Mkfifo(h.path("hello"), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	running, err := h.postmasterRuns(ctx)
	if err != nil {
		return nil, err
	}
	if !running {
		if err := h.configure(ctx, bin, settings); err != nil {
			return nil, err
		}
	}
	for ctx.Err() == nil {
		pipe, err := h.tryJoin(ctx, bin)
		if !errors.Is(err, errGone) {
			return pipe, err
		}
	}
	return nil, fmt.Errorf("start the private Postgres: %w", context.Cause(ctx))
}

// errGone says that the supervisor that was there has just gone.
var errGone = errors.New("supervisor has gone")

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
	// It must outlive this process, so it has no context. In a session of its own no signal meant for this process reaches it.
	cmd := h.as(exec.Command("/bin/sh", "-c", superviseScript, "minipush-postgres-supervisor", //nolint:noctx // see above
		bin.path("pg_ctl"), h.path("data"), h.path("server.log"), h.path("ack")))
	cmd.SysProcAttr.Setsid = true
	cmd.ExtraFiles = []*os.File{r, held.file}
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start supervisor of the private Postgres: %w", err)
	}
	go func() { _ = cmd.Wait() }() // reaps it, if it ends before this process does; its outcome shows in its lock
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
