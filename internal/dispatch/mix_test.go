package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// One task with everything that can be the matter with a recipient. Invariant 4: each permit ends only on proof. Invariant 8: the
// counts are those of the rows.
func TestMix_EachEndsForItsReason(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const week = 7 * 24 * time.Hour
	with := []string{"fine", "second", "dead1", "dead4", "bad", "refuses", "odd", "dry"}
	var reports []dispatch.UserReport
	for _, u := range with {
		reports = append(reports, dispatch.UserReport{UserID: u, OpenID: openID(u)})
	}
	_, err := b.d.ReportUsers(t.Context(), appKey, append(reports, dispatch.UserReport{UserID: "noid"}))
	require.NoError(t, err)
	b.permit("fine", "f-fine", 0, true)
	b.permit("second", "f-second-2", time.Minute, true)
	b.permit("second", "f-second-1", time.Hour, false)
	b.permit("dead1", "f-dead1", time.Hour, false)
	for i, id := range []string{"f-dead4-1", "f-dead4-2", "f-dead4-3", "f-dead4-4"} {
		b.permit("dead4", id, time.Duration(10-i)*time.Hour, false)
	}
	b.permit("bad", "f-bad", time.Hour, true)
	b.permit("refuses", "f-refuses", time.Hour, true)
	b.permit("odd", "f-odd", time.Hour, true)
	b.permit("dry", "f-dry", week-5*time.Minute, true) // within the margin of its expiry
	b.permit("noid", "f-noid", time.Hour, false)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 40003, OpenIDs: []string{openID("bad")}},
		{Kind: sim.ErrCode, Code: 43101, OpenIDs: []string{openID("refuses")}}, {Kind: sim.ErrCode, Code: 12345, OpenIDs: []string{openID("odd")}}}})

	task := b.draft(append(slices.Clone(with), "noid", "ghost"))
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	done := b.audit(task.ID)
	require.Equal(t, push.Counts{Total: 10, Sent: 2, Failed: 5, Skipped: 3}, done.Counts)
	rows := b.rows(task.ID)
	for user, want := range map[string]struct {
		state  push.RecipientState
		reason push.Reason
		code   int32
	}{
		"fine": {push.Sent, push.NoReason, 0}, "second": {push.Sent, push.NoReason, 0},
		"dead1": {push.Failed, push.PermitDead, 41028}, "dead4": {push.Failed, push.PermitDead, 41028},
		"bad": {push.Failed, push.BadOpenID, 40003}, "refuses": {push.Failed, push.Refused, 43101}, "odd": {push.Failed, push.PlatformError, 12345},
		"dry": {push.Skipped, push.NoPermit, 0}, "noid": {push.Skipped, push.NoOpenID, 0}, "ghost": {push.Skipped, push.NoUser, 0},
	} {
		r := rows[user]
		require.Equal(t, want.state, r.State, user)
		require.Equal(t, want.reason, r.Reason, user)
		if want.code == 0 {
			require.Nil(t, r.PlatformCode, user)
			continue
		}
		require.NotNil(t, r.PlatformCode, user)
		require.Equal(t, want.code, *r.PlatformCode, user)
		require.NotEmpty(t, *r.RID, user)
	}
	require.Equal(t, map[string]string{"f-fine": "used", "f-second-1": "invalid", "f-second-2": "used", "f-dead1": "invalid",
		"f-dead4-1": "invalid", "f-dead4-2": "invalid", "f-dead4-3": "invalid", "f-dead4-4": "available",
		"f-bad": "available", "f-refuses": "available", "f-odd": "available", "f-dry": "available", "f-noid": "available"}, b.fates())
	b.once([]string{"fine", "second"})
	require.Equal(t, "f-second-2", *rows["second"].FormID)
	require.Equal(t, "f-second-2", b.messages("second")[0].FormID)
}

// A complaint about the content of a message that is the same for all pauses the task and costs nothing (invariant 4); the text
// is then changed by the platform's mercy here, and everyone gets it once.
func TestContent_BlockedForAllPausesTheTask(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(30, 1)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 45168}}})
	task := b.draft(users)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskPaused)
	b.quiet()
	paused := b.audit(task.ID)
	require.Equal(t, []push.Cause{push.CauseBreaker}, paused.Causes)
	require.Contains(t, paused.Note, "45168")
	require.Equal(t, 30, paused.Counts.Pending)
	require.Equal(t, 30, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	b.faults(sim.Faults{})
	_, err := b.d.Resume(t.Context(), "test", task.ID)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	b.once(users)
}

// The same complaint about a message that holds the recipient's own data is about that recipient alone.
func TestContent_BlockedForOneFailsThatOne(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	template := originalTemplate()
	template.Fields[0].Value = "{{recipient.姓名}}:{{caption}}" // the field that the platform names
	_, err := b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	users := b.users(3, 1)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.ErrCode, Code: 45168, OpenIDs: []string{openID("u1")}},
		{Kind: sim.ErrCode, Code: 47003, OpenIDs: []string{openID("u2")}}}})
	task := b.draft(nil)
	_, err = b.d.UploadAudience(t.Context(), "test", task.ID, upload("user_id,姓名\nu0,小明\nu1,脏话\nu2,\n"))
	require.NoError(t, err)
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	b.audit(task.ID)
	rows := b.rows(task.ID)
	require.Equal(t, push.Sent, rows["u0"].State)
	require.Equal(t, push.ContentBlocked, rows["u1"].Reason)
	require.Equal(t, push.FieldInvalid, rows["u2"].Reason)
	require.Equal(t, "小明:您的海贝可以兑换新商品啦", b.messages("u0")[0].Data[0].Value)
	require.Equal(t, 2, b.count(`SELECT count(*) FROM form_id WHERE state = 0`))
	b.once(users[:1])
}
