package dispatch_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

func (b *bundle) testers(users ...string) {
	b.t.Helper()
	_, err := b.d.SetAppSettings(b.t.Context(), "admin", appKey, func(s *push.AppSettings) error { s.Testers = users; return nil })
	require.NoError(b.t, err)
}

// try sends a test and waits for its outcome.
func (b *bundle) try(id int64, user string, seq int32, limit time.Duration) push.Trial {
	b.t.Helper()
	trial, err := b.d.StartTest(b.t.Context(), "author", id, dispatch.TestSpec{UserID: user, Seq: seq})
	require.NoError(b.t, err)
	trial, err = b.d.AwaitTest(b.t.Context(), trial.ID, limit)
	require.NoError(b.t, err)
	return trial
}

const awhile = 20 * time.Second

// A test is one real message with the content of the task and the columns of a row, which spends the tester's own permit and is nowhere in the task.
func TestTest_SendsOneRealMessageApartFromTheTask(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.asksForApproval() // which a test does not need
	template := originalTemplate()
	template.Page = "p?task={{task.id}}&city={{recipient.city}}&user={{recipient.user_id}}"
	_, err := b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	b.users(3, 2)
	b.testers("u2")
	b.work(b.d)
	task, err := b.d.CreateTask(t.Context(), "test", spec())
	require.NoError(t, err)
	_, err = b.d.UploadAudience(t.Context(), "test", task.ID, upload("user_id,city\nu0,a\nu1,b\n"))
	require.NoError(t, err)
	before := b.task(task.ID)

	trial := b.try(task.ID, "u2", 1, awhile)
	require.Equal(t, push.Sent, trial.State, "%+v", trial)
	require.Equal(t, task.ID, trial.TaskID)
	got := b.messages("u2")
	require.Len(t, got, 1)
	require.Contains(t, got[0].Page, "city=b&user=u2")
	require.Contains(t, got[0].Page, "p?task="+strconv.FormatInt(task.ID, 10), "it says what the task would say")
	require.Equal(t, map[string]int{openID("u2"): 1}, b.got())
	require.Equal(t, before, b.task(task.ID))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE user_id = 'u2' AND state = 2`), "its own permit is spent")
	b.audit(trial.ID)
	list, err := b.st.Tasks(t.Context(), store.TaskFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1, "a test is in no list")
	for _, by := range []store.ReportBy{store.ReportByDay, store.ReportByProduct, store.ReportByTemplate, store.ReportByOrigin} {
		lines, err := b.st.Report(t.Context(), by, nil, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "UTC")
		require.NoError(t, err)
		require.Empty(t, lines, "nor in a report")
	}

	testers, err := b.d.Testers(t.Context(), task.ID)
	require.NoError(t, err)
	require.Len(t, testers, 1)
	require.Equal(t, int64(1), testers[0].Permits)
	require.NotNil(t, testers[0].LastsUntil)
	require.Empty(t, testers[0].EN)
	require.NoError(t, b.d.DeleteTask(t.Context(), task.ID))
	list, err = b.st.Tasks(t.Context(), store.TaskFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, list, "nor is it when its task was deleted")
}

func TestTest_IsRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(3, 1)
	b.testers("u1", "u2", "stranger")
	b.exec(`DELETE FROM form_id WHERE user_id = 'u2'`)
	id := b.draft(users).ID
	sent := b.draft(users).ID
	b.send(sent)
	before := b.dump()
	start := func(id int64, user string, seq int32) error {
		_, err := b.d.StartTest(t.Context(), "author", id, dispatch.TestSpec{UserID: user, Seq: seq})
		return err
	}
	refused(t, start(id, "u0", 0), push.RefusedNotATester)
	err := start(id, "u2", 0)
	refused(t, err, push.RefusedNoPermit)
	require.Contains(t, err.Error(), "tap a button")
	invalid(t, start(id, "stranger", 0), "user_id", "no_openid")
	invalid(t, start(id, "u1", 3), "seq", "unknown_recipient")
	refused(t, start(sent, "u1", 0), push.RefusedWrongState)
	require.Equal(t, before, b.dump())
	_, err = b.d.PauseApp(t.Context(), "test", appKey)
	require.NoError(t, err)
	refused(t, start(id, "u1", 0), push.RefusedAppPaused)

	testers, err := b.d.Testers(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, testers, 3)
	require.Contains(t, testers[1].EN, "tap a button")
	require.Contains(t, testers[2].EN, "log in")
}

// A test that nobody can send is not sent later behind the tester's back.
func TestTest_ThatNobodyTakesUpIsCanceled(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 1)
	b.testers("u0")
	id := b.draft([]string{"u0"}).ID
	trial := b.try(id, "u0", 0, 100*time.Millisecond)
	require.Equal(t, push.Skipped, trial.State)
	require.Equal(t, push.Canceled, trial.Reason)
	require.Contains(t, trial.Note, "No worker daemon")
	b.work(b.d)
	b.send(id) // whoever is up takes this one
	b.wait(id, push.TaskDone)
	b.once([]string{"u0"})
}

// An error of the template stops the test as it would stop the task, and spends nothing.
func TestTest_OfATemplateThatThePlatformRefusesSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 1)
	b.testers("u0")
	b.work(b.d)
	id := b.draft([]string{"u0"}).ID
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40037}}})
	trial := b.try(id, "u0", 0, awhile)
	require.Equal(t, push.Skipped, trial.State, "%+v", trial)
	require.Contains(t, trial.Note, "40037")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	b.faults(sim.Faults{})
	require.Equal(t, push.Sent, b.try(id, "u0", 0, awhile).State)
	b.once([]string{"u0"})
}

// A call whose answer is lost is settled as any other: with the same permit, once.
func TestTest_InDoubtIsNotSentTwice(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 2)
	b.testers("u0")
	b.work(b.d)
	id := b.draft([]string{"u0"}).ID
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Drop, AfterDelivery: true, Count: 1}}})
	trial := b.try(id, "u0", 0, awhile)
	require.Equal(t, push.Sent, trial.State, "%+v", trial)
	b.once([]string{"u0"})
	require.Equal(t, 1, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
}

// Who looks at a test changes nothing. One that nobody takes up is canceled by the daemons, also by one that comes up late with its job before it.
func TestTest_ALookChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 1)
	b.testers("u0")
	id := b.draft([]string{"u0"}).ID
	trial, err := b.d.StartTest(t.Context(), "author", id, dispatch.TestSpec{UserID: "u0"})
	require.NoError(t, err)
	before := b.dump()
	trial, err = b.d.LookAtTest(t.Context(), trial.ID, time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, push.Pending, trial.State)
	require.Contains(t, trial.Note, "No worker daemon has taken it up yet")
	require.Equal(t, before, b.dump())

	b.exec(`UPDATE task SET started_at = now() - interval '1 minute' WHERE id = $1`, trial.ID)
	b.work(b.d)
	b.wait(trial.ID, push.TaskCanceled)
	trial, err = b.d.LookAtTest(t.Context(), trial.ID, awhile)
	require.NoError(t, err)
	require.Equal(t, push.Canceled, trial.Reason)
	require.Contains(t, trial.Note, "No worker daemon")

	// One that the platform stopped is over, and says why.
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40037}}})
	trial, err = b.d.StartTest(t.Context(), "author", id, dispatch.TestSpec{UserID: "u0"})
	require.NoError(t, err)
	trial, err = b.d.LookAtTest(t.Context(), trial.ID, awhile)
	require.NoError(t, err)
	require.Equal(t, push.Skipped, trial.State, "%+v", trial)
	require.Contains(t, trial.Note, "40037")
	require.Empty(t, b.got())
}
