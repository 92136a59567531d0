package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
)

func TestSend_ReachesEveryoneOnceAndSettles(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(230, 2)
	task := b.draft(users)
	b.work(b.d)
	_, err := b.d.Send(t.Context(), "test", task.ID, nil)
	require.NoError(t, err)
	done := b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 230, Sent: 230}, done.Counts)
	require.Equal(t, "总发送数量=230,发送成功数量=230,发送失败数量=0", done.Counts.Summary())
	got := b.got()
	require.Len(t, got, 230)
	for user, n := range got {
		require.Equal(t, 1, n, user)
	}
	for m := range b.sim.Ledger(sim.Filter{OpenID: openID("u7")}) {
		require.Equal(t, "pages/goods/detail/detail?backToHome=1&&goodsId=1989", m.Page)
		require.Equal(t, "250海贝", m.Data[3].Value)
		require.Equal(t, "#EE0000", m.Data[3].Color)
	}
	var jobs int
	require.NoError(t, b.st.Pool().QueryRow(t.Context(), `SELECT count(*) FROM river.river_job WHERE kind = 'send_chunk'`).Scan(&jobs))
	require.Equal(t, push.ChunkCount(230, b.conf.ChunkSize), jobs)
}
