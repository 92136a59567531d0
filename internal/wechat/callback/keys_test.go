package callback_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat/callback"
)

const (
	itemA = `{"TemplateId":"A","SubscribeStatusString":"accept","PopupScene":0}`
	itemB = `{"TemplateId":"B","SubscribeStatusString":"accept","PopupScene":0}`
)

func keysOf(t *testing.T, text string) (keys []string) {
	t.Helper()
	event, err := receivePlain(t, text)
	require.NoError(t, err)
	for _, c := range append(event.Popups, event.Changes...) {
		keys = append(keys, c.Key)
	}
	for _, d := range event.Sent {
		keys = append(keys, d.Key)
	}
	return keys
}

func TestKey_IsTheSameForTheSameChoice(t *testing.T) {
	t.Parallel()
	want := keysOf(t, message(`1620973045`, callback.EventPopup, `[`+itemA+`,`+itemB+`]`))
	require.Len(t, want, 2)
	require.NotEqual(t, want[0], want[1])
	for name, text := range map[string]string{
		"the other order":   message(`1620973045`, callback.EventPopup, `[`+itemB+`,`+itemA+`]`),
		"strings":           message(`"1620973045"`, callback.EventPopup, strings.ReplaceAll(`[`+itemA+`,`+itemB+`]`, `:0`, `:"0"`)),
		"another account":   strings.Replace(message(`1620973045`, callback.EventPopup, `[`+itemA+`,`+itemB+`]`), "gh_123456789abc", "gh_2", 1),
		"more than we read": message(`1620973045`, callback.EventPopup, strings.ReplaceAll(`[`+itemA+`,`+itemB+`]`, `}`, `,"New":1}`)),
		"XML": messageXML("1620973045", callback.EventPopup, "SubscribeMsgPopupEvent",
			"<List><TemplateId>B</TemplateId><SubscribeStatusString>accept</SubscribeStatusString><PopupScene>0</PopupScene></List>"+
				"<List><TemplateId>A</TemplateId><SubscribeStatusString>accept</SubscribeStatusString><PopupScene>0</PopupScene></List>"),
	} {
		require.Equal(t, want, keysOf(t, text), name)
	}
}

func TestKey_DoesNotDependOnTheOrderOfAnything(t *testing.T) {
	t.Parallel()
	for _, other := range []string{strings.Replace(itemA, "accept", "reject", 1), strings.Replace(itemA, ":0", ":1", 1)} {
		require.Equal(t,
			keysOf(t, message(`1`, callback.EventPopup, `[`+itemA+`,`+other+`]`)),
			keysOf(t, message(`1`, callback.EventPopup, `[`+other+`,`+itemA+`]`)))
	}
}

// Keys are stored. A change of how they are made would let every retry in flight at an upgrade count twice.
func TestKey_NeverChanges(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"popup/d669f6232949cb59fa8226d74deb4ce2/0"}, keysOf(t, popupJSON))
	require.Equal(t, []string{"popup/d669f6232949cb59fa8226d74deb4ce2/0"}, keysOf(t, popupXML))
}

// Different events may share FromUserName, CreateTime and Event. Of two keys that are equal, one permit would be lost.
func TestKey_DiffersForAnyOtherChoice(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, text := range []string{
		message(`1620973045`, callback.EventPopup, itemA),
		message(`1620973046`, callback.EventPopup, itemA),
		message(`1620973045`, callback.EventPopup, itemB),
		message(`1620973045`, callback.EventChange, itemA),
		message(`1620973045`, callback.EventPopup, `[`+itemA+`,`+itemB+`]`), // shares A with the first, in the same second
		message(`1620973045`, callback.EventPopup, `[`+itemA+`,`+itemA+`]`), // twice in one list counts twice
		message(`1620973045`, callback.EventPopup, strings.Replace(itemA, "accept", "reject", 1)),
		message(`1620973045`, callback.EventPopup, strings.Replace(itemA, `:0`, `:1`, 1)),
		strings.Replace(message(`1620973045`, callback.EventPopup, itemA), testOpenID, "oOther", 1),
		// the same letters, parted elsewhere
		strings.Replace(message(`620973045`, callback.EventPopup, itemA), testOpenID, testOpenID+"1", 1),
		message(`1620973045`, callback.EventPopup, strings.NewReplacer(`"A"`, `"Aa"`, `"accept"`, `"ccept"`).Replace(itemA)),
		message(`1620973045`, callback.EventPopup, strings.Replace(itemA, `"A"`, `"A6:accept1:01:A"`, 1)), // looks like two items
		message(`1620973045`, callback.EventSent, `{"TemplateId":"A","MsgID":1,"ErrorCode":0}`),
		message(`1620973045`, callback.EventSent, `{"TemplateId":"A","MsgID":2,"ErrorCode":0}`),
	} {
		for _, key := range keysOf(t, text) {
			require.NotContains(t, seen, key, "%s\n%s", text, seen[key])
			require.NotContains(t, key, testOpenID)
			require.LessOrEqual(t, len(key), 64)
			seen[key] = text
		}
	}
	require.Len(t, seen, 16)
	require.Equal(t,
		keysOf(t, message(`1`, callback.EventSent, `{"TemplateId":"A","MsgID":1,"ErrorCode":0}`)),
		keysOf(t, message(`2`, callback.EventSent, `{"TemplateId":"A","MsgID":1,"ErrorCode":0}`)), "a result is known by its msgid alone")
}
