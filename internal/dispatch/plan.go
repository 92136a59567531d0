package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"minipush/internal/push"
	"minipush/internal/store"
)

var errNoLongerSending = errors.New("the task is no longer sending")

// fillBatch is how many users one statement looks at while audience "all" is filled.
const fillBatch = 5000

// startTask is the work of a start job, and of the sweeper for a task whose start job died: it begins the task if its time
// has come, fills its audience, cuts it into chunks and queues the first of them. It may run twice, and at two places at once.
func (d *Dispatcher) startTask(ctx context.Context, taskID int64) error {
	if _, err := d.startDue(ctx); err != nil {
		return err
	}
	if err := d.tendTests(ctx); err != nil { // before this one is planned: its job may be as old as it is
		return err
	}
	return d.plan(ctx, taskID)
}

// plan makes the chunks of a task that is sending and has none yet.
func (d *Dispatcher) plan(ctx context.Context, taskID int64) error {
	_, err := d.st.PlanAlone(ctx, taskID, func(ctx context.Context) error {
		p, err := d.planState(ctx, taskID)
		if err != nil || !p.toPlan() {
			return err
		}
		if p.Kind == push.AudienceAll || p.SourceID != 0 {
			if err := d.fillAudience(ctx, taskID, p.PlanState); err != nil {
				return err
			}
		}
		return d.st.InTx(ctx, func(ctx context.Context) error {
			// In this order before the task's row: so does whoever changes them with it.
			b, open, err := d.st.LockBreakerOf(ctx, taskID)
			if err == nil {
				err = d.st.LockAppID(ctx, p.AppID)
			}
			if err != nil {
				return err
			}
			return d.cut(ctx, taskID, b, open)
		})
	})
	if err != nil {
		return fmt.Errorf("plan task %d: %w", taskID, err)
	}
	if err := d.fillWindow(ctx, taskID); err != nil {
		return err
	}
	d.gate.chunksQueued()
	return d.settle(ctx, taskID)
}

type planState struct{ store.PlanState }

func (p planState) toPlan() bool { return p.State == push.TaskSending && !p.Planned }

func (d *Dispatcher) planState(ctx context.Context, taskID int64) (p planState, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		p.PlanState, err = d.st.LockPlan(ctx, taskID)
		return err
	})
	return p, err
}

// cut makes the chunks, in the transaction that ctx carries, unless the task was stopped meanwhile or its product is no longer
// what was scheduled. Where the breaker of the app is open, its probe alone may call.
func (d *Dispatcher) cut(ctx context.Context, taskID int64, b store.Breaker, open bool) error {
	p, err := d.st.LockPlan(ctx, taskID)
	if err != nil || p.State != push.TaskSending || p.Planned {
		return err
	}
	if p.AppPaused {
		return d.pauseTask(ctx, taskID, push.CauseAppPaused, "")
	}
	if p.QuotaUntil != nil {
		return d.quotaOut(ctx, p.AppID, taskID, false, *p.QuotaUntil, "今日推送次数已用完", "The quota of the day is used up")
	}
	if open && b.ProbeTask != taskID {
		return d.breakTasks(ctx, b)
	}
	a, err := d.st.Approval(ctx, taskID)
	if err == nil && a.Missing() {
		// It was changed, or the app came to ask for it, after the task was let go. A person resumes it, who meets the same question.
		return d.pauseTask(ctx, taskID, push.CauseOperator, a.State.MissingNote())
	}
	if err != nil {
		return err
	}
	if p.Scheduled && p.Product != nil {
		ok, err := d.productStands(ctx, taskID, p)
		if err != nil || !ok {
			return err
		}
	}
	d.log.InfoContext(ctx, "task started", slog.Any("task_id", taskID), slog.Any("recipients", p.Recipients))
	return d.st.PlanChunks(ctx, taskID, p.AudienceID, p.Recipients, d.cfg.ChunkSize)
}

// productStands looks at the product of a scheduled task again: off the shelf pauses the task; a changed price pauses it
// unless the task accepts that.
func (d *Dispatcher) productStands(ctx context.Context, taskID int64, p store.PlanState) (bool, error) {
	now, err := d.st.Product(ctx, p.AppID, p.Product.Code)
	if errors.Is(err, push.ErrNotFound) || err == nil && !now.OnShelf {
		return false, d.pauseTask(ctx, taskID, push.CauseProductOffShelf,
			"商品已下架,请上架后继续发送 The product is off the shelf; put it on and resume.")
	}
	if err != nil {
		return false, err
	}
	if now.Price != p.Product.Price && p.OnPrice != "accept" {
		return false, d.pauseTask(ctx, taskID, push.CauseProductChanged, fmt.Sprintf(
			"商品金额已由 %s 变为 %s,请更新商品或直接继续 The price went from %s to %s; take the product anew, or resume as it is.",
			p.Product.Price, now.Price, p.Product.Price, now.Price))
	}
	return true, nil
}

// fillAudience takes everyone with a usable permit, or every row of a version of a saved list, into the task's list, page by page,
// each in a short transaction that also notes how far it came: a start job that dies half-way is gone on with.
func (d *Dispatcher) fillAudience(ctx context.Context, taskID int64, p store.PlanState) error {
	next, cursor, audienceID := p.Recipients, p.Cursor, p.AudienceID
	if !p.Filling {
		next, cursor = 0, ""
		a, err := d.beginFill(ctx, taskID, p)
		if err != nil {
			return err
		}
		audienceID = a.ID
		if ok, err := d.st.SaveFill(ctx, taskID, audienceID, 0, ""); err != nil || !ok {
			return err
		}
	}
	for done := false; !done; {
		err := d.st.InTx(ctx, func(ctx context.Context) error {
			added, last, end, err := d.fillPage(ctx, p, audienceID, next, cursor)
			if err != nil {
				return err
			}
			next, cursor, done = next+added, last, end
			ok, err := d.st.SaveFill(ctx, taskID, audienceID, next, cursor)
			if err == nil && !ok {
				err = errNoLongerSending
			}
			return err
		})
		if errors.Is(err, errNoLongerSending) {
			return nil // canceled or paused: what was filled stands, and a resume goes on from there
		}
		if err != nil {
			return err
		}
	}
	return d.st.FinishFill(ctx, audienceID)
}

// beginFill opens the list that is to be filled. One that is copied keeps the columns of its source, and says where it is from.
func (d *Dispatcher) beginFill(ctx context.Context, taskID int64, p store.PlanState) (push.Audience, error) {
	if p.SourceID == 0 {
		return d.st.BeginAudience(ctx, taskID, "", nil, p.CreatedBy)
	}
	v, list, err := d.st.ListVersion(ctx, p.SourceID)
	if err != nil {
		return push.Audience{}, err
	}
	return d.st.BeginAudience(ctx, taskID, sourceName(list, v), v.Columns, p.CreatedBy)
}

// sourceName is what stands as the file name of a list that was copied.
func sourceName(list string, v push.ListVersion) string {
	return fmt.Sprintf("%s (version %d)", list, v.Version)
}

// fillPage appends the next page, from the number next, and says where it ended.
func (d *Dispatcher) fillPage(ctx context.Context, p store.PlanState, audienceID int64, next int, cursor string) (added int, last string, end bool, err error) {
	if p.SourceID == 0 {
		return d.st.FillFromPermits(ctx, p, audienceID, next, cursor, fillBatch, d.cfg.PermitMargin)
	}
	added, err = d.st.CopyRecipients(ctx, audienceID, p.SourceID, next, fillBatch)
	return added, strconv.Itoa(next + added), added < fillBatch, err
}
