package dispatch

import (
	"time"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

const (
	// maxAttempts bounds the calls for one recipient that failed for certain and for a passing cause.
	maxAttempts = 6
	maxPermits  = push.MaxPermits
	maxBackoff  = time.Minute
	// awayWait is how long a recipient waits after a call that could not be made: no connection, no token, no database.
	awayWait = 5 * time.Second
)

// verdict is what an answer means: for the recipient and its permit, and for the task.
type verdict struct {
	store.Outcome
	// next says that another permit of the user is to be tried, if there is one.
	next bool
	// inDoubt is the recipient's: an attempt with an earlier permit may have got through.
	inDoubt bool
	// pause is the cause for which the whole task stops; empty for none.
	pause push.Cause
	// advice is what to do about the pause.
	advice string
	// signal is what the answer says beside it; err is what stood in its place.
	signal signal
	err    error
	// slow says that the platform asked for fewer calls; begun is when this one started.
	slow  bool
	begun time.Time
	// away is why no request could be made at all; nil where one was.
	away error
}

// answer is one recipient's call: what was claimed, and what came back. started is false if the call was not made, because
// the gate was closed.
type answer struct {
	store.Claimed
	started bool
	channel provider.Channel
	result  wechat.Result
	at      time.Time
	// resendAfter is the task's policy for an outcome that can no longer be learnt: after so long another permit; zero leaves it.
	resendAfter time.Duration
}

// judge turns an answer into a verdict. personal says that a complaint about what the message says is about the recipient's own data, and
// not about the task ([content.blames]). margin is the safety margin of a permit's expiry.
func judge(a answer, personal bool, margin time.Duration) verdict {
	v := verdict{Outcome: store.Outcome{Seq: a.Seq, PermitID: a.PermitID, AnsweredAt: a.at, Code: int32(a.result.Code), //nolint:gosec // errcodes are small

		RID: a.result.RID, MsgID: a.result.MsgID}, begun: a.at.Add(-a.result.Latency), slow: a.result.Class == wechat.ClassRate, inDoubt: a.InDoubt}
	if a.Counted && !a.InDoubt { // what an earlier attempt may have brought counts, whatever becomes of this one
		v.CountedFor = a.OpenID
	}
	switch {
	case !a.started:
		v.notStarted(a)
	case a.Ambiguous:
		v.afterAmbiguous(a, margin)
	case a.result.Ambiguous && a.channel.ResendSafe():
		v.keep(a)
	case a.result.Ambiguous:
		v.unsure(a, store.PermitSpent)
	default:
		v.certain(a, personal)
	}
	v.signal, v.err = signalOf(a, &v), a.result.Err
	if a.InDoubt && v.State == push.Failed {
		v.State, v.Reason = push.Unknown, push.Unsure // this attempt failed; the one with an earlier permit may not have
	}
	return v
}

// notStarted puts the recipient back as it was: nothing was sent.
func (v *verdict) notStarted(a answer) {
	v.State, v.NotCounted, v.Ambiguous, v.Permit = push.Pending, true, a.Ambiguous, store.PermitFreed
	if a.Ambiguous {
		v.Permit = store.PermitKept
	}
}

// afterAmbiguous judges a call that followed one whose outcome is not known. Only proof ends it (invariant 5).
func (v *verdict) afterAmbiguous(a answer, margin time.Duration) {
	switch a.result.Class {
	case wechat.ClassOK:
		v.sent()
	case wechat.ClassPermitUsed:
		v.sent()
		v.Inferred = true
	case wechat.ClassPermitDead:
		switch {
		case a.result.Code != codeInvalidFormID:
			v.keep(a)
		case a.at.Before(a.ExpiresAt.Add(-margin)):
			v.dead(a)
		default:
			v.unsure(a, store.PermitDied)
		}
	default:
		v.keep(a)
		v.pauseFor(a)
	}
}

// codeInvalidFormID is the only refusal that can end an ambiguity: the platform says that the formId was not used.
const codeInvalidFormID = 41028

// keep tries again later with the same permit: the message may have got through.
func (v *verdict) keep(a answer) {
	v.State, v.Ambiguous, v.Permit = push.Pending, true, store.PermitKept
	v.RetryIn = backoff(a.Attempt)
	v.Note = a.result.Msg
}

// unsure ends a recipient whose message may have got through where the call cannot be made again with its permit (invariant 5). The one
// exception, by the task's policy: it goes on with another permit, once no process can still make the earlier call; gone is what becomes of
// this one.
func (v *verdict) unsure(a answer, gone store.PermitFate) {
	if a.resendAfter > 0 && a.Tries+1 < maxPermits {
		v.State, v.InDoubt, v.Permit, v.RetryIn = push.Pending, true, gone, a.resendAfter
		return
	}
	v.State, v.Reason, v.Ambiguous, v.Permit = push.Unknown, push.Unsure, true, store.PermitKept
	v.Note = a.result.Msg
}

// certain judges an answer that is no doubt about this call.
func (v *verdict) certain(a answer, personal bool) {
	switch a.result.Class {
	case wechat.ClassOK:
		v.sent()
	case wechat.ClassPermitDead, wechat.ClassPermitUsed:
		v.dead(a)
	case wechat.ClassNoPermit:
		v.fail(a, push.Refused)
		if !a.channel.ResendSafe() {
			v.Permit = store.PermitDied // the counter was wrong, or the person turned the messages off
		}
	case wechat.ClassRecipient:
		v.fail(a, push.BadOpenID)
	case wechat.ClassField:
		v.content(a, push.FieldInvalid, personal)
	case wechat.ClassContent:
		v.content(a, push.ContentBlocked, personal)
	case wechat.ClassRetry, wechat.ClassToken:
		v.retry(a)
	case wechat.ClassRate:
		v.release(a.at.Truncate(time.Minute).Add(time.Minute).Sub(a.at))
	case wechat.ClassQuota, wechat.ClassPauseTask, wechat.ClassPauseApp, wechat.ClassConfig:
		v.release(0)
		v.pauseFor(a)
	case wechat.ClassFailed:
		v.fail(a, push.PlatformError)
	default:
		v.fail(a, push.PlatformError)
	}
}

func (v *verdict) sent() { v.State, v.Permit = push.Sent, store.PermitSpent }

// dead ends the permit; the recipient goes on with the user's next one, if it may.
func (v *verdict) dead(a answer) {
	v.Permit = store.PermitDied
	if a.Tries+1 >= maxPermits {
		v.State, v.Reason, v.Note = push.Failed, push.PermitDead, a.result.Msg
		return
	}
	v.State, v.next, v.NotCounted = push.Pending, true, true
}

func (v *verdict) fail(a answer, reason push.Reason) {
	v.State, v.Reason, v.Permit, v.Note = push.Failed, reason, store.PermitFreed, a.result.Msg
}

// content judges a complaint about what the message says: the recipient's own data, or the text of the task.
func (v *verdict) content(a answer, reason push.Reason, personal bool) {
	if personal {
		v.fail(a, reason)
		return
	}
	v.release(0)
	v.pauseFor(a)
}

// retry gives the permit back and tries again: a bounded number of times if the platform answered, for ever if it was not reached,
// for then it has refused nobody.
func (v *verdict) retry(a answer) {
	if a.result.NotSent && a.result.Code == 0 {
		v.release(awayWait)
		v.away = a.result.Err
		return
	}
	if a.Attempt >= maxAttempts {
		v.fail(a, push.PlatformError)
		if v.Note == "" && a.result.Err != nil {
			v.Note = a.result.Err.Error()
		}
		return
	}
	v.State, v.Permit, v.RetryIn = push.Pending, store.PermitFreed, backoff(a.Attempt)
}

// release gives the permit back; the attempt does not count, for the trouble is not the recipient's.
func (v *verdict) release(retryIn time.Duration) {
	v.State, v.Permit, v.NotCounted, v.RetryIn = push.Pending, store.PermitFreed, true, retryIn
}

// pauseFor notes that the task must stop, where the class says so.
func (v *verdict) pauseFor(a answer) {
	r := a.result
	switch r.Class {
	case wechat.ClassQuota:
		v.pause = push.CauseQuota
	case wechat.ClassPauseTask, wechat.ClassPauseApp, wechat.ClassConfig, wechat.ClassField, wechat.ClassContent:
		v.pause = push.CauseBreaker
	default:
		return
	}
	if advice, ok := a.channel.Explain(r.Code); ok {
		v.advice = advice.Chinese + " " + advice.English
	} else if r.Err != nil {
		v.advice = r.Err.Error()
	}
	if field := wechat.FieldOf(r.Msg); field != "" {
		v.advice += " (" + field + ")"
	}
}

// backoff is how long to wait after attempt, counted from 1: 1, 2, 4 … 60 s.
func backoff(attempt int16) time.Duration {
	return min(time.Second<<min(max(attempt-1, 0), 10), maxBackoff)
}
