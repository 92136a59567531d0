package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"minipush/internal/push"
	"minipush/internal/store"
)

// maxCanaryCalls bounds the calls of a canary that the platform answered; by then it has passed, or the task is paused.
const maxCanaryCalls = 20

// CanaryConfig says what the first calls of a task have to show. Zero values are replaced by the defaults named.
type CanaryConfig struct {
	// Sent is how many messages must be sent, one by one, before the window opens; at most 20. Default 5; negative is no canary.
	Sent int
	// Refused is how many recipients in a row may be refused, at most 20: at that many the task is paused. Default 10.
	Refused int
}

func (c *CanaryConfig) fill() {
	c.Sent = min(cmp.Or(c.Sent, 5), maxCanaryCalls)
	c.Refused = min(cmp.Or(c.Refused, 10), maxCanaryCalls)
}

// canary is the first calls of a task, and of one that is resumed after a breaker paused it: made one by one, by one run on one daemon,
// while no second chunk is queued. A template, page or configuration error pauses the task at its first call, and a run of
// refused recipients (the list of another app) within twenty, and so do twenty of whom none was sent and most allow no message. It goes on over chunks, and costs no statement once it has passed.
type canary struct {
	store.Canary
	conf CanaryConfig
	// idle says that the last claim found nobody to call: the next one may look further ahead.
	idle bool
	// moved says that there is something to save.
	moved bool
}

// newCanary is the canary of a run; nil where the task has passed it. Where there is to be none, the call that tries the platform again
// is still made alone.
func (d *Dispatcher) newCanary(run store.Run) *canary {
	conf := d.cfg.Canary
	if conf.Sent < 0 && run.Canary.Probe {
		conf.Sent = 1
	}
	if !run.Canary.On || conf.Sent < 0 {
		return nil
	}
	return &canary{Canary: run.Canary, conf: conf}
}

// canaryWindow is how many chunks a task keeps queued until its canary has passed.
func (d *Dispatcher) canaryWindow() int {
	if d.cfg.Canary.Sent < 0 {
		return d.cfg.Window
	}
	return 1
}

// bound is how many of want rows the run may claim now: one after the other during the canary, and rows that can only be skipped
// as many as there are.
func (r *run) bound(want int) int {
	switch {
	case r.canary == nil:
		return want
	case r.inFlight > 0 || len(r.done) > 0:
		return 0
	case r.canary.idle && !r.ambiguous:
		return want
	}
	return 1
}

// ahead is how many slots to have at hand for a claim of n. The canary's calls come one after the other, so each would wait anew behind
// what other tasks hold already: it has a block of slots, and forfeits most of them, once. Of a budget it takes no more than it calls: what it
// held would be lacking to others.
func (r *run) ahead(n int) int {
	if r.canary == nil || r.d.gate.budgeted(r.TaskID) {
		return n
	}
	return max(n, r.d.slots.batch())
}

// boundRange ends the range of a claim with the first row that is to be called, during the canary.
func (r *run) boundRange(ctx context.Context, to int32) (int32, error) {
	if r.canary == nil || to-r.cursor <= 1 {
		return to, nil
	}
	last, err := r.d.st.NextToCall(ctx, r.Run, r.cursor, to, r.d.cfg.PermitMargin)
	return last + 1, err
}

func (c *canary) claimed(n int) {
	if c != nil {
		c.idle = n == 0
	}
}

// watchCanary counts what was answered, and passes the canary or pauses the task.
func (r *run) watchCanary(ctx context.Context, done []verdict) {
	c := r.canary
	if c == nil {
		return
	}
	for _, v := range done {
		if c.Probe && v.signal != signalNone {
			c.Probe = false
			r.probed(ctx, v)
		}
		c.count(v.signal)
	}
	switch {
	case r.closed:
	case c.Refused >= c.conf.Refused || c.Calls >= maxCanaryCalls && c.Sent == 0 && 2*c.Refused > c.Calls:
		r.trip(ctx, push.CauseBreaker, canaryNote(c.Refused, done[len(done)-1]))
	case c.Calls >= maxCanaryCalls && c.Sent == 0 && 2*c.Unpermitted > c.Calls:
		r.trip(ctx, push.CauseBreaker, unpermittedNote(c.Unpermitted, c.Calls))
	case c.Sent >= c.conf.Sent || c.Calls >= maxCanaryCalls:
		if err := r.passCanary(ctx); err != nil {
			r.log.WarnContext(ctx, "canary not passed, going on with it", slog.Any("err", err))
		}
	}
}

func (c *canary) count(s signal) {
	switch s {
	case signalNone, signalTrouble:
		return
	case signalSent:
		c.Sent++
		c.Refused = 0
	case signalRefused:
		c.Refused++
	case signalUnpermitted:
		c.Unpermitted++
	case signalAnswered, signalDead, signalUsed:
	}
	c.Calls++
	c.moved = true
}

// passCanary opens the task's window, and lets this run go on at full speed.
func (r *run) passCanary(ctx context.Context) error {
	if _, err := r.d.st.PassCanary(ctx, r.TaskID); err != nil {
		return err
	}
	calls := r.canary.Calls
	r.canary, r.PastCanary = nil, true
	r.log.InfoContext(ctx, "canary passed", slog.Any("calls", calls))
	return r.d.fillWindow(ctx, r.TaskID)
}

// saveCanary keeps what a run that ends has counted, for the run that goes on with the canary.
func (r *run) saveCanary(ctx context.Context) error {
	if r.canary == nil || !r.canary.moved {
		return nil
	}
	return r.d.st.SaveCanary(ctx, r.TaskID, r.canary.Canary)
}

func canaryNote(refused int, last verdict) string {
	return fmt.Sprintf("开头连续 %d 名用户被平台拒绝(%s),名单可能属于其他小程序,或 AppID 有误;请核对后继续,已失败的用户可重新发送 "+
		"The platform refused %[1]d recipients in a row at the start (%[2]s): the list may be of another app, or the appid wrong. "+
		"Check both, then resume; those that failed can be sent again.", refused, last.said())
}

// unpermittedNote says what to do where of the last calls so many were refused with 43101.
func unpermittedNote(unpermitted, calls int) string {
	return fmt.Sprintf("最近 %[2]d 次调用中有 %[1]d 次被平台以 43101(用户未允许)拒绝,订阅次数可能记录有误或被重复上报;请核对上报来源与模板,"+
		"确认后继续,被拒绝用户的次数已另存,可数小时后重试 "+
		"The platform refused %[1]d of the last %[2]d calls because the person allows no message (43101): the subscriptions may have been counted wrongly, or twice. "+
		"Check who reports them and for which template, then resume; the units of those who were refused are set aside and can be tried again after some hours.",
		unpermitted, calls)
}
