package sim_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
	"minipush/internal/wechat"
)

type fixedToken string

func (t fixedToken) Token(context.Context) (string, error)  { return string(t), nil }
func (fixedToken) Invalidate(context.Context, string) error { return nil }

// The program's own client reads what the simulator says.
func TestGetTemplate_ReadByTheClient(t *testing.T) {
	t.Parallel()
	b := setup(t, subscribeApp())
	c, err := wechat.New(wechat.Config{BaseURL: served(t, b), AppID: testApp, Secret: testSecret}, fixedToken(b.token))
	require.NoError(t, err)
	t.Cleanup(c.Close)

	list, err := c.Templates(t.Context())

	require.NoError(t, err)
	require.Len(t, list, 3, "the template of the other channel is not among them")
	require.Equal(t, "S1", list[0].ID)
	require.Equal(t, "活动提醒", list[0].Title)
	require.Equal(t, wechat.TemplateOneTime, list[0].Type)
	require.Equal(t, []wechat.TemplateField{
		{Key: "thing1", Label: "活动", Kind: wechat.KindThing}, {Key: "amount2", Label: "价格", Kind: wechat.KindAmount, Example: "￥1"},
	}, list[0].Fields)
	require.Equal(t, []string{"开", "关"}, list[1].Fields[0].Enum)
	require.Equal(t, wechat.TemplateLongTerm, list[2].Type)

	b.accept("o1", "S1")
	m := wechat.SubscribeMessage{ToUser: "o1", TemplateID: "S1", Data: []wechat.Field{
		{Key: "thing1", Value: "双十一"}, {Key: "amount2", Value: "￥1.00"},
	}}
	res := c.SendSubscribe(t.Context(), m)
	require.NoError(t, res.Err)
	require.Equal(t, b.ledger()[0].MsgID, res.MsgID, "to the last digit")
	require.Equal(t, wechat.ClassNoPermit, c.SendSubscribe(t.Context(), m).Class)
	quota, err := c.Quota(t.Context(), wechat.PathSubscribeSend)
	require.NoError(t, err)
	require.Zero(t, quota.Used, "nothing is counted while nothing is limited")
}

func TestGetTemplate_Refusals(t *testing.T) {
	t.Parallel()
	const path = "/wxaapi/newtmpl/gettemplate"
	b := setup(t, sim.Config{})
	require.Equal(t, 41001, b.call(t, http.MethodGet, path, "").ErrCode)
	require.Equal(t, 40001, b.call(t, http.MethodGet, path+"?access_token=x", "").ErrCode)
	require.Equal(t, 43001, b.call(t, http.MethodPost, path+"?access_token="+b.token, "{}").ErrCode)
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok","data":[]}`, b.do(t, http.MethodGet, path+"?access_token="+b.token, "").Body.String())
}

func TestTemplates_OverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t, sim.Config{})
	add := func(body string) int { return b.do(t, http.MethodPost, "/sim/templates", body).Code }
	require.Equal(t, http.StatusOK, add(`{"appid":"`+testApp+`","templates":[
		{"template_id":"S1","title":"提醒","type":2,"fields":[{"key":"thing1","label":"活动"}]}]}`))
	b.sim.Accept(testApp, "S1", []string{"o1"}, 2)
	require.Equal(t, 40037, b.subscribe(t, "o1", "T1").ErrCode, "from now on only registered ones are accepted")
	require.Zero(t, b.send(t, "o1", b.mint(t, "o1")).ErrCode, "which says nothing of the other channel")
	require.Zero(t, b.subscribe(t, "o1", "S1").ErrCode)
	require.Contains(t, b.do(t, http.MethodGet, "/sim/inbox?openid=o1", "").Body.String(), "提醒")

	require.Equal(t, http.StatusOK, add(`{"appid":"`+testApp+`","templates":[
		{"template_id":"S1","title":"提醒","type":2,"fields":[{"key":"phrase1","label":"状态"}]}]}`), "takes the place of the first")
	require.Equal(t, 47003, b.subscribe(t, "o1", "S1").ErrCode)
	for _, bad := range []string{
		``, `{"appid":"a","templates":[{"type":2}]}`, `{"appid":"a","templates":[{"template_id":"S","type":1}]}`,
		`{"appid":"a","templates":[{"template_id":"S","type":2,"fields":[{"key":"keyword1"}]}]}`, `{"appid":"","templates":[{"template_id":"S"}]}`,
	} {
		require.Equal(t, http.StatusBadRequest, add(bad), bad)
	}
	_, err := sim.New(sim.Config{Apps: []sim.App{{AppID: "a", Secret: "s", Templates: []sim.Template{{ID: "S", Type: 5}}}}})
	require.Error(t, err)
}
