package callback_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat/callback"
)

// The vectors are the platform's own: the page "消息推送" (developers.weixin.qq.com/miniprogram/dev/framework/server-ability/
// message-push.html), the same page for third-party platforms, and the sample programs of cryptoDemo.zip that both link to.

const (
	docEncrypt = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6Js" +
		"XUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32" +
		"IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
	thirdPartyEncrypt = "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8" +
		"KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhHTtu" +
		"JB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCx" +
		"gfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P" +
		"4xQrWXbsTFHTYe0Mg=="
	csharpEncrypt = "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sY" +
		"YvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5g" +
		"sijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLV" +
		"MNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS" +
		"8R07+qN+E7Q=="
	pythonEncrypt = "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2Ld" +
		"JF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3yt+WGzjl" +
		"pKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+" +
		"C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE="
)

func TestSign_IsThePlatforms(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		want, token string
		parts       []string
	}{
		{"f464b24fc39322e44b38aa78f5edd27bd1441696", "AAAAA", []string{"1714036504", "1514711492"}},
		{"899cf89e464efb63f54ddac96b0a0a235f53aa78", "AAAAA", []string{"1714037059", "486452656"}},
		{"6c5c811b55cc85e0e1b54100749188c20beb3f5d", "AAAAA", []string{"1714112445", "415670741"}},
		{"046e02f8204d34f8ba5fa3b1db94908f3df2e9b3", "AAAAA", []string{"1714112445", "415670741", docEncrypt}},
		{"477715d11cdb4164915debcba66cb864d751f3e6", "QDG6eK", []string{"1409659813", "1372623149", csharpEncrypt}},
		{"5d197aaffba7e9b25a30732f161a50dee96bd5fa", "spamtest", []string{"1409735669", "1320562132", pythonEncrypt}},
	} {
		require.Equal(t, v.want, callback.Sign(v.token, v.parts...))
	}
}

func TestEcho_OfTheDocumentation(t *testing.T) {
	t.Parallel()
	q, err := url.ParseQuery("signature=f464b24fc39322e44b38aa78f5edd27bd1441696&echostr=4375120948345356249&timestamp=1714036504&nonce=1514711492")
	require.NoError(t, err)
	for _, mode := range []callback.Mode{callback.ModePlain, callback.ModeCompat, callback.ModeSafe} {
		cfg := config(mode)
		cfg.Now = at(1714036504)
		echo, err := endpoint(t, cfg).Echo(q)
		require.NoError(t, err)
		require.Equal(t, "4375120948345356249", echo, "readable in mode %s", mode)
	}
}

func TestEcho_Encrypted(t *testing.T) {
	t.Parallel()
	e := endpoint(t, callback.Config{
		AppID: "wx5823bf96d3bd56c7", EncodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", Mode: callback.ModeSafe,
		Now: at(1409659589), Token: "QDG6eK",
	})
	echo, err := e.Echo(url.Values{
		"msg_signature": {"5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3"}, "timestamp": {"1409659589"}, "nonce": {"263014780"},
		"echostr": {"P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="},
	})
	require.NoError(t, err)
	require.Equal(t, "1616140317555161061", echo)
}

func TestReceive_TheSamplesOfThePlatform(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		cfg         callback.Config
		query, body string
		want        callback.Event
	}{
		"documentation, plain, JSON": {
			cfg:   callback.Config{AppID: testAppID, Mode: callback.ModePlain, Now: at(1714037059), Token: testToken},
			query: "signature=899cf89e464efb63f54ddac96b0a0a235f53aa78&timestamp=1714037059&nonce=486452656",
			body: `{"ToUserName": "gh_97417a04a28d", "FromUserName": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY", "CreateTime": 1714037059,
				"MsgType": "event", "Event": "debug_demo", "debug_str": "hello world"}`,
			want: callback.Event{
				AccountID: "gh_97417a04a28d", OpenID: testOpenID, CreatedAt: time.Unix(1714037059, 0).UTC(), MsgType: "event", Name: "debug_demo",
			},
		},
		"documentation, safe, JSON": {
			cfg: config(callback.ModeSafe),
			query: "signature=6c5c811b55cc85e0e1b54100749188c20beb3f5d&timestamp=1714112445&nonce=415670741&openid=" + testOpenID +
				"&encrypt_type=aes&msg_signature=046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
			body: `{"ToUserName": "gh_97417a04a28d", "Encrypt": "` + docEncrypt + `"}`,
			want: callback.Event{
				AccountID: "gh_97417a04a28d", OpenID: testOpenID, CreatedAt: time.Unix(1714112445, 0).UTC(), MsgType: "event", Name: "debug_demo",
			},
		},
		"documentation for third parties, safe, XML": {
			cfg: callback.Config{
				AppID: "wx134c8103faa5a59e", EncodingAESKey: testKey, Mode: callback.ModeSafe, Now: at(1715943329), Token: testToken,
			},
			query: "signature=cc0c594499c1634947d5b502f158ee518947db27&timestamp=1715943329&nonce=1590219412&openid=" + testOpenID +
				"&encrypt_type=aes&msg_signature=6c12a4205838198b8fa631b3220723bb07f1015c",
			body: "<xml>\n    <ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n    <Encrypt><![CDATA[" + thirdPartyEncrypt + "]]></Encrypt>\n</xml>",
			want: callback.Event{
				AccountID: "gh_97417a04a28d", OpenID: testOpenID, CreatedAt: time.Unix(1715943329, 0).UTC(), MsgType: "event", Name: "debug_demo",
			},
		},
		"C# sample, safe, XML": {
			cfg: callback.Config{
				AppID: "wx5823bf96d3bd56c7", EncodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", Mode: callback.ModeSafe,
				Now: at(1409659813), Token: "QDG6eK",
			},
			query: "msg_signature=477715d11cdb4164915debcba66cb864d751f3e6&timestamp=1409659813&nonce=1372623149",
			body:  "<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName><Encrypt><![CDATA[" + csharpEncrypt + "]]></Encrypt></xml>",
			want: callback.Event{
				AccountID: "wx5823bf96d3bd56c7", OpenID: "mycreate", CreatedAt: time.Unix(1409659813, 0).UTC(), MsgType: "text",
			},
		},
		"Python sample, compat, XML, the readable part changed": {
			cfg: callback.Config{
				AppID: "wx2c2769f8efd9abc2", EncodingAESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", Mode: callback.ModeCompat,
				Now: at(1409735669), Token: "spamtest",
			},
			query: "msg_signature=5d197aaffba7e9b25a30732f161a50dee96bd5fa&timestamp=1409735669&nonce=1320562132",
			body: "<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName><FromUserName><![CDATA[oForged]]></FromUserName>" +
				"<CreateTime>1</CreateTime><MsgType><![CDATA[forged]]></MsgType><Encrypt><![CDATA[" + pythonEncrypt + "]]></Encrypt></xml>",
			want: callback.Event{
				AccountID: "gh_10f6c3c3ac5a", OpenID: "oyORnuP8q7ou2gfYjqLzSIWZf0rs", CreatedAt: time.Unix(1409735668, 0).UTC(), MsgType: "text",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := url.ParseQuery(v.query)
			require.NoError(t, err)
			got, err := endpoint(t, v.cfg).Receive(q, []byte(v.body))
			require.NoError(t, err)
			require.Equal(t, v.want, got)
		})
	}
}
