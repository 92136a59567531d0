package wechat_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

const templatesJSON = `{"errcode":0,"errmsg":"ok","data":[
 {"priTmplId":"9Aw5ZV1j9xdWTFEkqCpZ7mIBbSC34khK55OtzUPl0rU","title":"报名结果通知",
  "content":"会议时间:{{date2.DATA}}\n会议地点：{{thing1.DATA}}\n会议:{{enum3.DATA}}\n",
  "example":"会议时间:2016年8月8日\n会议地点：TIT会议室\n会议:已开始\n","type":2,
  "keywordEnumValueList":[{"keywordCode":"enum3.DATA","enumValueList":["已开始","已结束"]},{"keywordCode":"enum9.DATA","enumValueList":["x"]}]},
 {"priTmplId":"T2","title":"订单","content":"订单ID\n{{character_string1.DATA}}\n\n状态\n{{ phrase2.DATA }}\n","example":"订单ID\nA1\n\n状态\n配送中","type":"3"},
 {"priTmplId":"T3","title":"新","content":"新:{{new_kind4.DATA}}","example":"新:\n别的:x\n","type":2,"keywordEnumValueList":null,"more":{}}
]}`

func TestTemplates(t *testing.T) {
	t.Parallel()
	var got *http.Request
	url := serving(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if len(raw) > 0 {
			t.Error("a GET has no body")
		}
		got = r
		_, _ = io.WriteString(w, templatesJSON)
	})

	list, err := newClient(t, url, oneToken()).Templates(t.Context())

	require.NoError(t, err)
	require.Equal(t, http.MethodGet, got.Method)
	require.Equal(t, "/wxaapi/newtmpl/gettemplate", got.URL.Path)
	require.Equal(t, testToken, got.URL.Query().Get("access_token"))
	require.Len(t, list, 3)
	require.Equal(t, "9Aw5ZV1j9xdWTFEkqCpZ7mIBbSC34khK55OtzUPl0rU", list[0].ID)
	require.Equal(t, "报名结果通知", list[0].Title)
	require.Equal(t, wechat.TemplateOneTime, list[0].Type)
	require.Contains(t, list[0].Content, "{{date2.DATA}}")
	require.Contains(t, list[0].Example, "TIT会议室")
	require.Equal(t, []wechat.TemplateField{
		{Key: "date2", Label: "会议时间", Kind: wechat.KindDate, Example: "2016年8月8日"},
		{Key: "thing1", Label: "会议地点", Kind: wechat.KindThing, Example: "TIT会议室"},
		{Key: "enum3", Label: "会议", Kind: wechat.KindEnum, Example: "已开始", Enum: []string{"已开始", "已结束"}},
	}, list[0].Fields)
	require.Equal(t, wechat.TemplateLongTerm, list[1].Type, "a type that is written as a string")
	require.Equal(t, []wechat.TemplateField{
		{Key: "character_string1", Label: "订单ID", Kind: wechat.KindCharacterString, Example: "A1"},
		{Key: "phrase2", Label: "状态", Kind: wechat.KindPhrase, Example: "配送中"},
	}, list[1].Fields, "label and field on lines of their own")
	require.Equal(t, []wechat.TemplateField{{Key: "new_kind4", Label: "新", Kind: "new_kind"}}, list[2].Fields)
}

func TestTemplates_AnAccountWithManyTemplates(t *testing.T) {
	t.Parallel()
	one := `{"priTmplId":"T","title":"` + strings.Repeat("长", 1000) + `","content":"","type":2}`
	body := `{"errcode":0,"data":[` + strings.Repeat(one+",", 99) + one + `]}`
	require.Greater(t, len(body), 64<<10)
	c := newClient(t, answering(t, 200, body), oneToken())
	list, err := c.Templates(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 100)
	require.True(t, c.SendTemplate(t.Context(), message()).Ambiguous, "the long answer is for this call alone")
}

func TestTemplates_RefusedToken_AsksOnceMore(t *testing.T) {
	t.Parallel()
	url := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("access_token") == testToken {
			_, _ = io.WriteString(w, `{"errcode":40001,"errmsg":"invalid credential, access_token `+testToken+`"}`)
			return
		}
		_, _ = io.WriteString(w, `{"errcode":0,"data":[]}`)
	})
	source := &tokens{values: []string{testToken, "second-token"}}
	list, err := newClient(t, url, source).Templates(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, []string{testToken}, source.invalidated)

	source = &tokens{values: []string{testToken}}
	_, err = newClient(t, url, source).Templates(t.Context())
	apiErr, ok := errors.AsType[*wechat.APIError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, 40001, apiErr.Code)
	require.Len(t, source.invalidated, 1, "never in a loop")
	requireNoSecrets(t, err.Error())
}

func TestTemplates_NoUsableAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"status 503": {503, `{"errcode":0,"data":[]}`}, "HTML": {200, `<html>`}, "no errcode": {200, `{"data":[]}`},
		"odd type": {200, `{"errcode":0,"data":[{"type":"two"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, answering(t, answer.status, answer.body), oneToken()).Templates(t.Context())
			require.Error(t, err)
			requireNoSecrets(t, err.Error())
		})
	}
	_, err := newClient(t, answering(t, 200, `{"errcode":45009,"errmsg":"reach max api daily quota limit rid: 6a-1"}`), oneToken()).
		Templates(t.Context())
	require.Equal(t, &wechat.APIError{Op: "get_template", Code: 45009, Msg: "reach max api daily quota limit", RID: "6a-1"}, err)
	_, err = newClient(t, answering(t, 200, ``), &tokens{err: errors.New("store down")}).Templates(t.Context())
	require.ErrorContains(t, err, "store down")
}
