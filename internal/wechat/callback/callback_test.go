package callback_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat/callback"
)

const (
	testToken  = "AAAAA"
	testKey    = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	testAppID  = "wxba5fad812f8e6fb9"
	testOpenID = "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"
	testStamp  = 1714112445

	popupJSON = `{"ToUserName":"gh_97417a04a28d","FromUserName":"` + testOpenID + `","CreateTime":1620973045,"MsgType":"event",` +
		`"Event":"subscribe_msg_popup_event","List":[{"TemplateId":"T1","SubscribeStatusString":"accept","PopupScene":"0"}]}`
	popupXML = `<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><FromUserName><![CDATA[` + testOpenID + `]]></FromUserName>` +
		`<CreateTime>1620973045</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[subscribe_msg_popup_event]]></Event>` +
		`<SubscribeMsgPopupEvent><List><TemplateId><![CDATA[T1]]></TemplateId>` +
		`<SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>0</PopupScene></List></SubscribeMsgPopupEvent></xml>`
)

func at(stamp int64) func() time.Time {
	return func() time.Time { return time.Unix(stamp, 0) }
}

// config is the one of the platform's documentation, at the time of its sample.
func config(mode callback.Mode) callback.Config {
	return callback.Config{AppID: testAppID, EncodingAESKey: testKey, Mode: mode, Now: at(testStamp), Token: testToken}
}

func endpoint(t *testing.T, cfg callback.Config) *callback.Endpoint {
	t.Helper()
	e, err := callback.New(cfg)
	require.NoError(t, err)
	return e
}

// signed is the query of a request that a holder of the token made at the time of the sample.
func signed(encrypt string) url.Values {
	q := url.Values{"timestamp": {"1714112445"}, "nonce": {"415670741"}}
	q.Set("signature", callback.Sign(testToken, "1714112445", "415670741"))
	if encrypt != "" {
		q.Set("msg_signature", callback.Sign(testToken, "1714112445", "415670741", encrypt))
	}
	return q
}

// receivePlain reads a message in plain mode, where it stands as it is.
func receivePlain(t *testing.T, message string) (callback.Event, error) {
	t.Helper()
	return endpoint(t, config(callback.ModePlain)).Receive(signed(""), []byte(message))
}
