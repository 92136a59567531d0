package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

const templateID = "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0"

// subscribed puts a template of the subscribe channel with a caption of kind thing, at most 20 characters, into the app health_applet.
func (b *bundle) subscribed(t *testing.T) {
	t.Helper()
	_, err := b.d.PutTemplate(t.Context(), "operator", push.Template{
		App: b.health.Key, TemplateID: "sub-1", Name: "活动开始提醒", Channel: push.ChannelSubscribe, Page: "pages/index?u={{recipient.user_id}}",
		Fields: []push.Field{
			{Key: "thing1", Label: "活动名称", Value: "{{topic}}"}, {Key: "thing2", Label: "活动说明", Value: "{{caption}}"},
			{Key: "amount3", Label: "商品金额", Value: "{{product.price}}元"},
		},
	})
	require.NoError(t, err)
}

// form is a form of a new task that is good, with some fields changed: name, value, name, value….
func form(change ...string) url.Values {
	f := url.Values{
		"app": {"health_applet"}, "template_id": {templateID}, "topic": {"双十一活动"}, "caption": {"步数兑换好礼"}, "tips": {"点击查看详情"},
		"product_code": {"1989"}, "audience": {"list"}, "priority": {"normal"}, "misfire": {"late"}, "on_unknown": {"leave"}, "on_price_change": {"pause"},
		"rate_per_second": {"0"}, "not_after": {""}, "wait_for_permit_until": {""},
	}
	for i := 0; i < len(change); i += 2 {
		f.Set(change[i], change[i+1])
	}
	return f
}

func TestEdit_ANewTask_IsAskedForInTheOriginalsWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	c := b.as(t, "author")
	require.Contains(t, c.get(t, "/console/tasks").body, "新建任务")
	require.NotContains(t, b.as(t, "viewer").get(t, "/console/tasks").body, "新建任务")
	require.Contains(t, c.get(t, "/console/tasks/new").body, "/console/tasks/new?app=other", "with two apps, one is chosen first")
	r := c.get(t, "/console/tasks/new?app=health_applet")
	require.Equal(t, http.StatusOK, r.status)
	for _, words := range []string{
		"新增任务(可以配置需要推送的任何商品)", "模板ID", "活动主题", "限10个字,小程序模板消息的活动主题", "活动说明", "限30个字,小程序模板消息的活动说明", "温馨提示",
		"限30个字,小程序模板消息的温馨提示", "模板关联前台商品编码", "更新", "限1个上架商品编码,小程序模板商品标题及金额", "活动加入成功提醒", "指定用户发送", "全部可推送用户发送", `data-max="10"`, `data-max="30"`,
	} {
		require.Contains(t, r.body, words)
	}
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/tasks/new?app=nowhere").status)
}

func TestEdit_AGoodForm_MakesADraft_AndLeadsToItsList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	c := b.as(t, "author")
	r := c.post(t, "/console/tasks/new", form("priority", "urgent", "rate_per_second", "50", "not_after", "2099-12-01T10:00", "on_unknown", "resend"))
	require.Equal(t, http.StatusSeeOther, r.status, r.body)
	require.Equal(t, "/console/tasks/1/audience", r.location)
	task, err := b.store.Task(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "双十一活动", task.Topic)
	require.Equal(t, "urgent", task.Priority)
	require.Equal(t, 50, task.RatePerSecond)
	require.Equal(t, "2099-12-01T02:00:00Z", task.NotAfter.UTC().Format(time.RFC3339), "read in the configured zone")
	require.Equal(t, "author", task.CreatedBy)
	require.Equal(t, "健康助利测试商品1", task.Product.Title)
	entries, err := b.store.AuditEntries(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "task.create", entries[0].Action)
	require.Equal(t, "task:1", entries[0].Object)
}

func TestEdit_EachErrorIsAtItsField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.subscribed(t)
	_, err := b.d.PutProduct(t.Context(), push.Product{App: b.health.Key, Code: "off", Title: "下架商品", Price: 100})
	require.NoError(t, err)
	c := b.as(t, "author")
	long := strings.Repeat("长", 31)
	for name, tc := range map[string]struct {
		form        url.Values
		field, text string
	}{
		"a topic of 11":       {form("topic", strings.Repeat("长", 11)), "topic", "超出字数限制"},
		"a caption of 31":     {form("caption", long), "caption", "超出字数限制"},
		"tips of 31":          {form("tips", long), "tips", "超出字数限制"},
		"no topic":            {form("topic", ""), "topic", "必填"},
		"no template":         {form("template_id", ""), "template_id", "必填"},
		"an unknown template": {form("template_id", "x"), "template_id", "模板不存在"},
		"a foreign product":   {form("product_code", "4711"), "product_code", "商品不存在"},
		"a foreign product, of which an amount is told": {form("template_id", "sub-1", "product_code", "4711"), "product_code", "商品不存在"},
		"no product, of which an amount is told":        {form("template_id", "sub-1", "product_code", ""), "product_code", "必填"},
		"a product off the shelf":                       {form("product_code", "off"), "product_code", "商品已下架"},
		"a rate that is no number":                      {form("rate_per_second", "fast"), "rate_per_second", "超出允许的范围"},
		"a negative rate":                               {form("rate_per_second", "-1"), "rate_per_second", "超出允许的范围"},
		"an end that is no time":                        {form("not_after", "soon"), "not_after", "时间不正确"},
		"an end that has passed":                        {form("not_after", "2020-01-01T10:00"), "not_after", "时间不正确"},
		"a wait before the end":                         {form("not_after", "2099-01-01T10:00", "wait_for_permit_until", "2098-01-01T10:00"), "wait_for_permit_until", "时间过早"},
		"an unknown priority":                           {form("priority", "x"), "priority", "不是可选的值"},
		"bytes that are no text":                        {form("topic", "\xff"), "topic", "包含无法使用的字符"},
		"a caption of 30 in thing":                      {form("template_id", "sub-1", "caption", strings.Repeat("长", 30)), "caption", "模板字段“活动说明”(thing2)不能超过20个字符"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.post(t, "/console/tasks/new", tc.form)
			require.Equal(t, http.StatusUnprocessableEntity, r.status, r.body)
			require.Contains(t, note(t, r.body, tc.field), tc.text)
			require.NotContains(t, r.body, "应为金额", "of a product that is not there nothing is said")
			require.Contains(t, r.body, `value="`+tc.form.Get("caption")+`"`, "what was written is kept")
		})
	}
	tasks, err := b.d.Schedules(t.Context(), nil, 0, 1)
	require.NoError(t, err)
	require.Empty(t, tasks)
	entries, err := b.store.AuditEntries(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, entries, "what was refused is no change")
}

// note is what a page says below a field.
func note(t *testing.T, body, field string) string {
	t.Helper()
	for _, id := range []string{field + "-fault", field + "-error"} {
		if _, after, found := strings.Cut(body, `<p class="wrong" id="`+id+`"`); found {
			text, _, _ := strings.Cut(after, "</p>")
			return text
		}
	}
	t.Fatalf("nothing is said at the field %s", field)
	return ""
}

func TestEdit_ThePreviewSaysWhatDoesNotFitWhileItIsWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.subscribed(t)
	c := b.as(t, "author")
	r := c.get(t, "/console/tasks/new/preview?"+form("template_id", "sub-1", "topic", "", "caption", strings.Repeat("长", 30)).Encode())
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.NotContains(t, r.body, "<html")
	require.Contains(t, note(t, r.body, "caption"), "不能超过20个字符")
	require.Contains(t, note(t, r.body, "caption"), `hx-swap-oob="true"`)
	require.NotContains(t, note(t, r.body, "topic"), "不能", "what is not written yet is not wrong")
	for _, shown := range []string{"活动开始提醒", "250元", "健康助利测试商品1", "上架"} {
		require.Contains(t, r.body, shown)
	}
	require.Contains(t, note(t, c.get(t, "/console/tasks/new/preview?"+form("product_code", "47").Encode()).body, "product_code"), "商品不存在")
	r = c.get(t, "/console/tasks/new/preview?"+form("template_id", "sub-1", "product_code", "47").Encode())
	require.Contains(t, note(t, r.body, "product_code"), "商品不存在")
	require.NotContains(t, r.body, "应为金额", "of a product that is not there nothing is said")
	require.NotContains(t, c.get(t, "/console/tasks/new/preview?"+form("template_id", "sub-1", "product_code", "").Encode()).body, "应为金额")
	require.Contains(t, c.get(t, "/console/tasks/new/preview?"+form("topic", `<script>alert(1)</script>`).Encode()).body, "&lt;script&gt;")
	require.Equal(t, http.StatusForbidden, b.as(t, "viewer").get(t, "/console/tasks/new/preview?app=health_applet").status)
}

func TestEdit_TheButtonsWorkWithoutJavaScript_AndSaveNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	r := b.as(t, "author").post(t, "/console/tasks/new", form("do", "product", "caption", "还没写完"))
	require.Contains(t, r.body, "健康助利测试商品1")
	require.Contains(t, r.body, "还没写完")
	_, err := b.store.Task(t.Context(), 1)
	require.ErrorIs(t, err, push.ErrNotFound)
}

func TestEdit_ADraftIsChanged_AndTakesTheProductAsItIsNow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 3)
	_, err := b.d.PutProduct(t.Context(), push.Product{App: b.health.Key, Code: "1989", Title: "新标题", Price: 9900, OnShelf: true})
	require.NoError(t, err)
	c := b.as(t, "author")
	path := fmt.Sprintf("/console/tasks/%d", task.ID)
	page := c.get(t, path+"/edit").body
	require.Contains(t, page, `value="双十一活动"`)
	require.Contains(t, page, "新标题")
	require.Contains(t, page, "用户 1", "the first row of its list is shown")
	require.Contains(t, c.get(t, path+"/edit/preview?"+form("row", "3").Encode()).body, "用户 3")
	require.Contains(t, c.get(t, path+"/edit/preview?"+form("row", "99").Encode()).body, "用户 1")

	require.Equal(t, http.StatusSeeOther, c.saves(t, path+"/edit", form("topic", "会员日")).status)
	task, err = b.store.Task(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, "会员日", task.Topic)
	require.Equal(t, "新标题", task.Product.Title)
	require.Equal(t, 3, task.Counts.Total, "its list stays")

	require.Equal(t, http.StatusUnprocessableEntity, c.saves(t, path+"/edit", form("topic", strings.Repeat("长", 11))).status)
	b.moved(t, task.ID, "done")
	require.Equal(t, http.StatusConflict, c.get(t, path+"/edit").status)
	require.Equal(t, http.StatusConflict, c.post(t, path+"/edit", form()).status)
}

func TestMake_ADraftIsClonedAndDeleted_AScheduledTaskIsCorrected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	task := b.draft(t, "双十一活动", 3)
	path := fmt.Sprintf("/console/tasks/%d", task.ID)
	c := b.as(t, "author")
	r := c.post(t, path+"/clone", nil)
	require.Equal(t, "/console/tasks/2", r.location)
	require.Contains(t, c.get(t, r.location).body, "已复制为任务 2")
	clone, err := b.store.Task(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, 3, clone.Counts.Total)

	require.Contains(t, c.get(t, "/console/tasks/2").body, "删除草稿")
	require.Equal(t, http.StatusSeeOther, c.post(t, "/console/tasks/2/delete", nil).status)
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/tasks/2").status)

	require.Equal(t, http.StatusSeeOther, c.post(t, path+"/product", nil).status)
	b.moved(t, task.ID, "scheduled")
	require.Equal(t, http.StatusConflict, c.post(t, path+"/delete", nil).status, "it is no draft")
	require.Equal(t, http.StatusForbidden, c.post(t, path+"/correct", nil).status)
	require.NotContains(t, c.get(t, path).body, "取消排期并修改")
	p := b.as(t, "approver")
	require.Contains(t, p.get(t, path).body, "取消排期并修改")
	r = p.post(t, path+"/correct", nil)
	require.Equal(t, path+"/edit", r.location, r.body)
	require.Equal(t, http.StatusOK, p.get(t, r.location).status)
}

func TestMake_OfAnotherApp_IsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "双十一活动", 3)
	b.account(t, "others", auth.Admin, []int32{b.other.ID})
	c := b.as(t, "others")
	for _, path := range []string{"edit", "edit/preview", "audience", "reach", "reach/panel", "rejects.csv"} {
		require.Equal(t, http.StatusNotFound, c.get(t, "/console/tasks/1/"+path).status, path)
	}
	require.Equal(t, http.StatusNotFound, c.post(t, "/console/tasks/new", form()).status)
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/tasks/new?app=health_applet").status)
	require.Equal(t, http.StatusNotFound, c.get(t, "/console/lists?app=health_applet").status)
}
