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

// Invariant 6: nobody calls on a beat that is so old that its chunks may be another's by now, however open its task.
func TestGate_ShutsOnAStaleBeat(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := &Dispatcher{node: &node{start: now}}
	g := newGate(d)
	g.enter(7)
	require.True(t, g.open(7))
	d.node.start = now.Add(-beatTTL)
	require.False(t, g.open(7), "its last beat is too old")
	d.node.beaten.Store(int64(beatTTL))
	require.True(t, g.open(7), "it has beaten again")
	require.Less(t, beatTTL, 3*time.Second, "others may take its chunks after three seconds")
	d.node = nil
	require.False(t, g.open(7), "it has no node")
}
