package wechat_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

const (
	testToken  = "TOKEN-8f2d/with+signs=="
	testSecret = "secret-0f3c9a7b"
	testOpenID = "oABCDEFGHIJKLMNOPQRSTUVWXYZ0"
	testFormID = "63652f3e300d4ca5ab66a0c8ed82c001"
	stableJSON = `{"access_token":"fresh-token","expires_in":7200}`
)

// tokens is a TokenSource that holds a fixed list: each Invalidate of the current one moves to the next.
type tokens struct {
	mu          sync.Mutex
	values      []string
	invalidated []string
	err         error // of Token
	invalidErr  error // of Invalidate
}

func oneToken() *tokens { return &tokens{values: []string{testToken}} }

func (s *tokens) Token(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return "", s.err
	}
	return s.values[0], nil
}

func (s *tokens) Invalidate(_ context.Context, failed string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invalidated = append(s.invalidated, failed)
	if s.values[0] == failed && len(s.values) > 1 {
		s.values = s.values[1:]
	}
	return s.invalidErr
}

func newClient(tb testing.TB, baseURL string, source wechat.TokenSource) *wechat.Client {
	tb.Helper()
	return newClientTimeout(tb, baseURL, source, 5*time.Second)
}

func newClientTimeout(tb testing.TB, baseURL string, source wechat.TokenSource, timeout time.Duration) *wechat.Client {
	tb.Helper()
	c, err := wechat.New(wechat.Config{
		BaseURL: baseURL, AppID: "wx0123456789abcdef", Secret: testSecret, Timeout: timeout,
	}, source)
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c
}

// answering serves every request with one status and body.
func answering(tb testing.TB, status int, body string) string {
	tb.Helper()
	return serving(tb, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func serving(tb testing.TB, handler http.HandlerFunc) string {
	tb.Helper()
	srv := httptest.NewServer(handler)
	tb.Cleanup(srv.Close)
	return srv.URL
}

// rawServer gives each connection to handle, which need not speak HTTP.
func rawServer(tb testing.TB, handle func(net.Conn)) string {
	tb.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			})
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return "http://" + ln.Addr().String()
}

// readRequest reads one whole request from conn.
func readRequest(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
	}
}

func message() wechat.TemplateMessage {
	return wechat.TemplateMessage{
		ToUser:     testOpenID,
		TemplateID: "q39oqA06484105",
		Page:       "pages/goods/detail/detail?backToHome=1&&goodsId=1989",
		FormID:     testFormID,
		Data: []wechat.Field{
			{Key: "keyword1", Value: "双十一活动", Color: "#EE0000"},
			{Key: "keyword2", Value: "已经加入成功,点击查看", Color: "#EE0000"},
			{Key: "keyword3", Value: "儿童保温杯", Color: "#EE0000"},
			{Key: "keyword4", Value: "250海贝", Color: "#EE0000"},
			{Key: "keyword5", Value: "库存有限", Color: "#EE0000"},
		},
	}
}

// requireNoSecrets holds invariant 3 of the package.
func requireNoSecrets(tb testing.TB, texts ...string) {
	tb.Helper()
	for _, text := range texts {
		for _, secret := range []string{testToken, "TOKEN-8f2d", testSecret, testOpenID, testFormID} {
			require.False(tb, strings.Contains(text, secret), "%q holds a secret", text)
		}
	}
}
