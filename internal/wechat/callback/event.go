package callback

import (
	"strings"
	"time"
)

// The events that are read.
const (
	EventPopup  = "subscribe_msg_popup_event"  // the user answered the popup that asks for permission
	EventChange = "subscribe_msg_change_event" // the user changed a template's switch in the settings
	EventSent   = "subscribe_msg_sent_event"   // what became of a message that subscribe/send accepted
)

// Event is one message of the platform. Of its three lists only the one that belongs to Name has items; with any other Name,
// and in messages that are no event, none has.
type Event struct {
	AccountID string    // ToUserName: the app's own "gh_…", not its appid
	OpenID    string    // FromUserName
	CreatedAt time.Time // to the second, UTC; zero where a message that is not known has none
	MsgType   string    // "event", "text", …
	Name      string    // the member Event, e.g. EventPopup; empty where the message is none

	Popups  []Choice   // of EventPopup
	Changes []Choice   // of EventChange
	Sent    []Delivery // of EventSent
}

// Choice is what a user decided about one template.
type Choice struct {
	// Key is the same in each delivery of the same choice and differs for any other of the app. It tells nothing of the user.
	Key        string
	TemplateID string
	Status     string // SubscribeStatusString as sent: "accept", "reject", …
	Scene      string // PopupScene as sent: "0" is a page of the mini-program; empty in a change
}

// Accepted says whether the user agreed, which in a popup is one permit more. Whatever begins with "accept" counts:
// "acceptWithAudio" and its like are ways to agree.
func (c Choice) Accepted() bool { return strings.HasPrefix(c.Status, "accept") }

// Delivery is the final result of one message.
type Delivery struct {
	// Key is the same in each delivery of the event and differs for any other message of the app.
	Key         string
	TemplateID  string
	MsgID       int64  // as subscribe/send returned it; beyond 2^53
	ErrorCode   int64  // 0: delivered
	ErrorStatus string // its meaning as the platform writes it, e.g. "success"
}

// parse reads a message. The errors are [ErrMalformed] and [ErrEncrypted].
func parse(message []byte) (Event, error) {
	var w wire
	if err := decode(message, &w); err != nil {
		return Event{}, err
	}
	if w.Encrypt != "" && w.MsgType == "" {
		return Event{}, ErrEncrypted
	}
	created, timeErr := w.createdAt()
	e := Event{AccountID: w.ToUserName, OpenID: w.FromUserName, CreatedAt: created, MsgType: w.MsgType, Name: w.Event}
	if !w.known() {
		return e, nil
	}
	if timeErr != nil {
		return Event{}, timeErr
	}
	if !usable(e.OpenID) {
		return Event{}, malformed("no openid")
	}
	items, err := w.items()
	if err != nil {
		return Event{}, err
	}
	switch e.Name {
	case EventPopup:
		e.Popups, err = choices("popup", e, items)
	case EventChange:
		e.Changes, err = choices("change", e, items)
	case EventSent:
		e.Sent, err = deliveries(items)
	}
	if err != nil {
		return Event{}, err
	}
	return e, nil
}
