package callback_test

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat/callback"
)

var encrypted = []callback.Mode{callback.ModeCompat, callback.ModeSafe} //nolint:gochecknoglobals // a table

func TestReceive_RefusesAPlainBodyWhereEncryptionIsDue(t *testing.T) {
	t.Parallel()
	for _, mode := range encrypted {
		for _, body := range []string{popupJSON, popupXML, `{}`, `{"Encrypt":""}`, `<xml><Encrypt></Encrypt></xml>`} {
			_, err := endpoint(t, config(mode)).Receive(signed(""), []byte(body))
			require.ErrorIs(t, err, callback.ErrNotEncrypted, "%s: %s", mode, body)
		}
	}
}

func TestReceive_PlainModeReadsACompatBodyAndRefusesASafeOne(t *testing.T) {
	t.Parallel()
	for _, message := range []string{popupJSON, popupXML} {
		query, body, err := endpoint(t, config(callback.ModeCompat)).Compose([]byte(message))
		require.NoError(t, err)
		event, err := endpoint(t, config(callback.ModePlain)).Receive(query, body)
		require.NoError(t, err)
		require.Len(t, event.Popups, 1)

		query, body, err = endpoint(t, config(callback.ModeSafe)).Compose([]byte(message))
		require.NoError(t, err)
		_, err = endpoint(t, config(callback.ModePlain)).Receive(query, body)
		require.ErrorIs(t, err, callback.ErrEncrypted)
	}
}

func TestReceive_PlainNeedsTheSignature(t *testing.T) {
	t.Parallel()
	e := endpoint(t, config(callback.ModePlain))
	_, err := e.Receive(signed(""), []byte(popupJSON))
	require.NoError(t, err)
	for name, change := range map[string]func(url.Values){
		"none":                func(q url.Values) { q.Del("signature") },
		"empty":               func(q url.Values) { q.Set("signature", "") },
		"cut":                 func(q url.Values) { q.Set("signature", q.Get("signature")[:39]) },
		"last digit":          func(q url.Values) { q.Set("signature", q.Get("signature")[:39]+"x") },
		"capitals":            func(q url.Values) { q.Set("signature", strings.ToUpper(q.Get("signature"))) },
		"another token":       func(q url.Values) { q.Set("signature", callback.Sign("BBBBB", "1714112445", "415670741")) },
		"another stamp":       func(q url.Values) { q.Set("timestamp", "1714112446") },
		"no stamp":            func(q url.Values) { q.Del("timestamp") },
		"another nonce":       func(q url.Values) { q.Set("nonce", "415670742") },
		"of an encrypted one": func(q url.Values) { q.Del("signature"); q.Set("msg_signature", signed("x").Get("msg_signature")) },
	} {
		q := signed("")
		change(q)
		_, err := e.Receive(q, []byte(popupJSON))
		require.ErrorIs(t, err, callback.ErrSignature, name)
		_, err = e.Echo(q)
		require.ErrorIs(t, err, callback.ErrSignature, name)
	}
}

// What is wrong with the body must not show before the signature is right, or it tells a stranger something.
func TestReceive_SignatureComesFirst(t *testing.T) {
	t.Parallel()
	q := signed("")
	q.Set("signature", strings.Repeat("0", 40))
	_, err := endpoint(t, config(callback.ModePlain)).Receive(q, []byte("not a message"))
	require.ErrorIs(t, err, callback.ErrSignature)

	for _, mode := range encrypted {
		e := endpoint(t, config(mode))
		for name, v := range map[string]struct {
			query   url.Values
			encrypt string
			want    error
		}{
			"right":                          {signed(docEncrypt), docEncrypt, nil},
			"right, and damaged":             {signed("AAAA"), "AAAA", callback.ErrDamaged},
			"damaged and not signed":         {signed(""), "AAAA", callback.ErrSignature},
			"signed over another text":       {signed("BBBB"), "AAAA", callback.ErrSignature},
			"a character of it changed":      {signed(docEncrypt), "A" + docEncrypt[1:], callback.ErrSignature},
			"signature alone does not do it": {signed(""), docEncrypt, callback.ErrSignature},
		} {
			_, err := e.Receive(v.query, []byte(`{"ToUserName":"gh_97417a04a28d","Encrypt":"`+v.encrypt+`"}`))
			require.ErrorIs(t, err, v.want, "%s: %s", mode, name)
			v.query.Set("echostr", v.encrypt)
			if v.query.Has("msg_signature") {
				_, err = e.Echo(v.query)
				require.ErrorIs(t, err, v.want, "%s: %s", mode, name)
			}
		}
	}
}

func TestReceive_RefusesAnotherAppAndAnotherKey(t *testing.T) {
	t.Parallel()
	for _, mode := range encrypted {
		query, body, err := endpoint(t, config(mode)).Compose([]byte(popupJSON))
		require.NoError(t, err)

		cfg := config(mode)
		cfg.AppID = "wx5823bf96d3bd56c7"
		_, err = endpoint(t, cfg).Receive(query, body)
		require.ErrorIs(t, err, callback.ErrAppID)

		cfg = config(mode)
		cfg.EncodingAESKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
		_, err = endpoint(t, cfg).Receive(query, body)
		require.Error(t, err)
		require.NotErrorIs(t, err, callback.ErrSignature)
	}
}

// Invariant 3: the window is closed at both ends and counts in both directions.
func TestReceive_WindowHasTwoEnds(t *testing.T) {
	t.Parallel()
	for _, window := range []time.Duration{0, time.Minute} {
		width := window
		if width == 0 {
			width = callback.DefaultWindow
		}
		for away, stale := range map[time.Duration]bool{
			0: false, width: false, -width: false, width + 1: true, -width - 1: true, width - 1: false,
			24 * time.Hour: true, -24 * time.Hour: true, math.MaxInt64: true, math.MinInt64: true,
		} {
			for _, mode := range []callback.Mode{callback.ModePlain, callback.ModeCompat, callback.ModeSafe} {
				query, body, err := endpoint(t, config(mode)).Compose([]byte(popupJSON))
				require.NoError(t, err)
				cfg := config(mode)
				cfg.Window = window
				cfg.Now = func() time.Time { return time.Unix(testStamp, 0).Add(away) }
				e := endpoint(t, cfg)
				_, err = e.Receive(query, body)
				_, echoErr := e.Echo(endpoint(t, config(mode)).Challenge("1"))
				if stale {
					require.ErrorIs(t, err, callback.ErrStale, "%s away", away)
					require.ErrorIs(t, echoErr, callback.ErrStale, "%s away", away)
				} else {
					require.NoError(t, err, "%s away", away)
					require.NoError(t, echoErr, "%s away", away)
				}
			}
		}
	}
}

func TestReceive_AStampThatIsNoTimeIsStale(t *testing.T) {
	t.Parallel()
	e := endpoint(t, config(callback.ModePlain))
	for _, stamp := range []string{
		"", "now", "1714112445.0", "1.714112445e9", "1714112445 ", "0x662B5FFD", "-1714112445", "0",
		"9223372036854775807", "-9223372036854775808", "9223372036854775808", "1714112445000",
	} {
		q := url.Values{"timestamp": {stamp}, "nonce": {"n"}, "signature": {callback.Sign(testToken, stamp, "n")}}
		_, err := e.Receive(q, []byte(popupJSON))
		require.ErrorIs(t, err, callback.ErrStale, stamp)
	}
}

// The platform tries again under the same stamp or a new one. Both are taken, and give the same keys.
func TestReceive_TakesARetryAndGivesItTheSameKey(t *testing.T) {
	t.Parallel()
	for _, mode := range []callback.Mode{callback.ModePlain, callback.ModeCompat, callback.ModeSafe} {
		e := endpoint(t, config(mode))
		query, body, err := e.Compose([]byte(popupJSON))
		require.NoError(t, err)
		first, err := e.Receive(query, body)
		require.NoError(t, err)
		again, err := e.Receive(query, body)
		require.NoError(t, err)
		require.Equal(t, first, again)

		later := config(mode)
		later.Now = at(testStamp + 5)
		query, body, err = endpoint(t, later).Compose([]byte(popupJSON))
		require.NoError(t, err)
		again, err = e.Receive(query, body)
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
}

func TestReceive_BodyLimit(t *testing.T) {
	t.Parallel()
	longest := popupJSON + strings.Repeat(" ", callback.MaxBodyBytes-len(popupJSON))
	event, err := receivePlain(t, longest)
	require.NoError(t, err)
	require.Len(t, event.Popups, 1)
	for _, mode := range []callback.Mode{callback.ModePlain, callback.ModeCompat, callback.ModeSafe} {
		_, err = endpoint(t, config(mode)).Receive(url.Values{}, []byte(longest+" "))
		require.ErrorIs(t, err, callback.ErrTooLarge, mode)
	}
}

func TestNew_RefusesAConfigurationThatProtectsNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*callback.Config){
		"no token":        func(c *callback.Config) { c.Token = "" },
		"no appid":        func(c *callback.Config) { c.AppID = "" },
		"no mode":         func(c *callback.Config) { c.Mode = "" },
		"unknown mode":    func(c *callback.Config) { c.Mode = "SAFE" },
		"safe, no key":    func(c *callback.Config) { c.EncodingAESKey = "" },
		"compat, no key":  func(c *callback.Config) { c.Mode, c.EncodingAESKey = callback.ModeCompat, "" },
		"plain, bad key":  func(c *callback.Config) { c.Mode, c.EncodingAESKey = callback.ModePlain, testKey[1:] },
		"negative window": func(c *callback.Config) { c.Window = -1 },
	} {
		cfg := config(callback.ModeSafe)
		change(&cfg)
		_, err := callback.New(cfg)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), testKey[1:], name)
	}
	cfg := config(callback.ModePlain)
	cfg.EncodingAESKey, cfg.Now = "", nil
	e, err := callback.New(cfg)
	require.NoError(t, err, "plain mode needs no key, and the clock is the machine's")
	challenge := e.Challenge("1")
	challenge.Set("msg_signature", "of no use without a key")
	_, err = e.Echo(challenge)
	require.NoError(t, err)
}

// Invariant 4: neither an error nor a printed Endpoint shows what is secret or personal.
func TestErrorsAndPrinting_ShowNothing(t *testing.T) {
	t.Parallel()
	cfg := config(callback.ModeSafe)
	cfg.Token, cfg.EncodingAESKey = "tokenOfTheTest", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	e := endpoint(t, cfg)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		require.Equal(t, "callback.Endpoint(safe)", fmt.Sprintf(format, e))
	}
	for _, message := range []string{
		strings.Replace(popupJSON, `"T1"`, `""`, 1), strings.Replace(popupJSON, `1620973045`, `"`+testOpenID+`"`, 1),
		strings.Replace(popupJSON, `]}`, `]`+testOpenID, 1), strings.Replace(popupXML, `</List>`, `</`+testOpenID+`>`, 1),
		strings.Replace(popupJSON, `"T1"`, `1`, 1), testOpenID,
	} {
		_, err := receivePlain(t, message)
		require.ErrorIs(t, err, callback.ErrMalformed)
		require.NotContains(t, err.Error(), testOpenID)
		require.NotContains(t, err.Error(), "T1")
		_, err = e.Receive(signed(""), []byte(message))
		require.Error(t, err)
		require.NotContains(t, err.Error(), testOpenID)
	}
}
