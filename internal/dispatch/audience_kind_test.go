package dispatch_test

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// kind changes whom a draft goes to.
func (b *bundle) kind(task int64, kind push.AudienceKind) push.Task {
	b.t.Helper()
	t, err := b.d.ChangeTask(b.t.Context(), "test", task, func(s *push.TaskSpec) error { s.Audience = kind; return nil })
	require.NoError(b.t, err)
	return t
}

// Invariant 7: a draft that had a list and then goes to all goes to each of them once, and to none who is only in the old list.
func TestChangeTask_FromListToAllLeavesTheListBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(5, 1)
	task := b.draft([]string{"u1", "u3", "stranger"})
	changed := b.kind(task.ID, push.AudienceAll)
	require.Zero(t, changed.AudienceID)
	require.Zero(t, changed.Counts.Total)
	require.Equal(t, 0, b.count(`SELECT count(*) FROM audience WHERE state <> 'dropped'`), "the purge finds the list")

	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 5, Sent: 5}, b.audit(task.ID).Counts)
	b.once(users)
}

// So does one that was to go to a saved list, which its start would have copied; until then it counts whom the list has.
func TestChangeTask_FromASavedListToAllLeavesTheListBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(5, 1)
	list, err := b.d.UploadList(t.Context(), "test", appKey, "vip", upload("u1\nstranger\n"))
	require.NoError(t, err)
	task := b.draft(nil)
	require.NoError(t, b.st.SetTaskList(t.Context(), task.ID, list.Newest.ID))
	require.Equal(t, push.Counts{Total: 2, Pending: 2}, b.task(task.ID).Counts)
	require.Equal(t, list.Newest.ID, b.kind(task.ID, push.AudienceList).SourceID)
	changed := b.kind(task.ID, push.AudienceAll)
	require.Zero(t, changed.SourceID)
	require.Zero(t, changed.Counts.Total)

	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 5, Sent: 5}, b.audit(task.ID).Counts)
	b.once(users)
}

// The other way round the list is asked for again; a change of anything else keeps it.
func TestChangeTask_KeepsTheListOfAListOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(2, 1)
	task := b.draft([]string{"u0", "u1"})
	require.NotZero(t, b.kind(task.ID, push.AudienceList).AudienceID)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM audience WHERE state = 'ready'`))
	b.kind(task.ID, push.AudienceAll)
	require.Zero(t, b.kind(task.ID, push.AudienceList).AudienceID)
	_, err := b.d.Send(t.Context(), "test", task.ID, nil)
	refused(t, err, push.RefusedEmptyAudience)
}

// The losing side: an upload that ends after the draft has come to go to all is not put in force.
func TestChangeTask_ToAllDuringAnUpload(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(2, 1)
	task := b.draft(nil)
	r, w := io.Pipe()
	uploaded := make(chan error, 1)
	go func() {
		_, err := b.d.UploadAudience(t.Context(), "test", task.ID, dispatch.Upload{Body: r, Filename: "list.csv"})
		_ = r.CloseWithError(errors.New("the upload is over"))
		uploaded <- err
	}()
	_, err := io.WriteString(w, "user_id\nu0\n")
	require.NoError(t, err)
	b.kind(task.ID, push.AudienceAll)
	require.NoError(t, w.Close())
	require.Error(t, <-uploaded)
	got, err := b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Zero(t, got.AudienceID)
}
