package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/wechat"
)

// AppSpec is what an operator says about an app. In SetApp an empty field is left as it is.
type AppSpec struct {
	Key, AppID, Secret, BaseURL string
}

// AddApp registers an app with the original's seven formId sources. The secret is sealed before it is stored.
func (d *Dispatcher) AddApp(ctx context.Context, spec AppSpec) (push.App, error) {
	if spec.BaseURL == "" {
		spec.BaseURL = wechat.DefaultBaseURL
	}
	if err := errors.Join(push.RequireText("key", spec.Key, 63), push.RequireText("appid", spec.AppID, 64),
		push.RequireText("secret", spec.Secret, 256), checkBaseURL(spec.BaseURL)); err != nil {
		return push.App{}, err
	}
	return d.st.InsertApp(ctx, push.App{Key: spec.Key, AppID: spec.AppID, BaseURL: strings.TrimRight(spec.BaseURL, "/")}, func(id int32) []byte {
		return d.cfg.Key.Seal([]byte(spec.Secret), secretContext(id))
	})
}

// SetApp changes an app. Who moves it to another platform address, or to another appid, says its secret anew: the one that is kept is sent to none
// but the address that it was given for, so that whoever may set an app cannot read its secret.
func (d *Dispatcher) SetApp(ctx context.Context, spec AppSpec) (app push.App, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		app, err = d.setApp(ctx, spec)
		return err
	})
	return app, err
}

func (d *Dispatcher) setApp(ctx context.Context, spec AppSpec) (push.App, error) {
	app, err := d.st.LockApp(ctx, spec.Key)
	if err != nil {
		return push.App{}, err
	}
	if spec.AppID == "" && spec.BaseURL == "" && spec.Secret == "" {
		return app, nil
	}
	before := app
	var sealed []byte
	if spec.Secret != "" {
		sealed = d.cfg.Key.Seal([]byte(spec.Secret), secretContext(app.ID))
	}
	if spec.AppID != "" {
		app.AppID = spec.AppID
	}
	if spec.BaseURL != "" {
		app.BaseURL = strings.TrimRight(spec.BaseURL, "/")
	}
	if err := errors.Join(push.RequireText("appid", app.AppID, 64), checkBaseURL(app.BaseURL), checkSecretGiven(before, app, spec)); err != nil {
		return push.App{}, err
	}
	return d.st.UpdateApp(ctx, app, sealed)
}

// SetAppSettings hands the settings of an app to change and writes them back. They hold over all daemons within two seconds.
func (d *Dispatcher) SetAppSettings(ctx context.Context, actor, key string, change func(*push.AppSettings) error) (app push.App, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if app, err = d.st.LockApp(ctx, key); err != nil {
			return err
		}
		settings := app.AppSettings
		if err := change(&settings); err != nil {
			return err
		}
		if err := settings.Validate(); err != nil {
			return err
		}
		if app.DailyBudget > 0 && (settings.DailyBudget == 0 || settings.DailyBudget > app.DailyBudget) {
			// Whoever waits for the day to end may go on; if the platform refuses still, one call finds out.
			if err := d.st.TryQuotaNow(ctx, app.ID); err != nil {
				return err
			}
		}
		app, err = d.st.UpdateAppSettings(ctx, app.ID, settings)
		return err
	})
	if err != nil {
		return push.App{}, err
	}
	d.log.InfoContext(ctx, "app settings changed", slog.Any("app", key), slog.Any("actor", actor))
	return app, nil
}

func checkBaseURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.User != nil {
		return &push.InvalidError{Field: "base_url", Rule: "bad_url", Message: `must be a URL such as "https://api.weixin.qq.com", without a query`}
	}
	return nil
}

// checkSecretGiven refuses to keep the secret of an app that moves.
func checkSecretGiven(before, now push.App, spec AppSpec) error {
	if spec.Secret != "" || now.AppID == before.AppID && origin(now.BaseURL) == origin(before.BaseURL) {
		return nil
	}
	return &push.InvalidError{Field: "secret", Rule: "required", Message: "must be given anew, for the appid or the host of base_url changes"}
}

// origin is who is reached at an address: its scheme, host and port.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func secretContext(appID int32) string { return fmt.Sprintf("app/%d/secret", appID) }

func tokenContext(appID int32) string { return fmt.Sprintf("app/%d/token", appID) }

// PutProduct writes a product. Tasks keep what they took until they take it anew.
func (d *Dispatcher) PutProduct(ctx context.Context, p push.Product) (push.Product, error) {
	return d.writeProduct(ctx, p, d.st.UpsertProduct)
}

// AddProduct is [Dispatcher.PutProduct] of a product that there is not yet.
func (d *Dispatcher) AddProduct(ctx context.Context, p push.Product) (push.Product, error) {
	return d.writeProduct(ctx, p, d.st.InsertProduct)
}

func (d *Dispatcher) writeProduct(ctx context.Context, p push.Product, write func(context.Context, int32, push.Product) (push.Product, error)) (push.Product, error) {
	if err := p.Validate(); err != nil {
		return push.Product{}, err
	}
	app, err := d.st.App(ctx, p.App)
	if err != nil {
		return push.Product{}, err
	}
	return write(ctx, app.ID, p)
}

// PutTemplate writes a template. Tasks that are sent or scheduled keep it as it was frozen. What the account said of it stays where t says
// nothing of it ([push.Template.Keep]). What people have accepted follows it: of one that is a long-term one, or was, the counters are made so.
func (d *Dispatcher) PutTemplate(ctx context.Context, actor string, t push.Template) (push.Template, error) {
	if err := t.Validate(); err != nil {
		return push.Template{}, err
	}
	t.SyncedAt, t.GoneAt = nil, nil // what the account has is not the caller's to say
	var app push.App
	err := d.st.InTx(ctx, func(ctx context.Context) (err error) {
		if app, err = d.st.LockApp(ctx, t.App); err != nil { // nobody syncs meanwhile
			return err
		}
		stored, err := d.st.Template(ctx, app.ID, t.TemplateID)
		if err != nil && !errors.Is(err, push.ErrNotFound) {
			return err
		}
		if err == nil {
			if err := t.Keep(stored); err != nil {
				return err
			}
		}
		if err := provider.For(t.Channel).CheckTemplate(t); err != nil {
			return err
		}
		t, err = d.writeTemplate(ctx, actor, app.ID, t)
		return err
	})
	if err != nil {
		return push.Template{}, err
	}
	d.realign(ctx, app.ID)
	return t, nil
}

// writeTemplate writes a template in the transaction that ctx carries, which holds the app's row. Who changes it changes the tasks that have
// not begun, and approves none of them.
func (d *Dispatcher) writeTemplate(ctx context.Context, actor string, appID int32, t push.Template) (push.Template, error) {
	if err := d.st.NoteTemplateChange(ctx, appID, t, actor); err != nil {
		return push.Template{}, err
	}
	return d.st.UpsertTemplate(ctx, appID, t)
}
