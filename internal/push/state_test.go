package push_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// Every pair of states against the arrows of the design, §3: draft → scheduled → sending ⇄ paused → done; scheduled → scheduled,
// draft, missed; missed may be scheduled again or sent; scheduled, sending and paused may be canceled. A task whose last
// recipient ended while it was paused is done too, one that was held before its time (restored) is scheduled again, and so is a scheduled one that nobody can be reached for.
func TestTaskState_MovesOnlyAlongTheArrows(t *testing.T) {
	t.Parallel()
	all := []push.TaskState{push.TaskDraft, push.TaskScheduled, push.TaskSending, push.TaskPaused, push.TaskDone, push.TaskMissed, push.TaskCanceled}
	arrows := map[push.TaskState][]push.TaskState{
		push.TaskDraft:     {push.TaskScheduled, push.TaskSending},
		push.TaskScheduled: {push.TaskScheduled, push.TaskDraft, push.TaskSending, push.TaskPaused, push.TaskMissed, push.TaskCanceled, push.TaskDone},
		push.TaskMissed:    {push.TaskScheduled, push.TaskSending},
		push.TaskSending:   {push.TaskPaused, push.TaskDone, push.TaskCanceled},
		push.TaskPaused:    {push.TaskSending, push.TaskScheduled, push.TaskDone, push.TaskCanceled},
		push.TaskDone:      nil,
		push.TaskCanceled:  nil,
	}
	for _, from := range all {
		require.True(t, from.Valid())
		require.Equal(t, len(arrows[from]) == 0, from.Final(), from)
		for _, to := range all {
			require.Equal(t, slices.Contains(arrows[from], to), from.CanMove(to), "%s → %s", from, to)
		}
		require.False(t, from.CanMove("nonsense"))
	}
	require.False(t, push.TaskState("nonsense").Valid())
	require.False(t, push.TaskState("nonsense").CanMove(push.TaskDone))
}

// Every pair against §3: pending → sending → sent, failed, unknown; sending → pending; pending → skipped; pending ⇄ waiting;
// unknown → sent, failed. "No other move."
func TestRecipientState_MovesOnlyAlongTheArrows(t *testing.T) {
	t.Parallel()
	arrows := map[push.RecipientState][]push.RecipientState{
		push.Pending: {push.Sending, push.Skipped, push.Waiting},
		push.Waiting: {push.Pending},
		push.Sending: {push.Sent, push.Failed, push.Unknown, push.Pending},
		push.Unknown: {push.Sent, push.Failed},
	}
	require.Len(t, push.RecipientStates(), 7)
	for _, from := range push.RecipientStates() {
		for _, to := range push.RecipientStates() {
			require.Equal(t, slices.Contains(arrows[from], to), from.CanMove(to), "%s → %s", from, to)
		}
	}
	require.False(t, push.RecipientState(99).CanMove(push.Sent))
}

func TestRecipientState_IsWrittenByName(t *testing.T) {
	t.Parallel()
	for _, s := range push.RecipientStates() {
		body, err := json.Marshal(s)
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf("%q", s), string(body))
		var back push.RecipientState
		require.NoError(t, json.Unmarshal(body, &back))
		require.Equal(t, s, back)
	}
	require.Equal(t, "invalid", push.RecipientState(7).String())
	var s push.RecipientState
	invalid(t, s.UnmarshalText([]byte("gone")), "state", "unknown_state")
}

// Reasons of §3: each leads to one of the three end states that is not sent, and has a text in both languages.
func TestReasons_AreWholeAndStable(t *testing.T) {
	t.Parallel()
	states := map[string]push.RecipientState{
		"no_user": push.Skipped, "no_openid": push.Skipped, "no_permit": push.Skipped, "duplicate_openid": push.Skipped, "suppressed": push.Skipped,
		"capped": push.Skipped, "canceled": push.Skipped, "bad_openid": push.Failed, "refused": push.Failed, "permit_dead": push.Failed,
		"field_invalid": push.Failed, "content_blocked": push.Failed, "platform_error": push.Failed, "unsure": push.Unknown,
	}
	require.Len(t, push.Reasons(), len(states))
	for _, r := range push.Reasons() {
		text := r.Text()
		require.Contains(t, states, text.Code)
		require.Equal(t, states[text.Code], text.State, text.Code)
		require.NotEmpty(t, text.ZH)
		require.NotEmpty(t, text.EN)
		back, ok := push.ParseReason(r.String())
		require.True(t, ok)
		require.Equal(t, r, back)
	}
	require.Equal(t, "用户不存在或者openid不存在", push.NoUser.Text().ZH)
	none, ok := push.ParseReason("")
	require.True(t, ok)
	require.Equal(t, push.NoReason, none)
	require.Zero(t, push.NoReason.Text())
	_, ok = push.ParseReason("bad")
	require.False(t, ok)
	var r push.Reason
	invalid(t, r.UnmarshalText([]byte("bad")), "reason", "unknown_reason")
}

func TestRefusal_CarriesTheOriginalsTexts(t *testing.T) {
	t.Parallel()
	for code, text := range map[push.RefusalCode]string{
		push.RefusedAlreadySent: "此任务已发送id=98", push.RefusedAlreadyScheduled: "此任务已排期id=98", push.RefusedEmptyAudience: "还没有上传用户ID",
		push.RefusedNoPermit: "没有formid", push.RefusedTooManyRequests: "操作过于频繁,请稍后再试!",
	} {
		r := push.Refusal{Code: code, TaskID: 98}
		require.Equal(t, text, r.ZH())
		require.NotEqual(t, string(code), r.EN())
	}
	require.Equal(t, "没有订阅次数", (&push.Refusal{Code: push.RefusedNoPermit, Channel: push.ChannelSubscribe}).ZH())
	for _, code := range []push.RefusalCode{push.RefusedProductOffShelf, push.RefusedWrongState, push.RefusedUnknownVariable, push.RefusedAppPaused, push.RefusedInUse, push.RefusedNotUnknown, push.RefusedListGone, push.RefusedScheduleRuns} {
		r := push.Refusal{Code: code, Detail: "why"}
		require.NotEqual(t, string(code), r.ZH())
		require.Contains(t, r.Error(), ": why")
	}
}
