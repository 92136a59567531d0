package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// terminal says whether w is one that a person looks at.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// bar shows progress on standard error, on a terminal only, and only when the work takes more than a second.
// total is -1 where it is not known. The caller ends it with finish.
type bar struct {
	start time.Time
	open  func() *progressbar.ProgressBar
	shown *progressbar.ProgressBar
}

func (c *cli) bar(total int64, what string) *bar {
	b := &bar{start: time.Now()}
	if terminal(c.stderr) {
		b.open = func() *progressbar.ProgressBar {
			return progressbar.NewOptions64(total, progressbar.OptionSetWriter(c.stderr), progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionUseANSICodes(true))
		}
	}
	return b
}

// set moves the bar to n of the total.
func (b *bar) set(n int64) {
	if b.shown == nil && b.open != nil && time.Since(b.start) > time.Second {
		b.shown = b.open()
	}
	if b.shown != nil {
		_ = b.shown.Set64(n) // a bar that cannot be drawn is no reason to fail
	}
}

func (b *bar) finish() {
	if b.shown != nil {
		_ = b.shown.Finish() // as above
	}
}
