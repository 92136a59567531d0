package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
)

func many(n int) []string {
	users := make([]string, n)
	for i := range users {
		users[i] = string(rune('a' + i))
	}
	return users
}

// Two daemons that give their workers to each other's tasks at the same time neither wait for each other nor run a chunk twice.
func TestTakeLeaseOfTask_OppositeSwapsAtOnce_EachChunkHasOneOwnerOrWaitsUnderANewGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := []int64{b.sending(1, many(12)...), b.sending(1, many(12)...)}
	nodes := make([]int64, 4)
	for i := range nodes {
		var err error
		nodes[i], err = b.st.InsertNode(t.Context(), "test")
		require.NoError(t, err)
	}
	queued := map[int64][]store.QueuedChunk{}
	for _, task := range tasks {
		var err error
		queued[task], err = b.st.QueueChunks(t.Context(), task, 100, 100)
		require.NoError(t, err)
		require.Len(t, queued[task], 12)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	taken, requeued := map[store.ChunkKey]int{}, map[store.ChunkKey]int32{}
	for i, node := range nodes {
		from, to := tasks[i%2], tasks[(i+1)%2]
		wg.Go(func() {
			for _, c := range queued[from][i/2*3 : i/2*3+3] {
				var run store.Run
				var again store.QueuedChunk
				var ok, gone bool
				err := b.st.InTx(t.Context(), func(ctx context.Context) (err error) {
					if run, ok, err = b.st.TakeLeaseOfTask(ctx, to, node); err != nil || !ok {
						return err
					}
					again, gone, err = b.st.RequeueChunk(ctx, from, c.No, c.Generation)
					if err == nil && !gone {
						return context.Canceled // the job is stale: nothing is taken
					}
					return err
				})
				if err != nil {
					require.ErrorIs(t, err, context.Canceled)
					continue
				}
				mu.Lock()
				if ok {
					taken[store.ChunkKey{TaskID: to, No: run.No}]++
					requeued[store.ChunkKey{TaskID: from, No: c.No}] = again.Generation
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NotEmpty(t, taken)
	for key, n := range taken {
		require.Equal(t, 1, n, "%v", key)
		require.Equal(t, 1, b.count(`SELECT count(*) FROM chunk WHERE task_id = $1 AND no = $2 AND state = 'running' AND lease = 1`, key.TaskID, key.No))
	}
	require.Equal(t, len(taken), b.count(`SELECT count(*) FROM chunk WHERE state = 'running'`), "a swap that fails takes nothing")
	for key, generation := range requeued {
		if taken[key] == 0 {
			require.EqualValues(t, 2, generation)
			_, ok, err := b.st.TakeLease(t.Context(), key.TaskID, key.No, 1, nodes[0])
			require.NoError(t, err)
			require.False(t, ok, "the job of the generation before is none of its business")
		}
	}
}
