package main

import (
	"fmt"
	"io"
	"sync"
)

// progress tells a person what is going on. What child processes say is passed on only where verbose asks for it.
type progress struct {
	mu      sync.Mutex
	out     io.Writer
	verbose bool
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Write takes the logs of child processes.
func (p *progress) Write(b []byte) (int, error) {
	if !p.verbose {
		return len(b), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b) //nolint:wrapcheck // a writer's own error
}
