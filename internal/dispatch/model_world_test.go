package dispatch_test

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"minipush/internal/dispatch"
	"minipush/internal/sim"
)

// What happens around the daemons: users, formIds, the platform's moods, and time.

// permitKind is what a formId is to the platform.
type permitKind int

const (
	goodPermit   permitKind = iota
	deadPermit              // the platform does not know it
	burnedPermit            // the platform has seen it used
)

// burnedTopic is what the messages said that used up the burned ones.
const burnedTopic = "burned"

// reportUser reports a user with an openid of its own, with one that another user had, or with none.
func (w *world) reportUser() {
	user := rapid.SampledFrom(w.users).Draw(w.t, "user")
	openid := rapid.SampledFrom([]string{openID(user), openID(user) + "-new", openID(rapid.SampledFrom(w.users).Draw(w.t, "openid of")), ""}).Draw(w.t, "openid")
	got, err := w.daemon().ReportUsers(w.ctx, appKey, []dispatch.UserReport{{UserID: user, OpenID: openid}})
	require.NoError(w.r, err)
	require.Equal(w.r, 1, got.Accepted)
	w.noteMoves()
	require.Equal(w.r, openid, w.openIDOf(user), "the newest report wins (invariant 3)")
}

// noteMoves notes whose openid is not the one that their first formIds were made for.
func (w *world) noteMoves() {
	for _, u := range w.users {
		if w.openIDOf(u) != openID(u) {
			w.moved[u] = true
		}
	}
}

func (w *world) openIDOf(user string) string {
	found := w.texts(`SELECT coalesce(openid, '') FROM app_user WHERE user_id = $1`, user)
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// collect takes in formIds of a user, one of them twice.
func (w *world) collect() {
	user := rapid.SampledFrom(w.users).Draw(w.t, "user")
	kind := rapid.SampledFrom([]permitKind{goodPermit, goodPermit, goodPermit, deadPermit, burnedPermit}).Draw(w.t, "kind")
	for range rapid.IntRange(1, 3).Draw(w.t, "how many") {
		life := rapid.SampledFrom([]time.Duration{5 * time.Minute, 30 * time.Minute, 12 * time.Hour, 7 * 24 * time.Hour}).Draw(w.t, "life")
		w.give(user, w.openIDOf(user), kind, life)
	}
}

// give reports a formId that ends life from now, a second or two less, so that no two end at the same time.
func (w *world) give(user, openid string, kind permitKind, life time.Duration) {
	w.platform.minted++
	formID := fmt.Sprintf("model-%d", w.platform.minted)
	at := time.Now().Add(life - 7*24*time.Hour).Add(-time.Duration(w.platform.minted%50) * 100 * time.Millisecond)
	report := []dispatch.FormIDReport{{UserID: user, FormID: formID, Source: 4, SubmittedAt: &at}}
	if life > 6*24*time.Hour {
		report[0].SubmittedAt = nil
	}
	if openid == "" {
		kind = deadPermit
	}
	if kind != deadPermit {
		w.sim.Preload(appID, []sim.Permit{{OpenID: openid, FormID: formID}})
	}
	w.permits[formID] = &modelPermit{user: user, openID: openid, dead: kind == deadPermit, burned: kind == burnedPermit}
	if kind == burnedPermit {
		mood := w.sim.Faults()
		require.NoError(w.r, w.sim.SetFaults(sim.Faults{}))
		w.late(openid, formID, burnedTopic)
		require.NoError(w.r, w.sim.SetFaults(mood))
	}
	for _, want := range []dispatch.Received{{Accepted: 1, Rejected: []dispatch.Rejection{}}, {Duplicate: 1, Rejected: []dispatch.Rejection{}}} {
		got, err := w.daemons[0].ReportFormIDs(w.ctx, appKey, report)
		require.NoError(w.r, err)
		require.Equal(w.r, want, got)
	}
}

func (w *world) expire() {
	require.NoError(w.r, w.daemon().ExpireFormIDs(w.ctx))
	require.Zero(w.r, w.count(`SELECT count(*) FROM form_id WHERE state = 0 AND expires_at <= now() - interval '1 hour'`))
}

// moods are what the platform can be told to do to a call. A formId that is said to be dead or used is so from its birth instead:
// a platform that lied about them could make anybody send twice.
func moods() []sim.Rule {
	return []sim.Rule{
		{Kind: sim.ErrCode, Code: 45009}, {Kind: sim.ErrCode, Code: 45011}, {Kind: sim.ErrCode, Code: 40003}, {Kind: sim.ErrCode, Code: 43101},
		{Kind: sim.ErrCode, Code: 41030}, {Kind: sim.ErrCode, Code: 43108}, {Kind: sim.ErrCode, Code: 99999}, {Kind: sim.TokenInvalid},
		{Kind: sim.Drop}, {Kind: sim.Drop, AfterDelivery: true}, {Kind: sim.Reset, AfterDelivery: true}, {Kind: sim.Unavailable},
		{Kind: sim.Unavailable, AfterDelivery: true}, {Kind: sim.GatewayPage, AfterDelivery: true}, {Kind: sim.Empty}, {Kind: sim.NoErrCode, AfterDelivery: true},
		{Kind: sim.SystemError}, {Kind: sim.SystemError, AfterDelivery: true},
	}
}

// setFaults gives the platform a mood: for some users or for all, once, twice or until the next mood.
func (w *world) setFaults() {
	var f sim.Faults
	for range rapid.IntRange(0, 4).Draw(w.t, "rules") {
		rule := rapid.SampledFrom(moods()).Draw(w.t, "mood")
		rule.Count = int64(rapid.IntRange(1, 3).Draw(w.t, "times"))
		if rapid.Bool().Draw(w.t, "for one") {
			rule.OpenIDs = []string{openID(rapid.SampledFrom(w.users).Draw(w.t, "whom"))}
		}
		w.faulty[rule.Code] = true
		f.Rules = append(f.Rules, rule)
	}
	require.NoError(w.r, w.sim.SetFaults(f))
}

// passTime moves every time in the tables back, which is to the daemons as if it had passed.
func (w *world) passTime() {
	by := rapid.SampledFrom([]time.Duration{3 * time.Second, time.Minute, 20 * time.Minute, 13 * time.Hour}).Draw(w.t, "time")
	w.shift(by, true)
}

func (w *world) shift(by time.Duration, permits bool) {
	w.exec(`UPDATE recipient SET retry_at = retry_at - $1::interval WHERE retry_at IS NOT NULL`, by)
	w.exec(`UPDATE chunk SET not_before = not_before - $1::interval, queued_at = queued_at - $1::interval, updated_at = updated_at - $1::interval WHERE state <> 'done'`, by)
	w.exec(`UPDATE task SET start_at = start_at - $1::interval, started_at = started_at - $1::interval, wait_for_permit_until = wait_for_permit_until - $1::interval WHERE state IN ('scheduled', 'sending', 'paused')`, by)
	w.exec(`UPDATE river.river_job SET scheduled_at = scheduled_at - $1::interval WHERE state IN ('available', 'scheduled')`, by)
	w.exec(`UPDATE app SET quota_until = quota_until - $1::interval`, by)
	if permits {
		w.exec(`UPDATE form_id SET expires_at = expires_at - $1::interval`, by)
		w.exec(`UPDATE sweeper SET last_success_at = last_success_at - $1::interval`, by)
	}
}
