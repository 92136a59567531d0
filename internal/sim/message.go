package sim

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// message is the body of a send. Its slices lie in the body that was parsed, or were made for it.
type message struct {
	toUser, templateID, page, formID, emphasis []byte

	state, lang []byte // of a subscribe message

	fields    []field
	notObject bool // data was there, and no object
	subscribe bool // set by the handler of that call
}

type field struct{ key, value, color []byte }

func (m *message) clear() { *m = message{fields: m.fields[:0]} }

// parse reads a body: 44002, 47002, 47001, 47003 for data of a wrong kind, or no error. A body of the usual shape is read
// by hand; whatever else it may be goes to encoding/json, which decides. What could be read stands in m even after an error.
func (m *message) parse(body []byte) verdict {
	m.clear()
	if len(body) == 0 {
		return verdict{code: codeEmptyBody}
	}
	if m.scan(body) {
		return verdict{}
	}
	m.clear()
	return m.unmarshal(body)
}

// unmarshal reads any body, at leisure.
func (m *message) unmarshal(body []byte) verdict {
	if hasUnicodeEscape(body) {
		return verdict{code: codeUnicodeEscape}
	}
	var v struct {
		ToUser     string          `json:"touser"`
		TemplateID string          `json:"template_id"`
		Page       string          `json:"page"`
		FormID     string          `json:"form_id"`
		Emphasis   string          `json:"emphasis_keyword"`
		State      any             `json:"miniprogram_state"`
		Lang       any             `json:"lang"`
		Data       json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &v); err != nil || !utf8.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
		return verdict{code: codeBadFormat}
	}
	m.toUser, m.templateID, m.page = []byte(v.ToUser), []byte(v.TemplateID), []byte(v.Page)
	m.formID, m.emphasis = []byte(v.FormID), []byte(v.Emphasis)
	m.state, m.lang = anyText(v.State), anyText(v.Lang)
	if len(v.Data) == 0 || string(v.Data) == "null" {
		return verdict{}
	}
	return m.unmarshalFields(v.Data)
}

// anyText is a member that only one of the channels looks at, so that it may be anything on the other. What is no text
// becomes one that no check accepts.
func anyText(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return []byte(v)
	default:
		return []byte{'?'}
	}
}

// unmarshalFields reads the fields in their order, of a data that is valid JSON. A field given twice counts once, with
// its last value.
func (m *message) unmarshalFields(data []byte) verdict {
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		m.notObject = true
		return verdict{code: codeInvalidField, detail: "data.keyword1.value invalid"}
	}
	for dec.More() {
		key, err := dec.Token()
		name, isText := key.(string)
		if err != nil || !isText {
			return verdict{code: codeBadFormat}
		}
		var v *struct {
			Value *string `json:"value"`
			Color string  `json:"color"`
		}
		if err := dec.Decode(&v); err != nil || v == nil || v.Value == nil {
			return verdict{code: codeInvalidField, detail: "data." + name + ".value invalid"}
		}
		m.setField(field{[]byte(name), []byte(*v.Value), []byte(v.Color)})
	}
	return verdict{}
}

func (m *message) setField(f field) {
	for i := range m.fields {
		if bytes.Equal(m.fields[i].key, f.key) {
			m.fields[i] = f
			return
		}
	}
	m.fields = append(m.fields, f)
}

// hasUnicodeEscape finds \uXXXX; a backslash that is itself escaped before a u is none.
func hasUnicodeEscape(body []byte) bool {
	for i := 0; i+1 < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		if body[i+1] == 'u' {
			return true
		}
		i++ // the escaped character is passed over
	}
	return false
}

// scan reads the usual shape: an object of the known members, each at most once, strings without escapes. It is false for
// anything else, which may still be a valid message.
func (m *message) scan(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	s := scanner{rest: body}
	hasData := false
	if !s.take('{') {
		return false
	}
	for {
		key, ok := s.text()
		if !ok || !s.take(':') {
			return false
		}
		if string(key) == "data" {
			if hasData || !m.scanFields(&s) {
				return false
			}
			hasData = true
		} else {
			into := m.member(key)
			if into == nil || *into != nil {
				return false
			}
			if *into, ok = s.text(); !ok {
				return false
			}
		}
		if s.take(',') {
			continue
		}
		return s.take('}') && s.end()
	}
}

func (m *message) member(key []byte) *[]byte {
	switch string(key) {
	case "touser":
		return &m.toUser
	case "template_id":
		return &m.templateID
	case "page":
		return &m.page
	case "form_id":
		return &m.formID
	case "emphasis_keyword":
		return &m.emphasis
	case "miniprogram_state":
		return &m.state
	case "lang":
		return &m.lang
	default:
		return nil
	}
}

func (m *message) scanFields(s *scanner) bool {
	if !s.take('{') {
		return false
	}
	for {
		key, ok := s.text()
		if !ok || !s.take(':') || !s.take('{') {
			return false
		}
		f := field{key: key}
		for {
			name, ok := s.text()
			if !ok || !s.take(':') {
				return false
			}
			text, ok := s.text()
			switch {
			case !ok:
				return false
			case string(name) == "value" && f.value == nil:
				f.value = text
			case string(name) == "color" && f.color == nil:
				f.color = text
			default:
				return false
			}
			if !s.take(',') {
				break
			}
		}
		if f.value == nil || !s.take('}') || m.hasField(string(key)) {
			return false
		}
		m.fields = append(m.fields, f)
		if !s.take(',') {
			return s.take('}')
		}
	}
}

// scanner walks over JSON whose strings hold no escapes. The text was found to be UTF-8 before.
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

// text is the next string, never nil where ok.
func (s *scanner) text() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			out := s.rest[:i:i]
			s.rest = s.rest[i+1:]
			return out, true
		case c < ' ' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}
