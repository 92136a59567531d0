package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"minipush/internal/push"
)

// preferences are what a browser keeps about how pages are shown.
type preferences struct {
	lang string
	// theme is "light", "dark", or "auto": as the system has it.
	theme string
	// appKey is the app that was chosen in the header; empty for all.
	appKey string
}

const (
	langCookie  = "minipush-lang"
	themeCookie = "minipush-theme"
	appCookie   = "minipush-app"
	oneYear     = 365 * 24 * 60 * 60
)

func themes() []string { return []string{"auto", "light", "dark"} }

func readPreferences(r *http.Request) preferences {
	p := preferences{lang: chinese, theme: "auto"}
	if c, err := r.Cookie(langCookie); err == nil && slices.Contains(languages(), c.Value) {
		p.lang = c.Value
	}
	if c, err := r.Cookie(themeCookie); err == nil && slices.Contains(themes(), c.Value) {
		p.theme = c.Value
	}
	if c, err := r.Cookie(appCookie); err == nil && len(c.Value) <= 64 {
		p.appKey = c.Value
	}
	return p
}

func (k *Console) preferenceRoutes(t *table) {
	t.open(http.MethodPost, "/console/preference", k.setPreference)
}

// setPreference keeps the language, the theme or the app in the browser, and goes back to the page where it was chosen.
func (k *Console) setPreference(_ context.Context, c *call) (reply, error) {
	out := redirect(localPath(c.value("next")))
	if lang := c.value("lang"); slices.Contains(languages(), lang) {
		out.cookies = append(out.cookies, c.cookie(langCookie, lang, oneYear))
	}
	if theme := c.value("theme"); slices.Contains(themes(), theme) {
		out.cookies = append(out.cookies, c.cookie(themeCookie, theme, oneYear))
	}
	if c.form.Has("app") {
		key := c.value("app")
		age := oneYear
		if !slices.ContainsFunc(c.apps, func(a push.App) bool { return a.Key == key }) {
			key, age = "", -1
		}
		out.cookies = append(out.cookies, c.cookie(appCookie, key, age))
		out.to = withoutCursor(out.to)
	}
	return out, nil
}

// localPath is a path of this console to which a browser may be sent; anything else is the first page.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/console/") || strings.ContainsAny(next, "\\\r\n") ||
		strings.HasPrefix(u.Path, "/console/login") || strings.Contains(u.Path, "//") || strings.Contains(u.Path, "..") {
		return home
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// withoutCursor is a path without the place in its list: another app has another list.
func withoutCursor(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return home
	}
	q := u.Query()
	q.Del("before")
	u.RawQuery = q.Encode()
	return u.String()
}
