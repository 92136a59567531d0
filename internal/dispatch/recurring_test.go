package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// Bad input names its field and rule, and leaves nothing behind.
func TestSchedule_BadSpecIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.save("vip", "user_id\nu0\n")
	_, err := b.d.CreateSchedule(t.Context(), "author", scheduleSpec(func(s *push.ScheduleSpec) { s.Name = "taken" }))
	require.NoError(t, err)
	before := b.dump()
	for _, c := range []struct {
		change      func(*push.ScheduleSpec)
		field, rule string
	}{
		{func(s *push.ScheduleSpec) { s.Name = "" }, "name", "required"},
		{func(s *push.ScheduleSpec) { s.Name = "taken" }, "name", "taken"},
		{func(s *push.ScheduleSpec) { s.Cron = "" }, "cron", "required"},
		{func(s *push.ScheduleSpec) { s.Cron = "0 9 30 2 *" }, "cron", "bad_cron"},
		{func(s *push.ScheduleSpec) { s.Cron = "*/5 * * * * *" }, "cron", "bad_cron"},
		{func(s *push.ScheduleSpec) { s.Cron = "CRON_TZ=UTC 0 9 * * *" }, "cron", "bad_cron"},
		{func(s *push.ScheduleSpec) { s.TimeZone = "Asia/Peking" }, "time_zone", "unknown_time_zone"},
		{func(s *push.ScheduleSpec) { s.TimeZone = "Local" }, "time_zone", "unknown_time_zone"},
		{func(s *push.ScheduleSpec) { s.Misfire = "never" }, "misfire", "unknown_value"},
		{func(s *push.ScheduleSpec) { s.Audience = push.AudienceList }, "list", "required"},
		{func(s *push.ScheduleSpec) { s.List = "vip"; s.Audience = push.AudienceAll }, "list", "not_a_list"},
		{func(s *push.ScheduleSpec) { s.List = "nope" }, "list", "unknown_list"},
		{func(s *push.ScheduleSpec) { s.WaitForPermitUntil = in(time.Hour) }, "wait_for_permit_until", "not_recurring"},
		{func(s *push.ScheduleSpec) { s.TemplateID = "nope" }, "template_id", "unknown_template"},
		{func(s *push.ScheduleSpec) { s.ProductCode = "nope" }, "product_code", "unknown_product"},
		{func(s *push.ScheduleSpec) { s.Topic = "" }, "topic", "required"},
	} {
		_, err := b.d.CreateSchedule(t.Context(), "author", scheduleSpec(c.change))
		invalid(t, err, c.field, c.rule)
	}
	require.Equal(t, before, b.dump())
}

// What runs is fixed: it is paused to be changed or deleted, so that what an approver let run is what is sent.
func TestSchedule_ChangesWhilePausedOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 5)
	s := b.recurring(nil)
	rename := func(spec *push.ScheduleSpec) error {
		spec.Name, spec.Cron, spec.Topic = "noon", "0 12 * * *", "午"
		return nil
	}
	_, err := b.d.ChangeSchedule(t.Context(), s.ID, rename)
	refused(t, err, push.RefusedScheduleRuns)
	refused(t, b.d.DeleteSchedule(t.Context(), s.ID), push.RefusedScheduleRuns)
	again, err := b.d.ResumeSchedule(t.Context(), "somebody else", s.ID)
	require.NoError(t, err)
	require.Equal(t, "approver", *again.EnabledBy, "one that runs is left as it is")

	paused, err := b.d.PauseSchedule(t.Context(), "test", s.ID)
	require.NoError(t, err)
	require.Nil(t, paused.NextAt)
	require.Len(t, paused.NextRuns, 5, "those if it were resumed")
	changed, err := b.d.ChangeSchedule(t.Context(), s.ID, rename)
	require.NoError(t, err)
	require.Contains(t, changed.NextRuns[0], "T12:00:00+08:00")
	_, err = b.d.ChangeSchedule(t.Context(), s.ID, func(spec *push.ScheduleSpec) error { spec.App = "other"; return nil })
	invalid(t, err, "app", "fixed")
	require.NoError(t, b.d.DeleteSchedule(t.Context(), s.ID))
	_, err = b.d.Schedule(t.Context(), s.ID)
	require.ErrorIs(t, err, push.ErrNotFound)
}

// A schedule that is resumed does not make up for the ticks of its pause.
func TestSchedule_ResumeStartsFromNow(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 5)
	s := b.recurring(nil)
	first := *s.NextAt
	_, err := b.d.PauseSchedule(t.Context(), "test", s.ID)
	require.NoError(t, err)
	b.reach(first, 30*time.Hour)
	require.Empty(t, b.dealt(s.ID))
	s, err = b.d.ResumeSchedule(t.Context(), "approver", s.ID)
	require.NoError(t, err)
	require.True(t, s.NextAt.Equal(first.Add(48*time.Hour)), s.NextAt)
}

// not_after is the end: the last tick before it runs, then the schedule stops and says so.
func TestSchedule_EndsAtItsNotAfter(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 5)
	s := b.recurring(func(s *push.ScheduleSpec) { s.NotAfter = in(48*time.Hour + time.Minute) })
	require.Len(t, s.NextRuns, 2)
	for s.Enabled {
		b.reach(*s.NextAt, time.Second)
		s = b.schedule(s.ID)
	}
	require.Equal(t, "sent sent", outcomes(b.dealt(s.ID)))
	require.NotEmpty(t, s.Note)
	b.d.TurnClock(49 * time.Hour)
	_, err := b.d.ResumeSchedule(t.Context(), "approver", s.ID)
	invalid(t, err, "not_after", "no_run_left")
}

// A task that is missed says so at level Error, whatever missed it.
func TestSchedule_AMissedTaskIsAnAlert(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*push.TaskSpec){
		nil,
		func(s *push.TaskSpec) { s.Misfire = push.MisfireSkip },
		func(s *push.TaskSpec) { s.NotAfter = in(2 * time.Hour) },
	} {
		b := setup(t, nil)
		alerts := b.listen()
		task := b.scheduled(b.users(2, 1), change)
		b.due(task.ID, 25*time.Hour)
		b.exec(`UPDATE task SET not_after = now() - interval '1 s' WHERE not_after IS NOT NULL`)
		b.work(b.d)
		require.NotEmpty(t, b.wait(task.ID, push.TaskMissed).Note)
		require.Contains(t, alerts.errors(), "task missed")
	}
}
