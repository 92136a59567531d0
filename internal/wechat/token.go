package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// TokenSource hands out the app's access token. The store that several daemons share, the single flight and the
// renewal before expiry live with the caller, which calls [Client.StableToken] when it needs a new one.
//
// Both methods are called concurrently, by every sender. Token is on the hot path and should answer from memory.
// Invalidate names the token that the platform refused: an implementation compares it with the one it holds, so that two
// hundred senders that meet the same dead token cause one refresh. An error that wraps an [*APIError] of the token call
// is classified by the table of [ChannelToken].
type TokenSource interface {
	Token(ctx context.Context) (string, error)
	Invalidate(ctx context.Context, failed string) error
}

// Token is an access token and the time it is still good for, counted from the answer.
type Token struct {
	Value     string
	ExpiresIn time.Duration // at least 5 minutes on the platform, which renews a token that long before its end
}

// String keeps the value out of texts.
func (t Token) String() string { return "access token for " + t.ExpiresIn.String() }

// GoString keeps the value out of %#v.
func (t Token) GoString() string { return t.String() }

// LogValue keeps the value out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Refresh says whether a token call may replace a token that is still valid.
type Refresh bool

const (
	// Normal gives every caller the same token while it is valid. It is the right one after 40001 too.
	Normal Refresh = false
	// Force makes the token of before invalid at once. The platform does so at most 20 times a day and not within 30 s,
	// and otherwise answers as to Normal. It is for a token that leaked.
	Force Refresh = true
)

// StableToken asks the platform for the app's token. It returns an *APIError where the platform refused, and another
// error where there was no usable answer; to ask again does no harm.
func (c *Client) StableToken(ctx context.Context, refresh Refresh) (Token, error) {
	x := c.begin()
	defer x.leave()
	x.request = append(x.request, `{"grant_type":"client_credential","appid":`...)
	x.request = appendString(x.request, c.appID)
	x.request = append(x.request, `,"secret":`...)
	x.request = appendString(x.request, c.secret)
	x.request = append(x.request, `,"force_refresh":`...)
	x.request = strconv.AppendBool(x.request, bool(refresh))
	x.request = append(x.request, '}')

	if _, err := c.roundTrip(ctx, c.endpoint(stableTokenPath, ""), x); err != nil {
		return Token{}, callError(opStableToken, err, c.secret)
	}
	var v struct {
		ErrCode   int    `json:"errcode"`
		ErrMsg    string `json:"errmsg"`
		Token     string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"` // seconds
	}
	if err := json.Unmarshal(x.reply, &v); err != nil {
		return Token{}, callError(opStableToken, errNotJSON)
	}
	if v.ErrCode != 0 {
		msg, rid := splitMsg(redacted(v.ErrMsg, c.secret))
		return Token{}, &APIError{Op: opStableToken, Code: v.ErrCode, Msg: msg, RID: rid}
	}
	if v.Token == "" || v.ExpiresIn <= 0 || v.ExpiresIn > int64(24*time.Hour/time.Second) {
		return Token{}, callError(opStableToken, errors.New("answer has no usable token"))
	}
	return Token{Value: v.Token, ExpiresIn: time.Duration(v.ExpiresIn) * time.Second}, nil
}

// APIError is a refusal by the platform: an answer with an errcode other than 0.
type APIError struct {
	Op   string // the call, e.g. "template_send"
	Code int    // errcode
	Msg  string // errmsg without its variable tail, so that equal errors have equal texts
	RID  string // the id in that tail; empty where there was none
}

func (e *APIError) Error() string { return fmt.Sprintf("%s: errcode %d: %s", e.Op, e.Code, e.Msg) }
