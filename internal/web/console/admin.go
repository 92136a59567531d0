package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// listed is how many rows a page of a list has that is no list of tasks.
const listed = 50

// sure is a button that asks before it does something: the dot of the partial sure. Button, Question and Yes are keys of the catalogue.
type sure struct {
	Action, Button, Question, Yes string
	// Field and Value are sent with it; empty for none.
	Field, Value string
	// Danger: it takes something away.
	Danger bool
}

// check is a box to tick: the dot of the partial check. Label and Hint are keys of the catalogue; where Label is empty, Text is shown.
type check struct {
	Name, Value, Label, Text, Hint string
	Checked                        bool
}

// appOfList finds the app of a page that shows one app at a time: the one that the page names, or that was chosen in the header, or the first.
// ok is false where the account sees none. One that it does not see does not exist.
func (c *call) appOfList() (app push.App, ok bool, err error) {
	if app, ok, err = c.appOf(); ok || err != nil || len(c.apps) == 0 {
		return app, ok, err
	}
	return c.apps[0], true, nil
}

// appNamed finds an app by its key among those that the account sees.
func (c *call) appNamed(key string) (push.App, error) {
	i := slices.IndexFunc(c.apps, func(a push.App) bool { return a.Key == key })
	if i < 0 {
		return push.App{}, fmt.Errorf("app: %w", push.ErrNotFound)
	}
	return c.apps[i], nil
}

// appChoice lets one of the apps be chosen that the account sees.
func (c *call) appChoice(label, selected string) field {
	f := field{Name: "app", Label: label, Value: selected}
	for _, a := range c.apps {
		f.Options = append(f.Options, option{Value: a.Key, Text: a.Key, Selected: a.Key == selected})
	}
	return f
}

// appChecks lets several of them be ticked; none is all.
func (c *call) appChecks() []check {
	all := make([]check, len(c.apps))
	for i, a := range c.apps {
		all[i] = check{Name: "apps", Value: a.Key, Text: a.Key, Checked: slices.Contains(c.form["apps"], a.Key)}
	}
	return all
}

// tickedApps are the ids of the apps that were ticked; nil, for all, where none was.
func (c *call) tickedApps() (ids []int32, err error) {
	for _, key := range c.form["apps"] {
		app, err := c.appNamed(key)
		if err != nil {
			return nil, err
		}
		ids = append(ids, app.ID)
	}
	return ids, nil
}

// appKeys are the keys of apps by their ids.
func (c *call) appKeys(ids []int32) []string { return auth.AppKeys(c.apps, ids) }

// forAll refuses who is limited to some apps: accounts, tokens and new apps are of all.
func (c *call) forAll() error {
	if !c.session.Principal.SeesAll() {
		return errForbidden
	}
	return nil
}

// number reads a whole number of a form; nothing is 0.
func (c *call) number(name string) (int, error) {
	text := c.value(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &push.InvalidError{Field: name, Rule: "not_a_number", Message: "must be a whole number"}
	}
	return n, nil
}

// pathOf joins parts of a path, each escaped.
func pathOf(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/console/" + strings.Join(parts, "/")
}

// manage is the crumb of the pages below it.
func manage() crumb { return crumb{Key: "manage.title", Href: "/console/manage"} }
