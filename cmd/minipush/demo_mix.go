package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/intake"
	"minipush/internal/push"
)

// fate is what the demo has in store for a user. The mix is always the same; only the order in the list changes with the seed.
type fate int

const (
	fateSent      fate = iota // one good permit
	fateSecond                // form_id: the first formId is dead, the second good; subscribe: no answer comes, the platform's event does
	fateNoPermit              // left no permit
	fateNoOpenID              // known without an openid
	fateUnknown               // the platform's answer never comes, nor does an event
	fateDead                  // only permits that the platform does not know
	numberOfFates = iota
)

// count is how many users have a fate: 638 in all, as many as the original's task 98 had.
func (f fate) count() int { return [numberOfFates]int{530, 30, 30, 20, 8, 20}[f] }

// outcome is how a user with that fate ends. dead is the reason of those whom the platform refuses.
func (f fate) outcome(dead push.Reason) (push.RecipientState, push.Reason) {
	switch f {
	case fateNoPermit:
		return push.Skipped, push.NoPermit
	case fateNoOpenID:
		return push.Skipped, push.NoOpenID
	case fateUnknown:
		return push.Unknown, push.Unsure
	case fateDead:
		return push.Failed, dead
	default:
		return push.Sent, push.NoReason
	}
}

type demoUser struct {
	id, openid string
	fate       fate
}

// demoUsers makes the users of one run. Their ids and openids carry the time of the run, so that nothing of an earlier run
// can serve this one.
func demoUsers(now time.Time, seed uint64) []demoUser {
	run := now.UTC().Format("060102150405")
	var users []demoUser
	for f := range fate(numberOfFates) {
		for range f.count() {
			n := len(users) + 1
			u := demoUser{id: fmt.Sprintf("%s%03d", run, n), openid: fmt.Sprintf("oDEMO%s%011d", run, n), fate: f}
			if f == fateNoOpenID {
				u.openid = ""
			}
			users = append(users, u)
		}
	}
	rng := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // an order that can be had again, no secret
	rng.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	return users
}

func demoReports(users []demoUser) []dispatch.UserReport {
	reports := make([]dispatch.UserReport, len(users))
	for i, u := range users {
		reports[i] = dispatch.UserReport{UserID: u.id, OpenID: u.openid}
	}
	return reports
}

// unknownAfter is when the permits of those whose answer never comes leave the margin in which they may be claimed: until then
// the daemon asks again with the same formId, then it gives up and the outcome is unknown.
const unknownAfter = 12 * time.Second

// demoFormIDs collects what the users left: mint makes a formId that the platform knows; a dead one it has never seen.
func demoFormIDs(users []demoUser, now time.Time, margin time.Duration, mint func(openid string) string) []dispatch.FormIDReport {
	var reports []dispatch.FormIDReport
	left := func(u demoUser, formID string, at time.Time) {
		reports = append(reports, dispatch.FormIDReport{UserID: u.id, FormID: formID, Source: int16(len(reports)%7 + 1), SubmittedAt: &at})
	}
	dead := func(u demoUser, n int) string { return fmt.Sprintf("dead-%s-%d", u.id, n) }
	for _, u := range users {
		switch u.fate {
		case fateSent:
			left(u, mint(u.openid), now)
		case fateSecond:
			left(u, dead(u, 1), now.Add(-time.Hour)) // expires first, so it is tried first
			left(u, mint(u.openid), now)
		case fateUnknown:
			left(u, mint(u.openid), now.Add(-intake.FormIDLife+margin+unknownAfter))
		case fateDead:
			left(u, dead(u, 1), now.Add(-time.Hour))
			left(u, dead(u, 2), now)
		case fateNoOpenID:
			left(u, dead(u, 1), now) // a permit without anybody to send to
		case fateNoPermit, numberOfFates:
		}
	}
	return reports
}

// demoList is the upload: one id a line, as marketing has it.
func demoList(users []demoUser) string {
	var b strings.Builder
	b.WriteString("用户ID\n")
	for _, u := range users {
		b.WriteString(u.id + "\n")
	}
	return b.String()
}

// demoPageOf is the original's page, demoPage the page that everybody who is reached must get.
const (
	demoPageOf = "pages/goods/detail/detail?backToHome=1&&goodsId={{product.code}}"
	demoPage   = "pages/goods/detail/detail?backToHome=1&&goodsId=1989"
)

// demoTemplate is the template of the original with its five fields, its colour and its page.
func demoTemplate(app string) push.Template {
	const red = "#EE0000"
	return push.Template{
		App: app, TemplateID: "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0", Channel: push.ChannelFormID, Name: "活动加入成功提醒",
		Page: demoPageOf,
		Fields: []push.Field{
			{Key: "keyword1", Label: "活动主题", Value: "{{topic}}", Color: red},
			{Key: "keyword2", Label: "活动说明", Value: "{{caption}}", Color: red},
			{Key: "keyword3", Label: "商品标题", Value: "{{product.title}}", Color: red},
			{Key: "keyword4", Label: "商品金额", Value: "{{product.price}}海贝", Color: red},
			{Key: "keyword5", Label: "温馨提示", Value: "{{tips}}", Color: red},
		},
	}
}

func demoProduct(app string) push.Product {
	return push.Product{App: app, Code: "1989", Title: "健康助利测试商品1", Price: 250_00, OnShelf: true}
}

func demoSpec(app, template string) push.TaskSpec {
	return push.TaskSpec{
		App: app, TemplateID: template, ProductCode: "1989", Audience: push.AudienceList,
		Topic: "健康助利", Caption: "您已成功加入健康助利活动", Tips: "点击查看活动详情",
	}
}
