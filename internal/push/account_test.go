package push_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

func account() push.Account {
	return push.Account{TemplateID: "T", Name: "活动提醒", Fields: []push.Field{
		{Key: "thing1", Label: "活动主题"}, {Key: "phrase2", Label: "状态", Enum: []string{"进行中", "已结束"}}}}
}

func TestAccount_Update_KeepsWhatAnOperatorWrote(t *testing.T) {
	t.Parallel()
	a := account()
	kept := a.New("shop")
	kept.Page = "pages/index"
	kept.Fields = []push.Field{
		{Key: "thing1", Label: "活动主题", Value: "{{topic}}", Color: "#EE0000", TooLong: push.TooLongCut},
		{Key: "phrase2", Label: "状态", Value: "已结束", Enum: []string{"进行中", "已结束"}}}
	same, changes := a.Update(kept)
	require.Empty(t, changes)
	require.Equal(t, kept, same)

	a.Name, a.LongTerm = "活动通知", true
	a.Fields = []push.Field{{Key: "phrase2", Label: "活动状态", Enum: []string{"已开始"}}, {Key: "thing1", Label: "活动主题"}, {Key: "time3", Label: "时间"}}
	gone := time.Now()
	kept.GoneAt = &gone
	kept.Fields = append(kept.Fields, push.Field{Key: "thing9", Value: "{{tips}}"})
	got, changes := a.Update(kept)
	require.Equal(t, []push.TemplateChange{
		{Field: "gone_at", What: "removed"}, {Field: "name", What: "changed", Was: "活动提醒"}, {Field: "long_term", What: "changed", Was: "false"},
		{Field: "fields.phrase2.label", What: "changed", Was: "状态"}, {Field: "fields.phrase2.enum", What: "changed", Was: "进行中, 已结束"},
		{Field: "fields.time3", What: "added"}, {Field: "fields.thing9", What: "removed", Was: "{{tips}}"}, {Field: "fields", What: "changed"},
	}, changes)
	require.Equal(t, push.Template{App: "shop", TemplateID: "T", Channel: push.ChannelSubscribe, Name: "活动通知", LongTerm: true, Page: "pages/index", Fields: []push.Field{
		{Key: "phrase2", Label: "活动状态", Value: "已结束", Enum: []string{"已开始"}},
		{Key: "thing1", Label: "活动主题", Value: "{{topic}}", Color: "#EE0000", TooLong: push.TooLongCut}, {Key: "time3", Label: "时间"}}}, got)
	_, changes = a.Update(got)
	require.Empty(t, changes)
}

func TestAccount_Validate_NamesWhatCannotBeKept(t *testing.T) {
	t.Parallel()
	a := account()
	require.NoError(t, a.Validate())
	for field, spoil := range map[string]func(*push.Account){
		"template_id": func(a *push.Account) { a.TemplateID = "" }, "name": func(a *push.Account) { a.Name = "" },
		"fields": func(a *push.Account) { a.Fields = nil }, "fields[0].key": func(a *push.Account) { a.Fields[0].Key = "thing" },
		"fields[1].key": func(a *push.Account) { a.Fields[1].Key = "thing1" }, "fields[1].enum[0]": func(a *push.Account) { a.Fields[1].Enum = []string{"a\nb"} },
		"fields[1].enum": func(a *push.Account) { a.Fields[1].Enum = make([]string, push.MaxEnum+1) },
	} {
		a := account()
		spoil(&a)
		require.ErrorContains(t, a.Validate(), field+" ")
	}
}

func TestTemplate_Keep_HoldsAnOperatorToTheAccount(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := account()
	stored := a.New("shop")
	written := func() push.Template {
		w := a.New("shop")
		w.Fields = []push.Field{{Key: "phrase2", Value: "已结束"}, {Key: "thing1", Value: "{{topic}}"}}
		return w
	}
	w := written()
	require.NoError(t, w.Keep(stored))
	require.Equal(t, []string{"进行中", "已结束"}, w.Fields[0].Enum, "what is not said stays")
	w = written()
	w.Fields[0].Enum = []string{}
	require.NoError(t, w.Keep(stored))
	require.Empty(t, w.Fields[0].Enum, "said to be none")
	w = written()
	w.Fields = w.Fields[:1]
	require.NoError(t, w.Keep(stored), "nobody has asked the account yet")

	stored.SyncedAt, stored.GoneAt, stored.LongTerm = &now, &now, true
	require.ErrorContains(t, w.Keep(stored), "missing: thing1 (活动主题)")
	w = written()
	w.Fields = append(w.Fields, push.Field{Key: "thing3", Value: "x"})
	require.ErrorContains(t, w.Keep(stored), `fields[2].key "thing3" is no field of this template`)
	w = written()
	require.NoError(t, w.Keep(stored))
	require.Equal(t, &now, w.GoneAt)
	require.True(t, w.LongTerm, "the account says so")
	require.Equal(t, "状态", w.Fields[0].Label)
}

func TestTemplate_Usable_NamesTheFieldsWithoutAValue(t *testing.T) {
	t.Parallel()
	a := account()
	template := a.New("shop")
	require.EqualError(t, template.Usable(), "template_id names a template whose fields have no value yet: thing1 (活动主题), phrase2 (状态); an operator writes them: 模板字段尚未设置内容，请运营人员先设置 (no_value)")
	template.Fields[0].Value, template.Fields[1].Value = "{{topic}}", "已结束"
	require.NoError(t, template.Usable())
	gone := time.Now()
	template.GoneAt = &gone
	require.ErrorContains(t, template.Usable(), "template_gone")
}
