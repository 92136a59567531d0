package wechat_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

func TestAppendTemplateBody_IsExact(t *testing.T) {
	t.Parallel()
	m := message()
	m.Data = m.Data[3:4]
	m.EmphasisKeyword = "keyword4.DATA"
	require.Equal(t, `{"touser":"`+testOpenID+`","template_id":"q39oqA06484105",`+
		`"page":"pages/goods/detail/detail?backToHome=1&&goodsId=1989","form_id":"`+testFormID+`",`+
		`"data":{"keyword4":{"value":"250海贝","color":"#EE0000"}},"emphasis_keyword":"keyword4.DATA"}`,
		string(wechat.AppendTemplateBody(nil, m)))
	require.Equal(t, `x{"touser":"","template_id":"","form_id":""}`,
		string(wechat.AppendTemplateBody([]byte("x"), wechat.TemplateMessage{})), "what is optional and empty is left out")
}

// Invariant 4: raw UTF-8, never \uXXXX, which the platform refuses with 47002.
func TestAppendTemplateBody_NeverEscapesWhatJSONAllowsRaw(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`a&&b<c>d'e/f`:     `a&&b<c>d'e/f`,
		"\u2028\u2029\x7f": "\u2028\u2029\x7f",
		"😀儿童":              "😀儿童",
		`q"b\`:             `q\"b\\`,
		"a\nb\rc\td\be\f":  `a\nb\rc\td\be\f`,
		"a\x00b\x1f":       "a b ",
		"bad \xff byte":    "bad \uFFFD byte",
	} {
		body := wechat.AppendTemplateBody(nil, wechat.TemplateMessage{ToUser: in})
		require.Equal(t, `{"touser":"`+want+`","template_id":"","form_id":""}`, string(body))
	}
}

func FuzzAppendTemplateBody(f *testing.F) {
	f.Add("oABC", "keyword1", `值"\&&`+"\u2028\n\x01")
	f.Fuzz(func(t *testing.T, user, key, value string) {
		body := wechat.AppendTemplateBody(nil, wechat.TemplateMessage{
			ToUser: user, Data: []wechat.Field{{Key: key, Value: value, Color: value}},
		})
		require.True(t, utf8.Valid(body))
		var got struct {
			ToUser string                       `json:"touser"`
			Data   map[string]map[string]string `json:"data"`
		}
		require.NoError(t, json.Unmarshal(body, &got))
		require.Len(t, got.Data, 1)
		for i := range len(body) - 1 {
			if body[i] == '\\' && body[i+1] == 'u' {
				require.Equal(t, byte('\\'), body[i-1], "only an escaped backslash may stand before a u")
			}
		}
	})
}
