package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"minipush/internal/web"
	"minipush/internal/web/auth"
	"minipush/internal/web/auth/authtest"
)

// clock is one that the codes of a test are made by: no step of it ends meanwhile.
func clock() func() time.Time {
	at := time.Now()
	return func() time.Time { return at }
}

func shownSecret(t *testing.T, body string) string {
	t.Helper()
	m := regexp.MustCompile(`class="secret code" tabindex="0">([A-Z2-7 ]{39})<`).FindStringSubmatch(body)
	require.NotNil(t, m, body)
	return m[1]
}

// enrol switches the second factor of a client's account on, and returns its secret and its recovery codes.
func (c *client) enrol(t *testing.T, now func() time.Time) (secret string, codes []string) {
	t.Helper()
	r := c.post(t, "/console/totp", url.Values{"do": {"begin"}, "current": {password}})
	require.Equal(t, http.StatusOK, r.status, r.body)
	secret = shownSecret(t, r.body)
	r = c.post(t, "/console/totp", url.Values{"do": {"confirm"}, "code": {authtest.Code(t, secret, now())}})
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.Contains(t, r.body, "两步验证已开启")
	for _, m := range regexp.MustCompile(`<li class="code">([a-z2-7-]{19})</li>`).FindAllStringSubmatch(r.body, -1) {
		codes = append(codes, m[1])
	}
	require.Len(t, codes, 10)
	return secret, codes
}

func TestTOTP_FromSettingItUpToSwitchingItOff(t *testing.T) {
	t.Parallel()
	now := clock()
	b := setupWith(t, web.Config{Sessions: auth.SessionConfig{Now: now}})
	c, other := b.as(t, "viewer"), b.as(t, "viewer")
	require.Contains(t, c.get(t, "/console/totp").body, "未开启")
	r := c.post(t, "/console/totp", url.Values{"do": {"begin"}, "current": {"wrong"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "密码不正确")
	r = c.post(t, "/console/totp", url.Values{"do": {"begin"}, "current": {password}})
	require.NotRegexp(t, `(?i)<script>|<style|\son[a-z]+="|style="|https?://`, r.body, "the picture keeps the policy")
	require.Regexp(t, `<svg class="qr" [^>]*aria-label="[^"]+" viewBox="0 0 (\d+) (\d+)"`, r.body)
	secret := shownSecret(t, r.body)
	r = c.post(t, "/console/totp", url.Values{"do": {"confirm"}, "code": {"000000"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "验证码不正确")
	require.Equal(t, secret, shownSecret(t, r.body), "the phone need not be told again")

	_, codes := c.enrol(t, now)
	require.Equal(t, http.StatusSeeOther, other.get(t, "/console/tasks").status, "the other session has ended")
	status := c.get(t, "/console/totp")
	require.Contains(t, status.body, "剩余恢复码:10 个")
	require.NotContains(t, status.body, codes[0], "they are shown once")
	require.Equal(t, "/console/totp", c.post(t, "/console/totp", url.Values{"do": {"begin"}, "current": {password}}).location, "it is on already")

	r = c.post(t, "/console/totp", url.Values{"do": {"off"}, "current": {password}, "code": {"000000"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "验证码不正确")
	r = c.post(t, "/console/totp", url.Values{"do": {"off"}, "current": {password}, "code": {codes[0]}})
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	require.Contains(t, c.get(t, "/console/totp").body, "两步验证已关闭")
}

func TestLogin_AsksForTheCode_AndThenOpensASession(t *testing.T) {
	t.Parallel()
	now := clock()
	b := setupWith(t, web.Config{Sessions: auth.SessionConfig{Now: now}})
	_, codes := b.as(t, "viewer").enrol(t, now)
	c := b.client(t)
	form := url.Values{"login": {"viewer"}, "password": {password}, "next": {"/console/tasks?state=done"}}
	r := c.post(t, "/console/login", form)
	require.Equal(t, "/console/login/code?next="+url.QueryEscape("/console/tasks?state=done"), r.location)
	require.Contains(t, r.header.Get("Set-Cookie"), "minipush-challenge=")
	require.Contains(t, r.header.Get("Set-Cookie"), "Max-Age=300; HttpOnly; SameSite=Lax")
	require.Equal(t, http.StatusSeeOther, c.get(t, "/console/tasks").status, "nobody is logged in yet")
	require.Contains(t, c.get(t, r.location).body, `value="/console/tasks?state=done"`)
	r = c.post(t, "/console/login/code", url.Values{"code": {"000000"}})
	require.Equal(t, http.StatusUnprocessableEntity, r.status)
	require.Contains(t, r.body, "验证码不正确,或已使用过")
	r = c.post(t, "/console/login/code", url.Values{"code": {codes[0]}, "next": {"/console/tasks?state=done"}})
	require.Equal(t, "/console/tasks?state=done", r.location)
	require.Contains(t, strings.Join(r.header.Values("Set-Cookie"), "\n"), "minipush-challenge=; Path=/; Max-Age=0")
	require.Contains(t, c.get(t, "/console/tasks").body, "还剩 9 个")

	stranger := b.client(t)
	require.Equal(t, "/console/login?next="+url.QueryEscape("/console/tasks"), stranger.post(t, "/console/login/code", url.Values{"code": {codes[1]}}).location)
	admin := b.as(t, "admin")
	require.Contains(t, admin.get(t, "/console/accounts").body, `action="/console/accounts/viewer/totp"`)
	require.Equal(t, http.StatusSeeOther, admin.post(t, "/console/accounts/viewer/totp", nil).status)
	require.Contains(t, admin.get(t, "/console/accounts").body, "账号 viewer 的两步验证已解除")
	require.Equal(t, http.StatusSeeOther, c.get(t, "/console/tasks").status, "its sessions have ended")
	require.Equal(t, "/console/tasks?state=done", b.client(t).post(t, "/console/login", form).location)
	body := admin.get(t, "/console/audit").body
	for _, said := range []string{"开启两步验证", "使用恢复码", "解除两步验证"} {
		require.Contains(t, body, said)
	}
	require.NotContains(t, body, codes[0])
}

func TestLogin_CodesAreThrottled(t *testing.T) {
	t.Parallel()
	now := clock()
	b := setupWith(t, web.Config{Sessions: auth.SessionConfig{Now: now, PerCode: 2}})
	_, codes := b.as(t, "viewer").enrol(t, now)
	c := b.client(t)
	c.post(t, "/console/login", url.Values{"login": {"viewer"}, "password": {password}})
	for range 2 {
		require.Equal(t, http.StatusUnprocessableEntity, c.post(t, "/console/login/code", url.Values{"code": {"000000"}}).status)
	}
	r := c.post(t, "/console/login/code", url.Values{"code": {codes[0]}})
	require.Equal(t, http.StatusTooManyRequests, r.status, "also with a right code")
	require.Contains(t, r.body, "操作过于频繁,请稍后再试!")
}

func TestSignIn_FromTheLoginPageAndBack(t *testing.T) {
	t.Parallel()
	issuer := authtest.NewIssuer(t)
	b := setupWith(t, web.Config{OIDC: auth.OIDCConfig{Issuer: issuer.URL, ClientID: authtest.ClientID, ClientSecret: authtest.ClientSecret, Label: "企业账号"}})
	c := b.client(t)
	// visit goes from the login page to the provider and back to where it sends the browser.
	visit := func(c *client) answer {
		r := c.get(t, "/console/login/oidc?next="+url.QueryEscape("/console/tasks?state=done"))
		require.Equal(t, http.StatusSeeOther, r.status, r.body)
		require.Contains(t, r.header.Get("Set-Cookie"), "Max-Age=600; HttpOnly; SameSite=Lax")
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request(t, r.location))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		back, err := resp.Location()
		require.NoError(t, err)
		require.Equal(t, b.base, back.Scheme+"://"+back.Host)
		return c.get(t, back.RequestURI())
	}
	require.Contains(t, c.get(t, "/console/login?next=/console/tasks/7").body, `href="/console/login/oidc?next=%2Fconsole%2Ftasks%2F7">使用 企业账号 登录</a>`)
	r := visit(c)
	require.Equal(t, http.StatusForbidden, r.status)
	require.Contains(t, r.body, "sub-of-ann", "it names who has to be linked")
	require.Contains(t, r.header.Get("Set-Cookie"), "minipush-signin=; Path=/; Max-Age=0")

	admin := b.as(t, "admin")
	for subject, status := range map[string]int{"": http.StatusUnprocessableEntity, "sub-of-ann": http.StatusSeeOther} {
		r = admin.post(t, "/console/accounts/link", url.Values{"account": {"viewer"}, "subject": {subject}})
		require.Equal(t, status, r.status, r.body)
	}
	require.Equal(t, "/console/tasks?state=done", visit(c).location)
	require.Equal(t, http.StatusOK, c.get(t, "/console/tasks").status)

	stranger := b.client(t)
	r = stranger.get(t, "/console/login/oidc/callback?code=x&state=y")
	require.Equal(t, http.StatusBadRequest, r.status)
	require.Contains(t, r.body, "请重新登录")
	require.Equal(t, http.StatusSeeOther, admin.post(t, "/console/accounts/viewer/disable", nil).status)
	require.Contains(t, visit(stranger).body, "账号已停用")
	require.Equal(t, http.StatusSeeOther, admin.post(t, "/console/accounts/viewer/unlink", nil).status)
	require.Contains(t, visit(stranger).body, "还没有关联账号")
}

func TestSignIn_AProviderThatIsAway_LeavesThePassword(t *testing.T) {
	t.Parallel()
	issuer := authtest.NewIssuer(t)
	issuer.SetAway(true)
	b := setupWith(t, web.Config{OIDC: auth.OIDCConfig{Issuer: issuer.URL, ClientID: authtest.ClientID, Label: "SSO"}})
	r := b.client(t).get(t, "/console/login/oidc")
	require.Equal(t, http.StatusBadGateway, r.status)
	require.Contains(t, r.body, "登录服务没有响应")
	require.Equal(t, http.StatusOK, b.as(t, "viewer").get(t, "/console/tasks").status)
}

func request(t *testing.T, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	require.NoError(t, err)
	return r
}

func TestBrowser_SetsUpTheSecondStep_AndLogsInByIt(t *testing.T) {
	t.Parallel()
	now := clock()
	issuer := authtest.NewIssuer(t)
	b := setupWith(t, web.Config{
		Sessions: auth.SessionConfig{Now: now}, OIDC: auth.OIDCConfig{Issuer: issuer.URL, ClientID: authtest.ClientID, ClientSecret: authtest.ClientSecret, Label: "企业账号"},
	})
	p := b.tab(t)
	p.inspect(t, "/console/login", "signin-login")
	p.run(t, chromedp.Click(".or + a"), chromedp.WaitVisible(".alert .code"))
	p.shown(t, "signin-unlinked")
	p.login(t, "admin")
	p.inspect(t, "/console/totp", "totp-off")
	p.run(t, chromedp.SendKeys("#current", password), chromedp.Submit("#current"), chromedp.WaitVisible(".qr"))
	p.shown(t, "totp-setup")
	secret := eval[string](t, p, `document.querySelector(".secret").textContent`)
	p.run(t, chromedp.SendKeys("#code", authtest.Code(t, secret, now())), chromedp.Submit("#code"), chromedp.WaitVisible(".recovery"))
	p.shown(t, "totp-codes")
	code := eval[string](t, p, `document.querySelector(".recovery li").textContent`)
	p.inspect(t, "/console/totp", "totp-on")
	p.run(t, chromedp.Click(".account"), chromedp.Click(`form[action="/console/logout"] button`), chromedp.WaitVisible("#password"))
	p.run(t, chromedp.SendKeys("#login", "admin"), chromedp.SendKeys("#password", password), chromedp.Submit("#password"), chromedp.WaitVisible("#code"))
	p.shown(t, "totp-code")
	p.run(t, chromedp.SendKeys("#code", code), chromedp.Submit("#code"), chromedp.WaitVisible(".account"))
	require.Contains(t, p.text(t), "还剩 9 个")

	b.as(t, "operator").enrol(t, now)
	p.open(t, "/console/accounts")
	p.run(t, chromedp.Click("details.more:nth-of-type(2) summary"), chromedp.SendKeys("#subject", "sub-of-ann"), chromedp.Submit("#subject"), chromedp.WaitVisible(".flash"))
	p.inspect(t, "/console/accounts", "totp-accounts")
	p.run(t, chromedp.Click(".account"), chromedp.Click(`form[action="/console/logout"] button`), chromedp.WaitVisible("#password"))
	p.run(t, chromedp.Click(".or + a"), chromedp.WaitVisible("#code"))
	require.Contains(t, p.text(t), "第二步验证", "the second step comes after a sign-in too")
	require.Empty(t, eval[[]string](t, p, `window.refused`))
}
