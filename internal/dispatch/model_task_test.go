package dispatch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// What people do to tasks. The model says beforehand whether it is refused, and with which code; what is refused must change nothing.

// refusals are the codes with which a command may be refused as things stand; none: it must pass.
func (w *world) asked(expected push.RefusalCode, fn func() error) {
	before := w.fingerprint()
	err := fn()
	if expected == "" {
		require.NoError(w.r, err)
		w.watched()
		return
	}
	var r *push.Refusal
	require.ErrorAs(w.r, err, &r)
	require.Equal(w.r, expected, r.Code)
	require.Equal(w.r, before, w.fingerprint(), "a refused request changes nothing")
}

// fingerprint is one text for everything in the tables, the job table included.
func (w *world) fingerprint() string {
	tables := w.texts(`
		SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE (schemaname = 'public' OR (schemaname, tablename) = ('river', 'river_job'))
		   AND tablename NOT LIKE 'goose%' ORDER BY 1`)
	parts := make([]string, len(tables))
	for i, table := range tables {
		parts[i] = fmt.Sprintf(`SELECT '%s ' || md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM %s x`, table, table)
	}
	return strings.Join(w.texts(strings.Join(parts, " UNION ALL ")), "\n")
}

func (w *world) createTask() {
	if len(w.tasks) >= modelTasks {
		w.t.Skip("enough tasks")
	}
	s := spec()
	task := &modelTask{topic: fmt.Sprintf("T%d", len(w.tasks)), kind: rapid.SampledFrom([]push.AudienceKind{push.AudienceList, push.AudienceList, push.AudienceAll}).Draw(w.t, "audience"), state: push.TaskDraft}
	s.Topic, s.Audience = task.topic, task.kind
	s.Misfire = rapid.SampledFrom([]string{"late", "skip"}).Draw(w.t, "misfire")
	if task.waits = task.kind == push.AudienceList && rapid.IntRange(0, 2).Draw(w.t, "waits for permits") == 0; task.waits {
		until := time.Now().Add(rapid.SampledFrom([]time.Duration{8 * time.Hour, 3 * 24 * time.Hour}).Draw(w.t, "wait"))
		s.WaitForPermitUntil = &until
	}
	made, err := w.daemon().CreateTask(w.ctx, "model", s)
	require.NoError(w.r, err)
	task.id = made.ID
	w.tasks, w.byID[task.id] = append(w.tasks, task), task
	if task.kind == push.AudienceList && rapid.IntRange(0, 3).Draw(w.t, "without a list") > 0 {
		w.uploadTo(task)
	}
}

func (w *world) uploadList() {
	task := w.task()
	if task.kind == push.AudienceAll {
		w.t.Skip("takes no list")
	}
	w.uploadTo(task)
}

// uploadTo gives a task a list in which users may stand several times, and one that nobody knows.
func (w *world) uploadTo(task *modelTask) {
	list := rapid.SliceOfN(rapid.SampledFrom(append([]string{"ghost"}, w.users...)), 1, 2*modelUsers).Draw(w.t, "list")
	if rapid.Bool().Draw(w.t, "everyone") {
		list = append(list, w.users...)
	}
	var unique []string
	for _, u := range list {
		if !slices.Contains(unique, u) {
			unique = append(unique, u)
		}
	}
	var expected push.RefusalCode
	if task.state != push.TaskDraft {
		expected = push.RefusedWrongState
	}
	d := w.daemon()
	w.asked(expected, func() error {
		a, err := d.UploadAudience(w.ctx, "model", task.id, upload("user_id\n"+strings.Join(list, "\n")+"\n"))
		if err == nil {
			task.users = unique
			require.Equal(w.r, len(unique), a.Accepted, "a user stands in a task once (invariant 7)")
			require.Equal(w.r, len(list)-len(unique), a.Duplicate)
		}
		return err
	})
}

// againstSending is what stands against a send, by design §3 and §7. The command is skipped for a task whose wait for permits would be over
// before it begins: that is bad input, which the state has no part in.
func (w *world) againstSending(task *modelTask, at *time.Time) push.RefusalCode {
	if task.waits && w.count(`SELECT count(*) FROM task WHERE id = $1 AND wait_for_permit_until < coalesce($2, now()) + interval '1 s'`, task.id, at) > 0 {
		w.t.Skip("its wait is over")
	}
	switch task.state {
	case push.TaskScheduled:
		if at == nil {
			return push.RefusedAlreadyScheduled
		}
		return ""
	case push.TaskDraft, push.TaskMissed:
	default:
		return push.RefusedAlreadySent
	}
	switch {
	case task.kind == push.AudienceList && len(task.users) == 0:
		return push.RefusedEmptyAudience
	case !task.waits && !w.anyReachable(task, at):
		return push.RefusedNoPermit
	case at == nil && w.appPaused:
		return push.RefusedAppPaused
	}
	return ""
}

// anyReachable says whether one of the task's users has an openid and a permit that lasts until the send and the margin beyond.
func (w *world) anyReachable(task *modelTask, at *time.Time) bool {
	when := time.Now()
	if at != nil {
		when = *at
	}
	rows, _ := w.st.Pool().Query(w.ctx, `
		SELECT u.user_id FROM app_user u JOIN form_id f ON f.user_id = u.user_id
		 WHERE u.openid IS NOT NULL AND f.state = 0 AND f.expires_at > $1`, when.Add(modelMargin))
	held, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.r, err)
	if task.kind == push.AudienceAll {
		return len(held) > 0
	}
	return slices.ContainsFunc(task.users, func(u string) bool { return slices.Contains(held, u) })
}

func (w *world) send() {
	task, d := w.task(), w.daemon()
	w.asked(w.againstSending(task, nil), func() error {
		_, err := d.Send(w.ctx, "model", task.id, nil)
		return err
	})
}

// sendAtOnce sends a task thrice at the same moment: at most one passes (invariant 1).
func (w *world) sendAtOnce() {
	task := w.task()
	expected := w.againstSending(task, nil)
	var all sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		d := w.daemons[i%len(w.daemons)]
		all.Go(func() { _, errs[i] = d.Send(w.ctx, "model", task.id, nil) })
	}
	all.Wait()
	passed := 0
	for _, err := range errs {
		var r *push.Refusal
		switch {
		case err == nil:
			passed++
		case expected == "":
			require.ErrorAs(w.r, err, &r)
			require.Equal(w.r, push.RefusedAlreadySent, r.Code)
		default:
			require.ErrorAs(w.r, err, &r)
			require.Equal(w.r, expected, r.Code)
		}
	}
	require.Equal(w.r, expected == "", passed == 1, "%d sends of the same task passed", passed)
	require.LessOrEqual(w.r, passed, 1)
}

// schedule schedules a task, or moves it.
func (w *world) schedule() {
	task, d := w.task(), w.daemon()
	at := time.Now().Add(rapid.SampledFrom([]time.Duration{50 * time.Second, 10 * time.Minute, 5 * time.Hour}).Draw(w.t, "ahead"))
	w.asked(w.againstSending(task, &at), func() error {
		_, err := d.Send(w.ctx, "model", task.id, &at)
		return err
	})
}

// only is the refusal of a command that needs one of the states.
func only(task *modelTask, states ...push.TaskState) push.RefusalCode {
	if slices.Contains(states, task.state) {
		return ""
	}
	return push.RefusedWrongState
}

func (w *world) unschedule() {
	task, d := w.task(), w.daemon()
	w.asked(only(task, push.TaskScheduled), func() error {
		_, err := d.Unschedule(w.ctx, "model", task.id)
		return err
	})
}

func (w *world) pause() {
	task, d := w.task(), w.daemon()
	w.asked(only(task, push.TaskSending, push.TaskPaused), func() error {
		t, err := d.Pause(w.ctx, "model", task.id)
		if err == nil {
			require.Contains(w.r, t.Causes, push.CauseOperator)
		}
		return err
	})
}

func (w *world) resume() {
	task, d := w.task(), w.daemon()
	w.asked(only(task, push.TaskPaused), func() error {
		t, err := d.Resume(w.ctx, "model", task.id)
		if err == nil {
			require.NotContains(w.r, t.Causes, push.CauseOperator)
			require.Equal(w.r, len(t.Causes) > 0, t.State == push.TaskPaused, "a pause ends when its set is empty")
		}
		return err
	})
}

func (w *world) cancel() {
	task, d := w.task(), w.daemon()
	w.asked(only(task, push.TaskScheduled, push.TaskSending, push.TaskPaused), func() error {
		_, err := d.Cancel(w.ctx, "model", task.id)
		return err
	})
}

func (w *world) pauseApp() {
	_, err := w.daemon().PauseApp(w.ctx, "model", appKey)
	require.NoError(w.r, err)
	w.appPaused = true
	require.Zero(w.r, w.count(`SELECT count(*) FROM task WHERE state = 'sending'`), "the kill switch pauses what is under way")
}

func (w *world) resumeApp() {
	_, err := w.daemon().ResumeApp(w.ctx, appKey)
	require.NoError(w.r, err)
	w.appPaused = false
}

// disturbances are what may happen at the very moment of a call.
func (w *world) disturbance() (name string, act func(d *dispatch.Dispatcher) error) {
	var task *modelTask
	if len(w.tasks) > 0 {
		task = rapid.SampledFrom(w.tasks).Draw(w.t, "of task")
	}
	user, other := rapid.SampledFrom(w.users).Draw(w.t, "by user"), rapid.SampledFrom(w.users).Draw(w.t, "for user")
	name = rapid.SampledFrom([]string{"pause", "cancel", "pause app", "send", "move an openid", "take over", "tend", "pass time"}).Draw(w.t, "disturbance")
	return name, func(d *dispatch.Dispatcher) (err error) {
		switch name {
		case "pause":
			_, err = d.Pause(w.ctx, "model", task.id)
		case "cancel":
			_, err = d.Cancel(w.ctx, "model", task.id)
		case "pause app":
			_, err = d.PauseApp(w.ctx, "model", appKey)
		case "send":
			if !task.waits {
				_, err = d.Send(w.ctx, "model", task.id, nil)
			}
		case "move an openid":
			_, err = d.ReportUsers(w.ctx, appKey, []dispatch.UserReport{{UserID: user, OpenID: openID(other)}})
		case "take over":
			err = w.takeOver(d)
		case "tend":
			err = d.TendAll(w.ctx)
		case "pass time":
			_, err = w.st.Pool().Exec(w.ctx, `
				WITH s AS (UPDATE sweeper SET last_success_at = last_success_at - interval '13 hours') UPDATE form_id SET expires_at = expires_at - interval '13 hours'`)
		}
		return errors.Join(err, d.Beat(w.ctx))
	}
}
