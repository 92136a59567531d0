package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"minipush/internal/wechat"
)

// The one task that every variant sends: the original's own.
const (
	appID        = "wx00000000000bench"
	appSecret    = "secret-of-the-bench-0123456789ab"
	appKey       = "bench"
	templateID   = "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0"
	templateName = "活动加入成功提醒"
	product      = "1989"
	title        = "健康助利测试商品1"
	topic        = "活动加入成功"
	caption      = "您已成功加入健康步数兑换活动"
	tips         = "点击进入小程序查看详情"
	color        = "#EE0000"
	pagePath     = "pages/goods/detail/detail"
	page         = pagePath + "?backToHome=1&&goodsId=" + product
	price        = "250海贝"
)

// workload is who gets a task: the users from First on, each with PerUser formIds. Names follow from numbers, so that
// processes agree on them without exchanging a list.
type workload struct {
	First      int
	Recipients int
	PerUser    int
}

func (w workload) formIDs() int { return w.Recipients * w.PerUser }

// userNumber is the business id of a user, userID the same in text.
func userNumber(user int) int64 { return 10_000_000 + int64(user) }

func userID(user int) string { return strconv.FormatInt(userNumber(user), 10) }

// openID looks like the platform's: 28 characters.
func openID(user int) string {
	return fmt.Sprintf("o%011x%016x", uint64(user), scramble(uint64(user)))
}

// formID is that of the user's nth formId. It is spread like a random token, so that its index is hit all over.
func formID(user, nth int) string {
	n := uint64(user)<<8 | uint64(nth)
	return fmt.Sprintf("%016x%016x", scramble(n), scramble(^n))
}

// scramble is a bijection of 64-bit numbers (the finaliser of splitmix64).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// arrival is the order in which the formIds came in: random, the same every time. Element i is user*PerUser+nth.
func (w workload) arrival() []int {
	return rand.New(rand.NewPCG(1989, 98)).Perm(w.formIDs()) //nolint:gosec // an order, not a secret
}

// message is what a user gets. Data is shared between messages: it is the same for all.
func message(data []wechat.Field, user, nth int) wechat.TemplateMessage {
	return wechat.TemplateMessage{
		ToUser: openID(user), TemplateID: templateID, Page: page, FormID: formID(user, nth), Data: data,
	}
}

func messageData() []wechat.Field {
	return []wechat.Field{
		{Key: "keyword1", Value: topic, Color: color},
		{Key: "keyword2", Value: caption, Color: color},
		{Key: "keyword3", Value: title, Color: color},
		{Key: "keyword4", Value: price, Color: color},
		{Key: "keyword5", Value: tips, Color: color},
	}
}
