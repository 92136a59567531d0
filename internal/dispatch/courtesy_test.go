package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

func (b *bundle) dailyCap(n int) {
	b.t.Helper()
	_, err := b.d.SetAppSettings(b.t.Context(), "test", appKey, func(s *push.AppSettings) error { s.DailyCap = n; return nil })
	require.NoError(b.t, err)
}

func reasons(t push.Task) map[string]int {
	n := map[string]int{}
	for _, r := range t.Reasons {
		n[r.Code] = r.Count
	}
	return n
}

// Whoever is put on the list while a task is being sent gets no message any more, whichever daemon's turn it is.
func TestSuppress_WhileSending_HoldsForAllWhoseTurnIsStillToCome(t *testing.T) {
	t.Parallel()
	b := setup(t, slow)
	task := b.midway(400, 20)
	b.work(b.dispatcher())
	var list []dispatch.SuppressionReport
	for _, u := range b.names(400)[200:] {
		list = append(list, dispatch.SuppressionReport{OpenID: openID(u), Note: "asked by phone"})
	}
	got, err := b.d.Suppress(t.Context(), "test", push.AllApps, list)
	require.NoError(t, err)
	require.Equal(t, 200, got.Accepted)
	now, err := b.st.Task(t.Context(), task.ID)
	require.NoError(t, err)
	before := now.Counts
	b.wait(task.ID, push.TaskDone)
	end := b.audit(task.ID)
	require.Equal(t, 400, end.Counts.Sent+end.Counts.Skipped)
	require.Equal(t, end.Counts.Skipped, reasons(end)["suppressed"])
	require.NotZero(t, end.Counts.Skipped)
	for u, r := range b.rows(task.ID) {
		want := 0
		if r.State == push.Sent {
			want = 1
		}
		require.Len(t, b.messages(u), want, "%s %s", u, r.State)
	}
	atWork := 0
	for _, u := range b.names(400)[200:] {
		atWork += len(b.messages(u))
	}
	require.LessOrEqual(t, atWork, before.Sent+before.Sending+2*b.conf.InFlight, "only those that were under way")
}

func TestSuppress_BadItems_AreRejectedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	got, err := b.d.Suppress(t.Context(), "me", appKey, []dispatch.SuppressionReport{
		{UserID: "1"}, {}, {UserID: "2", OpenID: "o2"}, {UserID: "a b"}, {OpenID: "o3", Note: "line\nbreak"}, {UserID: "1", Note: "again"}, {OpenID: "1"}})
	require.NoError(t, err)
	require.Equal(t, 2, got.Accepted)
	require.Equal(t, 1, got.Duplicate)
	var codes []string
	for _, r := range got.Rejected {
		codes = append(codes, r.Code)
		require.NotEmpty(t, r.MessageZH)
	}
	require.Equal(t, []string{"one_of", "one_of", "bad_characters", "control_character"}, codes)
	_, err = b.d.Suppress(t.Context(), "me", "nope", []dispatch.SuppressionReport{{UserID: "1"}})
	require.ErrorIs(t, err, push.ErrNotFound)
	require.NoError(t, b.d.UnsuppressPerson(t.Context(), "me", appKey, "1", ""))
	require.ErrorIs(t, b.d.UnsuppressPerson(t.Context(), "me", appKey, "1", ""), push.ErrNotFound)
	invalid(t, b.d.UnsuppressPerson(t.Context(), "me", appKey, "1", "1"), "user_id", "one_of")
	require.NoError(t, b.d.UnsuppressPerson(t.Context(), "me", appKey, "", "1"))
}

// Two tasks to the same users on two daemons, cap 1: each person gets one message by the platform's own ledger, and the other task skips them.
func TestDailyCap_TwoTasksOnTwoDaemons_EachPersonGetsTheDaysShare(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(300, 3)
	b.dailyCap(1)
	first, second := b.draft(users), b.draft(users)
	b.send(first.ID)
	b.send(second.ID)
	b.work(b.d)
	b.work(b.dispatcher())
	b.wait(first.ID, push.TaskDone)
	b.wait(second.ID, push.TaskDone)
	b.once(users)
	one, two := b.audit(first.ID), b.audit(second.ID)
	require.Equal(t, 300, one.Counts.Sent+two.Counts.Sent)
	require.Equal(t, 300, reasons(one)["capped"]+reasons(two)["capped"])
	require.Zero(t, b.count(`SELECT count(*) FROM form_id WHERE state = 1`))
	require.Equal(t, 600, b.count(`SELECT count(*) FROM form_id WHERE state = 0`), "a capped recipient costs no permit")
	_, err := b.d.Send(t.Context(), "test", b.draft(users).ID, nil)
	refused(t, err, push.RefusedNoPermit)
}

// What certainly did not arrive does not count: after refusals, dead permits and calls that were not made, the day's message is still to be had.
func TestDailyCap_CertainFailures_GiveTheDaysMessageBack(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(30, 4)
	b.dailyCap(1)
	b.faults(sim.Faults{Rules: []sim.Rule{
		{Kind: sim.ErrCode, Code: 40003, OpenIDs: []string{openID("u0"), openID("u1")}},   // fails for good
		{Kind: sim.ErrCode, Code: 41029, OpenIDs: []string{openID("u2")}},                 // every permit dead
		{Kind: sim.SystemError, OpenIDs: []string{openID("u3"), openID("u4")}, Count: 1},  // tried again
		{Kind: sim.TokenInvalid, OpenIDs: []string{openID("u5")}, Count: 1},               // not the recipient's trouble
		{Kind: sim.Drop, AfterDelivery: true, OpenIDs: []string{openID("u6")}, Count: 1}}, // arrived, and the answer was lost
	})
	task := b.draft(users)
	b.send(task.ID)
	b.work(b.d)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, 27, b.audit(task.ID).Counts.Sent)
	require.Equal(t, 27, b.count(`SELECT count(*) FROM user_day WHERE tasks = ARRAY[$1::bigint]`, task.ID))
	b.faults(sim.Faults{})
	again := b.draft(users)
	b.send(again.ID)
	b.wait(again.ID, push.TaskDone)
	require.Equal(t, 3, b.audit(again.ID).Counts.Sent, "who got nothing by the first one")
	b.once(users)
}
