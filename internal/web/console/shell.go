package console

import (
	"cmp"
	"net/http"
	"strings"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// shell is what the layout shows around a page. Its dot is a shell, the dot of a screen is shell.Page.
type shell struct {
	Screen    string
	Title     string
	TitleArgs []any
	Lang      string
	Theme     string
	Themes    []string
	Languages []language
	// Here is the path of this page, to come back to.
	Here   string
	Crumbs []crumb
	Flash  flash
	// FlashArgs are the arguments of its text.
	FlashArgs []any
	// LoggedIn: the rest is empty without a login.
	LoggedIn bool
	Login    string
	Name     string
	Role     string
	Nav      []navItem
	Apps     []push.App
	// App is the key of the app that was chosen; empty for all.
	App  string
	Zone string
	Page any
}

// language is one that can be switched to.
type language struct {
	Code    string
	Current bool
}

// navItem is a link of the navigation.
type navItem struct {
	Key, Href string
	Current   bool
	// Outside: it leads out of the console.
	Outside bool
}

// place is a row of the navigation: the weakest role that sees it.
type place struct {
	key, href string
	role      auth.Role
	// all: only for those who are not limited to some apps.
	all bool
}

// navigation is where the header leads, in its order.
func navigation() []place {
	return []place{
		{key: "shell.nav_tasks", href: "/console/tasks", role: auth.Viewer},
		{key: "shell.nav_calendar", href: "/console/calendar", role: auth.Viewer},
		{key: "shell.nav_lists", href: "/console/lists", role: auth.Viewer},
		{key: "permits.title", href: "/console/permits", role: auth.Viewer},
		{key: "shell.nav_users", href: "/console/users", role: auth.Viewer},
		{key: "shell.nav_reports", href: "/console/reports", role: auth.Viewer},
		{key: "manage.title", href: "/console/manage", role: auth.Viewer},
		{key: "shell.nav_jobs", href: "/ops/jobs/", role: auth.Operator, all: true},
	}
}

func (k *Console) shell(c *call, out reply, shown flash) shell {
	s := shell{
		Screen: out.name, Title: cmp.Or(out.title, out.name+".title"), TitleArgs: out.titleArgs, Lang: c.lang, Theme: c.theme, Themes: themes(), Here: here(c.r), Crumbs: out.crumbs,
		Zone: k.cfg.Location.String(), Page: out.data,
	}
	for _, code := range languages() {
		s.Languages = append(s.Languages, language{Code: code, Current: code == c.lang})
	}
	if _, known := k.templates.texts[c.lang][shown.Key]; known {
		s.Flash, s.FlashArgs = shown, anys(shown.Args)
	}
	p := c.session.Principal
	if p.Role == auth.NoRole {
		return s
	}
	s.LoggedIn, s.Login, s.Name, s.Role, s.Apps = true, c.session.Login, c.session.Name, p.Role.String(), c.apps
	if chosen, ok := c.chosenApp(); ok {
		s.App = chosen.Key
	}
	for _, at := range navigation() {
		if p.Role.May(at.role, auth.Read) && (!at.all || p.SeesAll()) {
			s.Nav = append(s.Nav, navItem{Key: at.key, Href: at.href, Current: strings.HasPrefix(c.r.URL.Path, at.href), Outside: !strings.HasPrefix(at.href, "/console/")})
		}
	}
	return s
}

// here is the page to come back to after a switch: of a form that was posted, the page that it stood on.
func here(r *http.Request) string {
	if r.Method == http.MethodGet {
		return localPath(r.URL.RequestURI())
	}
	return localPath(r.URL.Path)
}
