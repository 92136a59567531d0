package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
	"minipush/internal/wechat/callback"
)

// eventsWithin is how long the platform's events may take after the task has ended: an event of a call without an answer waits some seconds
// for a recipient that bears its msgid.
const eventsWithin = time.Minute

// subscribePlay is the demo of the live channel. No unit runs out; what an answer that never comes leaves in doubt, the platform's event settles.
func subscribePlay() play {
	return play{
		template: subscribeTemplate(demoApp),
		values: map[string]string{
			"thing1": "健康助利", "thing2": "您已成功加入健康助利活动", "thing3": "健康助利测试商品1", "amount4": "￥250", "thing5": "点击查看活动详情",
		},
		dead: push.Refused, events: true, rules: subscribeRules, collect: collectSubscriptions,
	}
}

// subscribeTemplate is the original's template as a subscribe message has it.
func subscribeTemplate(app string) push.Template {
	return push.Template{
		App: app, TemplateID: "zun-LzcQyW-edafCVvzPkK4de2Rllr1fFpw2A_x0oXE", Channel: push.ChannelSubscribe, Name: "活动加入成功提醒", Page: demoPageOf,
		Fields: []push.Field{
			{Key: "thing1", Label: "活动主题", Value: "{{topic}}"},
			{Key: "thing2", Label: "活动说明", Value: "{{caption}}", TooLong: push.TooLongCut},
			{Key: "thing3", Label: "商品标题", Value: "{{product.title}}", TooLong: push.TooLongCut},
			{Key: "amount4", Label: "商品金额", Value: "￥{{product.price}}"},
			{Key: "thing5", Label: "温馨提示", Value: "{{tips}}", TooLong: push.TooLongCut},
		},
	}
}

// subscribeRules spoil the answers about those whose outcome stays unknown, half of them after the delivery, and about those whom only the
// event settles.
func subscribeRules(users []demoUser) []sim.Rule {
	undelivered, delivered := halves(users)
	return []sim.Rule{{Kind: sim.Drop, OpenIDs: undelivered}, {Kind: sim.Drop, AfterDelivery: true, OpenIDs: append(delivered, openIDsOf(users, fateSecond)...)}}
}

func openIDsOf(users []demoUser, fates ...fate) []string {
	var list []string
	for _, u := range users {
		for _, f := range fates {
			if u.fate == f {
				list = append(list, u.openid)
			}
		}
	}
	return list
}

// collectSubscriptions sets up the platform's message push, has the users accept one message each, and reports it. Of those whom the platform
// will refuse it has heard nothing.
func collectSubscriptions(ctx context.Context, r *demoRun) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	spec := dispatch.CallbackSpec{Mode: callback.ModeSafe, Token: rand.Text(), EncodingAESKey: base64.RawStdEncoding.EncodeToString(key)}
	if err := r.s.dispatch.SetCallback(ctx, demoApp, spec); err != nil {
		return fmt.Errorf("set callback: %w", err)
	}
	_, lost := halves(r.users)
	if err := r.platform.SetCallback(demoAppID, sim.Callback{
		URL: r.address + "/callbacks/wechat/" + demoApp, Token: spec.Token, EncodingAESKey: spec.EncodingAESKey, Mode: string(spec.Mode), LoseOpenIDs: lost,
	}); err != nil {
		return fmt.Errorf("set the platform's callback: %w", err)
	}
	template := r.play.template.TemplateID
	r.platform.Accept(demoAppID, template, openIDsOf(r.users, fateSent, fateSecond, fateUnknown), 1)
	var reports []dispatch.SubscriptionReport
	for _, u := range r.users {
		if u.fate != fateNoPermit && u.fate != fateNoOpenID {
			reports = append(reports, dispatch.SubscriptionReport{ID: u.id, UserID: u.id, TemplateID: template, Result: "accept"})
		}
	}
	got, err := r.s.dispatch.ReportSubscriptions(ctx, demoApp, reports)
	if err != nil || len(got.Rejected) > 0 {
		return fmt.Errorf("report subscriptions: %d rejected: %w", len(got.Rejected), err)
	}
	r.cli.say("%d users reported, %d subscriptions collected; the platform reports deliveries, signed, to %s/callbacks/wechat/%s", len(r.users), got.Accepted, r.address, demoApp)
	return nil
}

// awaitEvents waits until everybody whose message the platform delivered, and whose event it has not lost, shows the delivery.
func (r *demoRun) awaitEvents(ctx context.Context) error {
	want := fateSent.count() + fateSecond.count()
	r.cli.say("the task has ended with %d sent; waiting for the platform's events, which settle what is in doubt", r.task.Counts.Sent)
	b := r.cli.bar(int64(want), "events")
	defer b.finish()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for until := time.Now().Add(eventsWithin); ; {
		var err error
		if r.delivered, r.failed, err = r.deliveries(ctx); err != nil {
			return err
		}
		task, err := r.s.store.Task(ctx, r.task.ID) // after the deliveries, so that its counts have at least those
		if err != nil {
			return err
		}
		if r.cli.json() && task.Counts != r.task.Counts {
			if err := r.cli.showProgress(r.s, task, r.task); err != nil {
				return err
			}
		}
		r.task = task
		b.set(int64(r.delivered + r.failed))
		if r.delivered+r.failed >= want || time.Now().After(until) {
			return nil // the check says what is missing
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// deliveries counts what the platform's events said of the task's recipients.
func (r *demoRun) deliveries(ctx context.Context) (delivered, failed int, err error) {
	rows, err := r.s.store.Recipients(ctx, r.task.ID, store.RecipientFilter{After: -1, Limit: len(r.users) + 1})
	for _, row := range rows {
		switch orNone(row.Delivery) {
		case "delivered":
			delivered++
		case "failed":
			failed++
		}
	}
	return delivered, failed, err
}

// deliveryTable shows what the platform reported of the messages that it had accepted.
func (r *demoRun) deliveryTable() {
	rows := [][]string{{"delivered", strconv.Itoa(r.delivered), "已送达", "The platform's event says that it arrived"}}
	if r.failed > 0 {
		rows = append(rows, []string{"failed", strconv.Itoa(r.failed), "送达失败", "The platform's event says that it did not"})
	}
	rows = append(rows, []string{"none", strconv.Itoa(r.task.Counts.Total - r.delivered - r.failed), "无回执", "Nothing was sent, or no event came"})
	fmt.Fprintln(r.cli.stdout)
	table(r.cli.stdout, []string{"DELIVERY", "COUNT", "送达", "MEANING"}, rows)
}
