package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// pollInterval is how often a lock, or the supervisor's answer, is looked at again: neither can be waited for with a deadline.
const pollInterval = 20 * time.Millisecond

// errHeld says that another process holds the lock.
var errHeld = errors.New("held by another process")

type lockMode int

const (
	shared    lockMode = syscall.LOCK_SH
	exclusive lockMode = syscall.LOCK_EX
)

// lock is a held advisory lock on a file (flock). The kernel releases it when the process ends, however it ends.
type lock struct{ file *os.File }

func tryAcquire(path string, mode lockMode) (*lock, error) {
	// The directory belongs to the server's account; a symbolic link planted there must not lead root elsewhere.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), int(mode)|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return &lock{file: f}, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errHeld
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// acquire waits for the lock until ctx ends.
func acquire(ctx context.Context, path string, mode lockMode) (*lock, error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		l, err := tryAcquire(path, mode)
		if !errors.Is(err, errHeld) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (l *lock) release() { _ = l.file.Close() }
