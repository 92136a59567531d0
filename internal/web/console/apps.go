package console

import (
	"context"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// appsPage lists the apps that the account sees.
type appsPage struct {
	Apps []appRow
	// CanAdd: the account may register one.
	CanAdd bool
}

// appRow is one line of it.
type appRow struct {
	push.App
	Path string
}

// newAppPage registers an app.
type newAppPage struct{ Key, AppID, Secret, BaseURL field }

func (k *Console) appListRoutes(t *table) {
	t.page("/console/apps", auth.Viewer, k.showApps)
	t.page("/console/new-app", auth.Admin, k.showNewApp)
	t.change("/console/new-app", auth.Admin, didAppAdd, k.addApp)
}

func (k *Console) showApps(_ context.Context, c *call) (reply, error) {
	p := appsPage{CanAdd: c.may(auth.Admin) && c.session.Principal.SeesAll()}
	for _, a := range c.apps {
		p.Apps = append(p.Apps, appRow{App: a, Path: appPath(a.Key)})
	}
	return page("apps", p).under(manage()), nil
}

func appPath(key string) string { return pathOf("apps", key) }

// upToApps are the pages above those of one app.
func upToApps() []crumb { return []crumb{manage(), {Key: "apps.title", Href: "/console/apps"}} }

func newNewAppPage(c *call) newAppPage {
	return newAppPage{
		Key:     field{Name: "key", Label: "newapp.key", Hint: "newapp.key_hint", Type: "text", Value: c.value("key"), Required: true},
		AppID:   field{Name: "appid", Label: "app.appid", Hint: "app.appid_hint", Type: "text", Value: c.value("appid"), Required: true},
		Secret:  field{Name: "secret", Label: "app.secret", Hint: "app.secret_hint", Type: "password", Required: true, Autocomplete: "new-password"},
		BaseURL: field{Name: "base_url", Label: "app.base_url", Hint: "app.base_url_hint", Type: "url", Value: c.value("base_url")},
	}
}

func (k *Console) showNewApp(_ context.Context, c *call) (reply, error) {
	return page("newapp", newNewAppPage(c)).under(upToApps()...), c.forAll()
}

func (k *Console) addApp(ctx context.Context, c *call) (reply, error) {
	if err := c.forAll(); err != nil {
		return reply{}, err
	}
	p := newNewAppPage(c)
	app, err := k.d.AddApp(ctx, dispatch.AppSpec{Key: p.Key.Value, AppID: p.AppID.Value, Secret: c.value("secret"), BaseURL: p.BaseURL.Value})
	if err != nil {
		return invalid("newapp", &p).under(upToApps()...), refuse(err, &p.Key, &p.AppID, &p.Secret, &p.BaseURL)
	}
	c.audit.Object, c.audit.AppID = "app:"+app.Key, &app.ID
	c.audit.Detail = store.Changed(nil, map[string]any{"appid": app.AppID, "base_url": app.BaseURL})
	return redirect(appPath(app.Key)).saying("app.flash_added"), nil
}
