package wechat

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeReply(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]reply{
		`{"errcode":0,"errmsg":"ok"}`:                                  {0, "ok", 0},
		` { "errmsg" : "ok" , "errcode" : 0 } `:                        {0, "ok", 0},
		`{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`:      {0, "ok", 1988810812324364291},
		`{"errcode":0,"msgid":9223372036854775807}`:                    {0, "", 9223372036854775807},
		`{"errcode":0,"msgid":9223372036854775808}`:                    {0, "", 0}, // unreadable, and still accepted
		`{"errcode":0,"msgid":"1988810812324364291"}`:                  {0, "", 1988810812324364291},
		`{"errcode":-1,"errmsg":"system error","extra":{"a":[1]}}`:     {-1, "system error", 0},
		`{"errcode":43107,"errmsg":"订阅消息能力封禁"}`:                        {43107, "订阅消息能力封禁", 0},
		`{"errcode":41028,"errmsg":"invalid form id hint: [a\"b\\c]"}`: {41028, `invalid form id hint: [a"b\c]`, 0},
	} {
		got, err := decodeReply([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		``, `{}`, `[]`, `0`, `"errcode"`, `{"errcode"}`, `{"errcode":}`, `{"errcode":"0"}`, `{"errcode":0.5}`, `{"errcode":00}`,
		`{"errcode":0,}`, `{"errcode":0}x`, `{"errcode":0`, `{"errcode":99999999999999999999}`, `{'errcode':0}`,
	} {
		_, err := decodeReply([]byte(text))
		require.Error(t, err, text)
	}
}

// The scan by hand never says anything else than encoding/json would: what it takes, the other reads alike.
func FuzzDecodeReply(f *testing.F) {
	for _, seed := range []string{
		`{"errcode":0,"errmsg":"ok"}`, `{"errcode":-0,"msgid":9223372036854775807}`, `{"errcode":1,"errcode":2}`,
		`{"errmsg":"a\u0000b","errcode":40001}`, `{"ErrCode":0}`, `<html>`, `{"errcode":1e3}`, `{"errcode":01}`, `{"errcode":0,"msgid":-}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fast, ok := scanReply(b)
		slow, err := unmarshalReply(b)
		if ok {
			require.NoError(t, err)
			require.Equal(t, slow, fast)
		}
		if err == nil {
			msg, rid := splitMsg(slow.msg)
			require.LessOrEqual(t, len(msg), maxMsgBytes)
			require.LessOrEqual(t, len(rid), maxMsgBytes)
			require.NotContains(t, msg, "\x00")
		}
	})
}

func TestSplitMsg_TakesTheTailOff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"ok":                                     {"ok", ""},
		"invalid form id hint: [q39oqA06484105]": {"invalid form id", "q39oqA06484105"},
		"invalid openid rid: 610b7ea3-036ff8e0-21a3f70c":        {"invalid openid", "610b7ea3-036ff8e0-21a3f70c"},
		"invalid credential, hints: [ req_id: aBcD_e1 ]":        {"invalid credential", "aBcD_e1"},
		"argument invalid! data.thing1.value invalid rid: 6f-1": {"argument invalid! data.thing1.value invalid", "6f-1"},
		"no grid: of ours":       {"no grid: of ours", ""},
		"":                       {"", ""},
		"a\x00b":                 {"ab", ""},
		strings.Repeat("长", 200): {strings.Repeat("长", 100), ""},
	} {
		msg, rid := splitMsg(text)
		require.Equal(t, want, [2]string{msg, rid}, text)
	}
}
