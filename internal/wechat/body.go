package wechat

import (
	"strings"
	"unicode/utf8"
)

// TemplateMessage is one template message that spends a formId.
type TemplateMessage struct {
	ToUser          string // openid
	TemplateID      string
	Page            string // opened by a tap on the card; empty: the card does not jump
	FormID          string
	Data            []Field // in the order they are written
	EmphasisKeyword string  // e.g. "keyword1.DATA"; empty: none

	// Token is the access token to make the call with. Empty: the client's source is asked, which may take time, and asked again if
	// the platform refuses its token. With a token the call is made at once, and only once.
	Token string
}

// Field is one keyword of a message.
type Field struct {
	Key   string // e.g. "keyword1"
	Value string
	Color string // e.g. "#EE0000"; empty: the platform's own
}

// AppendTemplateBody appends the JSON of m to dst and returns the longer slice. Empty optional members are left out.
// The text is raw UTF-8: of all characters only the quotation mark, the backslash and control characters change.
func AppendTemplateBody(dst []byte, m TemplateMessage) []byte {
	dst = appendHead(dst, m.ToUser, m.TemplateID, m.Page)
	dst = append(dst, `,"form_id":`...)
	dst = appendString(dst, m.FormID)
	if len(m.Data) > 0 {
		dst = append(dst, `,"data":{`...)
		for i, f := range m.Data {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendField(dst, f)
		}
		dst = append(dst, '}')
	}
	if m.EmphasisKeyword != "" {
		dst = append(dst, `,"emphasis_keyword":`...)
		dst = appendString(dst, m.EmphasisKeyword)
	}
	return append(dst, '}')
}

// appendHead begins the body of either channel.
func appendHead(dst []byte, toUser, templateID, page string) []byte {
	dst = append(dst, `{"touser":`...)
	dst = appendString(dst, toUser)
	dst = append(dst, `,"template_id":`...)
	dst = appendString(dst, templateID)
	if page != "" {
		dst = append(dst, `,"page":`...)
		dst = appendString(dst, page)
	}
	return dst
}

func appendField(dst []byte, f Field) []byte {
	dst = appendString(dst, f.Key)
	dst = append(dst, `:{"value":`...)
	dst = appendString(dst, f.Value)
	if f.Color != "" {
		dst = append(dst, `,"color":`...)
		dst = appendString(dst, f.Color)
	}
	return append(dst, '}')
}

// appendString appends s as a JSON string. encoding/json would write &, <, > and U+2028 as \uXXXX, and even without
// HTML escaping the last; the platform answers 47002 to any of them. A control character that JSON can write only that
// way becomes a space: no field may hold one. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		b := s[i]
		if b >= ' ' && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = append(dst, escape(b)...)
		start = i + 1
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func escape(b byte) string {
	switch b {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	default:
		return " "
	}
}
