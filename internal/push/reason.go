package push

// Reason says why a recipient was not sent. The number is what the database holds (table reason); 0 is none.
type Reason int16

// The reasons, stable for ever.
const (
	NoReason Reason = iota
	NoUser
	NoOpenID
	NoPermit
	DuplicateOpenID
	Suppressed
	Capped
	Canceled
	BadOpenID
	Refused
	PermitDead
	FieldInvalid
	ContentBlocked
	PlatformError
	Unsure
)

// ReasonText is what people read about a reason.
type ReasonText struct {
	Code  string         `json:"code"`
	State RecipientState `json:"state"`
	ZH    string         `json:"zh"`
	EN    string         `json:"en"`
}

// Reasons lists every reason in the order of its number. Where the original had a text, ZH is that text.
func Reasons() []Reason {
	all := make([]Reason, 0, Unsure)
	for r := NoUser; r <= Unsure; r++ {
		all = append(all, r)
	}
	return all
}

// Text returns the code, the state and the texts of r; the zero value for NoReason.
func (r Reason) Text() ReasonText {
	switch r {
	case NoReason:
		return ReasonText{}
	case NoUser:
		return ReasonText{"no_user", Skipped, "用户不存在或者openid不存在", "The user is not known"}
	case NoOpenID:
		return ReasonText{"no_openid", Skipped, "用户不存在或者openid不存在", "The user has no openid"}
	case NoPermit:
		return ReasonText{"no_permit", Skipped, "没有formid", "The user has no usable permit"}
	case DuplicateOpenID:
		return ReasonText{"duplicate_openid", Skipped, "同一用户重复", "The same person is in the task already"}
	case Suppressed:
		return ReasonText{"suppressed", Skipped, "在免打扰名单中", "The user is on the suppression list"}
	case Capped:
		return ReasonText{"capped", Skipped, "超过当日推送上限", "The user has had the day's messages"}
	case Canceled:
		return ReasonText{"canceled", Skipped, "任务已取消", "The task was canceled"}
	case BadOpenID:
		return ReasonText{"bad_openid", Failed, "openid无效", "The platform does not know the openid"}
	case Refused:
		return ReasonText{"refused", Failed, "用户拒绝接收", "The user refuses messages"}
	case PermitDead:
		return ReasonText{"permit_dead", Failed, "推送机会已失效", "Every permit tried was dead"}
	case FieldInvalid:
		return ReasonText{"field_invalid", Failed, "内容不符合模板要求", "A field does not fit the template"}
	case ContentBlocked:
		return ReasonText{"content_blocked", Failed, "内容含敏感词", "The platform blocked the content"}
	case PlatformError:
		return ReasonText{"platform_error", Failed, "发送失败", "The platform failed for good"}
	case Unsure:
		return ReasonText{"unsure", Unknown, "结果未知", "Whether it arrived is not known"}
	}
	return ReasonText{}
}

// NoPermitZH is what a user lacks who has no permit of a channel, as marketing reads it.
func NoPermitZH(channel Channel) string {
	if channel == ChannelSubscribe {
		return "没有订阅次数"
	}
	return NoPermit.Text().ZH
}

func (r Reason) String() string { return r.Text().Code }

// MarshalText writes the code.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a code that String wrote; the empty text is NoReason.
func (r *Reason) UnmarshalText(text []byte) error {
	reason, ok := ParseReason(string(text))
	if !ok {
		return &InvalidError{Field: "reason", Rule: "unknown_reason", Message: "is not a reason"}
	}
	*r = reason
	return nil
}

// ParseReason finds a reason by its code; the empty code is NoReason.
func ParseReason(code string) (Reason, bool) {
	if code == "" {
		return NoReason, true
	}
	for _, r := range Reasons() {
		if r.Text().Code == code {
			return r, true
		}
	}
	return NoReason, false
}
