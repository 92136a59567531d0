package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// quietIn sets the quiet hours in the table, to the second, which the settings cannot: from and to are counted from the database's
// now. It returns when they are.
func (b *bundle) quietIn(from, to time.Duration) (begin, end time.Time) {
	b.t.Helper()
	require.NoError(b.t, b.st.Pool().QueryRow(b.t.Context(), `
		UPDATE app SET quiet_from = date_trunc('second', (now() + $1::interval) AT TIME ZONE 'Asia/Shanghai')::time,
		       quiet_to = date_trunc('second', (now() + $2::interval) AT TIME ZONE 'Asia/Shanghai')::time
		RETURNING date_trunc('second', now() + $1::interval), date_trunc('second', now() + $2::interval)`, from, to).Scan(&begin, &end))
	return begin, end
}

func (b *bundle) noQuietHours() {
	b.t.Helper()
	_, err := b.d.SetAppSettings(b.t.Context(), "test", appKey, func(s *push.AppSettings) error { s.QuietFrom, s.QuietTo = nil, nil; return nil })
	require.NoError(b.t, err)
}

func (b *bundle) urgent(task int64) {
	b.exec(`UPDATE task SET priority = 'urgent' WHERE id = $1`, task)
}

// No call starts later than a second after the quiet hours began, on any daemon; an urgent task goes on through them; and the rest goes
// on by itself, to each once, within two seconds of the setting that ends them.
func TestQuietHours_Begin_StopTheCallsOnAllDaemonsWithinASecond(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.InFlight, c.ChunkSize = 4, 50 })
	b.faults(sim.Faults{LatencyMS: 80})
	users := b.users(500, 2)
	task, urgent := b.draft(users), b.draft(users[:100])
	b.urgent(urgent.ID)
	b.work(b.d)
	b.work(b.dispatcher())
	b.send(task.ID)
	b.send(urgent.ID)
	b.eventually("under way", func() bool { return b.count(`SELECT count(*) FROM chunk WHERE task_id = $1 AND sent > 0`, task.ID) > 1 })
	begin, end := b.quietIn(2*time.Second, time.Hour)
	paused := b.wait(task.ID, push.TaskPaused)
	require.Equal(t, []push.Cause{push.CauseQuietHours}, paused.Causes)
	require.Contains(t, paused.Note, "免打扰时段")
	require.Contains(t, paused.Note, end.In(b.conf.Location).Format("2006-01-02 15:04")+" (Asia/Shanghai)")
	require.False(t, paused.UpdatedAt.Before(begin), "not before its time")
	b.wait(urgent.ID, push.TaskDone)
	require.Equal(t, 100, b.audit(urgent.ID).Counts.Sent)
	b.eventually("calls in flight have ended", func() bool {
		now, err := b.st.Task(t.Context(), task.ID)
		return err == nil && now.Counts.Sending == 0
	})
	stopped := b.audit(task.ID)
	require.NotZero(t, stopped.Counts.Sent, "sent before")
	require.NotZero(t, stopped.Counts.Pending, "and not through them")
	var last time.Time
	for _, u := range users[100:] {
		for _, m := range b.messages(u) {
			if m.At.After(last) {
				last = m.At
			}
		}
	}
	require.Less(t, last.Sub(begin), time.Second, "the last call of the task that is not urgent")

	_, err := b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	again, err := b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, []push.Cause{push.CauseQuietHours}, again.Causes, "a resume does not overrule quiet hours")
	require.Equal(t, push.TaskPaused, again.State)
	b.faults(sim.Faults{})
	changed := time.Now()
	b.noQuietHours()
	b.wait(task.ID, push.TaskSending, push.TaskDone)
	require.Less(t, time.Since(changed), 5*time.Second)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, 500, b.audit(task.ID).Counts.Sent)
	for i, u := range users {
		want := 1
		if i < 100 {
			want = 2
		}
		require.Len(t, b.messages(u), want)
	}
}

// A task that is sent within quiet hours, or whose time comes in them, starts paused, makes no call, and goes on by itself at their end.
func TestQuietHours_SentOrScheduledWithin_StartsPausedAndGoesOnAtTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(40, 3)
	b.quietIn(-time.Hour, time.Hour)
	b.work(b.d)
	b.work(b.dispatcher())
	now, later, all := b.draft(users), b.draft(users), b.draft(nil)
	b.exec(`UPDATE task SET audience = 'all' WHERE id = $1`, all.ID)
	sent, err := b.d.Send(t.Context(), "test", now.ID, nil)
	require.NoError(t, err)
	require.Equal(t, push.TaskPaused, sent.State, "in the answer already")
	require.Equal(t, []push.Cause{push.CauseQuietHours}, sent.Causes)
	at := time.Now().Add(1500 * time.Millisecond)
	_, err = b.d.Send(t.Context(), "test", later.ID, &at)
	require.NoError(t, err)
	b.send(all.ID)
	require.Equal(t, []push.Cause{push.CauseQuietHours}, b.wait(later.ID, push.TaskPaused).Causes)
	require.Empty(t, b.got())
	_, end := b.quietIn(-time.Hour, 2*time.Second)
	for _, id := range []int64{now.ID, later.ID, all.ID} {
		b.wait(id, push.TaskDone)
		require.Equal(t, 40, b.audit(id).Counts.Sent)
	}
	for m := range b.sim.Ledger(sim.Filter{}) {
		require.False(t, m.At.Before(end.Add(-20*time.Millisecond)), "a call %s before the end", end.Sub(m.At))
	}
}

// Whoever begins a task that is due within quiet hours pauses it in the same transaction: there is no moment at which it may send.
func TestQuietHours_DueWithin_NeverSendsFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	at := time.Now().Add(time.Hour)
	due, urgent := b.draft(b.users(3, 2)), b.draft(b.names(3))
	for _, task := range []push.Task{due, urgent} {
		_, err := b.d.Send(t.Context(), "test", task.ID, &at)
		require.NoError(t, err)
	}
	b.urgent(urgent.ID)
	b.quietIn(-time.Hour, time.Hour)
	b.exec(`UPDATE task SET start_at = now()`)
	b.d.StartDue(t.Context())
	task, err := b.st.Task(t.Context(), due.ID)
	require.NoError(t, err)
	require.Equal(t, push.TaskPaused, task.State)
	require.Equal(t, []push.Cause{push.CauseQuietHours}, task.Causes)
	task, err = b.st.Task(t.Context(), urgent.ID)
	require.NoError(t, err)
	require.Equal(t, push.TaskSending, task.State)
}

// Quiet hours are one cause among others: they neither end another pause nor write over what its note says; and they are taken off a
// task that is urgent.
func TestQuietHours_BesideOtherCauses(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(10, 3)
	byHand, broken, urgent := b.draft(users), b.draft(users), b.draft(users)
	for _, task := range []push.Task{byHand, broken, urgent} {
		b.send(task.ID)
	}
	_, err := b.d.Pause(t.Context(), "test", byHand.ID)
	require.NoError(t, err)
	_, err = b.st.PauseTask(t.Context(), broken.ID, push.CauseBreaker, "40037: bad template")
	require.NoError(t, err)
	_, err = b.d.Pause(t.Context(), "test", urgent.ID)
	require.NoError(t, err)
	b.quietIn(-time.Hour, time.Hour)
	b.work(b.d)
	b.work(b.dispatcher())
	causes := func(id int64, want ...push.Cause) push.Task {
		var task push.Task
		b.eventually("causes", func() bool {
			var err error
			task, err = b.st.Task(t.Context(), id)
			return err == nil && strings.Join(texts(task.Causes), " ") == strings.Join(texts(want), " ")
		})
		return task
	}
	require.Contains(t, causes(byHand.ID, push.CauseOperator, push.CauseQuietHours).Note, "免打扰时段")
	require.Equal(t, "40037: bad template", causes(broken.ID, push.CauseBreaker, push.CauseQuietHours).Note)
	causes(urgent.ID, push.CauseOperator, push.CauseQuietHours)
	b.urgent(urgent.ID)
	require.Empty(t, causes(urgent.ID, push.CauseOperator).Note)
	_, err = b.d.Resume(t.Context(), "test", broken.ID)
	require.NoError(t, err)
	b.eventually("the note is about the cause that is left", func() bool { return strings.HasPrefix(causes(broken.ID, push.CauseQuietHours).Note, "免打扰时段") })
	b.noQuietHours()
	b.wait(broken.ID, push.TaskDone)
	task := causes(byHand.ID, push.CauseOperator)
	require.Equal(t, push.TaskPaused, task.State, "a person paused it")
	require.Empty(t, task.Note)
	require.Len(t, b.got(), 10)
}

func texts(causes []push.Cause) []string {
	var list []string
	for _, c := range causes {
		list = append(list, string(c))
	}
	return list
}

// A process that was stopped between its look and its write does not act on what it saw then.
func TestQuietHours_StaleLook_ChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(1, 1))
	b.send(task.ID)
	changed, err := b.st.PauseQuiet(t.Context(), task.ID, time.Now().Add(-10*time.Second), "note")
	require.NoError(t, err)
	require.False(t, changed)
	changed, err = b.st.PauseQuiet(t.Context(), task.ID, time.Now(), "note")
	require.NoError(t, err)
	require.True(t, changed)
	changed, err = b.st.PauseQuiet(t.Context(), task.ID, time.Now(), "note")
	require.NoError(t, err)
	require.False(t, changed, "it is so already")
	changed, _, err = b.st.ResumeQuiet(t.Context(), task.ID, time.Now().Add(-10*time.Second))
	require.NoError(t, err)
	require.False(t, changed)
	changed, sending, err := b.st.ResumeQuiet(t.Context(), task.ID, time.Now())
	require.NoError(t, err)
	require.True(t, changed && sending)
}
