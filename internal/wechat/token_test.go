package wechat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

func TestStableToken_AsksInNormalModeAndReadsTheToken(t *testing.T) {
	t.Parallel()
	var asked map[string]any
	var path string
	c := newClient(t, serving(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_ = json.NewDecoder(r.Body).Decode(&asked)
		_, _ = io.WriteString(w, stableJSON)
	}), nil)

	token, err := c.StableToken(t.Context(), wechat.Normal)

	require.NoError(t, err)
	require.Equal(t, wechat.Token{Value: "fresh-token", ExpiresIn: 2 * time.Hour}, token)
	require.Equal(t, "/cgi-bin/stable_token", path)
	require.Equal(t, map[string]any{
		"grant_type": "client_credential", "appid": "wx0123456789abcdef", "secret": testSecret, "force_refresh": false,
	}, asked)
}

func TestStableToken_Refused_IsAnAPIErrorWithoutTheSecret(t *testing.T) {
	t.Parallel()
	c := newClient(t, answering(t, 200,
		`{"errcode":40125,"errmsg":"invalid appsecret `+testSecret+` rid: 610b7ea3-036ff8e0-21a3f70c"}`), nil)
	_, err := c.StableToken(t.Context(), wechat.Force)
	apiErr, ok := errors.AsType[*wechat.APIError](err)
	require.True(t, ok)
	require.Equal(t, 40125, apiErr.Code)
	require.Equal(t, "610b7ea3-036ff8e0-21a3f70c", apiErr.RID)
	requireNoSecrets(t, err.Error())
}

func TestStableToken_UnusableAnswer_IsAnError(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"HTML":          `<html>`,
		"no token":      `{"expires_in":7200}`,
		"no expiry":     `{"access_token":"x"}`,
		"absurd expiry": `{"access_token":"x","expires_in":9000000000000}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, answering(t, 200, answer), nil).StableToken(t.Context(), wechat.Normal)
			require.Error(t, err)
			_, isAPIError := errors.AsType[*wechat.APIError](err)
			require.False(t, isAPIError)
		})
	}
}

func TestStableToken_TransportErrorHidesTheSecret(t *testing.T) {
	t.Parallel()
	_, err := newClient(t, refusedPort(t), nil).StableToken(t.Context(), wechat.Normal)
	require.ErrorContains(t, err, "stable_token")
	requireNoSecrets(t, err.Error())
}

func TestSecrets_DoNotPrint(t *testing.T) {
	t.Parallel()
	cfg := wechat.Config{AppID: "wx1", Secret: testSecret}
	token := wechat.Token{Value: testToken, ExpiresIn: time.Hour}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", slog.Any("app", cfg), slog.Any("token", token))
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg),
		fmt.Sprintf("%v %+v %#v %s", token, token, token, token),
		log.String(),
	} {
		requireNoSecrets(t, text)
	}
}

func TestNew_RefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	ok := wechat.Config{AppID: "wx1", Secret: "s"}
	_, err := wechat.New(ok, nil)
	require.NoError(t, err)
	for name, change := range map[string]func(*wechat.Config){
		"no app id":        func(c *wechat.Config) { c.AppID = "" },
		"no secret":        func(c *wechat.Config) { c.Secret = "" },
		"no scheme":        func(c *wechat.Config) { c.BaseURL = "api.weixin.qq.com" },
		"other scheme":     func(c *wechat.Config) { c.BaseURL = "ftp://h" },
		"password in URL":  func(c *wechat.Config) { c.BaseURL = "https://u:p@h" },
		"query in URL":     func(c *wechat.Config) { c.BaseURL = "https://h/?a=b" },
		"negative conns":   func(c *wechat.Config) { c.MaxConns = -1 },
		"negative timeout": func(c *wechat.Config) { c.Timeout = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := ok
			change(&cfg)
			_, err := wechat.New(cfg, nil)
			require.Error(t, err)
		})
	}
}
