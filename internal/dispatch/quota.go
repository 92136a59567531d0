package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

const (
	// A quota is tried again this long after the platform's midnight, by chance within the span: all its clients come back then.
	quotaRestMin  = time.Minute
	quotaRestSpan = 4 * time.Minute
	// quotaRetry is how long to wait after a refusal that came just after midnight, or of a probe.
	quotaRetry = 5 * time.Minute
	// quotaEarly is how long after midnight a refusal says that the platform has not begun its day yet.
	quotaEarly = 10 * time.Minute
	// probeCheck is how long a probe may take before it is looked after.
	probeCheck = 3 * time.Second
	// quotaAskEvery is how often the platform is asked what is left of an app's quota while it sends.
	quotaAskEvery = 10 * time.Minute
	quotaTimeout  = 5 * time.Second
)

// china is the zone of the platform's days: without summer time since 1991.
var china = time.FixedZone("Asia/Shanghai", 8*3600) //nolint:gochecknoglobals // a constant

// quotaUntil says when to try again after a refusal for the quota: some minutes after the platform's midnight that follows the
// start of the call that met it. A call that began before midnight says nothing of the day after; one that was refused just after midnight
// met a platform whose day had not begun.
func quotaUntil(begun time.Time) time.Time {
	day := begun.In(china)
	midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, china)
	if begun.Sub(midnight) < quotaEarly {
		return begun.Add(quotaRetry)
	}
	return midnight.AddDate(0, 0, 1).Add(quotaRestMin + rand.N(quotaRestSpan)) //nolint:gosec // spreads load, guards nothing
}

// quotaOut pauses all tasks of an app because its quota is used up, until the time given at least; one of them then probes.
func (d *Dispatcher) quotaOut(ctx context.Context, appID int32, taskID int64, probe bool, until time.Time, zh, en string) error {
	d.gate.close(taskID)
	at := until.In(d.cfg.Location).Format("2006-01-02 15:04")
	note := fmt.Sprintf("%s,约 %s 自动继续,也可立即继续 %s. It goes on by itself about %s (%s); resume it to try at once.", zh, at, en, at, d.cfg.Location)
	changed, err := d.st.QuotaOut(ctx, appID, taskID, probe, until, time.Now().Add(quotaRetry), note)
	if err != nil {
		return err
	}
	if changed {
		d.log.WarnContext(ctx, "quota used up, tasks of the app paused", d.clients.name(appID), slog.Any("task_id", taskID), slog.Any("until", until), slog.Any("why", en))
	}
	return nil
}

// budgetUsedUp pauses all tasks of an app whose daily budget is gone, until the platform's next day. It is looked at again under the
// app's lock: the grant that said so may be older than a change of the budget, or than what another daemon gave back.
func (d *Dispatcher) budgetUsedUp(ctx context.Context, appID int32, taskID int64) error {
	day := time.Now().In(china)
	next := time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, china).Add(quotaRestMin)
	return d.st.InTx(ctx, func(ctx context.Context) error {
		gone, err := d.st.BudgetUsedUp(ctx, appID)
		if err != nil || !gone {
			return err
		}
		return d.quotaOut(ctx, appID, taskID, false, next, "今日推送预算已用完", "The app's budget of the day is used up")
	})
}

// tendQuota brings back apps whose time has come: first one task, with one call, and the others once that call was not refused for the
// quota ([Dispatcher.quotaBack]). A person may resume a task before.
func (d *Dispatcher) tendQuota(ctx context.Context) error {
	due, err := d.st.DueQuotas(ctx)
	errs := []error{err}
	for _, appID := range due {
		errs = append(errs, d.st.InTx(ctx, func(ctx context.Context) error {
			probe, err := d.st.BeginQuotaProbe(ctx, appID, probeCheck)
			if err != nil || probe == 0 {
				return err
			}
			d.log.InfoContext(ctx, "quota is tried again with one call", slog.Any("task_id", probe))
			return d.goOn(ctx, probe)
		}))
	}
	return errors.Join(errs...)
}

// quotaBack ends the pause of all tasks of an app: the probe was not refused.
func (d *Dispatcher) quotaBack(ctx context.Context, appID int32, taskID int64) error {
	return d.st.InTx(ctx, func(ctx context.Context) error {
		back, err := d.st.QuotaBack(ctx, appID, taskID)
		if err != nil || !back {
			return err
		}
		resumed, err := d.st.ResumeTasksOfApp(ctx, appID, push.CauseQuota)
		for _, id := range resumed {
			err = errors.Join(err, d.goOn(ctx, id))
		}
		d.log.InfoContext(ctx, "quota is back", slog.Any("task_id", taskID), slog.Any("resumed", len(resumed)))
		return err
	})
}

// askQuotas asks the platform what is left of the quotas of apps that send, so that the end is known before it is met. It is asked beside the
// sweep that calls this: a platform that is slow to answer holds up nothing else.
func (d *Dispatcher) askQuotas(ctx context.Context) error {
	apps, err := d.st.QuotasToAsk(ctx, quotaAskEvery)
	for _, a := range apps {
		d.beside(ctx, chore{"quota", int64(a.AppID)}, func(ctx context.Context) {
			if err := d.askQuota(ctx, a); err != nil && ctx.Err() == nil {
				d.log.WarnContext(ctx, "quota not kept", slog.Any("app", a.Key), slog.Any("err", err))
			}
		})
	}
	return err
}

// askQuota asks for each channel in which the app sends: the platform counts each call by itself. What it answers for the one that has the
// least left is kept.
func (d *Dispatcher) askQuota(ctx context.Context, a store.QuotaToAsk) error {
	client, err := d.clients.get(ctx, a.AppID)
	if err != nil {
		return nil //nolint:nilerr // the sends meet it, and say so
	}
	begun := time.Now()
	var tightest *wechat.Quota
	for channel, open := range map[push.Channel]*int64{push.ChannelFormID: a.FormIDOpen, push.ChannelSubscribe: a.SubscribeOpen} {
		if open == nil {
			continue
		}
		q, err := askChannel(ctx, client, channel)
		if err != nil {
			d.log.InfoContext(ctx, "quota not known", slog.Any("app", a.Key), slog.Any("channel", channel), slog.Any("err", err))
			continue // it is asked again; the sends do not need it
		}
		if left := q.DailyLimit - q.Used; q.DailyLimit > 0 && left > 0 && left < *open {
			d.log.WarnContext(ctx, "quota will not last for the tasks under way", slog.Any("app", a.Key), slog.Any("channel", channel), slog.Any("left", left), slog.Any("open", *open))
		}
		if tightest == nil || tighter(q, *tightest) {
			tightest = &q
		}
	}
	if tightest == nil {
		return nil
	}
	if err := d.st.SaveQuota(ctx, a.AppID, tightest.DailyLimit, tightest.Used); err != nil {
		return err
	}
	if tightest.DailyLimit == 0 || tightest.Used < tightest.DailyLimit {
		return nil
	}
	return d.quotaOut(ctx, a.AppID, a.TaskID, false, quotaUntil(begun), "平台今日推送次数已用完", "The platform's quota of the day is used up")
}

func askChannel(ctx context.Context, client *appClient, channel push.Channel) (wechat.Quota, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, quotaTimeout, errors.New("asking for the quota took too long"))
	defer cancel()
	return client.Quota(ctx, provider.For(channel).QuotaPath())
}

// tighter says whether less is left of q than of other.
func tighter(q, other wechat.Quota) bool {
	if q.DailyLimit == 0 || other.DailyLimit == 0 {
		return q.DailyLimit != 0
	}
	return q.DailyLimit-q.Used < other.DailyLimit-other.Used
}
