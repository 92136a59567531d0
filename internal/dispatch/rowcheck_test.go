package dispatch_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// rowTask makes a draft on a subscribe template whose fields are given.
func (b *bundle) rowTask(fields ...push.Field) push.Task {
	b.t.Helper()
	_, err := b.d.PutTemplate(b.t.Context(), "operator", push.Template{App: appKey, TemplateID: subscribeID, Channel: push.ChannelSubscribe, Name: "活动提醒", Fields: fields})
	require.NoError(b.t, err)
	s := subscribeSpec()
	s.ProductCode = ""
	task, err := b.d.CreateTask(b.t.Context(), "test", s)
	require.NoError(b.t, err)
	return task
}

func (b *bundle) rejects(audience int64) []store.Reject {
	b.t.Helper()
	list, err := b.st.Rejects(b.t.Context(), audience, 0, 1000)
	require.NoError(b.t, err)
	return list
}

// Each kind's limit through an upload, from both sides: what just fits is taken, what just does not is refused by line, field and rule.
func TestRows_AreHeldAgainstTheKindsOfTheFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, key, good, bad, rule string
		enum                       []string
	}{
		{"thing", "thing1", strings.Repeat("字", 20), strings.Repeat("字", 21), "too_long", nil},
		{"thing with an emoji", "thing1", strings.Repeat("字", 18) + "🎁", strings.Repeat("字", 19) + "🎁", "too_long", nil},
		{"nothing", "thing1", "a", "", "empty", nil},
		{"number", "number1", strings.Repeat("9", 32), strings.Repeat("9", 33), "too_long", nil},
		{"number with letters", "number1", "1.5", "1.5x", "wrong_character", nil},
		{"letter", "letter1", strings.Repeat("a", 32), strings.Repeat("a", 33), "too_long", nil},
		{"symbol", "symbol1", "#####", "######", "too_long", nil},
		{"character_string", "character_string1", strings.Repeat("A", 32), strings.Repeat("A", 33), "too_long", nil},
		{"character_string with Han", "character_string1", "A-1", "A-一", "wrong_character", nil},
		{"time", "time1", "23:59", "24:61", "wrong_format", nil},
		{"time range", "time1", "15:01~16:00", "15:01～16:00", "full_width_tilde", nil},
		{"date", "date1", "2026-12-01", "2026-13-01", "wrong_format", nil},
		{"amount", "amount1", "￥1234567890", "￥12345678901", "too_long", nil},
		{"phone_number", "phone_number1", "+86-0766-66888866", "+86-0766-668888661", "too_long", nil},
		{"car_number", "car_number1", "粤A8Z888挂", "粤A8Z8888挂", "too_long", nil},
		{"name of Han", "name1", strings.Repeat("李", 10), strings.Repeat("李", 11), "too_long", nil},
		{"name of letters", "name1", strings.Repeat("a", 20), strings.Repeat("a", 21), "too_long", nil},
		{"phrase", "phrase1", "一二三四五", "一二三四五六", "too_long", nil},
		{"enum", "enum1", "已结束", "结束", "not_listed", []string{"进行中", "已结束"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			task := b.rowTask(push.Field{Key: "thing9", Label: "主题", Value: "{{topic}}"}, push.Field{Key: c.key, Label: "内容", Value: "{{recipient.内容}}", Enum: c.enum})
			a := b.load(task.ID, upload("user_id,内容,别的\nu0,"+c.good+",x\nu1,"+c.bad+",x\nu2,"+c.good+",\n"))
			require.Equal(t, []int{3, 2, 0, 1}, []int{a.Total, a.Accepted, a.Duplicate, a.Rejected})
			r := b.rejects(a.ID)[0]
			require.Equal(t, []any{3, "field_invalid", "u1", c.key, c.rule}, []any{r.Line, r.Code, r.Value, r.Field, r.Rule})
			require.Contains(t, r.ZH, "字段“内容”("+c.key+")")
			require.Contains(t, r.EN, `field "内容" (`+c.key+`) `)
		})
	}
}

// A field that is to be cut takes a value of any length, and what is rendered around a column counts.
func TestRows_CutOrRefusedAsTheFieldSays(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 2 })
	long := strings.Repeat("字", 20)
	task := b.rowTask(push.Field{Key: "thing1", Value: "{{recipient.a}}", TooLong: push.TooLongCut}, push.Field{Key: "thing2", Label: "城市", Value: "在{{recipient.b}}见"})
	a := b.load(task.ID, upload("user_id,a,b\nu0,"+long+"长,上海\nu1,x,"+long[:18*3]+"\nu2,x,"+long[:19*3]+"\nu3, ,上海\nu1,x,y\nu4,"+long+"长,上海\n"))
	require.Equal(t, []int{6, 3, 1, 2}, []int{a.Total, a.Accepted, a.Duplicate, a.Rejected})
	rejects := b.rejects(a.ID)
	require.Equal(t, []any{4, "thing2", "too_long"}, []any{rejects[0].Line, rejects[0].Field, rejects[0].Rule})
	require.Equal(t, []any{5, "thing1", "empty"}, []any{rejects[1].Line, rejects[1].Field, rejects[1].Rule})
	preview, err := b.d.Preview(t.Context(), task.ID, 0)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("字", 19)+"…", preview.Fields[0].Value)
}

// A list without a row that fits is refused as a whole; its refusal says what stood against the first.
func TestRows_NoneFits_SaysWhy(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.rowTask(push.Field{Key: "phrase1", Label: "状态", Value: "{{recipient.状态}}"})
	_, err := b.d.UploadAudience(t.Context(), "test", task.ID, upload("user_id,状态\nu0,open\nu1,done\n"))
	refused(t, err, push.RefusedEmptyAudience)
	require.ErrorContains(t, err, `line 2: field "状态" (phrase1) must be Chinese characters (wrong_character)`)
}

// A column that the list lacks is no fault of its rows: the send is refused for it. The channel that has no kinds refuses no row.
func TestRows_NotHeldAgainstWhatTheyCannotMend(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(2, 1)
	task := b.rowTask(push.Field{Key: "thing1", Value: "{{recipient.城市}}"})
	require.Equal(t, 2, b.load(task.ID, upload("user_id,city\n"+users[0]+",\n"+users[1]+",x\n")).Accepted)
	_, err := b.d.Send(t.Context(), "test", task.ID, nil)
	refused(t, err, push.RefusedUnknownVariable)

	template := originalTemplate()
	template.Fields[0].Value = "{{recipient.城市}}"
	_, err = b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	require.Equal(t, 2, b.load(b.draft(nil).ID, upload("user_id,城市\na,\nb,"+strings.Repeat("长", 99)+"\n")).Accepted)
}

// Of a list of openids the user id that a field shows is known only once it is looked up.
func TestRows_OfOpenIDs_AreHeldAgainstTheUserID(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, err := b.d.ReportUsers(t.Context(), appKey, []dispatch.UserReport{{UserID: "12345", OpenID: "o-long-openid-1"}, {UserID: "会员", OpenID: "o-2"}})
	require.NoError(t, err)
	task := b.rowTask(push.Field{Key: "number1", Label: "会员号", Value: "{{recipient.user_id}}"}, push.Field{Key: "thing2", Value: "{{recipient.城市}}"})
	a := b.load(task.ID, upload("openid,城市\no-long-openid-1,上海\no-2,北京\nnobody,x\n"))
	require.Equal(t, []int{3, 1, 0, 2}, []int{a.Total, a.Accepted, a.Duplicate, a.Rejected})
	rejects := b.rejects(a.ID)
	require.Equal(t, []any{3, "o-2", "number1"}, []any{rejects[0].Line, rejects[0].Value, rejects[0].Field})
	require.Equal(t, "unknown_openid", rejects[1].Code)
}

// A saved list knows no template: its rows are taken as they are, and held against the template of the task that takes a copy.
func TestRows_OfASavedList_AreCheckedWhenATaskTakesThem(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.BatchRows = 2 })
	list := b.save("vip", "user_id,城市\nu0,上海\nu1,"+strings.Repeat("长", 21)+"\nu2,\nu3,"+strings.Repeat("长", 20)+"\n")
	require.Equal(t, 4, list.Newest.Accepted)
	task := b.rowTask(push.Field{Key: "thing1", Value: "{{recipient.城市}}"})
	a, err := b.d.TakeList(t.Context(), "test", task.ID, "vip", dispatch.Upload{})
	require.NoError(t, err)
	require.Equal(t, []int{4, 2, 0, 2}, []int{a.Total, a.Accepted, a.Duplicate, a.Rejected})
	rejects := b.rejects(a.ID)
	require.Equal(t, []any{2, "u1", "too_long"}, []any{rejects[0].Line, rejects[0].Value, rejects[0].Rule})
	require.Equal(t, []any{3, "u2", "empty"}, []any{rejects[1].Line, rejects[1].Value, rejects[1].Rule})
	require.Equal(t, int32(1), b.rows(task.ID)["u3"].Seq, "numbered without gaps")
}

// A template that is changed after the upload is not held against the list again: who does not fit fails at his turn, without a call, and
// keeps his unit; the others get their messages.
func TestRows_ThatNoLongerFit_FailWithoutACall(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(3, 1)
	require.NoError(t, b.sim.AddTemplates(appID, []sim.Template{{ID: subscribeID, Title: "活动提醒", Type: sim.OneTime, Fields: []sim.TemplateField{{Key: "thing1"}}}}))
	task := b.rowTask(push.Field{Key: "thing1", Label: "城市", Value: "{{recipient.城市}}", TooLong: push.TooLongCut})
	require.Equal(t, 3, b.load(task.ID, upload("user_id,城市\nu0,上海\nu1,"+strings.Repeat("长", 21)+"\nu2,北京\n")).Accepted)
	_, err := b.d.PutTemplate(t.Context(), "operator", push.Template{App: appKey, TemplateID: subscribeID, Channel: push.ChannelSubscribe, Name: "活动提醒",
		Fields: []push.Field{{Key: "thing1", Label: "城市", Value: "{{recipient.城市}}"}}})
	require.NoError(t, err)
	_, err = b.d.Preview(t.Context(), task.ID, 1)
	invalid(t, err, "template", "too_long")
	b.work(b.d)
	b.send(task.ID)
	b.wait(task.ID, push.TaskDone)
	require.Equal(t, push.Counts{Total: 3, Sent: 2, Failed: 1}, b.audit(task.ID).Counts)
	require.Equal(t, push.FieldInvalid, b.rows(task.ID)["u1"].Reason)
	require.Zero(t, b.got()[openID(users[1])])
	require.Equal(t, [4]int{1, 0, 0, 2}, b.units())
	b.sound(task.ID)
}
