package callback_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat/callback"
)

// message is an event of the documentation, from the user of its samples.
func message(createTime, event, list string) string {
	return `{"ToUserName":"gh_123456789abc","FromUserName":"` + testOpenID + `","CreateTime":` + createTime + `,"MsgType":"event","Event":"` +
		event + `","List":` + list + `}`
}

func messageXML(createTime, event, element, list string) string {
	return "<xml>\n <ToUserName><![CDATA[gh_123456789abc]]></ToUserName>\n <FromUserName><![CDATA[" + testOpenID + "]]></FromUserName>\n <CreateTime>" +
		createTime + "</CreateTime>\n <MsgType><![CDATA[event]]></MsgType>\n <Event><![CDATA[" + event + "]]></Event>\n <" + element + ">" + list +
		"</" + element + ">\n</xml>"
}

func TestReceive_Popup(t *testing.T) {
	t.Parallel()
	fromJSON, err := receivePlain(t, message(`"1610969440"`, callback.EventPopup,
		`[{"TemplateId":"VRR0","SubscribeStatusString":"accept","PopupScene":"2"},{"TemplateId":"9nLI","SubscribeStatusString":"reject","PopupScene":2}]`))
	require.NoError(t, err)
	require.Equal(t, time.Date(2021, 1, 18, 11, 30, 40, 0, time.UTC), fromJSON.CreatedAt)
	require.Equal(t, testOpenID, fromJSON.OpenID)
	require.Equal(t, callback.EventPopup, fromJSON.Name)
	require.Len(t, fromJSON.Popups, 2)
	require.Empty(t, fromJSON.Changes)
	require.Empty(t, fromJSON.Sent)
	refused, accepted := fromJSON.Popups[0], fromJSON.Popups[1] // sorted by template
	require.False(t, refused.Accepted())
	require.True(t, accepted.Accepted())
	require.Equal(t, "VRR0", accepted.TemplateID)
	require.Equal(t, "2", accepted.Scene)
	require.Regexp(t, `^popup/[0-9a-f]{32}/1$`, accepted.Key)

	fromXML, err := receivePlain(t, messageXML("1610969440", callback.EventPopup, "SubscribeMsgPopupEvent", `
		<List><TemplateId><![CDATA[VRR0]]></TemplateId><SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>2</PopupScene></List>
		<List><TemplateId><![CDATA[9nLI]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString><PopupScene> 2 </PopupScene></List>`))
	require.NoError(t, err)
	require.Equal(t, fromJSON, fromXML, "invariant 5")
}

func TestReceive_Change(t *testing.T) {
	t.Parallel()
	fromJSON, err := receivePlain(t, message(`1610968440`, callback.EventChange, `{"TemplateId":"BEwX","SubscribeStatusString":"reject"}`))
	require.NoError(t, err)
	require.Len(t, fromJSON.Changes, 1)
	require.Empty(t, fromJSON.Popups, "a change is never a permit")
	require.Equal(t, "reject", fromJSON.Changes[0].Status)
	require.Empty(t, fromJSON.Changes[0].Scene)
	require.Regexp(t, `^change/[0-9a-f]{32}/0$`, fromJSON.Changes[0].Key)

	fromXML, err := receivePlain(t, messageXML("1610968440", callback.EventChange, "SubscribeMsgChangeEvent",
		`<List>          <TemplateId><![CDATA[BEwX]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString></List>`))
	require.NoError(t, err)
	require.Equal(t, fromJSON, fromXML)
}

func TestReceive_Sent(t *testing.T) {
	t.Parallel()
	fromJSON, err := receivePlain(t, message(`"1620963428"`, callback.EventSent,
		`{"TemplateId":"BEwX","MsgID":"1864323726461255681","ErrorCode":"0","ErrorStatus":"success"}`))
	require.NoError(t, err)
	require.Equal(t, []callback.Delivery{{
		Key: "sent/1864323726461255681", TemplateID: "BEwX", MsgID: 1864323726461255681, ErrorCode: 0, ErrorStatus: "success",
	}}, fromJSON.Sent)

	fromXML, err := receivePlain(t, messageXML("1620963428", callback.EventSent, "SubscribeMsgSentEvent",
		`<List>       <TemplateId><![CDATA[BEwX]]></TemplateId><MsgID>1864323726461255681</MsgID><ErrorCode>0</ErrorCode><ErrorStatus><![CDATA[success]]></ErrorStatus></List>`))
	require.NoError(t, err)
	require.Equal(t, fromJSON, fromXML)
}

// The documentation shows strings where real requests have numbers, and the other way round.
func TestReceive_TakesNumbersAndStrings(t *testing.T) {
	t.Parallel()
	want, err := receivePlain(t, message(`1620963428`, callback.EventSent, `{"TemplateId":"T","MsgID":9223372036854775807,"ErrorCode":-1,"ErrorStatus":"x"}`))
	require.NoError(t, err)
	require.Equal(t, int64(9223372036854775807), want.Sent[0].MsgID)
	require.Equal(t, int64(-1), want.Sent[0].ErrorCode)
	for _, time := range []string{`1620963428`, `"1620963428"`, `" 1620963428 "`} {
		for _, id := range []string{`9223372036854775807`, `"9223372036854775807"`} {
			for _, code := range []string{`-1`, `"-1"`} {
				item := `{"TemplateId":"T","MsgID":` + id + `,"ErrorCode":` + code + `,"ErrorStatus":"x"}`
				for _, list := range []string{item, `[` + item + `]`, ` [ ` + item + ` ] `} {
					got, err := receivePlain(t, message(time, callback.EventSent, list))
					require.NoError(t, err, list)
					require.Equal(t, want, got, list)
				}
			}
		}
	}
}

func TestReceive_AKnownEventMustBeUsable(t *testing.T) {
	t.Parallel()
	choice, result := `{"TemplateId":"T","SubscribeStatusString":"accept"}`, `{"TemplateId":"T","MsgID":1,"ErrorCode":0}`
	for _, good := range []string{message(`1`, callback.EventPopup, choice), message(`1`, callback.EventSent, result)} {
		_, err := receivePlain(t, good)
		require.NoError(t, err)
	}
	for _, bad := range []string{
		``, ` `, `x`, `[]`, `null`, `"text"`, `{`, `{}x`, `<`, `<xml>`, `<xml></html>`, `<html></html>`, `<!DOCTYPE html>`,
		`<?xml version="1.0" encoding="GBK"?><xml></xml>`, "<xml>\xff</xml>", `{"MsgType":1}`,
		strings.Replace(message(`1`, callback.EventPopup, choice), testOpenID, ``, 1),
		strings.Replace(message(`1`, callback.EventPopup, choice), testOpenID, `a\u0000`, 1),
		message(`0`, callback.EventPopup, choice), message(`-1`, callback.EventPopup, choice), message(`1.5`, callback.EventPopup, choice),
		message(`"now"`, callback.EventPopup, choice), message(`null`, callback.EventPopup, choice), message(`""`, callback.EventPopup, choice),
		message(`1620963428000`, callback.EventPopup, choice), message(`[1]`, callback.EventPopup, choice),
		message(`1`, callback.EventPopup, `null`), message(`1`, callback.EventPopup, `[]`), message(`1`, callback.EventPopup, `"T"`),
		message(`1`, callback.EventPopup, `{}`), message(`1`, callback.EventPopup, `[null]`), message(`1`, callback.EventPopup, `[`+choice+`,{}]`),
		message(`1`, callback.EventPopup, `{"TemplateId":"T"}`), message(`1`, callback.EventChange, `{"SubscribeStatusString":"reject"}`),
		message(`1`, callback.EventPopup, `{"TemplateId":"T\u0000","SubscribeStatusString":"accept"}`),
		message(`1`, callback.EventSent, `{"TemplateId":"T","ErrorCode":0}`), message(`1`, callback.EventSent, `{"TemplateId":"T","MsgID":1}`),
		message(`1`, callback.EventSent, `{"MsgID":1,"ErrorCode":0}`), message(`1`, callback.EventSent, `{"TemplateId":"T","MsgID":0,"ErrorCode":0}`),
		message(`1`, callback.EventSent, `{"TemplateId":"T","MsgID":1e3,"ErrorCode":0}`),
		message(`1`, callback.EventSent, `{"TemplateId":"T","MsgID":9223372036854775808,"ErrorCode":0}`),
		message(`1`, callback.EventSent, `{"TemplateId":"T","MsgID":1,"ErrorCode":""}`),
		messageXML("1", callback.EventPopup, "SubscribeMsgSentEvent", "<List><TemplateId>T</TemplateId></List>"),
		`{"FromUserName":"o","CreateTime":1,"MsgType":"event","Event":"subscribe_msg_popup_event"}`,
	} {
		event, err := receivePlain(t, bad)
		require.ErrorIs(t, err, callback.ErrMalformed, bad)
		require.Zero(t, event)
	}
}

func TestReceive_WhatIsStoredHoldsNoNUL(t *testing.T) {
	t.Parallel()
	event, err := receivePlain(t, message(`1`, callback.EventSent, `{"TemplateId":"T","MsgID":1,"ErrorCode":2,"ErrorStatus":"a\u0000b"}`))
	require.NoError(t, err)
	require.Equal(t, "ab", event.Sent[0].ErrorStatus)
}

// What nothing depends on does not cost the permit, whatever it is.
func TestReceive_AnOddSceneCostsNothing(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`0`: "0", `"0"`: "0", `"page"`: "page", `null`: "null", `""`: "", `{"a":1}`: `{"a":1}`} {
		event, err := receivePlain(t, message(`1`, callback.EventPopup, `{"TemplateId":"T","SubscribeStatusString":"acceptWithAudio","PopupScene":`+in+`}`))
		require.NoError(t, err)
		require.Equal(t, want, event.Popups[0].Scene)
		require.True(t, event.Popups[0].Accepted())
	}
}

func TestReceive_WhatIsNotKnownIsNoError(t *testing.T) {
	t.Parallel()
	for text, name := range map[string]string{
		`{}`: "", `<xml/>`: "",
		`{"action":"CheckContainerPath"}`:                                     "",
		`<xml><action>CheckContainerPath</action></xml>`:                      "",
		message(`"soon"`, "user_enter_tempsession", `[1,{"TemplateId":[]}]`):  "user_enter_tempsession",
		message(`null`, "wxa_media_check", `"text"`):                          "wxa_media_check",
		message(`1`, "SUBSCRIBE_MSG_POPUP_EVENT", `{}`):                       "SUBSCRIBE_MSG_POPUP_EVENT",
		`{"MsgType":"text","Event":"subscribe_msg_popup_event","List":1}`:     "subscribe_msg_popup_event",
		messageXML("x", "view", "SubscribeMsgPopupEvent", "<List>1</List>"):   "view",
		`{"MsgType":"text","Content":"hi","MsgId":6054768590064713728}`:       "",
		`{"MsgType":"event","Event":"debug_demo","debug_str":"hello world"} `: "debug_demo",
	} {
		event, err := receivePlain(t, text)
		require.NoError(t, err, text)
		require.Equal(t, name, event.Name, text)
		require.Empty(t, append(event.Popups, event.Changes...), text)
		require.Empty(t, event.Sent, text)
	}
}
