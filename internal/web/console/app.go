package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
	"minipush/internal/wechat/callback"
)

// appPage is one app: its kill switch, its limits, how it is reached and how the platform reaches us. A secret is never part of it.
type appPage struct {
	push.App
	Path string
	// What the account may do.
	CanSet, CanPause, CanTest bool
	Pause, Resume             sure
	// Tested is what the test of the connection found; nil before it.
	Tested *dispatch.Connection
	// TestedFor is how long the token lasts that it got, in minutes.
	TestedFor int
	Advice    both
	Settings  []*field
	// SettingsShown and ConnectionShown are what those two forms were made from.
	SettingsShown, ConnectionShown formState
	// Connection is appid, address and secret.
	Connection []*field
	// CallbackURL is what is entered at the platform, CallbackMode the mode in force; empty for none.
	CallbackURL, CallbackMode string
	Callback                  []*field
}

func (k *Console) appRoutes(t *table) {
	t.page("/console/apps/{app}", auth.Viewer, k.showApp)
	t.change("/console/apps/{app}/pause", auth.Operator, didAppPause, k.pauseApp)
	t.change("/console/apps/{app}/resume", auth.Operator, didAppResume, k.resumeApp)
	t.change("/console/apps/{app}/settings", auth.Admin, didAppSettings, k.setAppSettings)
	t.change("/console/apps/{app}/connection", auth.Admin, didAppConnection, k.setAppConnection)
	t.change("/console/apps/{app}/callback", auth.Admin, didAppCallback, k.setAppCallback)
	// It asks the platform, and so runs in no transaction; it changes nothing.
	t.row(Route{Method: "POST", Pattern: "/console/apps/{app}/test", Role: auth.Operator}, k.testApp)
}

// QuotaLimit is how many calls a day the platform allows; 0 where it did not say, or allows any.
func (p *appPage) QuotaLimit() int64 {
	if p.Quota.Limit == nil {
		return 0
	}
	return *p.Quota.Limit
}

func (k *Console) newAppPage(ctx context.Context, c *call) (*appPage, error) {
	a := c.app
	path := appPath(a.Key)
	p := &appPage{
		App: a, Path: path, CanSet: c.may(auth.Admin), CanPause: c.may(auth.Operator), CanTest: c.may(auth.Operator),
		Pause:  sure{Action: path + "/pause", Button: "app.pause", Question: "app.pause_sure", Yes: "app.pause_yes", Danger: true},
		Resume: sure{Action: path + "/resume", Button: "app.resume", Question: "app.resume_sure", Yes: "app.resume_yes"},
	}
	p.Settings, p.SettingsShown.Seen, p.ConnectionShown.Seen = settingsFields(a.AppSettings), seenOf(a.AppSettings), seenOf(connectionOf(a))
	p.Connection = []*field{
		{Name: "appid", Label: "app.appid", Hint: "app.appid_hint", Type: "text", Value: a.AppID, Required: true},
		{Name: "base_url", Label: "app.base_url", Hint: "app.base_url_hint", Type: "url", Value: a.BaseURL, Required: true},
		{Name: "secret", Label: "app.secret", Hint: "app.secret_keep_hint", Type: "password", Autocomplete: "new-password"},
	}
	p.CallbackURL = publicURL(c.r) + "/callbacks/wechat/" + a.Key
	_, mode, _, err := k.store.Callback(ctx, a.Key)
	p.CallbackMode = mode
	if mode == "" {
		mode = string(callback.ModeSafe)
	}
	p.Callback = []*field{
		{Name: "mode", Label: "app.callback_mode", Hint: "app.callback_mode_hint", Value: mode, Options: choose("app.mode_", mode, callbackModes()...)},
		{Name: "token", Label: "app.callback_token", Hint: "app.callback_token_hint", Type: "password", Autocomplete: "new-password"},
		{Name: "encoding_aes_key", Label: "app.callback_key", Hint: "app.callback_key_hint", Type: "password", Autocomplete: "new-password"},
	}
	return p, err
}

// callbackModes are those of the platform's page, and none.
func callbackModes() []string {
	return []string{string(callback.ModeSafe), string(callback.ModeCompat), string(callback.ModePlain), "off"}
}

func settingsFields(s push.AppSettings) []*field {
	whole := func(name, label, hint string, n int) *field {
		return &field{Name: name, Label: label, Hint: hint, Type: "number", Value: strconv.Itoa(n)}
	}
	clock := func(name, label, hint string, v *string) *field {
		f := &field{Name: name, Label: label, Hint: hint, Type: "time"}
		if v != nil {
			f.Value = *v
		}
		return f
	}
	source := string(s.PermitSource)
	return []*field{
		whole("rate_per_second", "app.rate_per_second", "app.rate_per_second_hint", s.RatePerSecond),
		whole("daily_budget", "app.daily_budget", "app.daily_budget_hint", s.DailyBudget),
		whole("ramp_from", "app.ramp_from", "app.ramp_from_hint", s.RampFrom),
		whole("ramp_minutes", "app.ramp_minutes", "app.ramp_minutes_hint", s.RampMinutes),
		clock("quiet_from", "app.quiet_from", "app.quiet_from_hint", s.QuietFrom),
		clock("quiet_to", "app.quiet_to", "app.quiet_to_hint", s.QuietTo),
		whole("daily_cap", "app.daily_cap", "app.daily_cap_hint", s.DailyCap),
		{
			Name: "permit_source", Label: "app.permit_source", Hint: "app.permit_source_hint", Value: source,
			Options: choose("app.source_", source, string(push.PermitsFromClient), string(push.PermitsFromEvents)),
		},
		{
			Name: "approval", Label: "app.approval", Hint: "app.approval_hint", Value: strconv.FormatBool(s.Approval),
			Options: choose("app.approval_", strconv.FormatBool(s.Approval), "false", "true"),
		},
		{Name: "testers", Label: "app.testers", Hint: "app.testers_hint", Type: "text", Value: strings.Join(s.Testers, ",")},
	}
}

func (k *Console) showApp(ctx context.Context, c *call) (reply, error) {
	p, err := k.newAppPage(ctx, c)
	return page("app", p, c.app.Key).under(upToApps()...), err
}

// fill puts what was posted into fields; what is secret is never shown again.
func (c *call) fill(fields []*field) {
	for _, f := range fields {
		if f.Type == "password" {
			continue
		}
		f.Value = c.value(f.Name)
		for i := range f.Options {
			f.Options[i].Selected = f.Options[i].Value == f.Value
		}
	}
}

// againApp shows the page with a form that is wrong, or that was overtaken; pick says which it is, and what it was made from.
func (k *Console) againApp(ctx context.Context, c *call, wrong error, pick func(*appPage) ([]*field, *formState)) (reply, error) {
	p, err := k.newAppPage(ctx, c)
	if err != nil {
		return reply{}, err
	}
	form, shown := pick(p)
	if shown.Stale, err = k.staleOf(ctx, wrong, c.app.ID, "app:"+c.app.Key, form...); err != nil {
		return reply{}, err
	}
	c.fill(form)
	out := invalid("app", p, c.app.Key).under(upToApps()...)
	if shown.Stale != nil {
		out.status = http.StatusConflict
		return out, nil
	}
	return out, refuse(wrong, form...)
}

func (k *Console) setAppSettings(ctx context.Context, c *call) (reply, error) {
	before := c.app.AppSettings
	app, err := k.d.SetAppSettings(ctx, c.actor(), c.app.Key, func(s *push.AppSettings) error {
		before, c.app.AppSettings = *s, *s
		if err := c.checkSeen(*s); err != nil {
			return err
		}
		return c.readSettings(s)
	})
	if wrong, ok := errors.AsType[*push.InvalidError](err); ok && strings.HasPrefix(wrong.Field, "testers[") {
		wrong.Field = "testers" // the form has them in one field
	}
	if err != nil {
		return k.againApp(ctx, c, err, func(p *appPage) ([]*field, *formState) { return p.Settings, &p.SettingsShown })
	}
	c.audit.Detail = store.Changed(before, app.AppSettings)
	return redirect(appPath(app.Key)).saying("app.flash_saved"), nil
}

// readSettings writes what the form says over settings.
func (c *call) readSettings(s *push.AppSettings) error {
	var errs []error
	for name, into := range map[string]*int{
		"rate_per_second": &s.RatePerSecond, "ramp_from": &s.RampFrom, "ramp_minutes": &s.RampMinutes, "daily_budget": &s.DailyBudget, "daily_cap": &s.DailyCap,
	} {
		n, err := c.number(name)
		*into = n
		errs = append(errs, err)
	}
	s.QuietFrom, s.QuietTo, s.PermitSource = c.maybe("quiet_from"), c.maybe("quiet_to"), push.PermitSource(c.value("permit_source"))
	if c.form.Has("approval") {
		s.Approval = c.value("approval") == "true"
		s.Testers = strings.FieldsFunc(c.value("testers"), func(r rune) bool { return strings.ContainsRune(",,、;; ", r) })
	}
	return errors.Join(errs...)
}

// maybe is a field of the form; nil where it is empty.
func (c *call) maybe(name string) *string {
	v := c.value(name)
	if v == "" {
		return nil
	}
	return &v
}

// connectionOf is how an app is reached, but for its secret.
func connectionOf(a push.App) map[string]string {
	return map[string]string{"appid": a.AppID, "base_url": a.BaseURL}
}

func (k *Console) setAppConnection(ctx context.Context, c *call) (reply, error) {
	spec := dispatch.AppSpec{Key: c.app.Key, AppID: c.value("appid"), BaseURL: c.value("base_url"), Secret: c.value("secret")}
	err := errors.Join(push.RequireText("appid", spec.AppID, 64), push.RequireText("base_url", spec.BaseURL, 512), push.CheckText("secret", spec.Secret, 256))
	before, lerr := k.store.LockApp(ctx, c.app.Key)
	if lerr != nil {
		return reply{}, lerr
	}
	if c.app = before; err == nil {
		err = c.checkSeen(connectionOf(before))
	}
	var app push.App
	if err == nil { // an appid that is taken ends what the transaction can do, but for the page that says so
		err = k.store.Attempt(ctx, func(ctx context.Context) error {
			app, err = k.d.SetApp(ctx, spec)
			return err
		})
	}
	if err != nil {
		return k.againApp(ctx, c, err, func(p *appPage) ([]*field, *formState) { return p.Connection, &p.ConnectionShown })
	}
	c.audit.Detail = store.Changed(connectionOf(before), connectionOf(app))
	if spec.Secret != "" {
		c.audit.Detail["secret"] = "replaced"
	}
	return redirect(appPath(app.Key)).saying("app.flash_saved"), nil
}

func (k *Console) setAppCallback(ctx context.Context, c *call) (reply, error) {
	_, before, _, err := k.store.Callback(ctx, c.app.Key)
	if err != nil {
		return reply{}, err
	}
	spec := dispatch.CallbackSpec{Mode: callback.Mode(c.value("mode")), Token: c.value("token"), EncodingAESKey: c.value("encoding_aes_key")}
	said := "app.flash_saved"
	if spec.Mode == "off" || spec.Mode == "" {
		spec, said = dispatch.CallbackSpec{}, "app.flash_callback_off"
	}
	if err := k.d.SetCallback(ctx, c.app.Key, spec); err != nil {
		return k.againApp(ctx, c, err, func(p *appPage) ([]*field, *formState) { return p.Callback, &formState{} })
	}
	type shown struct {
		Mode string `json:"callback_mode"`
	}
	c.audit.Detail = store.Changed(shown{before}, shown{string(spec.Mode)})
	return redirect(appPath(c.app.Key)).saying(said), nil
}

func (k *Console) pauseApp(ctx context.Context, c *call) (reply, error) {
	_, err := k.d.PauseApp(ctx, c.actor(), c.app.Key)
	return redirect(appPath(c.app.Key)).saying("app.flash_paused"), err
}

func (k *Console) resumeApp(ctx context.Context, c *call) (reply, error) {
	_, err := k.d.ResumeApp(ctx, c.app.Key)
	return redirect(appPath(c.app.Key)).saying("app.flash_resumed"), err
}

// testApp fetches a token from the platform and shows what it said.
func (k *Console) testApp(ctx context.Context, c *call) (reply, error) {
	found, err := k.d.TestConnection(ctx, c.app.ID)
	if err != nil {
		return reply{}, err
	}
	p, err := k.newAppPage(ctx, c)
	if err != nil {
		return reply{}, err
	}
	p.Tested, p.TestedFor, p.Advice = &found, int(found.ExpiresIn.Minutes()), both{found.Advice.Chinese, found.Advice.English}
	return page("app", p, c.app.Key).under(upToApps()...), nil
}
