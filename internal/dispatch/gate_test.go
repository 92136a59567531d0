package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// No call starts on what a gate knew a second ago: it shuts by itself where the states cannot be read.
func TestGate_ShutsWhereItCannotLook(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := &Dispatcher{node: &node{start: now}}
	g := newGate(d)
	g.enter(7)
	require.True(t, g.open(7))
	g.start = now.Add(-gateTTL)
	require.False(t, g.open(7), "the last look is too old")
	g.looked.Store(int64(gateTTL))
	require.True(t, g.open(7))
	g.close(7)
	require.False(t, g.open(7))
	require.LessOrEqual(t, gatePoll+gateTTL/2, time.Second)
	require.Less(t, gateTTL, time.Second)
}
