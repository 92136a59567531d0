package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (b *bundle) load(task int64, up dispatch.Upload) push.Audience {
	b.t.Helper()
	a, err := b.d.UploadAudience(b.t.Context(), "test", task, up)
	require.NoError(b.t, err)
	require.Equal(b.t, a.Total, a.Accepted+a.Duplicate+a.Rejected)
	require.Equal(b.t, a.Accepted, b.count(`SELECT count(*) FROM recipient WHERE audience_id = $1`, a.ID))
	require.Equal(b.t, a.Accepted, b.count(`SELECT coalesce(max(seq) + 1, 0) FROM recipient WHERE audience_id = $1`, a.ID), "numbered without gaps")
	return a
}

// Invariant 7: a user stands in a task once, whatever the list holds, within a batch and over batches.
func TestAudience_DuplicatesOverBatches(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{1, 2, 3, 100} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *dispatch.Config) { c.BatchRows = batch })
			task := b.draft(nil)
			a := b.load(task.ID, upload("user_id,姓名\na,1\nb,2\na,3\nc,4\nb,5\nA,6\n,7\nc c,8\n"))
			require.Equal(t, 8, a.Total)
			require.Equal(t, 4, a.Accepted)
			require.Equal(t, 2, a.Duplicate)
			require.Equal(t, 2, a.Rejected)
			require.Equal(t, []string{"姓名"}, a.Columns)
			rows := b.rows(task.ID)
			require.Equal(t, []string{"1"}, rows["a"].Vars, "the first row of a user counts")
			require.Equal(t, []string{"6"}, rows["A"].Vars, "case is kept")
			require.Equal(t, int32(2), rows["c"].Seq)
			rejects, err := b.st.Rejects(t.Context(), a.ID, 0, 10)
			require.NoError(t, err)
			require.Len(t, rejects, 2)
			require.Equal(t, 8, rejects[0].Line)
			require.Equal(t, "blank", rejects[0].Code)
			require.Equal(t, 9, rejects[1].Line)
			require.Equal(t, "bad_characters", rejects[1].Code)
			require.Equal(t, "c c", rejects[1].Value)
		})
	}
}

func TestAudience_LimitCountsRecipients(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 4 })
	for limit, total := range map[int]int{1: 1, 3: 5, 4: 6, 5: 6} {
		task := b.draft(nil)
		up := upload("a\nb\nb\na\nc\nd\n")
		up.Limit = limit
		a := b.load(task.ID, up)
		require.Equal(t, min(limit, 4), a.Accepted)
		require.Equal(t, total, a.Total, "limit %d", limit)
	}
}

func TestAudience_LeavesOutAnotherTask(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	first, second := b.draft(nil), b.draft(nil)
	b.load(first.ID, upload("a\nc\n"))
	up := upload("a\nb\nc\nd\n")
	up.ExcludeTask = first.ID
	a := b.load(second.ID, up)
	require.Equal(t, 2, a.Accepted)
	require.Equal(t, 2, a.Duplicate)
	require.NotContains(t, b.rows(second.ID), "a")
	up = upload("a\n")
	up.ExcludeTask = 1_000_000
	_, err := b.d.UploadAudience(t.Context(), "test", second.ID, up)
	invalid(t, err, "exclude_task", "unknown_task")
}

func TestAudience_OfOpenIDs(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 2 })
	b.users(3, 1)
	task := b.draft(nil)
	a := b.load(task.ID, upload("openid,城市\n"+openID("u2")+",上海\nnobody,x\n"+openID("u0")+",北京\n"+openID("u2")+",y\n"))
	require.Equal(t, 2, a.Accepted)
	require.Equal(t, 1, a.Duplicate)
	rejects, err := b.st.Rejects(t.Context(), a.ID, 0, 10)
	require.NoError(t, err)
	require.Len(t, rejects, 1)
	require.Equal(t, "unknown_openid", rejects[0].Code)
	require.Equal(t, []string{"上海"}, b.rows(task.ID)["u2"].Vars)
}

// A list is replaced as a whole, and an upload that fails, wherever, leaves the task with the list it had.
func TestAudience_ReplacedAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 2 })
	task := b.draft(nil)
	b.load(task.ID, upload("a\nb\nc\n"))
	first := b.load(task.ID, upload("d\ne\n"))
	require.Len(t, b.rows(task.ID), 2)
	before, err := b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"empty": "", "header only": "user_id\n", "broken quote": "user_id,x\nf,1\ng,1\nh,\"2\n", "only bad rows": "user_id\n \na b\n",
		"bad encoding": "user_id\nf\ng\nh\n\xff\xff\xff\xff\n",
	} {
		_, err := b.d.UploadAudience(t.Context(), "test", task.ID, upload(text))
		require.Error(t, err, name)
		after, err := b.st.Task(t.Context(), task.ID)
		require.NoError(t, err)
		require.Equal(t, before, after, name)
		require.Contains(t, b.rows(task.ID), "d", name)
	}
	_, err = b.d.UploadAudience(t.Context(), "test", task.ID, upload("user_id,x\nf,1\ng,\"2\n"))
	var fault *intake.FileError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, intake.BrokenQuote, fault.Code)
	_, err = b.d.UploadAudience(t.Context(), "test", task.ID, upload("user_id\na b\n"))
	refused(t, err, push.RefusedEmptyAudience)
	require.Equal(t, first.ID, before.AudienceID)
	for range 2 {
		require.NoError(t, b.d.Purge(t.Context()))
	}
	require.Equal(t, 2, b.count(`SELECT count(*) FROM recipient`), "what was dropped is removed by the purge")
}

// A task that is sent while an upload is under way keeps the list it was sent with.
func TestAudience_SentWhileUploading(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 1 })
	task := b.draft(b.users(3, 1))
	up := upload("x\ny\nz\n")
	up.Progress = func(rows int) {
		if rows == 2 {
			b.send(task.ID)
		}
	}
	_, err := b.d.UploadAudience(t.Context(), "test", task.ID, up)
	refused(t, err, push.RefusedWrongState)
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	b.once(b.names(3))
}

// Cells that Postgres cannot store are refused row by row, and a file of nothing but bad rows is written batch by batch.
func TestAudience_BadRowsAreKeptAndBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 10 })
	task := b.draft(nil)
	steps := 0
	up := upload("user_id,x\n" + strings.Repeat("a b,1\n", 100) + "c\x00d,1\ne,\x00\nf,1\n" + strings.Repeat("z", 200) + ",1\n")
	up.Progress = func(int) { steps++ }
	a := b.load(task.ID, up)
	require.Equal(t, 1, a.Accepted)
	require.Equal(t, 103, a.Rejected)
	require.Greater(t, steps, 5, "held in memory until the end")
}

// Audience "all" is everyone with an openid and a usable permit when the task starts.
func TestAudience_All(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(120, 0)
	b.permits(users[:100], 1)
	s := spec()
	s.Audience = push.AudienceAll
	task, err := b.d.CreateTask(t.Context(), "test", s)
	require.NoError(t, err)
	_, err = b.d.UploadAudience(t.Context(), "test", task.ID, upload("u0\n"))
	invalid(t, err, "audience", "not_a_list")
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 100, Sent: 100}, b.audit(task.ID).Counts)
	b.once(users[:100])
}

// A start job that died while it filled the audience is gone on with where it was: nobody is left out, nobody stands twice.
func TestAudience_AllIsFilledOnFromItsCursor(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 1)
	s := spec()
	s.Audience = push.AudienceAll
	task, err := b.d.CreateTask(t.Context(), "test", s)
	require.NoError(t, err)
	b.send(task.ID)
	a, err := b.st.BeginAudience(t.Context(), task.ID, "", nil, "test")
	require.NoError(t, err)
	require.NoError(t, b.st.InTx(t.Context(), func(ctx context.Context) error {
		added, last, end, err := b.st.FillFromPermits(ctx, store.PlanState{AppID: b.app.ID, Channel: push.ChannelFormID}, a.ID, 0, "", 25, 0)
		require.NoError(t, err)
		require.Equal(t, 25, added)
		require.False(t, end)
		_, err = b.st.SaveFill(ctx, task.ID, a.ID, added, last)
		return err
	}))
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 60, Sent: 60}, b.audit(task.ID).Counts)
	b.once(users)
}
