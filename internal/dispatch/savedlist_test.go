package dispatch_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// save uploads a version of a saved list.
func (b *bundle) save(name, text string) push.SavedList {
	b.t.Helper()
	l, err := b.d.UploadList(b.t.Context(), "author", appKey, name, upload(text))
	require.NoError(b.t, err)
	return l
}

func (b *bundle) saved(name string) push.SavedList {
	b.t.Helper()
	l, err := b.st.SavedList(b.t.Context(), b.app.ID, name)
	require.NoError(b.t, err)
	return l
}

// A list is uploaded once and used by many tasks: each takes a copy, columns and all, which a later version does not change.
func TestSavedList_UsedByManyTasks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 100 })
	users := b.users(250, 3)
	list := b.save("vip", "user_id,city\n"+strings.Join(users, ",上海\n")+",上海\nu0,北京\nbad id\n")
	require.Equal(t, 1, list.Newest.Version)
	require.Equal(t, []string{"city"}, list.Newest.Columns)
	require.Equal(t, []int{252, 250, 1, 1}, []int{list.Newest.Total, list.Newest.Accepted, list.Newest.Duplicate, list.Newest.Rejected})

	var tasks []push.Task
	for range 2 {
		task := b.draft(nil)
		a, err := b.d.TakeList(t.Context(), "author", task.ID, "vip", dispatch.Upload{})
		require.NoError(t, err)
		require.Equal(t, "vip (version 1)", a.Filename)
		require.Equal(t, []string{"city"}, a.Columns)
		require.Equal(t, 250, a.Accepted)
		tasks = append(tasks, task)
	}
	require.Equal(t, 2, b.save("vip", "user_id\nu1\n").Newest.Version)
	rest := b.draft(nil)
	a, err := b.d.TakeList(t.Context(), "author", rest.ID, "vip", dispatch.Upload{})
	require.NoError(t, err)
	require.Equal(t, 1, a.Accepted)

	b.work(b.d)
	for _, task := range append(tasks, rest) {
		b.send(task.ID)
		b.wait(task.ID, push.TaskDone)
		b.audit(task.ID)
	}
	got := b.got()
	require.Equal(t, 3, got[openID("u1")])
	require.Equal(t, 2, got[openID("u0")])
}

// exclude_task and limit hold for a saved list as for an upload.
func TestSavedList_ExcludeAndLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 3 })
	users := b.names(10)
	b.save("vip", "user_id\n"+strings.Join(users, "\n"))
	first, second := b.draft([]string{"u0", "u2", "u4"}), b.draft(nil)
	a, err := b.d.TakeList(t.Context(), "author", second.ID, "vip", dispatch.Upload{ExcludeTask: first.ID, Limit: 5})
	require.NoError(t, err)
	require.Equal(t, []int{8, 5, 3}, []int{a.Total, a.Accepted, a.Duplicate})
	rows := b.rows(second.ID)
	for _, u := range []string{"u1", "u3", "u5", "u6", "u7"} {
		require.Contains(t, rows, u)
	}
}

func TestSavedList_RefusalsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(2, 1)
	b.save("vip", "user_id\nu0\n")
	all, err := b.d.CreateTask(t.Context(), "test", func() push.TaskSpec { s := spec(); s.Audience = push.AudienceAll; return s }())
	require.NoError(t, err)
	draft, sent := b.draft([]string{"u1"}), b.draft([]string{"u1"})
	b.send(sent.ID)
	before := b.dump()
	_, err = b.d.TakeList(t.Context(), "author", draft.ID, "nope", dispatch.Upload{})
	invalid(t, err, "list", "unknown_list")
	_, err = b.d.TakeList(t.Context(), "author", all.ID, "vip", dispatch.Upload{})
	invalid(t, err, "audience", "not_a_list")
	_, err = b.d.TakeList(t.Context(), "author", sent.ID, "vip", dispatch.Upload{})
	refused(t, err, push.RefusedWrongState)
	_, err = b.d.UploadList(t.Context(), "author", appKey, " ", upload("user_id\nu0\n"))
	invalid(t, err, "name", "required")
	_, err = b.d.UploadList(t.Context(), "author", "nope", "vip", upload("user_id\nu0\n"))
	require.ErrorIs(t, err, push.ErrNotFound)
	require.Equal(t, before, b.dump())

	_, err = b.d.UploadList(t.Context(), "author", appKey, "vip", upload("user_id\nbad id\n"))
	refused(t, err, push.RefusedEmptyAudience)
	_, err = b.d.UploadList(t.Context(), "author", appKey, "vip", dispatch.Upload{Body: io.MultiReader(strings.NewReader("user_id\nu0\n"), broken{}), Filename: "l.csv"})
	require.ErrorContains(t, err, "cut off")
	require.Equal(t, 1, b.saved("vip").Newest.Version, "a failed upload is no version")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM audience WHERE list_id IS NOT NULL AND state <> 'dropped'`))
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut off") }

// The losing side: uploads that end at the same moment are versions one after the other, and the newest is the last.
func TestSavedList_TwoUploadsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := b.d.UploadList(t.Context(), "author", appKey, "vip", upload(fmt.Sprintf("user_id\nu%d\n", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list := b.saved("vip")
	versions, err := b.st.ListVersions(t.Context(), list.ID)
	require.NoError(t, err)
	require.Len(t, versions, 8)
	for i, v := range versions {
		require.Equal(t, 8-i, v.Version)
	}
	require.Equal(t, 8, list.Newest.Version)
}

// A list that a schedule sends to, or that a tick has still to copy, stays.
func TestSavedList_DeleteWhileInUse(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(2, 2)
	b.save("vip", "user_id\nu0\nu1\n")
	s := b.recurring(func(s *push.ScheduleSpec) { s.List, s.Audience = "vip", push.AudienceList })
	b.reach(*s.NextAt, time.Second)
	refused(t, b.d.DeleteList(t.Context(), appKey, "vip"), push.RefusedInUse)
	_, err := b.d.PauseSchedule(t.Context(), "test", s.ID)
	require.NoError(t, err)
	task := *b.dealt(s.ID)[0].TaskID
	require.NoError(t, b.d.DeleteSchedule(t.Context(), s.ID))
	refused(t, b.d.DeleteList(t.Context(), appKey, "vip"), push.RefusedInUse)
	b.work(b.d)
	b.wait(task, push.TaskDone)
	require.NoError(t, b.d.DeleteList(t.Context(), appKey, "vip"))
	require.ErrorIs(t, b.d.DeleteList(t.Context(), appKey, "vip"), push.ErrNotFound)
	require.NoError(t, b.d.Purge(t.Context()))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM recipient`), "the task keeps its copy")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM audience`))
	b.audit(task)
	b.once(b.names(2))
}

// The purge takes versions that were replaced long ago, and neither the newest nor one that a tick has still to copy.
func TestSavedList_PurgeOfOldVersions(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(2, 2)
	b.save("vip", "user_id\nu0\n")
	b.save("vip", "user_id\nu1\n")
	s := b.recurring(func(s *push.ScheduleSpec) { s.List, s.Audience = "vip", push.AudienceList })
	b.reach(*s.NextAt, time.Second)
	b.save("vip", "user_id\nu0\nu1\n")
	numbers := func() (n []int) {
		versions, err := b.st.ListVersions(t.Context(), b.saved("vip").ID)
		require.NoError(t, err)
		for _, v := range versions {
			n = append(n, v.Version)
		}
		return n
	}
	require.NoError(t, b.d.Purge(t.Context()))
	require.Equal(t, []int{3, 2, 1}, numbers())
	b.exec(`UPDATE audience SET updated_at = now() - interval '31 days'`)
	require.NoError(t, b.d.Purge(t.Context()))
	require.Equal(t, []int{3, 2}, numbers(), "version 2 is still to be copied")
	b.work(b.d)
	b.wait(*b.dealt(s.ID)[0].TaskID, push.TaskDone)
	b.exec(`UPDATE audience SET updated_at = now() - interval '31 days' WHERE version = 2`)
	require.NoError(t, b.d.Purge(t.Context()))
	require.Equal(t, []int{3}, numbers())
	require.Equal(t, 4, b.save("vip", "user_id\nu0\n").Newest.Version, "a number is not given twice")
	b.once([]string{"u1"})
}

// Each tick takes the newest version, and keeps it though a newer one comes before its rows are copied.
func TestSavedList_TickTakesTheNewestVersion(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(3, 3)
	b.save("vip", "user_id\nu0\n")
	s := b.recurring(func(s *push.ScheduleSpec) { s.List, s.Audience = "vip", push.AudienceList })
	b.save("vip", "user_id\nu1\n")
	b.reach(*s.NextAt, time.Second)
	b.save("vip", "user_id\nu1\nu2\n")
	b.reach(*b.schedule(s.ID).NextAt, time.Second)
	ticks := b.dealt(s.ID)
	require.Equal(t, "sent sent", outcomes(ticks))
	b.work(b.d)
	for i, want := range []int{1, 2} {
		b.wait(*ticks[i].TaskID, push.TaskDone)
		require.Equal(t, push.Counts{Total: want, Sent: want}, b.audit(*ticks[i].TaskID).Counts)
	}
	require.Equal(t, map[string]int{openID("u1"): 2, openID("u2"): 1}, b.got())
	a, err := b.st.Audience(t.Context(), *ticks[0].TaskID)
	require.NoError(t, err)
	require.Equal(t, "vip (version 2)", a.Filename)
}

// A start job that died half-way through the copy is gone on with: nobody is lost and nobody stands twice (invariant 7).
func TestSavedList_CopyGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize = 1000 })
	b.users(1, 1)
	const n = 12_345
	b.save("many", "user_id\n"+strings.Join(b.names(n), "\n"))
	s := b.recurring(func(s *push.ScheduleSpec) { s.List, s.Audience = "many", push.AudienceList })
	b.reach(*s.NextAt, time.Second)
	task := *b.dealt(s.ID)[0].TaskID
	b.exec(`CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF new.fill_cursor = '10000' THEN RAISE EXCEPTION 'killed'; END IF; RETURN new; END $$`)
	b.exec(`CREATE TRIGGER die BEFORE UPDATE ON task FOR EACH ROW EXECUTE FUNCTION die()`)
	require.ErrorContains(t, b.d.Plan(t.Context(), task), "killed")
	require.Equal(t, 5000, b.count(`SELECT count(*) FROM recipient r JOIN task t ON t.audience_id = r.audience_id WHERE t.id = $1`, task))
	b.exec(`DROP TRIGGER die ON task`)
	require.NoError(t, b.d.Plan(t.Context(), task))
	require.Equal(t, n, b.count(`SELECT count(DISTINCT user_id) FROM recipient r JOIN task t ON t.audience_id = r.audience_id WHERE t.id = $1`, task))
	got := b.audit(task)
	require.Equal(t, n, got.Counts.Total)
	require.Equal(t, 13, b.count(`SELECT count(*) FROM chunk WHERE task_id = $1`, task))
}

// A clone of a task whose start has yet to copy its saved list is to copy it too, unless it gets a list of its own.
func TestClone_OfATaskOfASavedList_TakesItTooUnlessItGetsItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(3, 2)
	list := b.save("vip", "user_id\nu0\nu1\n")
	source := b.draft(nil)
	require.NoError(t, b.st.SetTaskList(t.Context(), source.ID, list.Newest.ID)) // as a tick does
	same, err := b.d.Clone(t.Context(), "author", source.ID, true)
	require.NoError(t, err)
	own, err := b.d.Clone(t.Context(), "author", source.ID, true)
	require.NoError(t, err)
	b.upload(own.ID, []string{"u2"})
	b.send(same.ID)
	b.send(own.ID)
	b.work(b.d)
	require.Equal(t, 2, b.wait(same.ID, push.TaskDone).Counts.Sent)
	require.Equal(t, 1, b.wait(own.ID, push.TaskDone).Counts.Sent)
	require.Equal(t, map[string]int{openID("u0"): 1, openID("u1"): 1, openID("u2"): 1}, b.got())
}
