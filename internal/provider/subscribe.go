package provider

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"minipush/internal/push"
	"minipush/internal/wechat"
)

// subscribe is the subscribe message.
type subscribe struct{}

func (subscribe) ResendSafe() bool { return wechat.ChannelSubscribe.ResendSafe() }

func (subscribe) QuotaPath() string { return wechat.PathSubscribeSend }

func (subscribe) Explain(code int) (wechat.Advice, bool) {
	return wechat.Explain(wechat.ChannelSubscribe, code)
}

func (subscribe) Send(ctx context.Context, client *wechat.Client, m Message) wechat.Result {
	return client.SendSubscribe(ctx, wechat.SubscribeMessage{ToUser: m.OpenID, TemplateID: m.TemplateID, Page: m.Page, Data: m.Data, Token: m.Token})
}

func (subscribe) ChecksFields() bool { return true }

// Value is the value of a field as the platform gets it: trimmed, and cut where the template says so. It is an error if the platform
// would not take it.
func (subscribe) Value(f push.Field, value string) (string, error) {
	kind, _ := wechat.KindOf(f.Key)
	value = strings.TrimSpace(value)
	if f.TooLong == push.TooLongCut {
		value = wechat.Cut(kind, value)
	}
	return value, wechat.CheckField(kind, value, f.Enum)
}

// CheckTemplate holds the keys against the kinds that the platform has: a field of another kind does not exist.
func (subscribe) CheckTemplate(t push.Template) error {
	var errs []error
	for i, f := range t.Fields {
		if _, ok := wechat.KindOf(f.Key); !ok && t.SyncedAt == nil { // what the account has exists, whatever its kind
			errs = append(errs, &push.InvalidError{Field: fmt.Sprintf("fields[%d].key", i), Rule: "unknown_kind",
				Message: fmt.Sprintf("%q is no field of a subscribe template: it must be as the platform names it, for example thing1, amount2, time3", f.Key)})
		}
	}
	return errors.Join(errs...)
}

// CheckTask checks the fields that are the same for all. The fault is put to the text that the field holds, where it holds nothing else:
// the person who writes it can mend it there.
func (s subscribe) CheckTask(t push.Template, bound push.Compiled) error {
	var errs []error
	for i, f := range t.Fields {
		text, same := bound.Fields[i].Value.Static()
		if !same {
			continue
		}
		if _, err := s.Value(f, text); err != nil {
			errs = append(errs, invalid(t, i, err))
		}
	}
	return errors.Join(errs...)
}

func invalid(t push.Template, i int, err error) error {
	f := t.Fields[i]
	at, rule, message := fmt.Sprintf("template.fields[%d]", i), "field_invalid", err.Error()
	switch strings.TrimSpace(f.Value) {
	case "{{topic}}", "{{caption}}", "{{tips}}", "{{product.title}}", "{{product.price}}":
		at = strings.TrimSpace(strings.Trim(strings.TrimSpace(f.Value), "{}"))
	}
	if e, ok := errors.AsType[*wechat.FieldError](err); ok {
		rule = string(e.Rule)
		message = fmt.Sprintf("%s: 字段%s%s; field %s", e.English, named(f, "“"+f.Label+"”"), e.Chinese, named(f, strconv.Quote(f.Label)+" "))
	}
	return &push.InvalidError{Field: at, Rule: rule, Message: message}
}

// Fault says in words what [Channel.Value] has against the value of a field, and by which rule.
func Fault(f push.Field, err error) (rule, zh, en string) {
	e, ok := errors.AsType[*wechat.FieldError](err)
	if !ok {
		return "field_invalid", "内容不符合模板要求", err.Error()
	}
	return string(e.Rule), "字段" + named(f, "“"+f.Label+"”") + e.Chinese, "field " + named(f, strconv.Quote(f.Label)+" ") + " " + e.English
}

// named is a field by its label, as it is quoted, and its key; by its key alone where it has no label.
func named(f push.Field, label string) string {
	if f.Label == "" {
		return f.Key
	}
	return label + "(" + f.Key + ")"
}
