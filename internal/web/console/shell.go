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
	TitleKey  string
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
	// Awaiting is how many tasks wait for the approval of the one who is logged in; empty for none.
	Awaiting string
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
	// Count is how much there is to do; empty for nothing.
	Count string
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
		TitleKey: cmp.Or(out.titleKey, out.name+".title"), TitleArgs: out.titleArgs, Lang: c.lang, Theme: c.theme, Themes: themes(), Here: here(c.r), Crumbs: out.crumbs,
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
	s.Awaiting = k.awaiting(c)
	s.Nav = nav(c, out.crumbs, s.Awaiting)
	return s
}

// nav is the navigation for the one who is logged in. Current is where the page is, or what its crumbs begin with. What waits for an approval has its place only while there is any.
func nav(c *call, crumbs []crumb, awaiting string) (items []navItem) {
	p := c.session.Principal
	path := c.r.URL.Path
	judging := path == home && c.r.URL.Query().Get("state") == mine
	for _, at := range navigation() {
		if !p.Role.May(at.role, auth.Read) || at.all && !p.SeesAll() {
			continue
		}
		list := at.href == home && awaiting != ""
		current := strings.HasPrefix(path, at.href) || len(crumbs) > 0 && crumbs[0].Href == at.href
		items = append(items, navItem{
			Key: at.key, Href: at.href, Current: current && !(list && judging), Outside: !strings.HasPrefix(at.href, "/console/"),
		})
		if list {
			items = append(items, navItem{Key: "shell.nav_awaiting", Href: home + "?state=" + mine, Current: judging, Count: awaiting})
		}
	}
	return items
}

// here is the page to come back to after a switch: of a form that was posted, the page that it stood on.
func here(r *http.Request) string {
	if r.Method == http.MethodGet {
		return localPath(r.URL.RequestURI())
	}
	return localPath(r.URL.Path)
}
