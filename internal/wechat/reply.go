package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

const maxMsgBytes = 300 // an errmsg is a sentence; more than this is a gateway's page in disguise

var (
	errNotJSON   = errors.New("answer is not a JSON object")
	errNoErrCode = errors.New("answer has no errcode")
)

// reply is the part of an answer that all calls share.
type reply struct {
	code  int
	msg   string // as the platform wrote it
	msgID int64  // 0 where the answer has none
}

// decodeReply reads an answer. The common shape, a flat object of errcode, errmsg and msgid, is scanned by hand;
// whatever else it may be goes to encoding/json, which decides.
func decodeReply(b []byte) (reply, error) {
	if r, ok := scanReply(b); ok {
		return r, nil
	}
	return unmarshalReply(b)
}

func unmarshalReply(b []byte) (reply, error) {
	var v struct {
		ErrCode *int            `json:"errcode"`
		ErrMsg  string          `json:"errmsg"`
		MsgID   json.RawMessage `json:"msgid"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return reply{}, errNotJSON // its text would quote the answer
	}
	if v.ErrCode == nil {
		return reply{}, errNoErrCode
	}
	r := reply{code: *v.ErrCode, msg: v.ErrMsg}
	// A msgid that cannot be read takes nothing from the fact that the message was accepted.
	if id, err := strconv.ParseInt(string(bytes.Trim(v.MsgID, `"`)), 10, 64); err == nil {
		r.msgID = id
	}
	return r, nil
}

// scanReply reads {"errcode":int,"errmsg":"plain","msgid":int}, the keys in any order, each at most once, errcode
// required. ok is false for any other text, which may still be a valid answer.
func scanReply(b []byte) (r reply, ok bool) {
	s := scanner{rest: b}
	if !s.take('{') {
		return reply{}, false
	}
	var seenCode, seenMsg, seenID bool
	for {
		key, ok := s.text()
		if !ok || !s.take(':') {
			return reply{}, false
		}
		switch {
		case string(key) == "errcode" && !seenCode:
			n, ok := s.integer()
			if !ok || int64(int(n)) != n {
				return reply{}, false
			}
			r.code, seenCode = int(n), true
		case string(key) == "errmsg" && !seenMsg:
			text, ok := s.text()
			if !ok {
				return reply{}, false
			}
			if string(text) == "ok" {
				r.msg = "ok" // no allocation on the path of a message that was sent
			} else {
				r.msg = string(text)
			}
			seenMsg = true
		case string(key) == "msgid" && !seenID:
			if r.msgID, ok = s.integer(); !ok {
				return reply{}, false
			}
			seenID = true
		default:
			return reply{}, false
		}
		if s.take(',') {
			continue
		}
		return r, s.take('}') && s.end() && seenCode
	}
}

// scanner walks over JSON that holds no nesting and no escapes.
type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\r' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) end() bool {
	s.space()
	return len(s.rest) == 0
}

// text reads a string of printable ASCII without escapes.
func (s *scanner) text() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			out := s.rest[:i]
			s.rest = s.rest[i+1:]
			return out, true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// integer reads -?(0|[1-9][0-9]*) of at most 19 digits; a longer one is left to encoding/json.
func (s *scanner) integer() (int64, bool) {
	s.space()
	negative := len(s.rest) > 0 && s.rest[0] == '-'
	if negative {
		s.rest = s.rest[1:]
	}
	var n int64
	i := 0
	for ; i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9'; i++ {
		if i == 19 {
			return 0, false
		}
		n = n*10 + int64(s.rest[i]-'0')
	}
	if i == 0 || n < 0 || (i > 1 && s.rest[0] == '0') {
		return 0, false
	}
	s.rest = s.rest[i:]
	if len(s.rest) > 0 && (s.rest[0] == '.' || s.rest[0] == 'e' || s.rest[0] == 'E') {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// splitMsg parts an errmsg from its variable tail, so that texts can be grouped: "rid: 610b…" of today, "hint: […]" and
// "hints: [ req_id: … ]" of old. The text comes back trimmed, valid UTF-8, free of NUL and cut to some 300 bytes.
func splitMsg(text string) (msg, rid string) {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
	msg = text
	for _, mark := range []string{"rid:", "hints:", "hint:"} {
		i := strings.LastIndex(text, mark)
		if i < 0 || (i > 0 && text[i-1] != ' ' && text[i-1] != ',') {
			continue
		}
		rid = strings.Trim(text[i+len(mark):], " []")
		rid = strings.TrimSpace(strings.TrimPrefix(rid, "req_id:"))
		msg = text[:i]
		break
	}
	return cut(strings.TrimRight(msg, " ,")), cut(rid)
}

func cut(s string) string {
	if len(s) > maxMsgBytes {
		s = strings.ToValidUTF8(s[:maxMsgBytes], "")
	}
	return s
}

// FieldOf names the field that a 47003 complains of, e.g. "keyword1" in "argument invalid! data.keyword1.value is
// empty". It is empty where the text names none.
func FieldOf(msg string) string {
	_, after, found := strings.Cut(msg, "data.")
	if !found {
		return ""
	}
	name, _, found := strings.Cut(after, ".")
	if !found || strings.ContainsAny(name, " \t,;:!") {
		return ""
	}
	return name
}
