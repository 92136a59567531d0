package wechat

import "cmp"

// SubscribeMessage is one subscribe message.
type SubscribeMessage struct {
	ToUser     string // openid
	TemplateID string
	Page       string  // opened by a tap on the card; empty: the card does not jump
	State      State   // empty: [StateFormal]
	Lang       Lang    // empty: [LangChinese]
	Data       []Field // in the order they are written; the channel has no colours, so Color is left out
	Token      string  // as in [TemplateMessage]
}

// State is the version of the mini-program that a tap on the card opens (miniprogram_state).
type State string

// The states.
const (
	StateDeveloper State = "developer"
	StateTrial     State = "trial"
	StateFormal    State = "formal" // the released one
)

// Lang is the language in which the card's own words are shown.
type Lang string

// The languages.
const (
	LangChinese  Lang = "zh_CN"
	LangEnglish  Lang = "en_US"
	LangHongKong Lang = "zh_HK"
	LangTaiwan   Lang = "zh_TW"
)

// AppendSubscribeBody appends the JSON of m to dst and returns the longer slice. State and language are always written:
// documents disagree on whether they may be left out. data is an object, even an empty one: the platform answers 47003 to a
// string that holds JSON. The text is raw UTF-8, as in [AppendTemplateBody].
func AppendSubscribeBody(dst []byte, m SubscribeMessage) []byte {
	dst = appendHead(dst, m.ToUser, m.TemplateID, m.Page)
	dst = append(dst, `,"miniprogram_state":`...)
	dst = appendString(dst, string(cmp.Or(m.State, StateFormal)))
	dst = append(dst, `,"lang":`...)
	dst = appendString(dst, string(cmp.Or(m.Lang, LangChinese)))
	dst = append(dst, `,"data":{`...)
	for i, f := range m.Data {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendField(dst, Field{Key: f.Key, Value: f.Value})
	}
	return append(dst, `}}`...)
}
