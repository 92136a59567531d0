package main

import (
	"os"
	"testing"
	"time"

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

func TestCPUTime_IsReadFromTheStatOfAProcess(t *testing.T) {
	t.Parallel()
	got, err := parseCPU([]byte("42 (a name) with) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20"))
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, got)
	_, err = parseCPU([]byte("42 (short) S 1"))
	require.Error(t, err)
	_, err = cpuTime(os.Getpid())
	require.NoError(t, err)
}
