package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"minipush/internal/push"
	"minipush/internal/sim"
)

// play is what the demo does in one channel. The users and their fates are the same in all.
type play struct {
	template push.Template
	// values are what everybody who is reached must get, word for word.
	values map[string]string
	// dead is the reason of those whom the platform refuses.
	dead push.Reason
	// events says that the platform reports what it delivered.
	events bool
	// rules are what goes wrong, and for whom.
	rules func(users []demoUser) []sim.Rule
	// collect reports what the users left.
	collect func(ctx context.Context, r *demoRun) error
}

func plays() map[push.Channel]play {
	return map[push.Channel]play{push.ChannelFormID: formIDPlay(), push.ChannelSubscribe: subscribePlay()}
}

func formIDPlay() play {
	return play{
		template: demoTemplate(demoApp),
		values: map[string]string{
			"keyword1": "健康助利", "keyword2": "您已成功加入健康助利活动", "keyword3": "健康助利测试商品1", "keyword4": "250海贝", "keyword5": "点击查看活动详情",
		},
		dead: push.PermitDead, rules: formIDRules, collect: collectFormIDs,
	}
}

// formIDRules spoil every answer about the users whose outcome is to stay unknown: for every other one after the message was delivered.
func formIDRules(users []demoUser) []sim.Rule {
	undelivered, delivered := halves(users)
	return []sim.Rule{{Kind: sim.Drop, OpenIDs: undelivered}, {Kind: sim.Drop, AfterDelivery: true, OpenIDs: delivered}}
}

// halves are the openids whose outcome is to stay unknown, every other one.
func halves(users []demoUser) (first, second []string) {
	for _, u := range users {
		if u.fate != fateUnknown {
			continue
		}
		if len(first) == len(second) {
			first = append(first, u.openid)
		} else {
			second = append(second, u.openid)
		}
	}
	return first, second
}

// collectFormIDs reports the formIds. Those whose answer never comes are reported last: their time is short.
func collectFormIDs(ctx context.Context, r *demoRun) error {
	mint := func(openid string) string { return r.platform.Mint(demoAppID, []string{openid}, 1, 0)[0].FormID }
	got, err := r.s.dispatch.ReportFormIDs(ctx, demoApp, demoFormIDs(r.users, time.Now(), r.s.cfg.Send.PermitMargin, mint))
	if err != nil || len(got.Rejected) > 0 {
		return fmt.Errorf("report formIds: %d rejected: %w", len(got.Rejected), err)
	}
	r.cli.say("%d users reported, %d formIds collected", len(r.users), got.Accepted)
	return nil
}

// wrongMessage says what is wrong with a message that arrived; empty is nothing.
func (p play) wrongMessage(m sim.Message) string {
	switch {
	case m.Page != demoPage:
		return fmt.Sprintf("the page %q", m.Page)
	case m.TemplateID != p.template.TemplateID:
		return fmt.Sprintf("the template %q", m.TemplateID)
	case len(m.Data) != len(p.values):
		return fmt.Sprintf("%d fields", len(m.Data))
	}
	colors := map[string]string{}
	for _, f := range p.template.Fields {
		colors[f.Key] = f.Color
	}
	if i := slices.IndexFunc(m.Data, func(f sim.Field) bool { return f.Value != p.values[f.Key] || f.Color != colors[f.Key] }); i >= 0 {
		return fmt.Sprintf("%s %q in colour %q", m.Data[i].Key, m.Data[i].Value, m.Data[i].Color)
	}
	return ""
}

// wrongDelivery says what is wrong with what is known of a recipient's delivery: where the platform reports it, everybody who was sent to has
// it and a msgid, and nobody else has either.
func (p play) wrongDelivery(r push.Recipient) string {
	if !p.events {
		return ""
	}
	sent := r.State == push.Sent
	switch {
	case (r.MsgID != nil) != sent:
		return fmt.Sprintf("a msgid: %t", r.MsgID != nil)
	case (orNone(r.Delivery) == "delivered") != sent:
		return fmt.Sprintf("delivery %s", orNone(r.Delivery))
	}
	return ""
}

func orNone(text *string) string {
	if text == nil {
		return "none"
	}
	return *text
}
