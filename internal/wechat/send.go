package wechat

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	opTemplateSend  = "template_send"
	opSubscribeSend = "subscribe_send"
	opStableToken   = "stable_token"
)

// Result is the end of one attempt to send one message. What follows from it is decided by the caller, from Class and
// Ambiguous.
type Result struct {
	Class Class // never zero
	// Code is the platform's errcode; 0 where it gave none (then Err is set) and for a message that was sent.
	Code  int
	Msg   string // the platform's text without its variable tail
	RID   string // the request id in that tail; the platform's support asks for it
	MsgID int64  // of the message, above 2^53; 0 where the platform names none, as on the form_id channel

	// Ambiguous: the message may or may not have been delivered.
	Ambiguous bool
	// NotSent: the platform cannot have acted: no request was written, or the one that was written was refused for its
	// token and no fresh token could be had.
	NotSent bool

	// Err is nil for ClassOK only. It is an *APIError where Code is set. Its text holds no token, openid or formId.
	Err error
	// Latency is that of the last HTTP call, 0 where there was none.
	Latency time.Duration
}

// SendTemplate sends one template message and waits for the platform's answer. A token that the platform refuses is
// invalidated: a token error means that the message was certainly not sent. With a token of the caller's the result is then
// of class ClassToken; without one the attempt is made once more, and if the fresh token is refused too the result is of
// class ClassConfig.
//
// A ctx that ends while the request is on its way makes the call ambiguous: give it the life of the process, not of the
// job. Config.Timeout bounds the call in any case.
func (c *Client) SendTemplate(ctx context.Context, m TemplateMessage) Result {
	call := sendCall{opTemplateSend, templateSendPath, ChannelFormID, m.Token, m.ToUser, m.FormID}
	return c.send(ctx, call, func(dst []byte) []byte { return AppendTemplateBody(dst, m) })
}

// SendSubscribe sends one subscribe message, as [Client.SendTemplate] does a template message. Result.MsgID is the id that
// the platform's event on the delivery will bear. ClassOK means accepted: the platform delivers afterwards.
//
// An ambiguous result must not be tried again ([Channel.ResendSafe]). The platform refuses concurrent calls for one openid
// (43108): the caller lets them follow one another.
func (c *Client) SendSubscribe(ctx context.Context, m SubscribeMessage) Result {
	call := sendCall{opSubscribeSend, subscribeSendPath, ChannelSubscribe, m.Token, m.ToUser, ""}
	return c.send(ctx, call, func(dst []byte) []byte { return AppendSubscribeBody(dst, m) })
}

// sendCall is what the sending of a message needs to know of it, beside its body.
type sendCall struct {
	op, path       string
	channel        Channel
	token          string // the caller's; empty: the source is asked
	toUser, permit string // kept out of every text
}

// send makes the call, and, with tokens of the source, makes it once more if the first is refused. body appends the message.
func (c *Client) send(ctx context.Context, call sendCall, body func([]byte) []byte) Result {
	if call.token != "" {
		return c.sendOnce(ctx, call.token, call, body)
	}
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return TokenFailure(err)
	}
	res := c.sendOnce(ctx, token, call, body)
	if res.Class != ClassToken {
		return res
	}
	if token, err = c.tokens.Token(ctx); err != nil {
		return TokenFailure(err)
	}
	if res = c.sendOnce(ctx, token, call, body); res.Class == ClassToken {
		res.Class = ClassConfig
	}
	return res
}

// sendOnce makes the call. A token that is refused is given up.
func (c *Client) sendOnce(ctx context.Context, token string, call sendCall, body func([]byte) []byte) Result {
	res := c.exchangeSend(ctx, token, call, body)
	if res.Class != ClassToken {
		return res
	}
	res.NotSent = true
	if err := c.tokens.Invalidate(ctx, token); err != nil {
		return TokenFailure(fmt.Errorf("invalidate token: %w", err))
	}
	return res
}

// TokenFailure is the result where no usable token could be had. A request made before, if any, was refused for its
// token, so nothing was sent.
func TokenFailure(err error) Result {
	res := Result{Class: ClassRetry, NotSent: true, Err: fmt.Errorf("get token: %w", err)}
	if apiErr, ok := errors.AsType[*APIError](err); ok {
		res.Class = Classify(ChannelToken, apiErr.Code)
		res.Code, res.Msg, res.RID = apiErr.Code, apiErr.Msg, apiErr.RID
	}
	return res
}

func (c *Client) exchangeSend(ctx context.Context, token string, call sendCall, body func([]byte) []byte) Result {
	x := c.begin()
	defer x.leave()
	x.request = body(x.request)
	latency, err := c.roundTrip(ctx, c.sendRequest(call.channel, call.path, token), x)
	if err != nil {
		started := x.started.Load()
		err = callError(call.op, err, token, c.secret, call.toUser, call.permit)
		return Result{Class: ClassRetry, Ambiguous: started, NotSent: !started, Err: err, Latency: latency}
	}
	r, err := decodeReply(x.reply)
	if err != nil {
		return Result{Class: ClassRetry, Ambiguous: true, Err: callError(call.op, err), Latency: latency}
	}
	if r.code == 0 {
		return Result{Class: ClassOK, Msg: "ok", MsgID: r.msgID, Latency: latency}
	}
	msg, rid := splitMsg(redacted(r.msg, token, c.secret, call.toUser, call.permit))
	return Result{
		Class: Classify(call.channel, r.code), Code: r.code, Msg: msg, RID: rid, MsgID: r.msgID,
		Ambiguous: r.code == codeSystemError,
		Err:       &APIError{Op: call.op, Code: r.code, Msg: msg, RID: rid},
		Latency:   latency,
	}
}
