package wechat_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

func subscribeMessage() wechat.SubscribeMessage {
	return wechat.SubscribeMessage{
		ToUser:     testOpenID,
		TemplateID: "wDYzYZVxobJivW9oMpSCpuvACOfJXQIoKUm0PY397Tc",
		Page:       "pages/goods/detail/detail?backToHome=1&&goodsId=1989",
		Data: []wechat.Field{
			{Key: "thing1", Value: "双十一<活动>", Color: "#EE0000"},
			{Key: "amount2", Value: "￥99.00"},
		},
	}
}

func TestSendSubscribe_Request(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body string
	url := serving(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r, string(raw)
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`)
	})

	res := newClient(t, url, oneToken()).SendSubscribe(t.Context(), subscribeMessage())

	require.NoError(t, res.Err)
	require.Equal(t, wechat.ClassOK, res.Class)
	require.Equal(t, int64(1988810812324364291), res.MsgID, "no digit is lost above 2^53")
	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, "/cgi-bin/message/subscribe/send", got.URL.Path)
	require.Equal(t, testToken, got.URL.Query().Get("access_token"))
	require.Equal(t, `{"touser":"`+testOpenID+`","template_id":"wDYzYZVxobJivW9oMpSCpuvACOfJXQIoKUm0PY397Tc",`+
		`"page":"pages/goods/detail/detail?backToHome=1&&goodsId=1989","miniprogram_state":"formal","lang":"zh_CN",`+
		`"data":{"thing1":{"value":"双十一<活动>"},"amount2":{"value":"￥99.00"}}}`, body)
}

func TestAppendSubscribeBody_AlwaysNamesStateAndLanguageAndHasData(t *testing.T) {
	t.Parallel()
	require.Equal(t, `x{"touser":"","template_id":"","miniprogram_state":"formal","lang":"zh_CN","data":{}}`,
		string(wechat.AppendSubscribeBody([]byte("x"), wechat.SubscribeMessage{})))
	require.Equal(t, `{"touser":"o","template_id":"T","miniprogram_state":"trial","lang":"en_US","data":{}}`,
		string(wechat.AppendSubscribeBody(nil, wechat.SubscribeMessage{
			ToUser: "o", TemplateID: "T", State: wechat.StateTrial, Lang: wechat.LangEnglish,
		})))
}

func TestSendSubscribe_ToleratesAnAnswerWithoutMsgID(t *testing.T) {
	t.Parallel()
	res := newClient(t, answering(t, 200, `{"errcode":0,"errmsg":"ok"}`), oneToken()).SendSubscribe(t.Context(), subscribeMessage())
	require.Equal(t, wechat.ClassOK, res.Class)
	require.Zero(t, res.MsgID)
}

func TestSendSubscribe_AnswerWithoutVerdictIsAmbiguous(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"status 503":   {503, `{"errcode":0,"errmsg":"ok","msgid":1}`},
		"gateway HTML": {200, `<html>`},
		"empty body":   {200, ``},
		"no errcode":   {200, `{"msgid":1}`},
		"system error": {200, `{"errcode":-1,"errmsg":"system error"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := newClient(t, answering(t, answer.status, answer.body), oneToken()).SendSubscribe(t.Context(), subscribeMessage())
			require.True(t, res.Ambiguous)
			require.False(t, res.NotSent)
			require.Equal(t, wechat.ClassRetry, res.Class)
			requireNoSecrets(t, res.Err.Error(), res.Msg)
		})
	}
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		url := rawServer(t, func(conn net.Conn) { readRequest(conn) })
		res := newClientTimeout(t, url, oneToken(), 300*time.Millisecond).SendSubscribe(t.Context(), subscribeMessage())
		require.True(t, res.Ambiguous)
	})
	t.Run("refused port", func(t *testing.T) {
		t.Parallel()
		res := newClient(t, refusedPort(t), oneToken()).SendSubscribe(t.Context(), subscribeMessage())
		require.True(t, res.NotSent)
		require.False(t, res.Ambiguous)
	})
}

func TestSendSubscribe_RefusalIsReadByItsOwnTable(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]wechat.Result{
		`{"errcode":43101,"errmsg":"user refuse to accept the msg rid: 6a-1"}`: {Class: wechat.ClassNoPermit, Code: 43101, Msg: "user refuse to accept the msg"},
		`{"errcode":43108,"errmsg":"Cannot make concurrent calls to the same OpenID, please try again rid: 6a-1"}`: {
			Class: wechat.ClassRetry, Code: 43108, Msg: "Cannot make concurrent calls to the same OpenID, please try again",
		},
		`{"errcode":47003,"errmsg":"argument invalid! data.thing1.value invalid rid: 6a-1"}`: {
			Class: wechat.ClassField, Code: 47003, Msg: "argument invalid! data.thing1.value invalid",
		},
		`{"errcode":41029,"errmsg":"` + testOpenID + ` rid: 6a-1"}`: {Class: wechat.ClassConfig, Code: 41029, Msg: "[redacted]"},
	} {
		res := newClient(t, answering(t, 200, body), oneToken()).SendSubscribe(t.Context(), subscribeMessage())
		want.RID, want.Err, want.Latency = "6a-1", &wechat.APIError{Op: "subscribe_send", Code: want.Code, Msg: want.Msg, RID: "6a-1"}, res.Latency
		require.Equal(t, want, res)
	}
}

// Both channels keep a request prepared for the token: they must not take each other's.
func TestSend_ChannelsDoNotShareTheirAddress(t *testing.T) {
	t.Parallel()
	var paths []string
	url := serving(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		paths = append(paths, r.URL.Path)
		if r.URL.Query().Get("access_token") == testToken {
			_, _ = io.WriteString(w, `{"errcode":42001,"errmsg":"access_token expired"}`)
			return
		}
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	})
	c := newClient(t, url, &tokens{values: []string{testToken, "second-token"}})
	require.Equal(t, wechat.ClassOK, c.SendSubscribe(t.Context(), subscribeMessage()).Class)
	require.Equal(t, wechat.ClassOK, c.SendTemplate(t.Context(), message()).Class)
	require.Equal(t, wechat.ClassOK, c.SendSubscribe(t.Context(), subscribeMessage()).Class)
	const template, subscribe = "/cgi-bin/message/wxopen/template/send", "/cgi-bin/message/subscribe/send"
	require.Equal(t, []string{subscribe, subscribe, template, subscribe}, paths)
}

func FuzzAppendSubscribeBody(f *testing.F) {
	f.Add("oABC", "thing1", `值"\&&`+"\u2028\n\x01")
	f.Fuzz(func(t *testing.T, user, key, value string) {
		body := wechat.AppendSubscribeBody(nil, wechat.SubscribeMessage{
			ToUser: user, Data: []wechat.Field{{Key: key, Value: value}},
		})
		var got struct {
			ToUser string                       `json:"touser"`
			Data   map[string]map[string]string `json:"data"`
		}
		require.NoError(t, json.Unmarshal(body, &got))
		require.Len(t, got.Data, 1)
	})
}
