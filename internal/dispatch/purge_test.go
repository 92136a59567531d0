package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func TestPurge_RemovesTheRowsOfOldTasksAndKeepsTheirCounts(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.CronPurge = "* * * * * *" })
	old, young := b.draft(b.users(60, 2)), b.draft([]string{"u1", "u2"})
	replaced := b.draft([]string{"u3", "u4"})
	b.upload(replaced.ID, []string{"u5"})
	b.work(b.d)
	for _, id := range []int64{old.ID, young.ID} {
		_, err := b.d.Send(t.Context(), "test", id, nil)
		require.NoError(t, err)
		b.wait(id, push.TaskDone)
	}
	_, err := b.st.Pool().Exec(t.Context(), `UPDATE task SET ended_at = ended_at - interval '181 days' WHERE id = $1`, old.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var rows int
		require.NoError(t, b.st.Pool().QueryRow(t.Context(), `SELECT count(*) FROM recipient`).Scan(&rows))
		return rows == 3
	}, 20*time.Second, 50*time.Millisecond, "rows of the old task and of the replaced list are left")
	task, err := b.st.Task(t.Context(), old.ID)
	require.NoError(t, err)
	require.Equal(t, push.Counts{Total: 60, Sent: 60}, task.Counts)
	list, err := b.st.Recipients(t.Context(), young.ID, store.RecipientFilter{After: -1, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Eventually(t, func() bool {
		var left int
		require.NoError(t, b.st.Pool().QueryRow(t.Context(), `SELECT count(*) FROM audience WHERE state = 'dropped'`).Scan(&left))
		return left == 0
	}, 20*time.Second, 50*time.Millisecond, "dropped versions are left")
}
