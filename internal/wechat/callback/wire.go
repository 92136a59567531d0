package callback

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"strconv"
	"strings"
	"time"
)

// maxCreateTime is some year 6300. What is beyond it is in milliseconds, or no time at all.
const maxCreateTime = 1 << 37

var errNeither = errors.New("neither XML nor JSON")

// envelope is the outer shape of an encrypted body. Whatever else the body has is not decoded.
type envelope struct {
	XMLName    xml.Name `json:"-" xml:"xml"`
	ToUserName string
	Encrypt    string
}

// wire is a message in both its forms. Of what only known events have as little as possible is decoded before the event is
// known, so that another one may hold anything under the same names.
type wire struct {
	XMLName      xml.Name `json:"-" xml:"xml"`
	ToUserName   string
	FromUserName string
	CreateTime   number
	MsgType      string
	Event        string
	Encrypt      string

	List   json.RawMessage `xml:"-"` // an object where there is one item, an array where there are several
	Popup  []item          `json:"-" xml:"SubscribeMsgPopupEvent>List"`
	Change []item          `json:"-" xml:"SubscribeMsgChangeEvent>List"`
	Sent   []item          `json:"-" xml:"SubscribeMsgSentEvent>List"`
}

type item struct {
	TemplateID            string `json:"TemplateId" xml:"TemplateId"` //nolint:tagliatelle // the platform's name
	SubscribeStatusString string
	PopupScene            number
	MsgID                 number
	ErrorCode             number
	ErrorStatus           string
}

// number holds a value as it was written: 0 or "0" in JSON, the text of an element in XML. It is never a float64, which
// would round a msgid.
type number = json.RawMessage

func integer(n number) (int64, error) {
	return strconv.ParseInt(string(bytes.TrimSpace(bytes.Trim(n, `"`))), 10, 64)
}

// scene stays text: nothing depends on it, so nothing that stands there may cost the permit.
func (it item) scene() string { return strings.Trim(string(it.PopupScene), "\" \t\r\n") }

func (w *wire) known() bool {
	return w.MsgType == "event" && (w.Event == EventPopup || w.Event == EventChange || w.Event == EventSent)
}

// createdAt is zero where there is no usable time.
func (w *wire) createdAt() (time.Time, error) {
	seconds, err := integer(w.CreateTime)
	if err != nil || seconds <= 0 || seconds > maxCreateTime {
		return time.Time{}, malformed("no time")
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// items are those of a known event, at least one.
func (w *wire) items() (items []item, err error) {
	switch {
	case bytes.HasPrefix(w.List, []byte{'['}):
		err = json.Unmarshal(w.List, &items)
	case len(w.List) > 0:
		items = make([]item, 1)
		err = json.Unmarshal(w.List, &items[0])
	default:
		items = map[string][]item{EventPopup: w.Popup, EventChange: w.Change, EventSent: w.Sent}[w.Event]
	}
	if err != nil || len(items) == 0 {
		return nil, malformed("no list")
	}
	return items, nil
}

// decode reads XML or JSON, whichever it is: the platform's page offers both, and nothing in a request says which.
func decode(b []byte, v any) error {
	b, err := bytes.TrimSpace(b), errNeither
	switch {
	case isXML(b):
		err = xml.Unmarshal(b, v)
	case bytes.HasPrefix(b, []byte{'{'}):
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return malformed(errNeither.Error()) // the decoder's error would quote the body
	}
	return nil
}

func isXML(b []byte) bool { return bytes.HasPrefix(b, []byte{'<'}) }
