package dispatch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// list reads the users of a task's list with their columns, in order.
func (b *bundle) list(task int64) (list []string) {
	b.t.Helper()
	rows, err := b.st.Recipients(b.t.Context(), task, store.RecipientFilter{After: -1, Limit: 1 << 20})
	require.NoError(b.t, err)
	for i, r := range rows {
		require.Equal(b.t, int32(i), r.Seq)
		require.Equal(b.t, push.Pending, r.State)
		list = append(list, strings.Join(append([]string{r.UserID}, r.Vars...), ","))
	}
	return list
}

// A resend is a draft with the same content for those who ended for the reasons named, with their columns, and for nobody else; it says
// where it comes from. Sent, it reaches them, and whoever had the message has it once (invariant 7).
func TestResend_ReachesThoseWhoDidNotGetIt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 0)
	b.permits(users[:40], 1)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40003, OpenIDs: []string{openID("u7"), openID("u8")}}}})
	task, err := b.d.CreateTask(t.Context(), "mary", spec())
	require.NoError(t, err)
	var text strings.Builder
	text.WriteString("user_id,city\n")
	for i, u := range users {
		fmt.Fprintf(&text, "%s,city %d\n", u, i)
	}
	_, err = b.d.UploadAudience(t.Context(), "mary", task.ID, upload(text.String()))
	require.NoError(t, err)
	b.work(b.d)
	b.send(task.ID)
	_, err = b.d.Resend(t.Context(), "mary", task.ID, []push.Reason{push.NoPermit})
	refused(t, err, push.RefusedWrongState)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 60, Sent: 38, Failed: 2, Skipped: 20}, b.audit(task.ID).Counts)

	before := b.ledger()
	_, err = b.d.Resend(t.Context(), "mary", task.ID, []push.Reason{push.Unsure, push.Capped})
	refused(t, err, push.RefusedEmptyAudience)
	_, err = b.d.Resend(t.Context(), "mary", task.ID, nil)
	invalid(t, err, "reasons", "required")
	require.Equal(t, before, b.ledger())

	draft, err := b.d.Resend(t.Context(), "john", task.ID, []push.Reason{push.NoPermit, push.BadOpenID})
	require.NoError(t, err)
	require.Equal(t, push.TaskDraft, draft.State)
	require.Equal(t, task.ID, *draft.SourceTaskID)
	require.Equal(t, "john", draft.CreatedBy)
	require.Equal(t, task.TaskSpec, draft.TaskSpec)
	want := []string{"u7,city 7", "u8,city 8"}
	for i, u := range users[40:] {
		want = append(want, fmt.Sprintf("%s,city %d", u, i+40))
	}
	require.Equal(t, want, b.list(draft.ID))
	list, err := b.st.Audience(t.Context(), draft.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"city"}, list.Columns)
	require.Equal(t, 22, list.Accepted)

	b.faults(sim.Faults{})
	b.permits(append([]string{"u7", "u8"}, users[40:]...), 1)
	b.send(draft.ID)
	b.wait(draft.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 22, Sent: 22}, b.audit(draft.ID).Counts)
	b.once(users)
}

// A clone has the content and the list, whatever the state of its source; times that have passed stay behind.
func TestClone_ContentAndList(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(5, 1)
	source := b.draft(users)
	b.exec(`UPDATE task SET not_after = now() - interval '1 day', wait_for_permit_until = now() + interval '1 day', on_unknown = 'resend' WHERE id = $1`, source.ID)
	clone, err := b.d.Clone(t.Context(), "john", source.ID, true)
	require.NoError(t, err)
	require.Equal(t, users, b.list(clone.ID))
	require.Nil(t, clone.NotAfter)
	require.NotNil(t, clone.WaitForPermitUntil)
	require.Equal(t, "resend", clone.OnUnknown)
	require.Equal(t, source.Topic, clone.Topic)
	bare, err := b.d.Clone(t.Context(), "john", source.ID, false)
	require.NoError(t, err)
	require.Zero(t, bare.Counts.Total)

	all := spec()
	all.Audience = push.AudienceAll
	everyone, err := b.d.CreateTask(t.Context(), "mary", all)
	require.NoError(t, err)
	b.work(b.d)
	b.send(everyone.ID)
	b.wait(everyone.ID, push.TaskDone)
	again, err := b.d.Clone(t.Context(), "john", everyone.ID, true)
	require.NoError(t, err)
	require.Equal(t, push.AudienceAll, again.Audience)
	require.Zero(t, again.Counts.Total, "everyone anew")

	require.NoError(t, b.d.DeleteTask(t.Context(), source.ID))
	clone, err = b.st.Task(t.Context(), clone.ID)
	require.NoError(t, err)
	require.Nil(t, clone.SourceTaskID)
	require.Len(t, b.list(clone.ID), 5)
}

// big makes a draft whose list is longer than one page of a copy.
func (b *bundle) big(n int) push.Task {
	b.t.Helper()
	t := b.draft([]string{"x"})
	b.exec(`INSERT INTO recipient (audience_id, seq, user_id) SELECT audience_id, g, 'v' || g FROM task, generate_series(1, $2::int - 1) g WHERE id = $1`, t.ID, n)
	b.exec(`UPDATE audience SET total = $2, accepted = $2 WHERE task_id = $1`, t.ID, n)
	return t
}

// A long list is copied page by page, by two at the same time or by one who goes on where another one died, and comes in force as a
// whole; until then the draft has none, says so, and cannot be sent.
func TestCopy_LongListByPages(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	source := b.big(25_000)
	clone, err := b.d.Clone(t.Context(), "john", source.ID, true)
	require.NoError(t, err)
	require.Zero(t, clone.Counts.Total)
	require.Contains(t, clone.Note, "being copied")
	_, err = b.d.Send(t.Context(), "john", clone.ID, nil)
	refused(t, err, push.RefusedEmptyAudience)
	require.ErrorContains(t, err, "being copied")
	c, ok, err := b.st.CopyOf(t.Context(), clone.ID)
	require.NoError(t, err)
	require.True(t, ok)
	result, n, err := b.st.CopyPage(t.Context(), c, 10_000) // the one who dies
	require.NoError(t, err)
	require.Equal(t, store.CopyMore, result)
	require.Equal(t, 10_000, n)
	b.work(b.d)
	done, err := b.dispatcher().CopyList(t.Context(), clone.ID, nil)
	require.NoError(t, err)
	require.Equal(t, 25_000, done.Counts.Total)
	require.Empty(t, done.Note)
	require.Zero(t, b.count(`SELECT count(*) FROM audience_copy`))
	require.Equal(t, 25_000, b.count(`SELECT count(*) FROM recipient WHERE audience_id = (SELECT audience_id FROM task WHERE id = $1)`, clone.ID))
	require.Equal(t, 25_000, b.count(`SELECT count(*) FROM recipient a JOIN recipient b ON b.seq = a.seq AND b.user_id = a.user_id
		WHERE a.audience_id = (SELECT audience_id FROM task WHERE id = $1) AND b.audience_id = (SELECT audience_id FROM task WHERE id = $2)`, clone.ID, source.ID))

	second, err := b.d.Clone(t.Context(), "john", source.ID, true)
	require.NoError(t, err)
	b.eventually("the workers copy it by themselves", func() bool {
		got, err := b.st.Task(t.Context(), second.ID)
		return err == nil && got.Counts.Total == 25_000
	})
}

// The source's list goes while it is copied, by the purge or by another upload: no half of it comes in force, and the draft says why. An
// upload to the draft wins over the copy; a draft that is deleted ends it.
func TestCopy_LosesToPurgeUploadAndDelete(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(b *bundle, source, clone push.Task){
		"purge": func(b *bundle, source, _ push.Task) {
			b.exec(`UPDATE task SET state = 'canceled', ended_at = now() - interval '181 days', channel = 'form_id', template_name = '', template_page = '', template_fields = '[]', sent_by = 'x' WHERE id = $1`, source.ID)
			require.NoError(b.t, b.d.Purge(b.t.Context()))
		},
		"upload to the source": func(b *bundle, source, _ push.Task) { b.upload(source.ID, []string{"a"}) },
		"upload":               func(b *bundle, _, clone push.Task) { b.upload(clone.ID, []string{"a", "b"}) },
		"delete":               func(b *bundle, _, clone push.Task) { require.NoError(b.t, b.d.DeleteTask(b.t.Context(), clone.ID)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			source := b.big(25_000)
			clone, err := b.d.Clone(t.Context(), "john", source.ID, true)
			require.NoError(t, err)
			c, _, err := b.st.CopyOf(t.Context(), clone.ID)
			require.NoError(t, err)
			_, _, err = b.st.CopyPage(t.Context(), c, 10_000)
			require.NoError(t, err)
			lose(b, source, clone)
			b.work(b.d)
			b.eventually("the copy is over", func() bool { return b.count(`SELECT count(*) FROM audience_copy`) == 0 })
			if name == "delete" {
				require.Zero(t, b.count(`SELECT count(*) FROM task WHERE id = $1`, clone.ID))
			} else {
				var got push.Task
				b.eventually("the note", func() bool {
					got, err = b.st.Task(t.Context(), clone.ID)
					return err == nil && !strings.Contains(got.Note, "being copied")
				})
				require.Equal(t, map[string]int{"upload": 2}[name], got.Counts.Total)
				require.Equal(t, name != "upload", strings.Contains(got.Note, "could not be copied"), got.Note)
			}
			require.NoError(t, b.d.Purge(t.Context()))
			require.Equal(t, map[string]int{"upload": 25_002, "upload to the source": 1, "delete": 25_000}[name], b.count(`SELECT count(*) FROM recipient`))
		})
	}
}

// A task whose rows the purge has taken cannot be sent to again; its content can be cloned.
func TestResend_AfterThePurge(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.Retention.Recipients = 24 * time.Hour })
	users := b.users(3, 0)
	b.permits(users[:1], 1)
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	b.exec(`UPDATE task SET ended_at = now() - interval '25 hours'`)
	require.NoError(t, b.d.Purge(t.Context()))
	_, err := b.d.Resend(t.Context(), "test", task.ID, []push.Reason{push.NoPermit})
	refused(t, err, push.RefusedListGone)
	clone, err := b.d.Clone(t.Context(), "test", task.ID, true)
	require.NoError(t, err)
	require.Zero(t, clone.Counts.Total)
}
