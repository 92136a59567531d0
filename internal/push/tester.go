package push

import "time"

// MaxUserID is the length of a user id, in characters.
const MaxUserID = 64

// Tester is a user to whom a task may be sent as a test, with what it takes.
type Tester struct {
	UserID string `json:"user_id"`
	// Known says that the user has an openid in the app.
	Known bool `json:"known"`
	// Permits are those that a test of the task could spend now; for a template of long standing 1 while the person accepts.
	Permits int64 `json:"permits"`
	// LastsUntil is when the last of them expires; nil where none does.
	LastsUntil *time.Time `json:"lasts_until"`
	// ZH and EN say what the tester has to do before a test can reach him; empty while nothing.
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// WayToPermit says how a user gives the app a permit.
func (c Channel) WayToPermit() (zh, en string) {
	if c == ChannelSubscribe {
		return "请用该用户的微信打开小程序,在订阅弹窗中允许此模板的消息后重试", "with this user's WeChat, open the mini-program and allow the messages of this template when it asks, then try again"
	}
	return "请用该用户的微信打开小程序,点击会上报formId的按钮(如兑换商品按钮)后重试", "with this user's WeChat, open the mini-program and tap a button that reports a formId, such as that to exchange for a product, then try again"
}

// Advise writes what a tester has to do.
func (t *Tester) Advise(c Channel) {
	switch {
	case !t.Known:
		t.ZH, t.EN = "请先用该用户的微信登录小程序", "with this user's WeChat, log in to the mini-program first"
	case t.Permits == 0:
		t.ZH, t.EN = c.WayToPermit()
	}
}

// Trial is a test of a task: one real message to a tester, or why there was none.
type Trial struct {
	// ID is the task that the test is; its recipient has the whole story.
	ID     int64          `json:"test_id"`
	TaskID int64          `json:"task_id"`
	UserID string         `json:"user_id"`
	State  RecipientState `json:"state"`
	// Reason, with its texts, is why it was not sent.
	Reason       Reason `json:"reason"`
	ZH           string `json:"zh"`
	EN           string `json:"en"`
	PlatformCode *int32 `json:"platform_code"`
	// Note says more, of the platform's answer or of what stopped the test.
	Note  string `json:"note"`
	MsgID *int64 `json:"msgid,string"`
	// CreatedBy made the test.
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}
