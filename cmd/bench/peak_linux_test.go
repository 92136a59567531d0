package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeakMemory_IsReadFromTheStatusOfAProcess(t *testing.T) {
	t.Parallel()
	got, err := parsePeak([]byte("Name:\tserve\nVmPeak:\t  999 kB\nVmHWM:\t   40960 kB\nVmRSS:\t 1 kB\n"))
	require.NoError(t, err)
	require.Equal(t, int64(40960<<10), got)
	_, err = parsePeak([]byte("Name:\tserve\n"))
	require.Error(t, err)
	got, err = peakMemory(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, got, int64(1<<20))
}
