package dispatch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// without takes what a dry run may write out of a dump.
func without(dump map[string]string, tables ...string) map[string]string {
	for _, table := range tables {
		delete(dump, table)
	}
	return dump
}

func reasonCounts(d push.DryRun) map[string]int {
	n := map[string]int{}
	for _, r := range d.Reasons {
		n[r.Code] = r.Count
	}
	return n
}

// A dry run finds, for each recipient, what the send then makes of it.
func TestDryRun_SaysWhatTheSendThenDoes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	template := originalTemplate()
	template.Fields[0].Value = "{{recipient.city}}"
	_, err := b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	users := b.users(8, 1)
	b.exec(`DELETE FROM form_id WHERE user_id IN ('u1', 'u2')`)
	b.exec(`UPDATE app_user SET openid = NULL WHERE user_id = 'u3'`)
	b.exec(`INSERT INTO suppression (app_id, user_id, added_by) SELECT id, 'u4', 'test' FROM app`)
	b.exec(`UPDATE app SET daily_cap = 1`)
	b.exec(`INSERT INTO user_day (openid, app_id, day, tasks) SELECT $1, id, (now() AT TIME ZONE 'Asia/Shanghai')::date, '{1000}' FROM app`, openID("u5"))
	task, err := b.d.CreateTask(t.Context(), "test", spec())
	require.NoError(t, err)
	var list strings.Builder
	list.WriteString("user_id,city\n")
	for _, u := range append(users, "ghost") {
		fmt.Fprintf(&list, "%s,北京\n", u)
	}
	_, err = b.d.UploadAudience(t.Context(), "test", task.ID, upload(list.String()))
	require.NoError(t, err)

	before := without(b.dump(), "public.dry_run")
	found, err := b.d.DryRun(t.Context(), "author", task.ID, nil)
	require.NoError(t, err)
	require.Equal(t, before, without(b.dump(), "public.dry_run"), "nothing else is written")
	require.Equal(t, push.DryDone, found.State)
	require.Equal(t, 9, found.Total)
	require.Equal(t, map[string]int{"no_permit": 2, "no_openid": 1, "no_user": 1, "suppressed": 1, "capped": 1}, reasonCounts(found))
	require.Len(t, found.Examples, found.Total-found.WouldSend)
	require.Equal(t, int32(1), *found.Examples[0].Seq)

	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	sent := b.audit(task.ID)
	require.Equal(t, found.WouldSend, sent.Counts.Sent)
	require.Equal(t, reasonCounts(found), reasonCounts(push.DryRun{Reasons: sent.Reasons}))
}

// What a field of the recipient's own breaks is named, as the run would find it.
func TestDryRun_NamesTheFieldThatDoesNotFit(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(3, 2)
	b.exec(`UPDATE subscription SET available = 0 WHERE openid = $1`, openID("u2"))
	task, err := b.d.CreateTask(t.Context(), "test", subscribeSpec())
	require.NoError(t, err)
	_, err = b.d.UploadAudience(t.Context(), "test", task.ID, upload("user_id,city\nu0,北京\nu1,"+strings.Repeat("长", 30)+"\nu2,上海\n"))
	require.NoError(t, err)
	// The upload would have refused the row, had the template used the column then.
	template := subscribeTemplate()
	template.Fields[0].Value = "{{recipient.city}}"
	_, err = b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	found, err := b.d.DryRun(t.Context(), "author", task.ID, nil)
	require.NoError(t, err)
	require.Equal(t, 1, found.WouldSend)
	require.Equal(t, map[string]int{"field_invalid": 1, "no_permit": 1}, reasonCounts(found))
	require.Equal(t, "u1", found.Examples[0].UserID)
	require.Equal(t, "field thing1: thing must have at most 20 characters", found.Examples[0].Note)
	b.testers(users...)
	testers, err := b.d.Testers(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 2, 0}, []int64{testers[0].Permits, testers[1].Permits, testers[2].Permits})
	require.Nil(t, testers[0].LastsUntil)
	require.Contains(t, testers[2].EN, "allow the messages")

	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	sent := b.audit(task.ID)
	require.Equal(t, found.WouldSend, sent.Counts.Sent)
	require.Equal(t, reasonCounts(found), reasonCounts(push.DryRun{Reasons: sent.Reasons}))
}

func TestDryRun_OfAChangedTaskIsStaleAndOfABegunOneRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(2, 1)
	id := b.draft(users).ID
	_, err := b.d.DryRun(t.Context(), "author", b.draft(nil).ID, nil)
	refused(t, err, push.RefusedEmptyAudience)
	_, err = b.d.DryRun(t.Context(), "author", id, nil)
	require.NoError(t, err)
	b.upload(id, users[:1])
	found, err := b.st.DryRun(t.Context(), id)
	require.NoError(t, err)
	require.True(t, found.Stale)
	found, err = b.d.DryRun(t.Context(), "author", id, nil)
	require.NoError(t, err)
	require.False(t, found.Stale)
	require.Equal(t, 2, found.Run)
	require.Equal(t, 1, found.Total)
	_, err = b.d.ChangeTask(t.Context(), "test", id, func(s *push.TaskSpec) error { s.WaitForPermitUntil = in(time.Hour); return nil })
	require.NoError(t, err)
	b.exec(`DELETE FROM form_id`)
	found, err = b.d.DryRun(t.Context(), "author", id, nil)
	require.NoError(t, err)
	require.Equal(t, 1, found.WouldWait)
	require.Empty(t, found.Reasons)
	b.send(id)
	_, err = b.d.DryRun(t.Context(), "author", id, nil)
	refused(t, err, push.RefusedWrongState)
}

// Everybody is looked at by a job, page by page; whoever finishes it first has finished it.
func TestDryRun_OfEverybodyIsAJob(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.users(7, 1)
	b.exec(`DELETE FROM form_id WHERE user_id = 'u1'`)
	s := spec()
	s.Audience = push.AudienceAll
	task, err := b.d.CreateTask(t.Context(), "test", s)
	require.NoError(t, err)
	found, err := b.d.DryRun(t.Context(), "author", task.ID, nil)
	require.NoError(t, err)
	require.Equal(t, push.DryRunning, found.State)
	b.work(b.d)
	b.eventually("the job ends it", func() bool {
		found, err = b.st.DryRun(t.Context(), task.ID)
		return err == nil && found.State == push.DryDone
	})
	require.Equal(t, 6, found.WouldSend)
	require.Equal(t, 6, found.Total, "who has no permit is not in the audience")
	again, err := b.d.FinishDryRun(t.Context(), task.ID, nil)
	require.NoError(t, err)
	require.Equal(t, found, again)
}

// A list of a million takes pages; a task that changes between them ends the dry run.
func TestDryRun_GoesOnWhereItWasAndNotWithAnotherTask(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(3, 1)
	id := b.draft(users).ID
	// As if 30,000 were there: the first pages are done, the rest is left to a job.
	found, err := b.d.DryRun(t.Context(), "author", id, nil)
	require.NoError(t, err)
	require.Equal(t, 3, found.WouldSend)
	b.exec(`UPDATE dry_run SET state = 'running', ended_at = NULL, cursor = '2'`)
	found, err = b.d.FinishDryRun(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, 4, found.Total, "one more row from the third on")
	b.exec(`UPDATE dry_run SET state = 'running', ended_at = NULL`)
	_, err = b.d.ChangeTask(t.Context(), "test", id, func(s *push.TaskSpec) error { s.Topic = "更正"; return nil })
	require.NoError(t, err)
	found, err = b.d.FinishDryRun(t.Context(), id, nil)
	require.NoError(t, err)
	require.Equal(t, push.DryFailed, found.State)
	require.Contains(t, found.Note, "changed")
}
