package callback

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// What opens is what seal would have made of it, to the last byte: there is one envelope for a message, no second that
// passes for it.
func FuzzOpen(f *testing.F) {
	k := docKey(f)
	for n := range 40 {
		sealed, _ := base64.StdEncoding.DecodeString(k.seal([]byte("0123456789abcdef"), []byte(strings.Repeat("x", n))))
		f.Add(sealed, true)
	}
	f.Add([]byte("0123456789abcdef\x00\x00\x00\x02{}"+docAppID), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		text := base64.StdEncoding.EncodeToString(b)
		if !sealed { // an envelope of which only the padding is known to be right, or the fuzzer would seldom get past it
			n := padBlock - len(b)%padBlock
			text = sealRaw(k, string(b)+strings.Repeat(string(rune(n)), n))
		}
		random, message, err := k.open(text)
		if err != nil {
			require.Contains(t, []error{ErrDamaged, ErrAppID}, err, "these, with nothing added")
			require.Nil(t, message)
			return
		}
		require.Equal(t, text, k.seal(random, message))
	})
}

// What parses is fit to be stored, and reads the same in all three modes.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":1620973045,"MsgType":"event","Event":"subscribe_msg_popup_event","List":[{"TemplateId":"T","SubscribeStatusString":"accept","PopupScene":"0"}]}`,
		`{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":"1","MsgType":"event","Event":"subscribe_msg_change_event","List":{"TemplateId":"T","SubscribeStatusString":"reject"}}`,
		`{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":1,"MsgType":"event","Event":"subscribe_msg_sent_event","List":{"TemplateId":"T","MsgID":"1864323726461255680","ErrorCode":"0","ErrorStatus":"success"}}`,
		`<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime><MsgType>event</MsgType><Event>subscribe_msg_popup_event</Event><SubscribeMsgPopupEvent><List><TemplateId>T</TemplateId><SubscribeStatusString>accept</SubscribeStatusString><PopupScene>2</PopupScene></List><List><TemplateId>U</TemplateId><SubscribeStatusString>reject</SubscribeStatusString></List></SubscribeMsgPopupEvent></xml>`,
		`<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime><MsgType>event</MsgType><Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>T</TemplateId><MsgID>1</MsgID><ErrorCode>0</ErrorCode></List></SubscribeMsgSentEvent></xml>`,
		`{"Encrypt":"AAAA"}`, `{"action":"CheckContainerPath"}`, `<xml/>`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	stamp := func() time.Time { return time.Unix(1714112445, 0) }
	var endpoints []*Endpoint
	for _, mode := range []Mode{ModePlain, ModeCompat, ModeSafe} {
		e, err := New(Config{AppID: docAppID, EncodingAESKey: zeroKey, Mode: mode, Now: stamp, Token: "AAAAA"})
		require.NoError(f, err)
		endpoints = append(endpoints, e)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		event, err := parse(b)
		if err != nil {
			require.Zero(t, event)
		}
		for _, c := range append(append([]Choice(nil), event.Popups...), event.Changes...) {
			requireStorable(t, c.Key, c.TemplateID, c.Status, event.OpenID)
			require.Positive(t, event.CreatedAt.Unix())
		}
		for _, d := range event.Sent {
			requireStorable(t, d.Key, d.TemplateID, event.OpenID)
			require.Positive(t, d.MsgID)
		}
		for _, e := range endpoints {
			_, _ = e.Receive(url.Values{"msg_signature": {"x"}}, b) // never panics
			query, body, err := e.Compose(b)
			if err != nil || len(body) > MaxBodyBytes {
				continue
			}
			if e.cfg.Mode == ModeCompat && strings.Contains(strings.ToLower(string(b)), "encrypt") {
				continue // which of the two it is that counts is up to the decoder; the signature is over the other
			}
			got, err := e.Receive(query, body)
			want, wantErr := parse(b)
			require.Equal(t, wantErr, err)
			require.Equal(t, want, got)
		}
	})
}

func requireStorable(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		require.NotEmpty(t, text)
		require.True(t, utf8.ValidString(text))
		require.NotContains(t, text, "\x00")
	}
}
