package wechat

// Class is what an answer of the platform means for the sender. The zero value is no class, so that a Result which
// nobody filled in is never taken for a message that was sent.
type Class uint8

// The classes. Which permit an answer costs is part of the meaning: ClassOK, ClassPermitDead and ClassPermitUsed are the
// only proof that a permit is gone.
const (
	_ Class = iota
	// ClassOK: accepted, the permit is used.
	ClassOK
	// ClassToken: the access token is not valid. Not sent; a fresh token and the same attempt again.
	ClassToken
	// ClassRetry: a passing trouble of the platform or the way to it. The same permit again, later, unless the result is
	// ambiguous and the channel is not [Channel.ResendSafe].
	ClassRetry
	// ClassRate: too fast. Wait for the next minute and slow down. Not sent.
	ClassRate
	// ClassQuota: the app's quota of the day is spent. Wait for the next day or the operator. Not sent.
	ClassQuota
	// ClassPermitDead: this permit can never be used. Take the recipient's next one.
	ClassPermitDead
	// ClassPermitUsed: this permit has been used before: by an earlier attempt of the same recipient whose answer was
	// lost, which then got through; or, if there was none, somewhere else, and it is burned.
	ClassPermitUsed
	// ClassNoPermit: the user gave no permission, has none left or took it back. The recipient is done.
	ClassNoPermit
	// ClassRecipient: the openid is not valid for this app. The recipient is done.
	ClassRecipient
	// ClassField: a field does not satisfy the template. The recipient's own data if the field is personal, the task's
	// if not: see [FieldOf].
	ClassField
	// ClassContent: the text holds a blocked word. As with ClassField it is the recipient's or the task's.
	ClassContent
	// ClassPauseTask: no message of this task can pass until a person changes it.
	ClassPauseTask
	// ClassPauseApp: no message of this app can pass until the platform or a person lifts it.
	ClassPauseApp
	// ClassConfig: our settings or our program are wrong. Stop the app, tell the operator, never loop.
	ClassConfig
	// ClassFailed: this recipient failed and the code says no more. So are all codes that no table lists; the caller
	// watches their share.
	ClassFailed
)

// String is the class as it stands in metrics and logs, e.g. "permit_dead".
func (c Class) String() string {
	switch c {
	case ClassOK:
		return "ok"
	case ClassToken:
		return "token"
	case ClassRetry:
		return "retry"
	case ClassRate:
		return "rate"
	case ClassQuota:
		return "quota"
	case ClassPermitDead:
		return "permit_dead"
	case ClassPermitUsed:
		return "permit_used"
	case ClassNoPermit:
		return "no_permit"
	case ClassRecipient:
		return "recipient"
	case ClassField:
		return "field"
	case ClassContent:
		return "content"
	case ClassPauseTask:
		return "pause_task"
	case ClassPauseApp:
		return "pause_app"
	case ClassConfig:
		return "config"
	case ClassFailed:
		return "failed"
	default:
		return "none"
	}
}

// Channel is a kind of call with an error table of its own: the same errcode may mean another thing elsewhere.
type Channel uint8

// The channels.
const (
	ChannelToken     Channel = iota + 1 // stable_token
	ChannelFormID                       // message/wxopen/template/send
	ChannelSubscribe                    // message/subscribe/send

	channelEnd // behind the last
)

// ResendSafe says whether an ambiguous call may be made again with the same permit. A formId is used once, so the platform
// itself tells a second message from the first (41029). A subscription is an anonymous counter: the same call again is
// another message wherever the user accepted twice, so what became of the first is learnt from the platform's event or
// not at all.
func (c Channel) ResendSafe() bool { return c != ChannelSubscribe }

// Advice is the line of the error table for one errcode.
type Advice struct {
	Class   Class
	English string // what the code means and what the operator should do, one or two sentences
	Chinese string // the same
}

// Classify is the class of an errcode on a channel: ClassOK for 0, ClassFailed for a code that the table does not list
// (ClassConfig on ChannelToken, where any refusal stops the app).
func Classify(channel Channel, code int) Class {
	if code == codeOK {
		return ClassOK
	}
	advice, _ := Explain(channel, code)
	return advice.Class
}

// Explain is the line of the table for an errcode, and whether the table lists it.
func Explain(channel Channel, code int) (Advice, bool) {
	switch channel {
	case ChannelToken:
		if advice, ok := tokenTable[code]; ok {
			return advice, true
		}
		return Advice{
			ClassConfig, "Unknown refusal of the token call. Look the code up in the platform's list.",
			"获取 access_token 时出现未知错误码，请查阅微信错误码列表。",
		}, false
	case ChannelFormID:
		if advice, ok := formIDTable[code]; ok {
			return advice, true
		}
	case ChannelSubscribe:
		if advice, ok := subscribeTable[code]; ok {
			return advice, true
		}
	}
	return Advice{
		ClassFailed, "Unknown errcode. Look it up in the platform's list; a rising share of it needs attention.",
		"未知错误码，请查阅微信错误码列表；如占比上升需关注。",
	}, false
}
