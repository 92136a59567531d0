package sim_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // the platform's own signature
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// receiver is a callback address that keeps what it is sent and answers as answer says; nil answers "success".
type receiver struct {
	mu     sync.Mutex
	bodies []string
	at     []time.Time
	query  url.Values
	url    string
}

func receiving(t *testing.T, answer func(n int) (status int, text string)) *receiver {
	t.Helper()
	r := &receiver{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.bodies, r.at, r.query = append(r.bodies, string(raw)), append(r.at, time.Now()), req.URL.Query()
		n := len(r.bodies)
		r.mu.Unlock()
		status, text := http.StatusOK, "success"
		if answer != nil {
			status, text = answer(n)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL + "/callbacks/wechat/app"
	return r
}

// wait returns the bodies once there are n of them.
func (r *receiver) wait(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = slices.Clone(r.bodies)
		return len(got) >= n
	}, waitLong, waitStep)
	require.Len(t, got, n)
	return got
}

func pushing(t *testing.T, b *testBundle, c sim.Callback) {
	t.Helper()
	c.Token = "AAAAA"
	require.NoError(t, b.sim.SetCallback(testApp, c))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.sim.Push(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestPush_SentEventBearsTheMsgIDAndIsSigned(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b := setup(t, sim.Config{Now: func() time.Time { return now }})
	b.accept("o1", "T1")
	to := receiving(t, nil)
	pushing(t, b, sim.Callback{URL: to.url, DelayMS: 50})
	begun := time.Now()

	id := b.subscribe(t, "o1", "T1").MsgID.String()

	require.JSONEq(t, `{"ToUserName":"gh_`+testApp+`","FromUserName":"o1","CreateTime":`+strconv.FormatInt(now.Unix(), 10)+`,
		"MsgType":"event","Event":"subscribe_msg_sent_event",
		"List":{"TemplateId":"T1","MsgID":"`+id+`","ErrorCode":"0","ErrorStatus":"success"}}`, to.wait(t, 1)[0])
	require.GreaterOrEqual(t, to.at[0].Sub(begun), 50*time.Millisecond)
	parts := []string{"AAAAA", to.query.Get("timestamp"), to.query.Get("nonce")}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // the platform's own signature
	require.Equal(t, hex.EncodeToString(sum[:]), to.query.Get("signature"))
	require.Equal(t, "o1", to.query.Get("openid"))
	require.Eventually(t, func() bool { return b.sim.Stats().Events == 1 }, waitLong, waitStep)
}

// The way out of an ambiguous send: the answer was lost, and the event tells.
func TestPush_AnswerLostAfterDelivery_EventComes(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{Faults: rules(
		sim.Rule{Kind: sim.Unavailable, AfterDelivery: true, OpenIDs: []string{"o1"}},
		sim.Rule{Kind: sim.Unavailable, OpenIDs: []string{"o2"}},
	)})
	b.sim.Accept(testApp, "T1", []string{"o1", "o2"}, 1)
	to := receiving(t, nil)
	pushing(t, b, sim.Callback{URL: to.url})
	for _, openID := range []string{"o2", "o1"} {
		require.Equal(t, http.StatusServiceUnavailable,
			b.do(t, http.MethodPost, subscribePath+"?access_token="+b.token, subscribeBody(openID, "T1")).Code)
	}
	event := to.wait(t, 1)[0]
	require.Contains(t, event, `"FromUserName":"o1"`, "and none of the message that never was")
	require.Contains(t, event, `"MsgID":"`+strconv.FormatInt(b.ledger()[0].MsgID, 10)+`"`)
}

func TestPush_WhatUsersDo(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	to := receiving(t, nil)
	pushing(t, b, sim.Callback{URL: to.url + "?x=1", NumbersText: true})

	b.accept("o1", "T1")
	popup := to.wait(t, 1)[0]
	b.sim.TurnOff(testApp, "T1", []string{"o1"})
	change := to.wait(t, 2)[1]

	require.Contains(t, popup, `"Event":"subscribe_msg_popup_event","List":{"TemplateId":"T1","SubscribeStatusString":"accept","PopupScene":"0"}`)
	require.Regexp(t, `"CreateTime":"[0-9]+"`, popup)
	require.Contains(t, change, `"Event":"subscribe_msg_change_event","List":{"TemplateId":"T1","SubscribeStatusString":"reject"}`)
	require.Equal(t, "1", to.query.Get("x"), "the address's own query stays")
}

func TestPush_XML(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	b.accept("o1", "T1")
	to := receiving(t, func(int) (int, string) { return http.StatusOK, "" })
	pushing(t, b, sim.Callback{URL: to.url, Format: "xml", FailOpenIDs: []string{"o1"}})
	id := b.subscribe(t, "o1", "T1").MsgID.String()
	require.Regexp(t, `^<xml><ToUserName>gh_`+testApp+`</ToUserName><FromUserName>o1</FromUserName><CreateTime>[0-9]+</CreateTime>`+
		`<MsgType>event</MsgType><Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>T1</TemplateId>`+
		`<MsgID>`+id+`</MsgID><ErrorCode>-1</ErrorCode><ErrorStatus>system error</ErrorStatus></List></SubscribeMsgSentEvent></xml>$`,
		to.wait(t, 1)[0])
}

func TestPush_TriesThreeTimesMore(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	b.accept("o1", "T1")
	to := receiving(t, func(n int) (int, string) {
		if n%2 == 0 {
			return http.StatusOK, "fail"
		}
		return http.StatusServiceUnavailable, "success"
	})
	pushing(t, b, sim.Callback{URL: to.url})
	require.Zero(t, b.subscribe(t, "o1", "T1").ErrCode)
	require.Eventually(t, func() bool { return b.sim.Stats().EventsLost == 1 }, waitLong, waitStep)
	bodies := to.wait(t, 4)
	require.Equal(t, slices.Repeat(bodies[:1], 4), bodies, "the same event each time")
	require.Zero(t, b.sim.Stats().Events)
}

func TestPush_RepeatsAndLoses(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	b.sim.Accept(testApp, "T1", []string{"o1", "o2"}, 1)
	to := receiving(t, nil)
	pushing(t, b, sim.Callback{URL: to.url, Repeat: 2, LoseOpenIDs: []string{"o2"}})
	require.Zero(t, b.subscribe(t, "o2", "T1").ErrCode)
	require.Zero(t, b.subscribe(t, "o1", "T1").ErrCode)
	bodies := to.wait(t, 3)
	require.Equal(t, slices.Repeat(bodies[:1], 3), bodies)
	require.Contains(t, bodies[0], `"FromUserName":"o1"`)
	require.Len(t, b.ledger(), 2, "the user got the message all the same")
}

func TestSetCallback_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	set := func(body string) int { return b.do(t, http.MethodPost, "/sim/callback", body).Code }
	require.Equal(t, http.StatusNoContent, set(`{"appid":"`+testApp+`","url":"http://127.0.0.1:1/cb","token":"t","format":"xml","delay_ms":5}`))
	require.Equal(t, http.StatusNoContent, set(`{"appid":"`+testApp+`"}`), "without an address there are no events")
	for _, bad := range []string{
		``, `{"url":"http://h/","token":"t"}`, `{"appid":"a","url":"ftp://h/","token":"t"}`, `{"appid":"a","url":"http://h/"}`,
		`{"appid":"a","url":"http://h/","token":"t","mode":"x"}`, `{"appid":"a","url":"http://h/","token":"t","format":"x"}`,
		`{"appid":"a","url":"http://h/","token":"t","delay_ms":-1}`, `{"appid":"a","url":"http://h/","token":"t","repeat":11}`,
	} {
		require.Equal(t, http.StatusBadRequest, set(bad), bad)
	}
}
