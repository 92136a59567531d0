package wechat_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

// What the wire carries is the platform's protocol to the letter: the path, the token in the query, and raw UTF-8.
func TestSendTemplate_WritesThePlatformsRequest(t *testing.T) {
	t.Parallel()
	var body, path, token, contentType string
	c := newClient(t, serving(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body, path, token = string(raw), r.Method+" "+r.URL.Path, r.URL.Query().Get("access_token")
		contentType = r.Header.Get("Content-Type")
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`)
	}), oneToken())

	res := c.SendTemplate(t.Context(), message())

	require.NoError(t, res.Err)
	require.Equal(t, wechat.ClassOK, res.Class)
	require.Equal(t, int64(1988810812324364291), res.MsgID, "a msgid above 2^53 keeps every digit")
	require.Positive(t, res.Latency)
	require.False(t, res.Ambiguous || res.NotSent)
	require.Equal(t, "POST /cgi-bin/message/wxopen/template/send", path)
	require.Equal(t, testToken, token)
	require.Contains(t, contentType, "application/json")
	require.Contains(t, body, `"page":"pages/goods/detail/detail?backToHome=1&&goodsId=1989"`)
	require.Contains(t, body, `"keyword4":{"value":"250海贝","color":"#EE0000"}`)
	require.NotContains(t, body, `\u`)
}

// Design §4.5 rests on this: whatever may have reached the platform without a usable answer is ambiguous, and a definite
// refusal is not.
func TestSendTemplate_AnswerWithoutVerdictIsAmbiguous(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"status 503 with JSON": {503, `{"errcode":0,"errmsg":"ok"}`},
		"status 302":           {302, ``},
		"gateway HTML":         {200, `<html><body>502 Bad Gateway</body></html>`},
		"empty body":           {200, ``},
		"null":                 {200, `null`},
		"false":                {200, `false`},
		"no errcode":           {200, `{"errmsg":"ok"}`},
		"null errcode":         {200, `{"errcode":null}`},
		"cut short":            {200, `{"errcode":0,"errm`},
		"two objects":          {200, `{"errcode":0}{"errcode":0}`},
		"huge":                 {200, `{"errcode":0,"errmsg":"` + strings.Repeat("x", 70<<10) + `"}`},
		"system error":         {200, `{"errcode":-1,"errmsg":"system error"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := newClient(t, answering(t, answer.status, answer.body), oneToken()).SendTemplate(t.Context(), message())
			require.True(t, res.Ambiguous)
			require.False(t, res.NotSent)
			require.Equal(t, wechat.ClassRetry, res.Class)
			require.Error(t, res.Err)
			requireNoSecrets(t, res.Err.Error(), res.Msg)
		})
	}
}

func TestSendTemplate_RefusalIsDefinite(t *testing.T) {
	t.Parallel()
	c := newClient(t, answering(t, 200,
		`{"errcode":41028,"errmsg":"invalid form id rid: 610b7ea3-036ff8e0-21a3f70c"}`), oneToken())

	res := c.SendTemplate(t.Context(), message())

	require.Equal(t, wechat.ClassPermitDead, res.Class)
	require.False(t, res.Ambiguous || res.NotSent)
	require.Equal(t, 41028, res.Code)
	require.Equal(t, "invalid form id", res.Msg)
	require.Equal(t, "610b7ea3-036ff8e0-21a3f70c", res.RID)
	apiErr, ok := errors.AsType[*wechat.APIError](res.Err)
	require.True(t, ok)
	require.Equal(t, wechat.APIError{
		Op: "template_send", Code: 41028, Msg: "invalid form id", RID: "610b7ea3-036ff8e0-21a3f70c",
	}, *apiErr)
}

// The phases of the transport: design §4.4 gives a permit back only where nothing can have been sent.
func TestSendTemplate_TransportPhase(t *testing.T) {
	t.Parallel()
	for name, phase := range map[string]struct {
		url     func(t *testing.T) string
		notSent bool
	}{
		"refused port":    {refusedPort, true},
		"TLS to plain":    {func(t *testing.T) string { t.Helper(); return "https" + answering(t, 200, "")[4:] }, true},
		"reads, closes":   {func(t *testing.T) string { t.Helper(); return rawServer(t, readRequest) }, false},
		"reads, resets":   {resetting, false},
		"closes half-way": {halfAnswer, false},
		"never answers": {func(t *testing.T) string {
			t.Helper()
			return rawServer(t, func(conn net.Conn) {
				readRequest(conn)
				_, _ = io.Copy(io.Discard, conn) // until the client gives up
			})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClientTimeout(t, phase.url(t), oneToken(), 300*time.Millisecond)
			res := c.SendTemplate(t.Context(), message())
			require.Equal(t, wechat.ClassRetry, res.Class)
			require.Equal(t, phase.notSent, res.NotSent, "%v", res.Err)
			require.Equal(t, !phase.notSent, res.Ambiguous, "%v", res.Err)
			requireNoSecrets(t, res.Err.Error())
		})
	}
}

func refusedPort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return "http://" + ln.Addr().String()
}

func resetting(t *testing.T) string {
	t.Helper()
	return rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	})
}

func halfAnswer(t *testing.T) string {
	t.Helper()
	return rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"errcode\"")
	})
}

// A connection that the server closed while it was idle costs no message: either the transport notices before it writes
// and takes another, or the call is ambiguous. It is never NotSent and delivered.
func TestSendTemplate_StaleConnectionNeverLosesTheQuestion(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	url := rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		calls.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"errcode\":0}")
	})
	c := newClient(t, url, oneToken())
	for range 200 {
		before := calls.Load()
		res := c.SendTemplate(t.Context(), message())
		if calls.Load() > before {
			require.False(t, res.NotSent)
		}
		if res.Class != wechat.ClassOK {
			require.True(t, res.Ambiguous || res.NotSent)
		}
	}
}

func TestSendTemplate_CallerLeavesBeforeTheRequest_IsNotSent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res := newClient(t, answering(t, 200, `{"errcode":0}`), oneToken()).SendTemplate(ctx, message())
	require.True(t, res.NotSent)
	require.False(t, res.Ambiguous)
	require.ErrorIs(t, res.Err, context.Canceled)
}

func TestSendTemplate_RefusedToken_RenewsOnceAndSendsTheSameMessage(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"40001", "40014", "42001"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			var bodies []string
			url := serving(t, func(w http.ResponseWriter, r *http.Request) {
				raw, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(raw))
				if r.URL.Query().Get("access_token") == testToken {
					_, _ = io.WriteString(w, `{"errcode":`+code+`,"errmsg":"invalid credential, access_token `+testToken+`"}`)
					return
				}
				_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
			})
			source := &tokens{values: []string{testToken, "second-token"}}
			res := newClient(t, url, source).SendTemplate(t.Context(), message())
			require.Equal(t, wechat.ClassOK, res.Class)
			require.Equal(t, []string{testToken}, source.invalidated)
			require.Len(t, bodies, 2)
			require.Equal(t, bodies[0], bodies[1])
		})
	}
}

func TestSendTemplate_FreshTokenRefusedToo_IsConfig(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	url := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, `{"errcode":40001,"errmsg":"invalid credential `+testToken+` of `+testOpenID+`"}`)
	})
	res := newClient(t, url, oneToken()).SendTemplate(t.Context(), message())
	require.Equal(t, wechat.ClassConfig, res.Class)
	require.Equal(t, 40001, res.Code)
	require.False(t, res.Ambiguous)
	require.Equal(t, int64(2), calls.Load(), "a refused token is never retried in a loop")
	requireNoSecrets(t, res.Err.Error(), res.Msg)
}

func TestSendTemplate_NoToken_IsNotSent(t *testing.T) {
	t.Parallel()
	url := answering(t, 200, `{"errcode":40001,"errmsg":"invalid credential"}`)
	for name, tc := range map[string]struct {
		source *tokens
		class  wechat.Class
	}{
		"store down":       {&tokens{err: errors.New("connection lost")}, wechat.ClassRetry},
		"wrong secret":     {&tokens{err: &wechat.APIError{Op: "stable_token", Code: 40125, Msg: "invalid appsecret"}}, wechat.ClassConfig},
		"platform busy":    {&tokens{err: &wechat.APIError{Op: "stable_token", Code: -1}}, wechat.ClassRetry},
		"cannot be marked": {&tokens{values: []string{testToken}, invalidErr: errors.New("connection lost")}, wechat.ClassRetry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := newClient(t, url, tc.source).SendTemplate(t.Context(), message())
			require.Equal(t, tc.class, res.Class)
			require.True(t, res.NotSent)
			require.False(t, res.Ambiguous)
			require.Error(t, res.Err)
		})
	}
}

// A timeout that leaves the transport still reading the body must not let the next call's body into the old request.
func TestSendTemplate_BuffersAreNotSharedBetweenCalls(t *testing.T) {
	t.Parallel()
	var mixed atomic.Int64
	url := serving(t, func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err == nil && !strings.Contains(string(raw), `"touser":"`+r.URL.Query().Get("access_token")+`"`) {
			mixed.Add(1)
		}
		_, _ = io.WriteString(w, `{"errcode":0}`)
	})
	done := make(chan struct{})
	for i := range 8 {
		name := strings.Repeat(string(rune('a'+i)), 12)
		go func() {
			defer func() { done <- struct{}{} }()
			c := newClientTimeout(t, url, &tokens{values: []string{name}}, 3*time.Millisecond)
			m := message()
			m.ToUser = name
			for range 100 {
				_ = c.SendTemplate(t.Context(), m)
			}
		}()
	}
	for range 8 {
		<-done
	}
	require.Zero(t, mixed.Load())
}

// A call that found no connection free within its time was never written: it is not one of the ambiguous.
func TestSendTemplate_NoConnectionFree_IsNotSent(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	url := rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, conn) // until the client gives up
	})
	c, err := wechat.New(wechat.Config{
		BaseURL: url, AppID: "wx1", Secret: testSecret, MaxConns: 1, Timeout: 300 * time.Millisecond,
	}, oneToken())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	first := make(chan wechat.Result, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	go func() { first <- c.SendTemplate(t.Context(), message()) }()
	<-arrived

	second := c.SendTemplate(ctx, message())

	require.True(t, second.NotSent, "%v", second.Err)
	require.False(t, second.Ambiguous)
	require.True(t, (<-first).Ambiguous)
}
