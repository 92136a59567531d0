package callback_test

import (
	"encoding/json"
	"encoding/xml"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat/callback"
)

func TestCompose_IsTakenByReceiveInEveryModeAndForm(t *testing.T) {
	t.Parallel()
	want, err := receivePlain(t, popupJSON)
	require.NoError(t, err)
	want.AccountID = "gh_97417a04a28d"
	for _, mode := range []callback.Mode{callback.ModePlain, callback.ModeCompat, callback.ModeSafe} {
		for _, text := range []string{popupJSON, popupXML, " \n" + popupJSON + "\n ", `<?xml version="1.0"?><!-- <xml> -->` + popupXML + "<!-- </xml> -->"} {
			e := endpoint(t, config(mode))
			query, body, err := e.Compose([]byte(text))
			require.NoError(t, err)
			sent, err := url.ParseQuery(query.Encode())
			require.NoError(t, err)
			got, err := e.Receive(sent, body)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s: %s", mode, body)

			require.Equal(t, mode != callback.ModePlain, sent.Get("encrypt_type") == "aes")
			require.Equal(t, mode != callback.ModePlain, sent.Has("msg_signature"))
			require.Equal(t, callback.Sign(testToken, sent.Get("timestamp"), sent.Get("nonce")), sent.Get("signature"), "in every mode")
			require.Equal(t, mode == callback.ModeSafe, !strings.Contains(string(body), testOpenID), "safe mode shows nobody")
		}
	}
}

// Whoever holds a compat request can change its readable part. It must not matter.
func TestCompose_CompatIsReadableAndTheReadablePartIsNotBelieved(t *testing.T) {
	t.Parallel()
	e := endpoint(t, config(callback.ModeCompat))
	for _, text := range []string{popupJSON, popupXML} {
		query, body, err := e.Compose([]byte(text))
		require.NoError(t, err)
		var readable struct{ FromUserName, Encrypt string }
		if text == popupXML {
			require.NoError(t, xml.Unmarshal(body, &readable))
		} else {
			require.NoError(t, json.Unmarshal(body, &readable))
		}
		require.Equal(t, testOpenID, readable.FromUserName)
		require.NotEmpty(t, readable.Encrypt)

		event, err := e.Receive(query, []byte(strings.NewReplacer(testOpenID, "oForged", `"T1"`, `"T2"`, "[T1]", "[T2]", "1620973045", "7").Replace(string(body))))
		require.NoError(t, err)
		require.Equal(t, testOpenID, event.OpenID)
		require.Equal(t, "T1", event.Popups[0].TemplateID)
	}
}

func TestCompose_NeverRepeatsItself(t *testing.T) {
	t.Parallel()
	e := endpoint(t, config(callback.ModeSafe))
	query, body, err := e.Compose([]byte(popupJSON))
	require.NoError(t, err)
	again, bodyAgain, err := e.Compose([]byte(popupJSON))
	require.NoError(t, err)
	require.NotEqual(t, body, bodyAgain)
	require.NotEqual(t, query.Get("nonce"), again.Get("nonce"))
}

func TestCompose_RefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `text`, `{}`, `{"ToUserName":""}`, `<xml/>`, `<xml><a></xml>`} {
		_, _, err := endpoint(t, config(callback.ModeCompat)).Compose([]byte(text))
		require.ErrorIs(t, err, callback.ErrMalformed, text)
	}
}

func TestChallenge_IsAnsweredByEcho(t *testing.T) {
	t.Parallel()
	for _, mode := range []callback.Mode{callback.ModePlain, callback.ModeCompat, callback.ModeSafe} {
		e := endpoint(t, config(mode))
		echo, err := e.Echo(e.Challenge("4375120948345356249"))
		require.NoError(t, err)
		require.Equal(t, "4375120948345356249", echo)
	}
}
