package sim

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strconv"
	"time"
)

// The events of subscriptions, as JSON names them.
const (
	eventPopup  = "subscribe_msg_popup_event"  // the user answered the question of the page
	eventChange = "subscribe_msg_change_event" // the user turned a template off
	eventSent   = "subscribe_msg_sent_event"   // a message was delivered, or failed after it was accepted
)

const asyncFailure = -1

// event is what is pushed, in the platform's names. Its item stands in List in JSON, and in XML in List under a name of the
// event's own.
type event struct {
	XMLName xml.Name `json:"-" xml:"xml"`

	ToUserName   string
	FromUserName string // openid
	CreateTime   json.RawMessage
	MsgType      string
	Event        string
	List         eventItem  `xml:"-"`
	Popup        *eventItem `json:"-" xml:"SubscribeMsgPopupEvent>List"`
	Change       *eventItem `json:"-" xml:"SubscribeMsgChangeEvent>List"`
	Sent         *eventItem `json:"-" xml:"SubscribeMsgSentEvent>List"`
}

type eventItem struct {
	TemplateID  string `json:"TemplateId" xml:"TemplateId"` //nolint:tagliatelle // the platform's name
	Status      string `json:"SubscribeStatusString,omitempty" xml:"SubscribeStatusString,omitempty"`
	PopupScene  string `json:",omitempty" xml:",omitempty"`
	MsgID       string `json:",omitempty" xml:",omitempty"`
	ErrorCode   string `json:",omitempty" xml:",omitempty"`
	ErrorStatus string `json:",omitempty" xml:",omitempty"`
}

// encode writes an event in the format of its receiver.
func (to *receiver) encode(kind, appID, openID string, at time.Time, item eventItem) ([]byte, error) {
	seconds := strconv.FormatInt(at.Unix(), 10)
	e := event{
		ToUserName: "gh_" + appID, FromUserName: openID, CreateTime: json.RawMessage(seconds), MsgType: "event", Event: kind, List: item,
	}
	if to.Format == "xml" {
		switch kind {
		case eventPopup:
			e.Popup = &item
		case eventChange:
			e.Change = &item
		case eventSent:
			e.Sent = &item
		}
		return xml.Marshal(e)
	}
	if to.NumbersText {
		e.CreateTime = json.RawMessage(`"` + seconds + `"`)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return bytes.TrimSpace(buf.Bytes()), err
}

// sentItem is what the event of a delivered message says.
func (to *receiver) sentItem(openID, templateID, msgID string) eventItem {
	item := eventItem{TemplateID: templateID, MsgID: msgID, ErrorCode: "0", ErrorStatus: "success"}
	if to.fail[openID] {
		item.ErrorCode, item.ErrorStatus = strconv.Itoa(asyncFailure), "system error"
	}
	return item
}
