package wechat

import (
	"context"
	"encoding/json"
)

const (
	opQuotaGet   = "quota_get"
	quotaGetPath = "/cgi-bin/openapi/quota/get"

	// PathTemplateSend names, for [Client.Quota], the call that sends a template message.
	PathTemplateSend = templateSendPath
	// PathSubscribeSend names, for [Client.Quota], the call that sends a subscribe message.
	PathSubscribeSend = subscribeSendPath
)

// Quota is what the platform says of a call's quota. Its statistics may be off by a hundredth.
type Quota struct {
	DailyLimit int64 // calls a day; 0 where the platform names none
	Used       int64
}

// Quota asks what is left of the daily quota of the call at path (openapi/quota/get).
func (c *Client) Quota(ctx context.Context, path string) (Quota, error) {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return Quota{}, callError(opQuotaGet, err)
	}
	x := c.begin()
	defer x.leave()
	x.request = append(appendString(append(x.request, `{"cgi_path":`...), path), '}')
	if _, err := c.roundTrip(ctx, c.endpoint(quotaGetPath, tokenQuery(token)), x); err != nil {
		return Quota{}, callError(opQuotaGet, err, token, c.secret)
	}
	var v struct {
		ErrCode int    `json:"errcode"`
		ErrMsg  string `json:"errmsg"`
		Quota   struct {
			DailyLimit int64 `json:"daily_limit"`
			Used       int64 `json:"used"`
		} `json:"quota"`
	}
	if err := json.Unmarshal(x.reply, &v); err != nil {
		return Quota{}, callError(opQuotaGet, errNotJSON)
	}
	if v.ErrCode != 0 {
		msg, rid := splitMsg(redacted(v.ErrMsg, token, c.secret))
		return Quota{}, &APIError{Op: opQuotaGet, Code: v.ErrCode, Msg: msg, RID: rid}
	}
	return Quota{DailyLimit: v.Quota.DailyLimit, Used: v.Quota.Used}, nil
}
