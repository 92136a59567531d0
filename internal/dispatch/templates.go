package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

// TemplateSync is what became of each subscribe template of an app when they were held against the app's account.
type TemplateSync struct {
	Added     int              `json:"added"`
	Changed   int              `json:"changed"`
	Unchanged int              `json:"unchanged"`
	Gone      int              `json:"gone"`
	Refused   int              `json:"refused"`
	Templates []SyncedTemplate `json:"templates"`
}

// SyncedTemplate is what became of one.
type SyncedTemplate struct {
	TemplateID string `json:"template_id"`
	Name       string `json:"name"`
	// Outcome is "added", "changed", "unchanged", "gone" (the account does not have it) or "refused" (it cannot be kept; Message says why).
	Outcome string                `json:"outcome"`
	Changes []push.TemplateChange `json:"changes,omitempty"`
	// Unfilled names the fields that have no value yet: until they have, no task can use the template.
	Unfilled []string `json:"unfilled,omitempty"`
	Message  string   `json:"message,omitempty"`
}

// What became of a template.
const (
	SyncAdded     = "added"
	SyncChanged   = "changed"
	SyncUnchanged = "unchanged"
	SyncGone      = "gone"
	SyncRefused   = "refused"
)

const (
	// templatesTimeout bounds the call, with the token that it may need before.
	templatesTimeout = 10 * time.Second
	// maxTemplatesRead is far more than an account can have.
	maxTemplatesRead = 10_000
)

// SyncTemplates fetches the subscribe templates of an app's account and brings those that are kept up to them. Again it changes nothing.
// What operators wrote stays ([push.Account.Update]); what is scheduled or sending keeps its template as frozen. A template that the account
// does not have stays, marked as gone, and no new task may use it. done is run in the transaction that writes the templates; it may be nil.
func (d *Dispatcher) SyncTemplates(ctx context.Context, actor, key string, done func(context.Context, TemplateSync) error) (TemplateSync, error) {
	app, err := d.st.App(ctx, key)
	if err != nil {
		return TemplateSync{}, err
	}
	if app.PausedAt != nil {
		return TemplateSync{}, &push.Refusal{Code: push.RefusedAppPaused, App: key} // no call is made for it
	}
	account, err := d.accountTemplates(ctx, app.ID)
	if err != nil {
		return TemplateSync{}, err
	}
	var sync TemplateSync
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		sync = TemplateSync{Templates: []SyncedTemplate{}}
		if err := d.applyTemplates(ctx, actor, key, account, &sync); err != nil || done == nil {
			return err
		}
		return done(ctx, sync)
	})
	if err != nil {
		return TemplateSync{}, err
	}
	d.realign(ctx, app.ID)
	d.log.InfoContext(ctx, "templates synced", slog.Any("app", key), slog.Any("actor", actor), slog.Any("added", sync.Added),
		slog.Any("changed", sync.Changed), slog.Any("gone", sync.Gone), slog.Any("refused", sync.Refused))
	return sync, nil
}

// applyTemplates writes what the account has, in a transaction.
func (d *Dispatcher) applyTemplates(ctx context.Context, actor, key string, account []push.Account, sync *TemplateSync) error {
	app, err := d.st.LockApp(ctx, key) // nobody else syncs or writes a template meanwhile
	if err != nil {
		return err
	}
	stored, err := d.st.Templates(ctx, app.ID, "", maxTemplatesRead)
	if err != nil {
		return err
	}
	var found, gone []string
	for _, a := range account {
		var have *push.Template
		if i := slices.IndexFunc(stored, func(t push.Template) bool { return t.TemplateID == a.TemplateID }); i >= 0 {
			have = &stored[i]
		}
		outcome, err := d.applyTemplate(ctx, actor, app, a, have)
		if err != nil {
			return err
		}
		sync.add(outcome)
		if outcome.Outcome != SyncRefused {
			found = append(found, a.TemplateID)
		}
	}
	for _, t := range stored {
		known := slices.ContainsFunc(account, func(a push.Account) bool { return a.TemplateID == t.TemplateID })
		if t.Channel == push.ChannelSubscribe && !known {
			gone = append(gone, t.TemplateID)
			sync.add(SyncedTemplate{TemplateID: t.TemplateID, Name: t.Name, Outcome: SyncGone})
		}
	}
	return d.st.MarkTemplates(ctx, app.ID, found, gone)
}

// applyTemplate writes one template of the account; have is what is kept of it, or nil.
func (d *Dispatcher) applyTemplate(ctx context.Context, actor string, app push.App, a push.Account, have *push.Template) (SyncedTemplate, error) {
	s := SyncedTemplate{TemplateID: a.TemplateID, Name: a.Name, Outcome: SyncRefused}
	if err := a.Validate(); err != nil {
		s.Message = strings.ReplaceAll(err.Error(), "\n", "; ")
		return s, nil //nolint:nilerr // the others are none the worse for it
	}
	var t push.Template
	switch {
	case have == nil:
		s.Outcome, t = SyncAdded, a.New(app.Key)
	case have.Channel != push.ChannelSubscribe:
		s.Message = fmt.Sprintf("is kept with channel %q; write it anew with channel %q", have.Channel, push.ChannelSubscribe)
		return s, nil
	default:
		s.Outcome = SyncUnchanged
		if t, s.Changes = a.Update(*have); len(s.Changes) > 0 {
			s.Outcome = SyncChanged
		}
	}
	for _, f := range t.Unfilled() {
		s.Unfilled = append(s.Unfilled, f.Key)
	}
	if s.Outcome == SyncUnchanged {
		return s, nil
	}
	_, err := d.writeTemplate(ctx, actor, app.ID, t)
	return s, err
}

// Counts are how many templates came to what, but for those that are as they were.
func (s *TemplateSync) Counts() map[string]any {
	return map[string]any{"added": s.Added, "changed": s.Changed, "gone": s.Gone, "refused": s.Refused}
}

func (s *TemplateSync) add(t SyncedTemplate) {
	s.Templates = append(s.Templates, t)
	switch t.Outcome {
	case SyncAdded:
		s.Added++
	case SyncChanged:
		s.Changed++
	case SyncUnchanged:
		s.Unchanged++
	case SyncGone:
		s.Gone++
	case SyncRefused:
		s.Refused++
	}
}

// accountTemplates asks the platform. The call, and the token that it may renew for all daemons, are no part of the caller's transaction.
func (d *Dispatcher) accountTemplates(ctx context.Context, appID int32) ([]push.Account, error) {
	ctx = store.Apart(ctx)
	client, err := d.clients.get(ctx, appID)
	if errors.Is(err, errApp) {
		return nil, &push.CallError{Code: push.PlatformCredentials, ZH: "小程序的密钥或接口地址无法使用，请重新设置", EN: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeoutCause(ctx, templatesTimeout, errors.New("the platform took too long"))
	defer cancel()
	list, err := client.Templates(call)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, platformError(err)
	}
	account := make([]push.Account, len(list))
	for i, t := range list {
		account[i] = push.Account{TemplateID: t.ID, Name: strings.TrimSpace(t.Title), LongTerm: t.Type == wechat.TemplateLongTerm}
		for _, f := range t.Fields {
			account[i].Fields = append(account[i].Fields, push.Field{Key: f.Key, Label: f.Label, Enum: allowed(f.Enum)})
		}
	}
	return account, nil
}

// allowed are the values of a field as they are compared: trimmed, each once. Nil where there are none.
func allowed(values []string) []string {
	var list []string
	for _, v := range values {
		if v = strings.TrimSpace(v); v != "" && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// Texts for codes whose advice in the tables is about messages.
const (
	codeBusy        = -1
	codeDailyQuota  = 45009
	codeMinuteQuota = 45011
)

// platformError says what the failure of a call that a person asked for means. What is ours stays as it is.
func platformError(err error) error {
	e, refused := errors.AsType[*wechat.APIError](err)
	switch {
	case errors.Is(err, errTables):
		return err
	case !refused:
		return &push.CallError{Code: push.PlatformUnreachable, ZH: "微信平台没有应答，请稍后再试", EN: "the platform gave no usable answer; try again later: " + err.Error()}
	}
	p := &push.CallError{Code: push.PlatformRefused, Errcode: e.Code}
	var advice wechat.Advice
	switch {
	case e.Op != wechat.OpTemplates:
		p.Code = push.PlatformCredentials
		advice, _ = wechat.Explain(wechat.ChannelToken, e.Code)
	case wechat.Classify(wechat.ChannelSubscribe, e.Code) == wechat.ClassToken:
		p.Code = push.PlatformCredentials
		advice = wechat.Advice{English: "The platform refuses the access token, a fresh one too. Check appid and secret.", Chinese: "微信平台拒绝了 access_token，刷新后仍然无效，请检查 AppID 与密钥。"}
	case e.Code == codeBusy:
		advice = wechat.Advice{English: "The platform is busy. Try again later.", Chinese: "微信系统繁忙，请稍后再试。"}
	case e.Code == codeDailyQuota || e.Code == codeMinuteQuota:
		advice = wechat.Advice{English: "The quota of this call is spent. Try again later, tomorrow at the latest.", Chinese: "此接口的调用额度已用完，请稍后或明天再试。"}
	default:
		advice, _ = wechat.Explain(wechat.ChannelSubscribe, e.Code)
	}
	p.ZH, p.EN = advice.Chinese, advice.English
	if e.Msg != "" {
		p.EN += " The platform said: " + e.Msg
	}
	return p
}
