package web_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/wechat/callback"
)

const aesKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"

// pushes is the platform's side of an app's message push.
func (b *bundle) pushes(t *testing.T, mode callback.Mode) *callback.Endpoint {
	t.Helper()
	require.NoError(t, b.d.SetCallback(t.Context(), "health", dispatch.CallbackSpec{Mode: mode, Token: "tok", EncodingAESKey: aesKey}))
	app, err := b.store.App(t.Context(), "health")
	require.NoError(t, err)
	e, err := callback.New(callback.Config{AppID: app.AppID, Token: "tok", EncodingAESKey: aesKey, Mode: mode})
	require.NoError(t, err)
	return e
}

func (b *bundle) pushed(t *testing.T, query url.Values, body []byte) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+b.server.Addr()+"/callbacks/wechat/health?"+query.Encode(), bytes.NewReader(body))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func popup(openID, status string, at int) []byte {
	return fmt.Appendf(nil, `{"ToUserName":"gh_1","FromUserName":%q,"CreateTime":%d,"MsgType":"event","Event":"subscribe_msg_popup_event","List":[{"TemplateId":"SUB","SubscribeStatusString":%q,"PopupScene":"0"}]}`,
		openID, at, status)
}

// The platform's events count what people accept and turn off, where the app says that they do; the same event again changes nothing.
func TestCallback_CountsWhatPeopleAcceptAndTurnOff(t *testing.T) {
	t.Parallel()
	for _, mode := range []callback.Mode{callback.ModePlain, callback.ModeSafe} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			e := b.pushes(t, mode)
			units := func() (n int) {
				require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT coalesce(sum(available), 0) FROM subscription`).Scan(&n))
				return n
			}
			deliver := func(message []byte) {
				query, body, err := e.Compose(message)
				require.NoError(t, err)
				for range 2 {
					status, answer := b.pushed(t, query, body)
					require.Equal(t, []any{200, "success"}, []any{status, answer})
				}
			}
			now := int(time.Now().Unix())
			deliver(popup("o1", "accept", now))
			require.Zero(t, units(), "the mini-program reports: it would count twice")
			b.admin(t, 200, "PATCH", "/api/v1/apps/health", `{"permit_source":"events"}`)
			deliver(popup("o1", "accept", now+1))
			deliver(popup("o1", "reject", now+2))
			deliver(popup("o1", "acceptWithAudio", now+3))
			require.Equal(t, 2, units())
			deliver(fmt.Appendf(nil, `{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":"%d","MsgType":"event","Event":"subscribe_msg_change_event","List":{"TemplateId":"SUB","SubscribeStatusString":"reject"}}`, now+4))
			require.Zero(t, units())
		})
	}
}

// What is not signed, not for this app, altered, cut off or old is refused, and nothing changes; the verification of the address is answered.
func TestCallback_RefusesWhatIsNotThePlatforms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, _ := b.pushed(t, url.Values{}, popup("o1", "accept", 1))
	require.Equal(t, 404, status, "no message push is set up")
	e := b.pushes(t, callback.ModeSafe)
	b.admin(t, 200, "PATCH", "/api/v1/apps/health", `{"permit_source":"events"}`)
	message := popup("o1", "accept", int(time.Now().Unix()))
	query, body, err := e.Compose(message)
	require.NoError(t, err)
	altered := func(change func(url.Values)) url.Values {
		q := url.Values{}
		for k, v := range query {
			q[k] = v
		}
		change(q)
		return q
	}
	other, err := callback.New(callback.Config{AppID: "wxother", Token: "tok", EncodingAESKey: aesKey, Mode: callback.ModeSafe})
	require.NoError(t, err)
	otherQuery, otherBody, err := other.Compose(message)
	require.NoError(t, err)
	old, err := callback.New(callback.Config{AppID: "wx1", Token: "tok", EncodingAESKey: aesKey, Mode: callback.ModeSafe, Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	require.NoError(t, err)
	oldQuery, oldBody, err := old.Compose(message)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		query url.Values
		body  []byte
	}{
		"wrong signature": {altered(func(q url.Values) { q.Set("msg_signature", "0000000000000000000000000000000000000000") }), body},
		"another appid":   {otherQuery, otherBody},
		"truncated":       {query, body[:len(body)/2]},
		"plain":           {query, message},
		"old":             {oldQuery, oldBody},
	} {
		status, answer := b.pushed(t, c.query, c.body)
		require.Equal(t, 403, status, "%s: %s", name, answer)
	}
	var rows int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM subscription) + (SELECT count(*) FROM subscription_report) + (SELECT count(*) FROM sent_event)`).Scan(&rows))
	require.Zero(t, rows)

	res, err := http.Get("http://" + b.server.Addr() + "/callbacks/wechat/health?" + e.Challenge("echo me").Encode()) //nolint:noctx // loopback
	require.NoError(t, err)
	defer res.Body.Close()
	echo, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "echo me", string(echo))
}

// Who does not sign holds up nobody, though he sends his body never: he is refused before it is read, and the platform's pushes go through.
func TestCallback_SlowSendersWithoutASignatureHoldNobodyUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := b.pushes(t, callback.ModeSafe)
	var slow []net.Conn
	for range 40 {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.server.Addr())
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "POST /callbacks/wechat/health?signature=0&timestamp=1&nonce=n&msg_signature=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
		slow = append(slow, c)
	}
	for _, c := range slow {
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 403, res.StatusCode)
	}
	query, body, err := e.Compose(popup("o1", "accept", int(time.Now().Unix())))
	require.NoError(t, err)
	status, answer := b.pushed(t, query, body)
	require.Equal(t, []any{200, "success"}, []any{status, answer})
	query.Set("signature", "0")
	status, _ = b.pushed(t, query, body)
	require.Equal(t, 403, status)
}
