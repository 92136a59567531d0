package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
)

// Invariant 6: a process that was stopped for longer than a lease beats again when it goes on, and may call for what it takes from
// then on; what it held before it may not call for, fresh as its beat is.
func TestNode_StoppedForLongerThanALease_HoldsNothingFromBefore(t *testing.T) {
	t.Parallel()
	b := dispatch.NewBeats(20 * time.Second)
	for age := time.Duration(0); age <= 10*time.Second; age += time.Second {
		b.At(age)
	}
	require.False(t, b.Held(9*time.Second), "stopped: the last beat is 10 s old")
	b.At(19 * time.Second)
	require.False(t, b.Held(9*time.Second), "it beats again")
	require.True(t, b.Held(19*time.Second))
	b.At(20 * time.Second)
	require.False(t, b.Held(9*time.Second))
	require.True(t, b.Held(19*time.Second))
}
