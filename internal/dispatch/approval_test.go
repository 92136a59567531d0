package dispatch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

// asksForApproval makes the app ask for a second person.
func (b *bundle) asksForApproval() {
	b.t.Helper()
	_, err := b.d.SetAppSettings(b.t.Context(), "admin", appKey, func(s *push.AppSettings) error { s.Approval = true; return nil })
	require.NoError(b.t, err)
}

func (b *bundle) task(id int64) push.Task {
	b.t.Helper()
	t, err := b.st.Task(b.t.Context(), id)
	require.NoError(b.t, err)
	return t
}

// approve approves a task as it is now.
func (b *bundle) approve(id int64, actor string) push.Task {
	b.t.Helper()
	t, err := b.d.Approve(b.t.Context(), actor, id, dispatch.Judgment{Hash: b.task(id).ContentHash})
	require.NoError(b.t, err)
	require.Equal(b.t, push.Approved, t.Approval.State)
	require.Equal(b.t, actor, *t.Approval.By)
	return t
}

// Whatever changes what a task sends, or to whom, voids its approval; what changes neither does not.
func TestApproval_HoldsForExactlyThisContentAndAudience(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.asksForApproval()
	users := b.users(3, 1)
	id := b.draft(users).ID
	set := func(change func(*push.TaskSpec)) func() {
		return func() {
			_, err := b.d.ChangeTask(t.Context(), "author", id, func(s *push.TaskSpec) error { change(s); return nil })
			require.NoError(t, err)
		}
	}
	for name, change := range map[string]func(){
		"topic":    set(func(s *push.TaskSpec) { s.Topic = "双十一" }),
		"twice":    set(func(s *push.TaskSpec) { s.OnUnknown = "resend" }),
		"at night": set(func(s *push.TaskSpec) { s.Priority = "urgent" }),
		"later":    set(func(s *push.TaskSpec) { s.WaitForPermitUntil = in(time.Hour) }),
		"audience": func() { b.upload(id, users[:2]) },
		"product": func() {
			_, err := b.d.PutProduct(t.Context(), push.Product{App: appKey, Code: "1989", Title: "健康助利测试商品1", Price: 24900, OnShelf: true})
			require.NoError(t, err)
			_, err = b.d.RefreshProduct(t.Context(), "author", id)
			require.NoError(t, err)
		},
		"template": func() {
			template := originalTemplate()
			template.Page += "&from=push"
			_, err := b.d.PutTemplate(t.Context(), "operator", template)
			require.NoError(t, err)
		},
	} {
		b.approve(id, "second")
		change()
		require.Equal(t, push.ApprovalVoid, b.task(id).Approval.State, name)
		before := b.dump()
		_, err := b.d.Send(t.Context(), "second", id, nil)
		refused(t, err, push.RefusedNotApproved)
		require.Contains(t, err.Error(), "changed after", name)
		require.Equal(t, before, b.dump(), name)
	}
	require.Equal(t, 6, b.count(`SELECT count(*) FROM audit_log WHERE action = 'task.approval_void' AND detail ->> 'approved_by' = 'second'`), "by changes of the task")
	b.approve(id, "second")
	set(func(s *push.TaskSpec) { s.RatePerSecond = 10; s.Misfire = push.MisfireSkip; s.OnPriceChange = "accept" })()
	require.Equal(t, push.Approved, b.task(id).Approval.State, "how fast it goes is not what it says")
	b.send(id)
	require.Equal(t, push.TaskSending, b.task(id).State)
}

func TestApproval_TakesAnotherPersonWhoHasSeenIt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.asksForApproval()
	id := b.draft(b.users(2, 1)).ID
	_, err := b.d.ChangeTask(t.Context(), "author", id, func(s *push.TaskSpec) error { s.Topic = "更正"; return nil })
	require.NoError(t, err)
	// Who touches a task without changing what it says does not free the author to approve it.
	_, err = b.d.ChangeTask(t.Context(), "test", id, func(s *push.TaskSpec) error { s.RatePerSecond = 7; return nil })
	require.NoError(t, err)
	task := b.task(id)
	require.Equal(t, "author", task.ChangedBy)
	before := b.dump()
	for _, c := range []struct {
		actor, hash string
		code        push.RefusalCode
	}{
		{"test", task.ContentHash, push.RefusedOwnTask}, {"author", task.ContentHash, push.RefusedOwnTask},
		{"second", strings.Repeat("0", 64), push.RefusedContentChanged}, {"second", task.ContentHash[:11], push.RefusedContentChanged},
	} {
		_, err = b.d.Approve(t.Context(), c.actor, id, dispatch.Judgment{Hash: c.hash})
		refused(t, err, c.code)
	}
	_, err = b.d.Approve(t.Context(), "second", id, dispatch.Judgment{})
	invalid(t, err, "hash", "required")
	_, err = b.d.Reject(t.Context(), "second", id, dispatch.Judgment{Hash: task.ContentHash})
	invalid(t, err, "note", "required")
	_, err = b.d.Approve(t.Context(), "second", b.draft(nil).ID, dispatch.Judgment{Hash: task.ContentHash})
	refused(t, err, push.RefusedEmptyAudience)
	b.exec(`DELETE FROM task WHERE id <> $1`, id)
	after := b.dump()
	require.Equal(t, before["public.task"], after["public.task"])

	_, err = b.d.Reject(t.Context(), "second", id, dispatch.Judgment{Hash: task.ContentHash[:12], Note: "错别字"})
	require.NoError(t, err)
	_, err = b.d.Send(t.Context(), "second", id, nil)
	refused(t, err, push.RefusedNotApproved)
	require.Contains(t, err.Error(), "rejected")
	b.approve(id, "second")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM audit_log WHERE actor = 'second' AND action = 'task.reject' AND object = $1`, fmt.Sprint("task:", id)))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM audit_log WHERE actor = 'second' AND action = 'task.approve' AND detail ->> 'hash' = $1`, task.ContentHash))
	b.send(id)
	_, err = b.d.Reject(t.Context(), "second", id, dispatch.Judgment{Hash: task.ContentHash, Note: "too late"})
	refused(t, err, push.RefusedWrongState)
}

// Two people are needed for everything that is sent: whoever changed any of it since another one approved, the template included, is not the second.
func TestApproval_IsNotOfOnesOwnChanges(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.asksForApproval()
	users := b.users(3, 1)
	topic := func(actor string, id int64, text string) {
		t.Helper()
		_, err := b.d.ChangeTask(t.Context(), actor, id, func(s *push.TaskSpec) error { s.Topic = text; return nil })
		require.NoError(t, err)
	}
	pages := 0
	template := func(actor string) {
		t.Helper()
		template := originalTemplate()
		pages++
		template.Page += fmt.Sprint("&from=", pages)
		_, err := b.d.PutTemplate(t.Context(), actor, template)
		require.NoError(t, err)
	}
	owns := func(id int64, actors ...string) {
		t.Helper()
		for _, actor := range actors {
			_, err := b.d.Approve(t.Context(), actor, id, dispatch.Judgment{Hash: b.task(id).ContentHash})
			refused(t, err, push.RefusedOwnTask)
		}
	}

	id := b.draft(users).ID
	_, err := b.d.UploadAudience(t.Context(), "swapper", id, upload("u0\nu1\n"))
	require.NoError(t, err)
	topic("test", id, "更正") // a later change of another one hides nothing
	owns(id, "test", "swapper")
	b.approve(id, "second")
	topic("second", id, "双十一")
	owns(id, "test", "second")
	b.approve(id, "swapper") // whose change "second" has approved

	template("operator")
	require.Equal(t, push.ApprovalVoid, b.task(id).Approval.State)
	template("other")
	owns(id, "operator", "other")
	b.approve(id, "second")
	_, err = b.d.PutTemplate(t.Context(), "idle", func() push.Template { tp := originalTemplate(); tp.Page += "&from=2"; return tp }())
	require.NoError(t, err)
	topic("test", id, "双十二")
	b.approve(id, "idle") // who wrote what stood there already

	// What a scheduled task has frozen comes into it when it is a draft again.
	_, err = b.d.Send(t.Context(), "second", id, in(time.Hour))
	require.NoError(t, err)
	template("operator")
	b.approve(id, "second")
	_, err = b.d.Unschedule(t.Context(), "second", id)
	require.NoError(t, err)
	require.Equal(t, push.ApprovalVoid, b.task(id).Approval.State)
	owns(id, "operator")
	b.approve(id, "second")
}

func TestApproval_UnapprovedAtItsTimeIsMissed(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.asksForApproval()
	users := b.users(2, 3)
	missed, begun := b.draft(users).ID, b.draft(users).ID
	for _, id := range []int64{missed, begun} {
		_, err := b.d.Send(t.Context(), "second", id, in(time.Hour)) // it may be approved until then
		require.NoError(t, err)
	}
	b.approve(begun, "second")
	b.exec(`UPDATE task SET start_at = now() - interval '1 second'`)
	b.d.StartDue(t.Context())
	require.Equal(t, push.TaskSending, b.task(begun).State)
	task := b.task(missed)
	require.Equal(t, push.TaskMissed, task.State)
	require.Contains(t, task.Note, "not approved")
	require.Zero(t, b.count(`SELECT count(*) FROM river.river_job WHERE kind = 'start_task' AND args @> jsonb_build_object('task_id', $1::bigint)`, missed))

	_, err := b.d.Send(t.Context(), "second", missed, nil)
	refused(t, err, push.RefusedNotApproved)
	b.approve(missed, "second")
	b.send(missed)
	require.Equal(t, push.TaskSending, b.task(missed).State)
}

// A send that waits for a change meets what the change made.
func TestApproval_AChangeUnderWayIsNotOvertaken(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.asksForApproval()
	id := b.draft(b.users(2, 1)).ID
	b.approve(id, "second")
	sent := make(chan error, 1)
	_, err := b.d.ChangeTask(t.Context(), "author", id, func(s *push.TaskSpec) error {
		s.Topic = "更正"
		go func() {
			_, err := b.d.Send(t.Context(), "second", id, nil)
			sent <- err
		}()
		b.eventually("the send waits for the task", func() bool {
			return b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
		})
		return nil
	})
	require.NoError(t, err)
	refused(t, <-sent, push.RefusedNotApproved)
	require.Equal(t, push.TaskDraft, b.task(id).State)
}

// Whatever let a task go: its chunks are made only of what was approved.
func TestApproval_IsAskedForWhereTheChunksAreMade(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	id := b.draft(b.users(2, 1)).ID
	b.send(id)
	b.asksForApproval()
	require.NoError(t, b.d.Plan(t.Context(), id))
	task := b.task(id)
	require.Equal(t, push.TaskPaused, task.State)
	require.Equal(t, []push.Cause{push.CauseOperator}, task.Causes)
	require.Zero(t, b.count(`SELECT count(*) FROM chunk`))
	_, err := b.d.Resume(t.Context(), "second", id)
	refused(t, err, push.RefusedNotApproved)
	b.approve(id, "second")
	_, err = b.d.Resume(t.Context(), "second", id)
	require.NoError(t, err)
	require.NoError(t, b.d.Plan(t.Context(), id))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM chunk`))
	require.Equal(t, push.Approved, b.task(id).Approval.State)
}

// Nobody has seen what a tick sends: in an app that asks for approval no schedule runs.
func TestApproval_NoScheduleRunsWithout(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(1, 1)
	s := b.recurring(nil)
	b.asksForApproval()
	b.reach(*s.NextAt, time.Second)
	require.Equal(t, "refused:not_approved", outcomes(b.dealt(s.ID)))
	require.Zero(t, b.count(`SELECT count(*) FROM task`))
	_, err := b.d.PauseSchedule(t.Context(), "approver", s.ID)
	require.NoError(t, err)
	_, err = b.d.ResumeSchedule(t.Context(), "approver", s.ID)
	refused(t, err, push.RefusedNotApproved)
}

func TestSendSeen_WhatIsNotWhatWasSeen_IsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(1, 1))
	seen := task.ContentHash
	_, err := b.d.ChangeTask(t.Context(), "other", task.ID, func(s *push.TaskSpec) error { s.Topic = "另一个"; return nil })
	require.NoError(t, err)
	for _, hash := range []string{"", seen, seen[:12]} {
		for _, at := range []*time.Time{nil, in(time.Hour)} {
			_, err = b.d.SendSeen(t.Context(), "second", task.ID, at, hash)
			refused(t, err, push.RefusedContentChanged)
		}
	}
	task, err = b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, push.TaskDraft, task.State)
	task, err = b.d.SendSeen(t.Context(), "second", task.ID, in(time.Hour), task.ContentHash[:12])
	require.NoError(t, err)
	_, err = b.d.SendSeen(t.Context(), "second", task.ID, in(2*time.Hour), seen)
	refused(t, err, push.RefusedContentChanged)
	_, err = b.d.SendSeen(t.Context(), "second", task.ID, nil, task.ContentHash)
	refused(t, err, push.RefusedAlreadyScheduled)
}

// A task waits for an approval from when it goes to somebody until somebody else has spoken, and again once it was changed.
func TestApproval_IsAwaitedByThoseWhoMayGiveIt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.asksForApproval()
	waits := func(id int64, want int) {
		t.Helper()
		n, err := b.st.CountAwaiting(t.Context(), nil, "second", 10)
		require.NoError(t, err)
		require.Equal(t, want, n)
		listed, err := b.st.Tasks(t.Context(), store.TaskFilter{Awaiting: true, Judge: "second", Limit: 10})
		require.NoError(t, err)
		require.Len(t, listed, want)
		require.Equal(t, want == 1, b.task(id).Approval.Awaited)
		own, err := b.st.CountAwaiting(t.Context(), nil, "test", 10)
		require.NoError(t, err)
		require.Zero(t, own, "nobody may approve what is their own")
		other, err := b.st.CountAwaiting(t.Context(), []int32{b.app.ID + 1}, "second", 10)
		require.NoError(t, err)
		require.Zero(t, other, "another app's")
	}
	users := b.users(2, 1)
	waits(b.draft(nil).ID, 0)
	id := b.draft(users).ID
	change := func(topic string) {
		_, err := b.d.ChangeTask(t.Context(), "test", id, func(s *push.TaskSpec) error { s.Topic = topic; return nil })
		require.NoError(t, err)
	}
	waits(id, 1)
	b.approve(id, "second")
	waits(id, 0)
	change("更正")
	waits(id, 1)
	_, err := b.d.Reject(t.Context(), "second", id, dispatch.Judgment{Hash: b.task(id).ContentHash, Note: "错别字"})
	require.NoError(t, err)
	waits(id, 0)
	change("再更正")
	_, err = b.d.Send(t.Context(), "second", id, in(time.Hour))
	require.NoError(t, err)
	waits(id, 1) // it is scheduled, and would be missed
	b.approve(id, "second")
	waits(id, 0)
}
