package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// scheduled makes a task for users that is scheduled in an hour. change may alter its spec.
func (b *bundle) scheduled(users []string, change func(*push.TaskSpec)) push.Task {
	b.t.Helper()
	s := spec()
	if change != nil {
		change(&s)
	}
	task, err := b.d.CreateTask(b.t.Context(), "test", s)
	require.NoError(b.t, err)
	b.upload(task.ID, users)
	task, err = b.d.Send(b.t.Context(), "test", task.ID, in(time.Hour))
	require.NoError(b.t, err)
	require.Equal(b.t, push.TaskScheduled, task.State)
	return task
}

// due turns the clock: the task's time passed ago.
func (b *bundle) due(task int64, ago time.Duration) {
	b.t.Helper()
	b.exec(`UPDATE task SET start_at = now() - make_interval(secs => $2) WHERE id = $1`, task, ago.Seconds())
}

// Invariant 11: the tables say what is due. A task starts within a second of its time by the cron entry though its job is gone.
func TestSchedule_StartsOnTimeWithoutItsJob(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(5, 1))
	b.work(b.d)
	at := in(1500 * time.Millisecond)
	_, err := b.d.Send(t.Context(), "test", task.ID, at)
	require.NoError(t, err)
	b.exec(`DELETE FROM river.river_job WHERE kind = 'start_task'`)
	b.wait(task.ID, push.TaskDone)
	first := b.messages("u0")[0].At
	require.False(t, first.Before(*at), "sent %v early", at.Sub(first))
	require.Less(t, first.Sub(*at), 2*time.Second)
	b.audit(task.ID)
	b.once(b.names(5))
}

// A scheduled task can be moved to another time, and to no other state by a second send; one start job stands for the new time.
func TestSchedule_Move(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(3, 1))
	first, second := in(time.Hour), in(2*time.Hour)
	_, err := b.d.Send(t.Context(), "test", task.ID, first)
	require.NoError(t, err)
	before := b.dump()
	for _, at := range []*time.Time{first, nil} {
		_, err = b.d.Send(t.Context(), "test", task.ID, at)
		refused(t, err, push.RefusedAlreadyScheduled)
	}
	_, err = b.d.Send(t.Context(), "test", task.ID, in(-time.Second))
	invalid(t, err, "at", "bad_time")
	_, err = b.d.Send(t.Context(), "test", task.ID, in(400*24*time.Hour))
	invalid(t, err, "at", "bad_time")
	require.Equal(t, before, b.dump())
	moved, err := b.d.Send(t.Context(), "test", task.ID, second)
	require.NoError(t, err)
	require.True(t, moved.StartAt.Equal(*second))
	require.Equal(t, push.TaskScheduled, moved.State)
	require.Equal(t, 1, b.startJobs())
	require.Equal(t, 1, b.count(`SELECT count(*) FROM river.river_job WHERE kind = 'start_task' AND state = 'scheduled' AND scheduled_at = $1`, *second))
}

// not_after bounds both: a first time, and the time that a task is moved to.
func TestSchedule_NotAfterBoundsEveryTime(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(3, 1)
	task := b.scheduled(b.names(3), func(s *push.TaskSpec) { s.NotAfter = in(2 * time.Hour) })
	_, err := b.d.Send(t.Context(), "test", task.ID, in(3*time.Hour))
	invalid(t, err, "at", "after_not_after")
	require.ErrorContains(t, err, task.NotAfter.In(b.conf.Location).Format(time.RFC3339), "it says what not_after is")
	_, err = b.d.Unschedule(t.Context(), "test", task.ID)
	require.NoError(t, err)
	_, err = b.d.Send(t.Context(), "test", task.ID, in(3*time.Hour))
	invalid(t, err, "at", "after_not_after")
	_, err = b.d.Send(t.Context(), "test", task.ID, in(2*time.Hour-time.Minute))
	require.NoError(t, err)
}

// An unscheduled task is a draft again: it can be corrected, thrown away, or sent.
func TestSchedule_UnscheduleMakesADraft(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(3, 2)
	task := b.scheduled(b.names(3), nil)
	draft, err := b.d.Unschedule(t.Context(), "test", task.ID)
	require.NoError(t, err)
	require.Equal(t, push.TaskDraft, draft.State)
	require.Nil(t, draft.StartAt)
	require.Nil(t, draft.SentBy)
	require.Zero(t, b.startJobs())
	_, err = b.d.ChangeTask(t.Context(), "test", task.ID, func(s *push.TaskSpec) error { s.Topic = "更正"; return nil })
	require.NoError(t, err)
	b.upload(task.ID, b.names(2))
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	b.once(b.names(2))
	require.Equal(t, "更正", b.messages("u0")[0].Data[0].Value)
}

// What is frozen at schedule stays as it was, whatever becomes of the template meanwhile.
func TestSchedule_FreezesTheTemplate(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 1)
	task := b.scheduled(b.names(1), nil)
	changed := originalTemplate()
	changed.Page, changed.Fields[0].Value = "pages/other", "{{tips}}"
	_, err := b.d.PutTemplate(t.Context(), "operator", changed)
	require.NoError(t, err)
	b.due(task.ID, time.Second)
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	m := b.messages("u0")[0]
	require.Equal(t, "pages/goods/detail/detail?backToHome=1&&goodsId=1989", m.Page)
	require.Equal(t, "步数换好礼", m.Data[0].Value)
}

// A task whose time passed while nothing was up follows its policy, and one that was missed can be scheduled or sent again (invariant 11).
func TestSchedule_Misfire(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*push.TaskSpec)
		ago    time.Duration
		state  push.TaskState
	}{
		{"late runs within its grace", nil, 24*time.Hour - time.Minute, push.TaskDone},
		{"late, after its grace", nil, 24*time.Hour + time.Minute, push.TaskMissed},
		{"skip, within its grace", func(s *push.TaskSpec) { s.Misfire = "skip" }, 30 * time.Second, push.TaskDone},
		{"skip", func(s *push.TaskSpec) { s.Misfire = "skip" }, 2 * time.Minute, push.TaskMissed},
		{"late, after its not_after", func(s *push.TaskSpec) { s.NotAfter = in(2 * time.Hour) }, time.Minute, push.TaskMissed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			task := b.scheduled(b.users(2, 1), c.change)
			b.due(task.ID, c.ago)
			b.exec(`UPDATE task SET not_after = now() - interval '1 s' WHERE not_after IS NOT NULL`)
			b.work(b.d)
			ended := b.wait(task.ID, push.TaskDone, push.TaskMissed)
			require.Equal(t, c.state, ended.State)
			if c.state == push.TaskDone {
				b.once(b.names(2))
				return
			}
			require.NotEmpty(t, ended.Note)
			require.Zero(t, b.sim.Stats().Calls)
			b.exec(`UPDATE task SET not_after = NULL`)
			again, err := b.d.Send(t.Context(), "test", task.ID, in(time.Hour))
			require.NoError(t, err)
			require.Equal(t, push.TaskScheduled, again.State)
			require.Empty(t, again.Note)
			require.Equal(t, 1, b.startJobs())
			b.due(task.ID, time.Second)
			b.wait(task.ID, push.TaskDone)
			b.once(b.names(2))
		})
	}
}

// A task that was missed by its not_after is changed and sent again; not whom it goes to, and not to a time that has passed.
func TestSchedule_AMissedTaskIsChangedAndSent(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.scheduled(b.users(2, 1), func(s *push.TaskSpec) { s.NotAfter = in(2 * time.Hour) })
	b.due(task.ID, time.Minute)
	b.exec(`UPDATE task SET not_after = now() - interval '1 s'`)
	b.d.StartDue(t.Context())
	missed := b.wait(task.ID, push.TaskMissed)
	require.Contains(t, missed.Note, fmt.Sprintf("task set %d --not-after TIME", task.ID))
	change := func(fn func(*push.TaskSpec)) (push.Task, error) {
		return b.d.ChangeTask(t.Context(), "test", task.ID, func(s *push.TaskSpec) error { fn(s); return nil })
	}
	before := b.dump()
	_, err := b.d.Send(t.Context(), "test", task.ID, nil)
	invalid(t, err, "at", "after_not_after")
	_, err = change(func(s *push.TaskSpec) { s.Priority = "urgent" })
	invalid(t, err, "not_after", "bad_time")
	_, err = change(func(s *push.TaskSpec) { s.NotAfter, s.Audience = nil, push.AudienceAll })
	invalid(t, err, "audience", "fixed")
	require.Equal(t, before, b.dump())

	other := originalTemplate()
	other.TemplateID, other.Name = "T-other", "另一个模板"
	_, err = b.d.PutTemplate(t.Context(), "operator", other)
	require.NoError(t, err)
	changed, err := change(func(s *push.TaskSpec) {
		s.NotAfter, s.Misfire, s.Priority, s.Topic, s.TemplateID = in(time.Hour), push.MisfireSkip, "urgent", "更正", "T-other"
	})
	require.NoError(t, err)
	require.Equal(t, push.TaskMissed, changed.State)
	require.Equal(t, []string{push.MisfireSkip, "urgent", "另一个模板"}, []string{changed.Misfire, changed.Priority, changed.TemplateName})
	b.work(b.d)
	b.send(task.ID)
	require.Empty(t, b.wait(task.ID, push.TaskDone).Note)
	b.once(b.names(2))
	require.Equal(t, "更正", b.messages("u0")[0].Data[0].Value)
	require.Equal(t, "T-other", b.messages("u0")[0].TemplateID)
}

// The product of a scheduled task is looked at again when it starts: off the shelf pauses it, and so does a changed price, unless
// the task says otherwise. Nothing is spent before a person has decided.
func TestSchedule_ProductAtStart(t *testing.T) {
	t.Parallel()
	product := func(price push.Price, onShelf bool) push.Product {
		return push.Product{App: appKey, Code: "1989", Title: "健康助利测试商品1", Price: price, OnShelf: onShelf}
	}
	for _, c := range []struct {
		name    string
		change  func(*push.TaskSpec)
		product push.Product
		cause   push.Cause
		mend    func(*bundle, int64)
		message string
	}{
		{"off the shelf", nil, product(25000, false), push.CauseProductOffShelf, func(b *bundle, _ int64) {
			_, err := b.d.PutProduct(b.t.Context(), product(25000, true))
			require.NoError(b.t, err)
		}, "250海贝"},
		{"price changed, sent as it was", nil, product(990, true), push.CauseProductChanged, func(*bundle, int64) {}, "250海贝"},
		{"price changed, taken anew", nil, product(990, true), push.CauseProductChanged, func(b *bundle, id int64) {
			_, err := b.d.RefreshProduct(b.t.Context(), "test", id)
			require.NoError(b.t, err)
		}, "9.9海贝"},
		{"price changed, accepted before", func(s *push.TaskSpec) { s.OnPriceChange = "accept" }, product(990, true), "", nil, "250海贝"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			task := b.scheduled(b.users(2, 1), c.change)
			_, err := b.d.PutProduct(t.Context(), c.product)
			require.NoError(t, err)
			b.due(task.ID, time.Second)
			b.work(b.d)
			if c.cause != "" {
				paused := b.wait(task.ID, push.TaskPaused)
				require.Equal(t, []push.Cause{c.cause}, paused.Causes)
				require.NotEmpty(t, paused.Note)
				require.Zero(t, b.sim.Stats().Calls)
				c.mend(b, task.ID)
				_, err = b.d.Resume(t.Context(), "test", task.ID)
				require.NoError(t, err)
			}
			b.wait(task.ID, push.TaskDone)
			b.audit(task.ID)
			b.once(b.names(2))
			require.Equal(t, c.message, b.messages("u0")[0].Data[3].Value)
		})
	}
}

// A product that is still off the shelf when the task is resumed pauses it again.
func TestSchedule_ResumeWhileStillOffTheShelf(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.scheduled(b.users(2, 1), nil)
	_, err := b.d.PutProduct(t.Context(), push.Product{App: appKey, Code: "1989", Title: "x", Price: 25000})
	require.NoError(t, err)
	b.due(task.ID, time.Second)
	b.work(b.d)
	for range 2 {
		b.wait(task.ID, push.TaskPaused)
		_, err = b.d.Resume(t.Context(), "test", task.ID)
		require.NoError(t, err)
	}
	require.Equal(t, []push.Cause{push.CauseProductOffShelf}, b.wait(task.ID, push.TaskPaused).Causes)
	require.Zero(t, b.sim.Stats().Calls)
}

// If nobody can be reached when a scheduled task starts, it ends done with everyone skipped.
func TestSchedule_NobodyReachableAtStart(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.scheduled(b.users(3, 1), nil)
	b.exec(`UPDATE form_id SET expires_at = now() + interval '9 min'`)
	b.due(task.ID, time.Second)
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID)
	require.Equal(t, push.Counts{Total: 3, Skipped: 3}, done.Counts)
	require.Equal(t, "no_permit", done.Reasons[0].Code)
	require.Zero(t, b.sim.Stats().Calls)
}
