package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// logIn tries to log in to the console of a daemon, and returns where it leads.
func logIn(t *testing.T, base, login, password string) (status int, to string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	form := url.Values{"login": {login}, "password": {password}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/console/login", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Header.Get("Location")
}

func TestAccount_AddListPasswd_LogsInToTheConsole(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	var made struct{ Login, Password string }
	require.NoError(t, json.Unmarshal([]byte(s.run(t, "account", "add", "--login", "Ann", "--name", "安", "--role", "author", "--app", "shop", "--output", "json")), &made))
	require.Equal(t, "ann", made.Login)
	require.Len(t, made.Password, 24)
	list := s.run(t, "account", "list")
	for _, part := range []string{"ann", "安", "author", "shop"} {
		require.Contains(t, list, part)
	}
	require.NotContains(t, list, made.Password)
	require.NotContains(t, s.run(t, "account", "list", "--output", "json"), "argon2id")
	for _, tc := range []struct {
		stdin string
		args  []string
		said  string
	}{
		{"", []string{"add", "--login", "ann", "--role", "author"}, "taken"},
		{"", []string{"add", "--login", "bob", "--role", "collector"}, "must be viewer"},
		{"short\n", []string{"passwd", "ann", "--password-file", "-"}, "at least 10"},
		{"", []string{"passwd", "nobody"}, "not found"},
	} {
		code, _, stderr := s.try(t, tc.stdin, append([]string{"account"}, tc.args...)...)
		require.Equal(t, 1, code, stderr)
		require.Contains(t, stderr, tc.said)
	}
	code, _, _ := s.try(t, "", "account", "passwd", "ann", "--ask")
	require.Equal(t, 2, code, "there is no terminal")

	s.waysToLogIn(t)
	d := s.serve(t)
	status, to := logIn(t, d.url, "ann", made.Password)
	require.Equal(t, []any{http.StatusSeeOther, "/console/tasks"}, []any{status, to})
	require.Equal(t, "the password of ann is set, and its sessions are ended\n", s.feed(t, "correct horse battery\n", "account", "passwd", "ann", "--password-file", "-"))
	status, _ = logIn(t, d.url, "ann", made.Password)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = logIn(t, d.url, "ann", "correct horse battery")
	require.Equal(t, http.StatusSeeOther, status)
	require.Zero(t, d.stop(t))
}

// waysToLogIn links the account ann to who she is at a provider, and back.
func (s *stage) waysToLogIn(t *testing.T) {
	t.Helper()
	code, _, stderr := s.try(t, "", "account", "link", "ann", "--subject", "sub1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "MINIPUSH_OIDC_ISSUER")
	require.Equal(t, "ann is linked to sub1 at https://id.example.com\n", s.run(t, "account", "link", "ann", "--subject", " sub1 ", "--issuer", "https://id.example.com"))
	require.Contains(t, s.run(t, "account", "list"), "password, sub1 at https://id.example.com")
	require.Contains(t, s.run(t, "account", "list", "--output", "json"), `"links":[{"issuer":"https://id.example.com","subject":"sub1"}]`)
	require.Equal(t, "ann is unlinked, and its sessions are ended\n", s.run(t, "account", "unlink", "ann"))
	require.Equal(t, "ann is not linked\n", s.run(t, "account", "unlink", "ann"))
	require.Equal(t, "ann has no second factor\n", s.run(t, "account", "totp-remove", "ann"))
}
