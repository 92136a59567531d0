package dispatch

import (
	"errors"
	"fmt"

	"minipush/internal/push"
	"minipush/internal/wechat"
)

// signal is what an answer says about the platform and about the task, beside what it means for the recipient.
type signal int8

const (
	// signalNone: no call was made, for a reason of our own.
	signalNone signal = iota
	// signalAnswered: the platform lives, and says nothing about the list.
	signalAnswered
	signalSent
	// signalRefused: it would not have this recipient, or what its message says.
	signalRefused
	// signalUnpermitted: the person allows no message (43101), although the tables have it that one is allowed.
	signalUnpermitted
	// signalDead: the permit was dead.
	signalDead
	// signalUsed: the permit was used, and not by us as far as we know.
	signalUsed
	// signalTrouble: no usable answer: none at all, a 5xx, a page, -1, no token.
	signalTrouble
)

func signalOf(a answer, v *verdict) signal {
	r := a.result
	switch {
	case !a.started, errors.Is(r.Err, errTables), errors.Is(r.Err, errElsewhere):
		return signalNone
	case r.Ambiguous, r.Class == wechat.ClassRetry && r.NotSent:
		return signalTrouble
	case v.State == push.Sent:
		return signalSent
	case a.Ambiguous:
		return signalAnswered
	case r.Class == wechat.ClassPermitUsed:
		return signalUsed
	case r.Class == wechat.ClassPermitDead:
		return signalDead
	case v.State == push.Failed && v.Reason == push.Refused:
		return signalUnpermitted
	case v.State == push.Failed:
		return signalRefused
	}
	return signalAnswered
}

// said is the answer in the platform's words, without anything personal.
func (v *verdict) said() string {
	if v.Code == 0 && v.Note == "" && v.err != nil {
		return v.err.Error()
	}
	return fmt.Sprintf("%d %s", v.Code, v.Note)
}
