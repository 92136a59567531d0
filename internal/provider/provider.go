// Package provider is the seam between the send engine and the ways in which a platform lets a message be sent. The engine knows
// permits, leases and outcomes; what a call looks like, what its answers mean, and whether one may be made again is the channel's.
//
// A channel is told by its capabilities. Two exist, both of WeChat:
//
//	             permits                           a call that may have got through    calls for a person
//	form_id      tokens, each for one message      again with the same token            at any time
//	subscribe    a counter per person and          never again: unknown, until the      one at a time
//	             template                          platform's event or a person says
//
// Another platform adds a [Channel] to [For], and its table of codes beside it.
package provider

import (
	"context"

	"minipush/internal/push"
	"minipush/internal/wechat"
)

// Message is one message for one person.
type Message struct {
	OpenID     string
	TemplateID string
	Page       string
	// Permit is the token of a permit that has one, a formId; empty where permits are counted.
	Permit string
	Data   []wechat.Field
	// Token is the access token to make the call with.
	Token string
}

// Channel is one way of sending. It has no state; its methods may be called at the same time.
type Channel interface {
	// ResendSafe says whether a call that may have got through may be made again with the same permit: the platform then tells.
	ResendSafe() bool
	// Send makes one call and waits for its answer.
	Send(ctx context.Context, client *wechat.Client, m Message) wechat.Result
	// QuotaPath names the call of this channel whose quota the platform counts.
	QuotaPath() string
	// Explain says what a code of this channel means.
	Explain(code int) (wechat.Advice, bool)
	// CheckTemplate says what stands against a template of this channel, beside what stands against any.
	CheckTemplate(t push.Template) error
	// CheckTask looks at what the messages of a task say, as far as it is the same for all, before any is sent. bound is the template with
	// the task's texts filled in.
	CheckTask(t push.Template, bound push.Compiled) error
	// ChecksFields says whether Value ever cuts or refuses: where it does not, nobody needs to ask it for a million rows.
	ChecksFields() bool
	// Value is what a field is sent as, and what stands against it.
	Value(f push.Field, value string) (string, error)
}

// For finds the channel of that name; an unknown one is form_id's.
func For(name push.Channel) Channel {
	if name == push.ChannelSubscribe {
		return subscribe{}
	}
	return formID{}
}

// formID is the template message, one formId each.
type formID struct{}

func (formID) ResendSafe() bool { return wechat.ChannelFormID.ResendSafe() }

func (formID) QuotaPath() string { return wechat.PathTemplateSend }

func (formID) Explain(code int) (wechat.Advice, bool) {
	return wechat.Explain(wechat.ChannelFormID, code)
}

func (formID) Send(ctx context.Context, client *wechat.Client, m Message) wechat.Result {
	return client.SendTemplate(ctx, wechat.TemplateMessage{ToUser: m.OpenID, TemplateID: m.TemplateID, Page: m.Page, FormID: m.Permit, Data: m.Data, Token: m.Token})
}

func (formID) CheckTemplate(push.Template) error { return nil }

func (formID) CheckTask(push.Template, push.Compiled) error { return nil }

func (formID) ChecksFields() bool { return false }

func (formID) Value(_ push.Field, value string) (string, error) { return value, nil }
