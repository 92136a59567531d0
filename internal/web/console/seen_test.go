package console_test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// hidden are the hidden fields of a page, as a browser would send them.
func hidden(page string) url.Values {
	values := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
		values.Set(m[1], html.UnescapeString(m[2]))
	}
	return values
}

// opened is a form as a browser sends it that has opened the page just now: what was typed, and what the page hides in it.
func (c *client) opened(t *testing.T, page string, typed url.Values) url.Values {
	t.Helper()
	r := c.get(t, page)
	require.Equal(t, http.StatusOK, r.status, r.body)
	form := hidden(r.body)
	maps.Copy(form, typed)
	return form
}

// submit opens the page of a form and sends it at once.
func (c *client) submit(t *testing.T, page, action string, typed url.Values) answer {
	t.Helper()
	return c.post(t, action, c.opened(t, page, typed))
}

// sends sends the form of a task's send page.
func (c *client) sends(t *testing.T, task string, typed url.Values) answer {
	t.Helper()
	return c.submit(t, task+"/send", task+"/send", typed)
}

// saves sends a form of the console as a browser does that has just opened its page.
func (c *client) saves(t *testing.T, action string, typed url.Values) answer {
	t.Helper()
	page := strings.TrimSuffix(strings.TrimSuffix(action, "/settings"), "/connection")
	_, form, found := strings.Cut(c.get(t, page).body, `action="`+action+`"`)
	require.True(t, found, "no form on %s", page)
	form, _, _ = strings.Cut(form, "</form>")
	values := hidden(form)
	maps.Copy(values, typed)
	return c.post(t, action, values)
}

// Two people have a form open: who saves last does not write over what the first one changed without having seen it.
func TestForms_WhatSomebodyElseChangedMeanwhile_IsNotWrittenOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 0)
	author, admin := b.as(t, "author"), b.as(t, "admin")
	product := "/console/apps/health_applet/products/1989"
	template := "/console/apps/health_applet/templates/" + templateID
	for name, tc := range map[string]struct {
		page, action, says string
		theirs, mine       url.Values
	}{
		"a task": {page: taskURL(task) + "/edit", action: taskURL(task) + "/edit", theirs: form("topic", "会员日"), mine: form("caption", "我写的"), says: "会员日"},
		"a product": {page: product, action: product, theirs: url.Values{"title": {"他的标题"}, "price": {"250"}, "on_shelf": {"true"}},
			mine: url.Values{"title": {"我写的"}, "price": {"100"}, "on_shelf": {"true"}}, says: "他的标题"},
		"a template": {page: template, action: template,
			theirs: url.Values{"name": {"他的名称"}, "channel": {"form_id"}, "fields[0].key": {"keyword1"}, "fields[0].label": {"活动主题"}, "fields[0].value": {"{{topic}}"}},
			mine:   url.Values{"name": {"我写的"}, "channel": {"form_id"}, "fields[0].key": {"keyword1"}, "fields[0].label": {"活动主题"}, "fields[0].value": {"{{topic}}"}}, says: "他的名称"},
	} {
		t.Run(name, func(t *testing.T) {
			opened := author.opened(t, tc.page, nil)
			if name == "a template" {
				opened = admin.opened(t, tc.page, nil)
			}
			r := admin.saves(t, tc.action, tc.theirs)
			require.Equal(t, http.StatusSeeOther, r.status, r.body)
			mine := maps.Clone(opened)
			maps.Copy(mine, tc.mine)
			r = admin.post(t, tc.action, mine)
			require.Equal(t, http.StatusConflict, r.status, r.body)
			require.Contains(t, r.body, "没有保存")
			require.Contains(t, r.body, "修改人:admin")
			require.Contains(t, r.body, tc.says, "what is now")
			require.Contains(t, r.body, "我写的", "what was typed stays")
			again := hidden(r.body)
			maps.Copy(again, tc.mine)
			r = admin.post(t, tc.action, again)
			require.Equal(t, http.StatusSeeOther, r.status, "who has seen it may: "+r.body)
		})
	}
	t.Run("the settings of an app", func(t *testing.T) {
		path := "/console/apps/health_applet/settings"
		_, form, _ := strings.Cut(admin.get(t, "/console/apps/health_applet").body, `action="`+path+`"`)
		form, _, _ = strings.Cut(form, "</form>")
		stale := hidden(form)
		_, err := b.d.SetAppSettings(t.Context(), "operator", "health_applet", func(s *push.AppSettings) error { s.RatePerSecond = 77; return nil })
		require.NoError(t, err)
		stale.Set("daily_cap", "3")
		r := admin.post(t, path, stale)
		require.Equal(t, http.StatusConflict, r.status, r.body)
		require.Contains(t, r.body, "77")
		app, err := b.store.App(t.Context(), "health_applet")
		require.NoError(t, err)
		require.Equal(t, []int{77, 0}, []int{app.RatePerSecond, app.DailyCap})
	})
	require.Equal(t, http.StatusUnprocessableEntity, author.post(t, "/console/apps/health_applet/new-product",
		url.Values{"code": {"1989"}, "title": {"另一个"}, "price": {"1"}}).status, "to add is not to write over")
}
