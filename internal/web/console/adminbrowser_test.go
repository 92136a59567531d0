package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// look goes to pages: each is accessible and fits, light and dark and on a phone.
func (p *tab) look(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		name := "admin-" + strings.NewReplacer("/", "-", "?app=health_applet", "").Replace(path)
		p.inspect(t, "/console/"+path, name)
	}
}

func TestBrowserAdmin_WhatIsSetUp_IsAccessibleAndFits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stockedAdmin(t)
	p := b.tab(t)
	p.login(t, "admin")
	p.look(t, "manage", "apps", "new-app", "apps/health_applet", "products?app=health_applet", "apps/health_applet/products/1989", "templates?app=health_applet",
		"apps/health_applet/templates/895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0")
	p.size(t, 1280, 800)
	p.open(t, "/console/apps/health_applet")
	p.run(t, chromedp.Click(`.head-actions details summary`), chromedp.WaitVisible(`form[action$="/pause"] button`))
	p.picture(t, "admin-pause")
	p.run(t, chromedp.Click(`form[action$="/pause"] button`), chromedp.WaitVisible(`.flash`))
	require.Contains(t, p.text(t), "已暂停推送")
}

func TestBrowserAdmin_WhatIsWatched_IsAccessibleAndFits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.stockedAdmin(t)
	require.Equal(t, http.StatusSeeOther, b.as(t, "author").saves(t, "/console/apps/health_applet/products/1989", url.Values{"title": {"新标题"}, "price": {"250"}, "on_shelf": {"true"}}).status)
	p := b.tab(t)
	p.login(t, "admin")
	p.look(t, "permits?app=health_applet", "schedules", fmt.Sprintf("schedules/%d", s.ID), "suppressions", "accounts", "tokens", "audit")
	p.size(t, 1280, 800)
	p.open(t, "/console/tokens")
	p.run(t, chromedp.Click(`details.more summary`), chromedp.SendKeys("#name", "backend2"), chromedp.Submit("#name"), chromedp.WaitVisible(".secret"))
	p.accessible(t)
	p.picture(t, "admin-secret")
}
