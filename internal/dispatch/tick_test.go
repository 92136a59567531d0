package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// scheduleSpec sends to all, every day at 09:00 in Shanghai. change may alter it.
func scheduleSpec(change func(*push.ScheduleSpec)) push.ScheduleSpec {
	s := push.ScheduleSpec{TaskSpec: spec(), Name: "daily", Cron: "0 9 * * *", TimeZone: "Asia/Shanghai"}
	if change != nil {
		change(&s)
	}
	return s
}

// recurring makes a schedule and lets it run.
func (b *bundle) recurring(change func(*push.ScheduleSpec)) push.Schedule {
	b.t.Helper()
	s, err := b.d.CreateSchedule(b.t.Context(), "author", scheduleSpec(change))
	require.NoError(b.t, err)
	require.False(b.t, s.Enabled)
	s, err = b.d.ResumeSchedule(b.t.Context(), "approver", s.ID)
	require.NoError(b.t, err)
	require.True(b.t, s.Enabled)
	return s
}

// reach turns the clock of schedules to after past the time given, and deals with what is due then.
func (b *bundle) reach(at time.Time, after time.Duration) {
	b.t.Helper()
	b.d.TurnClock(time.Until(at) + after)
	require.NoError(b.t, b.d.TickDue(b.t.Context()))
}

// dealt lists what became of the ticks of a schedule, the oldest first.
func (b *bundle) dealt(id int64) []push.ScheduleTick {
	b.t.Helper()
	list, err := b.st.Ticks(b.t.Context(), id, nil, 1000)
	require.NoError(b.t, err)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

func outcomes(ticks []push.ScheduleTick) string {
	var words []string
	for _, t := range ticks {
		words = append(words, strings.TrimSuffix(string(t.Outcome)+":"+t.Code, ":"))
	}
	return strings.Join(words, " ")
}

func (b *bundle) schedule(id int64) push.Schedule {
	b.t.Helper()
	s, err := b.d.Schedule(b.t.Context(), id)
	require.NoError(b.t, err)
	return s
}

// logged is a log that is kept.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// errors lists the lines of level Error.
func (l *logged) errors() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// listen makes the bundle's dispatcher one whose log is kept.
func (b *bundle) listen() *logged {
	b.t.Helper()
	var l logged
	d, err := dispatch.New(b.conf, b.st, slog.New(slog.NewTextHandler(&l, nil)))
	require.NoError(b.t, err)
	b.d = d
	return &l
}

// Invariant 1: a tick makes one task of its author, sent by who let the schedule run; the workers send it like any other.
func TestTick_MakesATaskAndSendsIt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(5, 1)
	s := b.recurring(nil)
	require.Len(t, s.NextRuns, 5)
	require.True(t, strings.HasSuffix(s.NextRuns[0], "T09:00:00+08:00"), s.NextRuns)
	first := *s.NextAt

	b.reach(first, -time.Second)
	require.Empty(t, b.dealt(s.ID), "a second early")
	b.reach(first, time.Second)
	ticks := b.dealt(s.ID)
	require.Equal(t, "sent", outcomes(ticks))
	require.Equal(t, first.In(b.conf.Location).Format("2006-01-02T15:04")+"[Asia/Shanghai]", ticks[0].Tick)
	require.True(t, ticks[0].At.Equal(first))
	task, err := b.st.Task(t.Context(), *ticks[0].TaskID)
	require.NoError(t, err)
	require.Equal(t, push.TaskSending, task.State)
	require.Equal(t, "author", task.CreatedBy)
	require.Equal(t, "approver", *task.SentBy)
	require.Equal(t, 1, b.startJobs())
	require.True(t, b.schedule(s.ID).NextAt.Equal(first.Add(24*time.Hour)))

	b.reach(first, time.Hour)
	require.Equal(t, "sent", outcomes(b.dealt(s.ID)), "it comes once")
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	b.once(users)
}

// Each of the two guards holds without the other: the time of the next tick that moves on, and the row that is unique.
func TestTick_FiresOnceThoughItsTimeIsSetBack(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 9)
	s := b.recurring(nil)
	first := *s.NextAt
	b.reach(first, time.Second)
	b.exec(`UPDATE schedule SET next_at = $1`, first)
	b.reach(first, 2*time.Second)
	b.exec(`UPDATE schedule SET next_at = $1`, first.Add(-time.Minute))
	b.reach(first, 3*time.Second)
	require.Equal(t, "sent", outcomes(b.dealt(s.ID)))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM task`))
	require.True(t, b.schedule(s.ID).NextAt.Equal(first.Add(24*time.Hour)))
}

// Two daemons at the same moment share the due schedules between them: each tick makes one task.
func TestTick_TwoDaemonsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 9)
	for i := range 20 {
		b.recurring(func(s *push.ScheduleSpec) { s.Name = strings.Repeat("x", i+1) })
	}
	at := time.Until(*b.schedule(1).NextAt) + time.Second
	var wg sync.WaitGroup
	for range 4 {
		d := b.dispatcher()
		d.TurnClock(at)
		wg.Go(func() {
			if err := d.TickDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 20, b.count(`SELECT count(*) FROM schedule_tick WHERE outcome = 'sent'`))
	require.Equal(t, 20, b.count(`SELECT count(*) FROM task`))
	require.Equal(t, 20, b.startJobs())
}

// Invariant 11: of the ticks that passed while nothing was up, the latest runs late within its grace, or is missed, by the policy. Never all.
func TestTick_Misfire(t *testing.T) {
	t.Parallel()
	late, skip := func(*push.ScheduleSpec) {}, func(s *push.ScheduleSpec) { s.Misfire = push.MisfireSkip }
	for _, c := range []struct {
		name   string
		change func(*push.ScheduleSpec)
		cron   string
		after  time.Duration
		want   string
	}{
		{"late, one tick", late, "0 9 * * *", 23 * time.Hour, "sent"},
		{"late, three ticks: the latest", late, "0 9 * * *", 50 * time.Hour, "missed missed sent"},
		{"late, after its grace", late, "0 9 * * 1", 25 * time.Hour, "missed"},
		{"skip, within its grace", skip, "0 9 * * *", 30 * time.Second, "sent"},
		{"skip, two minutes late", skip, "0 9 * * *", 2 * time.Minute, "missed"},
		{"skip, three ticks, the latest on time", skip, "0 9 * * *", 48*time.Hour + 10*time.Second, "missed missed sent"},
		{"every ten minutes for an hour", late, "*/10 * * * *", time.Hour + time.Minute, strings.Repeat("missed ", 6) + "sent"},
		{"every minute for a month: the newest are noted", late, "* * * * *", 30 * 24 * time.Hour, strings.Repeat("missed ", 100) + "sent"},
		{"monthly, half a year: the first stands for all", late, "0 9 1 * *", 180 * 24 * time.Hour, "missed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.users(1, 3)
			alerts := b.listen()
			s := b.recurring(func(s *push.ScheduleSpec) { s.Cron = c.cron; c.change(s) })
			first := *s.NextAt
			b.reach(first, c.after)
			ticks := b.dealt(s.ID)
			require.Equal(t, c.want, outcomes(ticks))
			require.True(t, ticks[0].At.Equal(first))
			require.Equal(t, strings.Count(c.want, "sent"), b.count(`SELECT count(*) FROM task`))
			require.Equal(t, strings.Contains(c.want, "missed"), strings.Contains(alerts.errors(), "ticks missed"))
			next := *b.schedule(s.ID).NextAt
			require.True(t, next.After(first.Add(c.after)))
			b.reach(next, time.Second)
			require.Equal(t, c.want+" sent", outcomes(b.dealt(s.ID)), "it goes on")
		})
	}
}

// A tick whose send is refused leaves nothing but its row with the reason, and an alert; the schedule goes on.
func TestTick_RefusedIsRecordedAndTheScheduleGoesOn(t *testing.T) {
	t.Parallel()
	shelf := func(b *bundle, on bool) {
		_, err := b.d.PutProduct(b.t.Context(), push.Product{App: appKey, Code: "1989", Title: "x", Price: 25000, OnShelf: on})
		require.NoError(b.t, err)
	}
	for _, c := range []struct {
		code       string
		harm, mend func(*bundle)
	}{
		{"product_off_shelf", func(b *bundle) { shelf(b, false) }, func(b *bundle) { shelf(b, true) }},
		{"no_permit", func(b *bundle) { b.exec(`UPDATE form_id SET expires_at = now()`) },
			func(b *bundle) { b.exec(`UPDATE form_id SET expires_at = now() + interval '1 day'`) }},
		{"app_paused", func(b *bundle) {
			_, err := b.d.PauseApp(b.t.Context(), "test", appKey)
			require.NoError(b.t, err)
		}, func(b *bundle) {
			_, err := b.d.ResumeApp(b.t.Context(), appKey)
			require.NoError(b.t, err)
		}},
		{"invalid", func(b *bundle) { b.exec(`UPDATE schedule SET task = task || '{"topic": ""}'`) },
			func(b *bundle) { b.exec(`UPDATE schedule SET task = task || '{"topic": "x"}'`) }},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.users(2, 2)
			alerts := b.listen()
			s := b.recurring(nil)
			other := b.recurring(func(s *push.ScheduleSpec) { s.Name, s.Cron, s.Topic = "later", "1 9 * * *", "别的" })
			c.harm(b)
			b.reach(*s.NextAt, time.Second)
			ticks := b.dealt(s.ID)
			require.Equal(t, "refused:"+c.code, outcomes(ticks))
			require.NotEmpty(t, ticks[0].Note)
			require.Nil(t, ticks[0].TaskID)
			require.Contains(t, alerts.errors(), "tick refused")
			require.Zero(t, b.count(`SELECT count(*) FROM task`))
			require.Zero(t, b.startJobs())
			c.mend(b)
			b.reach(*other.NextAt, time.Second)
			require.Equal(t, "sent", outcomes(b.dealt(other.ID)))
			b.reach(*b.schedule(s.ID).NextAt, time.Second)
			require.Equal(t, "refused:"+c.code+" sent", outcomes(b.dealt(s.ID)), "the next one is tried as if nothing had been")
		})
	}
}

// The losing side: whatever breaks the transaction of a tick leaves neither its row nor a task, and the tick is tried again; one schedule
// that fails does not hold up the others.
func TestTick_AnErrorUndoesAllOfItAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 9)
	bad := b.recurring(nil)
	good := b.recurring(func(s *push.ScheduleSpec) { s.Name, s.Cron, s.Topic = "good", "1 9 * * *", "好" })
	b.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF new.topic <> '好' AND new.state = 'sending' THEN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END IF; RETURN new; END $$`)
	b.exec(`CREATE TRIGGER fail BEFORE UPDATE ON task FOR EACH ROW EXECUTE FUNCTION fail()`)
	b.d.TurnClock(time.Until(*good.NextAt) + time.Second)
	require.ErrorContains(t, b.d.TickDue(t.Context()), "disk full")
	require.Empty(t, b.dealt(bad.ID))
	require.Equal(t, "sent", outcomes(b.dealt(good.ID)))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM task`))
	b.exec(`DROP TRIGGER fail ON task`)
	require.NoError(t, b.d.TickDue(t.Context()))
	require.Equal(t, "sent", outcomes(b.dealt(bad.ID)))

	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("stopping"))
	require.ErrorContains(t, b.d.TickDue(stopped), "stopping")
}

// The day of a change of summer time, looked at every few minutes as the sweeper does: a daily 01:30 fires once though the clock shows it
// twice, a daily 02:30 fires once though the clock skips it, and every half hour goes on evenly.
func TestTick_OnTheDayOfAChangeOfSummerTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cron, day string
		hours     int
		sent      int
	}{
		{"30 1 * * *", "2027-11-07", 25, 1},
		{"30 2 * * *", "2027-03-14", 23, 1},
		{"*/30 * * * *", "2027-11-07", 25, 50},
		{"*/30 * * * *", "2027-03-14", 23, 46},
	} {
		t.Run(c.cron+" "+c.day, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.users(1, 3)
			newYork, err := time.LoadLocation("America/New_York")
			require.NoError(t, err)
			day, err := time.ParseInLocation(time.DateOnly, c.day, newYork)
			require.NoError(t, err)
			b.d.TurnClock(time.Until(day) - time.Minute)
			s := b.recurring(func(s *push.ScheduleSpec) { s.Cron, s.TimeZone = c.cron, "America/New_York" })
			for at := day; at.Before(day.Add(time.Duration(c.hours)*time.Hour - 10*time.Minute)); at = at.Add(10 * time.Minute) {
				b.reach(at, time.Second)
			}
			require.Equal(t, c.sent, b.count(`SELECT count(*) FROM schedule_tick WHERE schedule_id = $1 AND outcome = 'sent'`, s.ID))
			require.Equal(t, c.sent, b.count(`SELECT count(*) FROM schedule_tick`))
		})
	}
}
