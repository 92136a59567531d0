package chaos_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait for what must happen: a machine under load is slow, and a suite that hangs says nothing.
const patience = 90 * time.Second

// process is one life of a program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// launch starts the program and follows its log, line by line, which it also appends to the file log.
func launch(env []string, log io.Writer, line func([]byte), args ...string) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), done: make(chan struct{})} //nolint:noctx // it is ended by signals
	p.cmd.Env = env
	endWithParent(p.cmd)
	out, w := io.Pipe()
	p.cmd.Stderr, p.cmd.Stdout = w, w
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			_, _ = log.Write(append(lines.Bytes(), '\n'))
			line(lines.Bytes())
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	go func() {
		_ = p.cmd.Wait() // how it ended is asked of ProcessState
		_ = w.Close()
		close(p.done)
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may have ended

// kill ends the process as a crash would, and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// term asks the process to end, and says how long that took and how it ended.
func (p *process) term() (took time.Duration, code int) {
	begun := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.kill()
	}
	return time.Since(begun), p.cmd.ProcessState.ExitCode()
}

// daemon is a place where minipush serve runs, one life after the other.
type daemon struct {
	name string
	env  []string
	log  *os.File

	mu   sync.Mutex
	life *process
	url  string
	node int64
}

// start begins a life and waits until it serves. A database that is away ends it at once; it is started again, as an init would.
func (d *daemon) start(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for {
		err := d.tryStart(ctx)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *daemon) tryStart(ctx context.Context) error {
	type found struct {
		node int64
		url  string
	}
	var node int64
	serving := make(chan found, 1)
	p, err := launch(d.env, d.log, func(text []byte) {
		var line struct {
			Msg, Addr string
			Node      int64
		}
		if json.Unmarshal(text, &line) != nil {
			return
		}
		switch line.Msg {
		case "worker started":
			node = line.Node
		case "serving":
			serving <- found{node, "http://" + line.Addr}
		}
	}, "serve")
	if err != nil {
		return err
	}
	select {
	case f := <-serving:
		d.mu.Lock()
		d.life, d.node, d.url = p, f.node, f.url
		d.mu.Unlock()
		return nil
	case <-p.done:
		return fmt.Errorf("daemon %s ended at its start", d.name)
	case <-ctx.Done():
		p.kill()
		return ctx.Err()
	case <-time.After(30 * time.Second):
		p.kill()
		return errors.New("the daemon does not serve")
	}
}

// now is the current life, its node and its address.
func (d *daemon) now() (life *process, node int64, url string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.life, d.node, d.url
}

// run executes one command of the program.
func run(t *testing.T, env []string, stdin io.Reader, args ...string) (out []byte, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Stdin = env, stdin
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	if exit != nil && len(exit.Stderr) > 0 {
		t.Logf("minipush %v: %s", args, exit.Stderr)
	}
	return out, cmd.ProcessState.ExitCode()
}
