package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxDemos is how many demos may run side by side under one data directory.
const maxDemos = 10

// demoDir takes a data directory for one demo: "demo", or where another demo runs on it "demo-2" and so on. Two on one would
// take each other's app. The lock ends with the process, however it ends.
func demoDir(dataDir string) (dir string, release func() error, err error) {
	for n := range maxDemos {
		dir = filepath.Join(dataDir, "demo")
		if n > 0 {
			dir = fmt.Sprintf("%s-%d", dir, n+1)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the server's account must be able to enter
			return "", nil, fmt.Errorf("make the demo's directory: %w", err)
		}
		f, err := os.OpenFile(filepath.Join(dir, "demo.lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return "", nil, fmt.Errorf("lock the demo's directory: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return dir, f.Close, nil
		}
		if closing := f.Close(); !errors.Is(err, syscall.EWOULDBLOCK) {
			return "", nil, fmt.Errorf("lock the demo's directory: %w", errors.Join(err, closing))
		}
	}
	return "", nil, fmt.Errorf("%d demos run under %s already", maxDemos, dataDir)
}
