package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/web"
	"minipush/internal/web/auth"
)

func TestLogin_LeadsBackToWhereItWasAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client(t)
	r := c.get(t, "/")
	require.Equal(t, "/console/tasks", r.location)
	r = c.get(t, "/console/tasks?state=done")
	require.Equal(t, http.StatusSeeOther, r.status)
	require.Equal(t, "/console/login?next="+url.QueryEscape("/console/tasks?state=done"), r.location)
	require.Contains(t, c.get(t, r.location).body, `value="/console/tasks?state=done"`)
	for next, want := range map[string]string{"/console/tasks?state=done": "/console/tasks?state=done", "https://evil.example/": "/console/tasks"} {
		r = b.client(t).post(t, "/console/login", url.Values{"login": {" Viewer "}, "password": {password}, "next": {next}})
		require.Equal(t, want, r.location)
		require.Contains(t, r.header.Get("Set-Cookie"), "minipush=", "plain HTTP on a loopback address")
		require.Contains(t, r.header.Get("Set-Cookie"), "HttpOnly; SameSite=Lax")
	}
}

func TestLogin_CookieIsBoundToTheHost_BehindAProxy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, change := range map[string]func(*http.Request){
		"by its header":     func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") },
		"by another's name": func(r *http.Request) { r.Host = "push.example.com" },
	} {
		r := b.client(t).do(t, "POST", "/console/login", url.Values{"login": {"viewer"}, "password": {password}}, change)
		cookie := r.header.Get("Set-Cookie")
		require.True(t, strings.HasPrefix(cookie, "__Host-minipush="), name)
		require.Contains(t, cookie, "Path=/; HttpOnly; Secure; SameSite=Lax", name)
	}
}

func TestLogin_SaysTheSameOfAWrongPasswordAndOfAWrongLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client(t)
	wrong := c.post(t, "/console/login", url.Values{"login": {"viewer"}, "password": {"x"}})
	nobody := c.post(t, "/console/login", url.Values{"login": {"viewex"}, "password": {"x"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.status)
	require.Equal(t, wrong.status, nobody.status)
	same := func(s string) string { return strings.ReplaceAll(s, "viewex", "viewer") }
	strip := func(a answer) string {
		id := a.header.Get("X-Request-Id")
		return strings.ReplaceAll(same(a.body), id, "")
	}
	require.Equal(t, strip(wrong), strip(nobody))
	require.Contains(t, wrong.body, "登录名或密码不正确")
}

func TestLogin_IsThrottled(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{Sessions: auth.SessionConfig{PerAccount: 2}})
	c := b.client(t)
	form := func(pw string) url.Values { return url.Values{"login": {"viewer"}, "password": {pw}} }
	for range 2 {
		require.Equal(t, http.StatusUnprocessableEntity, c.post(t, "/console/login", form("x")).status)
	}
	r := c.post(t, "/console/login", form(password))
	require.Equal(t, http.StatusTooManyRequests, r.status, "also with the right password")
	require.Contains(t, r.body, "操作过于频繁,请稍后再试!")
}

func TestLogin_FromAnotherSite_IsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.client(t).do(t, "POST", "/console/login", url.Values{"login": {"viewer"}, "password": {password}}, func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	})
	require.Equal(t, http.StatusForbidden, r.status)
	require.Empty(t, r.header.Get("Set-Cookie"))
}

func TestLogout_HereAndEverywhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	here, there, third := b.as(t, "viewer"), b.as(t, "viewer"), b.as(t, "viewer")
	require.Equal(t, http.StatusSeeOther, here.post(t, "/console/logout", nil).status)
	require.Equal(t, http.StatusSeeOther, here.get(t, "/console/tasks").status)
	require.Equal(t, http.StatusOK, there.get(t, "/console/tasks").status)
	require.Equal(t, http.StatusSeeOther, there.post(t, "/console/logout-everywhere", nil).status)
	require.Equal(t, http.StatusSeeOther, third.get(t, "/console/tasks").status)
}

func TestPassword_ChangeEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	here, there := b.as(t, "viewer"), b.as(t, "viewer")
	form := func(current, pw, again string) url.Values {
		return url.Values{"current": {current}, "password": {pw}, "again": {again}}
	}
	for text, f := range map[string]url.Values{
		"密码不正确": form("x", "a new long password", "a new long password"), "两次输入不一致": form(password, "a new long password", "another"),
		"除登录名外至少10个字符": form(password, "viewer123", "viewer123"),
	} {
		r := here.post(t, "/console/password", f)
		require.Equal(t, http.StatusUnprocessableEntity, r.status)
		require.Contains(t, r.body, text)
	}
	require.Equal(t, http.StatusSeeOther, here.post(t, "/console/password", form(password, "a new long password", "a new long password")).status)
	require.Contains(t, here.get(t, "/console/tasks").body, "密码已修改")
	require.Equal(t, http.StatusSeeOther, there.get(t, "/console/tasks").status)
	require.Equal(t, http.StatusUnprocessableEntity, b.client(t).post(t, "/console/login", url.Values{"login": {"viewer"}, "password": {password}}).status)
}

func TestPreference_LanguageAndThemeAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "viewer")
	require.Contains(t, c.get(t, "/console/tasks").body, `<html lang="zh-CN" data-theme="auto"`)
	r := c.post(t, "/console/preference", url.Values{"lang": {"en"}, "theme": {"dark"}, "next": {"/console/password"}})
	require.Equal(t, "/console/password", r.location)
	body := c.get(t, "/console/tasks").body
	require.Contains(t, body, `<html lang="en" data-theme="dark" data-bs-theme="dark"`)
	require.Contains(t, body, "There are no tasks yet")
	c.post(t, "/console/preference", url.Values{"lang": {"xx"}})
	require.Contains(t, c.get(t, "/console/tasks").body, `<html lang="en"`)
}

func TestPages_AreStrictAndNeverCached_StaticFilesForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client(t)
	r := c.get(t, "/console/login")
	require.Contains(t, r.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self'")
	require.NotContains(t, r.header.Get("Content-Security-Policy"), "unsafe")
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	require.NotRegexp(t, `(?i)<script>|<style|\son[a-z]+="|style="|https?://`, r.body)
	_, css, _ := strings.Cut(r.body, `rel="stylesheet" href="`)
	css, _, _ = strings.Cut(css, `"`)
	file := c.get(t, css)
	require.Equal(t, http.StatusOK, file.status)
	require.Equal(t, "public, max-age=31536000, immutable", file.header.Get("Cache-Control"))
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/static/00000000-tabler.min.css").status)
	r = c.get(t, "/console/nowhere")
	require.Equal(t, http.StatusNotFound, r.status)
	require.Contains(t, r.body, "页面不存在")
}
