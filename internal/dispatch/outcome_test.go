package dispatch

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

// said is the part of a verdict that the table speaks of.
type said struct {
	state     push.RecipientState
	reason    push.Reason
	permit    store.PermitFate
	ambiguous bool
	inferred  bool
	counted   bool
	next      bool
	pause     push.Cause
	retryIn   time.Duration // 0: at once, or never
}

const margin = 10 * time.Minute

// at is a quarter past a minute, so that the next minute begins 45 s later.
func answerTime() time.Time { return time.Date(2026, 11, 23, 10, 0, 15, 0, time.UTC) }

func answerOf(r wechat.Result, ambiguous bool) answer {
	return answer{started: true, channel: provider.For(push.ChannelFormID), at: answerTime(), result: r, Claimed: store.Claimed{Seq: 7, PermitID: 9, Attempt: 1,
		Ambiguous: ambiguous, ExpiresAt: answerTime().Add(time.Hour)}}
}

func verdictOf(v verdict) said {
	s := said{v.State, v.Reason, v.Permit, v.Ambiguous, v.Inferred, !v.NotCounted, v.next, v.pause, 0}
	s.retryIn = v.RetryIn
	return s
}

// TestJudge_EveryClass is the table of what an answer means: every class, first for a recipient without a past, whose message is
// its own or everybody's, and then after an attempt whose outcome is not known. Invariant 4: a permit ends only on proof.
// Invariant 5: only 0, 41029 and 41028 end an ambiguity.
func TestJudge_EveryClass(t *testing.T) {
	t.Parallel()
	var (
		sent     = said{state: push.Sent, permit: store.PermitSpent, counted: true}
		inferred = said{state: push.Sent, permit: store.PermitSpent, counted: true, inferred: true}
		died     = said{state: push.Pending, permit: store.PermitDied, next: true}
		kept     = said{state: push.Pending, permit: store.PermitKept, ambiguous: true, counted: true, retryIn: time.Second}
	)
	failed := func(r push.Reason) said {
		return said{state: push.Failed, reason: r, permit: store.PermitFreed, counted: true}
	}
	released := func(cause push.Cause, in time.Duration) said {
		return said{state: push.Pending, permit: store.PermitFreed, pause: cause, retryIn: in}
	}
	keptAndPaused := func(cause push.Cause) said { s := kept; s.pause = cause; return s }
	retried := said{state: push.Pending, permit: store.PermitFreed, counted: true, retryIn: time.Second}

	for _, c := range []struct {
		class                   wechat.Class
		code                    int
		static, personal, after said
	}{
		{wechat.ClassOK, 0, sent, sent, sent},
		{wechat.ClassToken, 40001, retried, retried, kept},
		{wechat.ClassRetry, 43108, retried, retried, kept},
		{wechat.ClassRate, 45011, released("", 45*time.Second), released("", 45*time.Second), kept},
		{wechat.ClassQuota, 45009, released(push.CauseQuota, 0), released(push.CauseQuota, 0), keptAndPaused(push.CauseQuota)},
		{wechat.ClassPermitDead, 41028, died, died, died},
		{wechat.ClassPermitDead, 41031, died, died, kept},
		{wechat.ClassPermitUsed, 41029, died, died, inferred},
		{wechat.ClassNoPermit, 43101, failed(push.Refused), failed(push.Refused), kept},
		{wechat.ClassRecipient, 40003, failed(push.BadOpenID), failed(push.BadOpenID), kept},
		{wechat.ClassField, 47003, released(push.CauseBreaker, 0), failed(push.FieldInvalid), keptAndPaused(push.CauseBreaker)},
		{wechat.ClassContent, 45168, released(push.CauseBreaker, 0), failed(push.ContentBlocked), keptAndPaused(push.CauseBreaker)},
		{wechat.ClassPauseTask, 41030, released(push.CauseBreaker, 0), released(push.CauseBreaker, 0), keptAndPaused(push.CauseBreaker)},
		{wechat.ClassPauseApp, 48001, released(push.CauseBreaker, 0), released(push.CauseBreaker, 0), keptAndPaused(push.CauseBreaker)},
		{wechat.ClassConfig, 40013, released(push.CauseBreaker, 0), released(push.CauseBreaker, 0), keptAndPaused(push.CauseBreaker)},
		{wechat.ClassFailed, 12345, failed(push.PlatformError), failed(push.PlatformError), kept},
		{0, 0, failed(push.PlatformError), failed(push.PlatformError), kept},
	} {
		t.Run(fmt.Sprint(c.class, " ", c.code), func(t *testing.T) {
			t.Parallel()
			r := wechat.Result{Class: c.class, Code: c.code, Msg: "text"}
			for _, a := range []struct {
				name                string
				ambiguous, personal bool
				want                said
			}{
				{"static", false, false, c.static}, {"personal", false, true, c.personal},
				{"static after ambiguous", true, false, c.after}, {"personal after ambiguous", true, true, c.after},
			} {
				v := judge(answerOf(r, a.ambiguous), a.personal, margin)
				require.Equal(t, a.want, verdictOf(v), a.name)
				require.Equal(t, int32(7), v.Seq)
				require.Equal(t, int64(9), v.PermitID)
				require.True(t, push.Sending.CanMove(v.State), "%v is not reached from sending", v.State)
				if v.pause != "" {
					require.NotEmpty(t, v.advice)
				}
			}
		})
	}
}

// Every class of the client stands in the table above: a new one must be given a meaning.
func TestJudge_KnowsEveryClass(t *testing.T) {
	t.Parallel()
	require.Equal(t, "failed", wechat.ClassFailed.String())
	require.Equal(t, "none", (wechat.ClassFailed + 1).String(), "a class was added: say in TestJudge_EveryClass what it means")
}

// Invariant 5: an answer that leaves open whether the message went out keeps the permit, whatever went before.
func TestJudge_AmbiguousAnswerKeepsThePermit(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		for _, code := range []int{0, -1} {
			a := answerOf(wechat.Result{Class: wechat.ClassRetry, Code: code, Ambiguous: true, Err: errors.New("cut off")}, before)
			a.Attempt = 40 // no number of attempts ends it
			got := verdictOf(judge(a, false, margin))
			require.Equal(t, said{state: push.Pending, permit: store.PermitKept, ambiguous: true, counted: true, retryIn: time.Minute}, got)
		}
	}
}

// Invariant 5: 41028 after an ambiguous attempt is proof only while the formId is unexpired by our clock, less the margin.
func TestJudge_DeadPermitAfterAmbiguousOnlyWhileUnexpired(t *testing.T) {
	t.Parallel()
	r := wechat.Result{Class: wechat.ClassPermitDead, Code: codeInvalidFormID, Msg: "invalid form id"}
	for _, c := range []struct {
		left  time.Duration
		state push.RecipientState
	}{
		{margin + time.Second, push.Pending},
		{margin, push.Unknown},
		{margin - time.Second, push.Unknown},
		{-time.Second, push.Unknown},
	} {
		a := answerOf(r, true)
		a.ExpiresAt = answerTime().Add(c.left)
		v := judge(a, false, margin)
		require.Equal(t, c.state, v.State, c.left)
		if c.state == push.Unknown {
			require.Equal(t, push.Unsure, v.Reason)
			require.Equal(t, store.PermitKept, v.Permit)
			require.True(t, v.Ambiguous)
		}
	}
}

// A call that was not made leaves no trace: the permit goes back, or stays with a row that was ambiguous before.
func TestJudge_NotStartedChangesNothing(t *testing.T) {
	t.Parallel()
	a := answerOf(wechat.Result{}, false)
	a.started = false
	require.Equal(t, said{state: push.Pending, permit: store.PermitFreed}, verdictOf(judge(a, false, margin)))
	a.Ambiguous = true
	require.Equal(t, said{state: push.Pending, permit: store.PermitKept, ambiguous: true}, verdictOf(judge(a, false, margin)))
}

// At most three permits of a recipient are tried, and at most six calls that failed for certain.
func TestJudge_Bounds(t *testing.T) {
	t.Parallel()
	for tries := range int16(4) {
		a := answerOf(wechat.Result{Class: wechat.ClassPermitDead, Code: codeInvalidFormID}, false)
		a.Tries = tries
		v := judge(a, false, margin)
		require.Equal(t, store.PermitDied, v.Permit)
		require.Equal(t, tries < maxPermits-1, v.State == push.Pending && v.next, "after %d", tries)
		if !v.next {
			require.Equal(t, push.PermitDead, v.Reason)
		}
	}
	var waits []time.Duration
	for attempt := int16(1); attempt <= maxAttempts; attempt++ {
		a := answerOf(wechat.Result{Class: wechat.ClassRetry, Code: 43108, Msg: "concurrent calls", Err: errors.New("43108")}, false)
		a.Attempt = attempt
		v := judge(a, false, margin)
		require.Equal(t, store.PermitFreed, v.Permit)
		if attempt < maxAttempts {
			require.Equal(t, push.Pending, v.State)
			waits = append(waits, v.RetryIn)
			continue
		}
		require.Equal(t, push.Failed, v.State)
		require.Equal(t, push.PlatformError, v.Reason)
		require.Equal(t, "concurrent calls", v.Note)
	}
	require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}, waits)
	require.Equal(t, time.Minute, backoff(1000))
	require.Equal(t, time.Second, backoff(0))
}

// Slots: what is taken is never more than there are, and a waiter goes on when some come back.
func TestSlots_NeverGiveOutMoreThanThereAre(t *testing.T) {
	t.Parallel()
	s := newSlots(7)
	s.enter(1, 4)
	require.Equal(t, 3, s.batch())
	require.Equal(t, 5, s.tryTake(1, 5, 3))
	require.Zero(t, s.tryTake(1, 5, 3), "two are free, three are wanted at least")
	require.Equal(t, 2, s.tryTake(1, 2, 2))
	require.Zero(t, s.tryTake(1, 1, 1))
	got := make(chan int)
	go func() { got <- s.take(t.Context(), 1, 4, 2) }()
	s.give(1, 1)
	select {
	case n := <-got:
		t.Fatalf("%d slots were given out of one", n)
	default:
	}
	s.give(1, 6)
	require.Equal(t, 4, <-got)
}

// A platform that cannot be reached has refused nobody: the recipient is tried again for as long as it takes, and no attempt counts.
func TestJudge_WhatWasNeverSentIsNoAttempt(t *testing.T) {
	t.Parallel()
	a := answerOf(wechat.Result{Class: wechat.ClassRetry, NotSent: true, Err: errors.New("no route to host")}, false)
	a.Attempt = 1000
	v := judge(a, false, 10*time.Minute)
	require.Equal(t, push.Pending, v.State)
	require.True(t, v.NotCounted)
	require.Equal(t, store.PermitFreed, v.Permit)
	require.Equal(t, awayWait, v.RetryIn)
	require.EqualError(t, v.away, "no route to host")
}
