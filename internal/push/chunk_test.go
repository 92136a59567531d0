package push_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// Chunks cut a list without a gap, an overlap or an empty one, ceil(n / size) of them.
func TestChunks_CoverEveryRecipientOnce(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		for size := 1; size <= 12; size++ {
			count, next := push.ChunkCount(n, size), 0
			for no := range count {
				lo, hi := push.ChunkRange(no, n, size)
				require.Equal(t, next, lo)
				require.Greater(t, hi, lo)
				require.LessOrEqual(t, hi-lo, size)
				next = hi
			}
			require.Equal(t, n, next)
		}
	}
	require.Equal(t, 1000, push.ChunkCount(1_000_000, push.MaxChunkSize))
	require.Equal(t, 1001, push.ChunkCount(1_000_001, push.MaxChunkSize))
}

func TestCounts_SummaryIsTheOriginalsLine(t *testing.T) {
	t.Parallel()
	c := push.Counts{Total: 638, Pending: 1, Waiting: 2, Sending: 3, Sent: 560, Failed: 20, Skipped: 50, Unknown: 2}
	require.Equal(t, "总发送数量=638,发送成功数量=560,发送失败数量=78", c.Summary())
	require.Equal(t, 6, c.Open())
}
