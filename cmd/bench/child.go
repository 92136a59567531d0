package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	childStart = 30 * time.Second // to the first line of a helper, or to the readiness of serve
	childStop  = 20 * time.Second // from SIGTERM to SIGKILL
)

// child is a process of the bench. It ends with the bench, whatever ends that: by stop, by ctx, or (on Linux) by the
// kernel when the bench is killed.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	exited chan struct{} // closed once err is set
	err    error
}

// start runs a program with env added to the environment. Its standard error, and its output unless out takes it, go to log.
func start(ctx context.Context, log io.Writer, out io.Writer, env []string, name string, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the bench's own binary, or the one it just built
	cmd.Env = append(cleanEnviron(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if out != nil {
		cmd.Stdout = out
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = childStop
	endWithParent(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open input of %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{cmd: cmd, stdin: stdin, exited: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// stop asks the process to end and waits for it, with force after a while. A process that had to be killed, or that
// failed, is an error.
func (c *child) stop() error {
	_ = c.stdin.Close()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-time.After(childStop):
		_ = c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("%s did not stop within %s", c.cmd.Path, childStop)
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w", c.cmd.Path, c.err)
	}
	return nil
}

// helper starts this binary again as one of its hidden commands, which says its address on its first line.
func helper(ctx context.Context, log io.Writer, args ...string) (*child, string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find own binary: %w", err)
	}
	r, w := io.Pipe()
	c, err := start(ctx, log, w, []string{childEnv + "=1"}, exe, args...)
	if err != nil {
		return nil, "", err
	}
	line := make(chan string, 1)
	go func() {
		in := bufio.NewReader(r)
		first, _ := in.ReadString('\n')
		line <- strings.TrimSpace(first)
		_, _ = io.Copy(log, in)
	}()
	go func() {
		<-c.exited
		_ = w.Close()
	}()
	select {
	case url := <-line:
		if url != "" {
			return c, url, nil
		}
	case <-time.After(childStart):
	}
	return nil, "", errors.Join(fmt.Errorf("helper %s said no address", args[0]), c.stop())
}

// childEnv marks a helper process, so that the test binary knows it is one.
const childEnv = "MINIPUSH_BENCH_HELPER"

// serveUntilEOF is the body of a helper: it says its address, and serves until its input ends or ctx does.
func serveUntilEOF(ctx context.Context, in io.Reader, out io.Writer, handler http.Handler) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		_ = srv.Close()
	}()
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return fmt.Errorf("say address: %w", err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// constant answers every call with the same "ok", after reading the body as any server has to.
func constant() http.Handler {
	answer := []byte(`{"errcode":0,"errmsg":"ok"}`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(answer)
	})
}
