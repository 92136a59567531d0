package sim

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	blockRecords = 4096
	maxShared    = 8192 // shapes and texts kept for sharing; personal ones past this are kept by their message alone

	defaultLedgerPage = 1000
	maxLedgerPage     = 100_000
)

// Message is one delivered message.
type Message struct {
	Seq        int64     `json:"seq"` // from 1, in the order of delivery
	At         time.Time `json:"at"`  // when its request had been read
	AppID      string    `json:"appid"`
	OpenID     string    `json:"openid"`
	FormID     string    `json:"form_id,omitempty"`      // empty for a subscribe message, which has MsgID
	MsgID      int64     `json:"msgid,omitempty,string"` // above 2^53; 0 for a message that spent a formId
	TemplateID string    `json:"template_id"`
	Page       string    `json:"page"`
	Data       []Field   `json:"data"` // in the order in which they were sent
	Emphasis   string    `json:"emphasis_keyword,omitempty"`
	State      string    `json:"miniprogram_state,omitempty"` // of a subscribe message
	Lang       string    `json:"lang,omitempty"`              // of a subscribe message
}

// Field is one keyword of a delivered message.
type Field struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Color string `json:"color,omitempty"`
}

// Filter chooses messages. The zero value is all.
type Filter struct {
	AppID, OpenID string
	After         int64 // messages with a greater Seq
}

// shape is what the messages of a task have in common. One is shared by all messages that it fits.
type shape struct {
	templateID, page, emphasis string
	state, lang                string // state is empty but for subscribe messages
	keys, colors               []string
}

// record is one message, 80 bytes. The strings are shared with the permit, and the values with equal messages.
type record struct {
	at             int64 // Unix nanoseconds
	appID          string
	openID, permit string // permit is the formId, or the msgid of a subscribe message
	values         string // joined by NUL, which JSON does not allow in a string unescaped
	shape          *shape
}

// ledger is every delivered message, in order. Blocks are only appended to, so that a reader needs the mutex for no longer
// than to copy the list of blocks.
type ledger struct {
	blocks [][]record // each of blockRecords, the last perhaps shorter
	total  int64
	shapes map[string]*shape
	values map[string]string
}

func newLedger() ledger {
	return ledger{shapes: map[string]*shape{}, values: map[string]string{}}
}

// add appends a message and returns the scratch buffer. permit is its formId or msgid. Sim.mu is held.
func (l *ledger) add(appID, openID, permit string, m *message, at time.Time, key []byte) []byte {
	rec := record{at: at.UnixNano(), appID: appID, openID: openID, permit: permit}

	key = append(key[:0], m.templateID...)
	key = append(append(key, 0), m.page...)
	key = append(append(key, 0), m.emphasis...)
	if m.subscribe {
		key = append(append(append(append(key, 0), m.state...), 0), m.lang...)
	} else {
		key = append(key, 0, 0)
	}
	for _, f := range m.fields {
		key = append(append(key, 0), f.key...)
		key = append(append(key, 0), f.color...)
	}
	if rec.shape = l.shapes[string(key)]; rec.shape == nil {
		rec.shape = newShape(string(key))
		if len(l.shapes) < maxShared {
			l.shapes[string(key)] = rec.shape
		}
	}

	key = key[:0]
	for i, f := range m.fields {
		if i > 0 {
			key = append(key, 0)
		}
		key = append(key, f.value...)
	}
	known := false
	if rec.values, known = l.values[string(key)]; !known {
		rec.values = string(key)
		if len(l.values) < maxShared {
			l.values[rec.values] = rec.values
		}
	}

	if last := len(l.blocks) - 1; last < 0 || len(l.blocks[last]) == blockRecords {
		l.blocks = append(l.blocks, make([]record, 0, blockRecords))
	}
	last := len(l.blocks) - 1
	l.blocks[last] = append(l.blocks[last], rec)
	l.total++
	return key
}

// newShape is the reverse of the key that add builds.
func newShape(key string) *shape {
	parts := strings.Split(key, "\x00")
	sh := &shape{templateID: parts[0], page: parts[1], emphasis: parts[2], state: parts[3], lang: parts[4]}
	for i := 5; i+1 < len(parts); i += 2 {
		sh.keys = append(sh.keys, parts[i])
		sh.colors = append(sh.colors, parts[i+1])
	}
	return sh
}

func (r *record) message(seq int64) Message {
	m := Message{
		Seq: seq, At: time.Unix(0, r.at).UTC(), AppID: r.appID, OpenID: r.openID,
		TemplateID: r.shape.templateID, Page: r.shape.page, Emphasis: r.shape.emphasis,
		State: r.shape.state, Lang: r.shape.lang,
		Data: make([]Field, len(r.shape.keys)),
	}
	if r.shape.state == "" {
		m.FormID = r.permit
	} else {
		m.MsgID, _ = strconv.ParseInt(r.permit, 10, 64) // add was given digits
	}
	values := strings.Split(r.values, "\x00")
	for i, key := range r.shape.keys {
		m.Data[i] = Field{Key: key, Value: values[i], Color: r.shape.colors[i]}
	}
	return m
}

// Ledger yields the delivered messages that a filter chooses, in the order of delivery: those that were there when it was
// called.
func (s *Sim) Ledger(f Filter) iter.Seq[Message] {
	s.mu.Lock()
	blocks := append([][]record(nil), s.ledger.blocks...) // the lengths as they are now
	s.mu.Unlock()
	return func(yield func(Message) bool) {
		first := max(0, f.After)
		for b := first / blockRecords; b < int64(len(blocks)); b++ {
			for i := range blocks[b] {
				r, seq := &blocks[b][i], b*blockRecords+int64(i)+1
				if seq <= f.After || (f.AppID != "" && r.appID != f.AppID) || (f.OpenID != "" && r.openID != f.OpenID) {
					continue
				}
				if !yield(r.message(seq)) {
					return
				}
			}
		}
	}
}

// handleLedger is GET /sim/ledger with openid, appid and after as filters. It answers pages of limit messages, or with
// format=ndjson all of them, one a line.
func (s *Sim) handleLedger(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := Filter{AppID: q.Get("appid"), OpenID: q.Get("openid")}
	limit := int64(defaultLedgerPage)
	for name, into := range map[string]*int64{"after": &f.After, "limit": &limit} {
		if text := q.Get(name); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				writeProblem(w, errors.New(name+" must be a number"))
				return
			}
			*into = n
		}
	}
	if q.Get("format") == "ndjson" {
		s.streamLedger(w, f)
		return
	}
	page := struct {
		Total    int64     `json:"total"` // of all messages, whatever the filter
		Messages []Message `json:"messages"`
		Next     int64     `json:"next_after,omitempty"` // the after of the next page; 0: this is the last
	}{Messages: []Message{}, Total: s.Stats().Messages}
	limit = max(1, min(limit, maxLedgerPage))
	for m := range s.Ledger(f) {
		if int64(len(page.Messages)) == limit {
			page.Next = page.Messages[limit-1].Seq
			break
		}
		page.Messages = append(page.Messages, m)
	}
	writeJSON(w, http.StatusOK, page)
}

func (s *Sim) streamLedger(w http.ResponseWriter, f Filter) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for m := range s.Ledger(f) {
		if enc.Encode(m) != nil {
			return // the reader has left
		}
	}
}
