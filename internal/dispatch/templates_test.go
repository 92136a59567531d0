package dispatch_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

const enumID = "enum-template"

// accountTemplates are two templates of the platform's account: the one of subscribeTemplate, and one whose second field is a list.
func accountTemplates() []sim.Template {
	return []sim.Template{
		{ID: subscribeID, Title: "活动提醒", Type: sim.OneTime, Fields: []sim.TemplateField{
			{Key: "thing1", Label: "活动主题"}, {Key: "amount2", Label: "商品金额"}, {Key: "thing3", Label: "温馨提示"}}},
		{ID: enumID, Title: "状态通知", Type: sim.LongTerm, Fields: []sim.TemplateField{
			{Key: "thing1", Label: "活动主题"}, {Key: "enum2", Label: "状态", Enum: []string{"进行中", "已结束"}}}},
	}
}

func (b *bundle) account(templates ...sim.Template) {
	b.t.Helper()
	require.NoError(b.t, b.sim.AddTemplates(appID, templates))
}

func (b *bundle) syncTemplates() dispatch.TemplateSync {
	b.t.Helper()
	got, err := b.d.SyncTemplates(b.t.Context(), "test", appKey, nil)
	require.NoError(b.t, err)
	require.Len(b.t, got.Templates, got.Added+got.Changed+got.Unchanged+got.Gone+got.Refused)
	return got
}

func (b *bundle) template(id string) push.Template {
	b.t.Helper()
	got, err := b.st.Template(b.t.Context(), b.app.ID, id)
	require.NoError(b.t, err)
	return got
}

// What the account has is added without values; again nothing changes; what an operator wrote outlives what the platform changes.
func TestSyncTemplates_FollowsTheAccountAndKeepsTheOperatorsPart(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.account(accountTemplates()...)
	got := b.syncTemplates()
	require.Equal(t, dispatch.TemplateSync{Added: 2, Templates: []dispatch.SyncedTemplate{
		{TemplateID: subscribeID, Name: "活动提醒", Outcome: "added", Unfilled: []string{"thing1", "amount2", "thing3"}},
		{TemplateID: enumID, Name: "状态通知", Outcome: "added", Unfilled: []string{"thing1", "enum2"}}}}, got)
	added := b.template(enumID)
	require.Equal(t, []push.Field{{Key: "thing1", Label: "活动主题"}, {Key: "enum2", Label: "状态", Enum: []string{"进行中", "已结束"}}}, added.Fields)
	require.True(t, added.LongTerm)
	require.NotNil(t, added.SyncedAt)
	require.False(t, b.template(subscribeID).LongTerm)

	_, err := b.d.PutTemplate(t.Context(), "operator", subscribeTemplate())
	require.NoError(t, err)
	written := b.template(subscribeID)
	require.Equal(t, subscribeTemplate().Fields, written.Fields)
	got = b.syncTemplates()
	require.Equal(t, 2, got.Unchanged)
	require.Empty(t, got.Templates[0].Unfilled)
	again := b.template(subscribeID)
	require.Equal(t, written.UpdatedAt, again.UpdatedAt, "nothing was written")

	moved := accountTemplates()[0]
	moved.Title, moved.Fields[0].Label = "活动通知", "主题"
	b.account(moved)
	got = b.syncTemplates()
	require.Equal(t, []int{1, 1}, []int{got.Changed, got.Unchanged})
	require.Equal(t, []push.TemplateChange{{Field: "name", What: "changed", Was: "活动提醒"}, {Field: "fields.thing1.label", What: "changed", Was: "活动主题"}}, got.Templates[0].Changes)
	after := b.template(subscribeID)
	require.Equal(t, push.Field{Key: "thing1", Label: "主题", Value: "{{topic}}"}, after.Fields[0])
	require.Equal(t, written.Fields[2], after.Fields[2])
	require.Equal(t, written.Page, after.Page)
	require.Equal(t, 0, b.syncTemplates().Changed)
	require.Equal(t, originalTemplate().Fields, b.template(templateID).Fields, "the other channel's is none of its business")
}

// No task can use a template before its fields have values; the refusal names them, while the task is written and when it is sent.
func TestSyncTemplates_WithoutValues_IsRefusedByField(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.account(accountTemplates()[0])
	b.syncTemplates()
	_, err := b.d.CreateTask(t.Context(), "test", subscribeSpec())
	invalid(t, err, "template_id", "no_value")
	require.ErrorContains(t, err, "thing1 (活动主题), amount2 (商品金额), thing3 (温馨提示)")

	partly := subscribeTemplate()
	partly.Fields = partly.Fields[:2]
	_, err = b.d.PutTemplate(t.Context(), "operator", partly)
	invalid(t, err, "fields", "missing_key")
	users := b.subscribed(3, 1)
	draft := b.subscribeDraft(users, nil)
	more := accountTemplates()[0]
	more.Fields = append(more.Fields, sim.TemplateField{Key: "time4", Label: "时间"})
	b.account(more)
	got := b.syncTemplates()
	require.Equal(t, []string{"time4"}, got.Templates[0].Unfilled)
	_, err = b.d.Send(t.Context(), "test", draft.ID, nil)
	invalid(t, err, "template_id", "no_value")
	require.ErrorContains(t, err, "time4 (时间)")
}

// A task that is scheduled keeps the template as it was frozen, values, labels and allowed values.
func TestSyncTemplates_LeavesFrozenTasksAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.subscribed(3, 1)
	task := b.subscribeDraft(users, nil)
	at := time.Now().Add(time.Hour)
	_, err := b.d.Send(t.Context(), "test", task.ID, &at)
	require.NoError(t, err)
	before, err := b.st.Content(t.Context(), task.ID)
	require.NoError(t, err)
	b.account(sim.Template{ID: subscribeID, Title: "别的", Type: sim.OneTime, Fields: []sim.TemplateField{{Key: "phrase7", Label: "状态"}}})
	require.Equal(t, 1, b.syncTemplates().Changed)
	after, err := b.st.Content(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, "phrase7", b.template(subscribeID).Fields[0].Key)
}

// What the account does not have is marked as gone and cannot be used; it is no more so once it is back.
func TestSyncTemplates_MarksWhatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, err := b.d.PutTemplate(t.Context(), "operator", subscribeTemplate())
	require.NoError(t, err)
	_, err = b.d.CreateTask(t.Context(), "test", subscribeSpec())
	require.NoError(t, err, "nobody has asked the account")
	gone := dispatch.TemplateSync{Gone: 1, Templates: []dispatch.SyncedTemplate{{TemplateID: subscribeID, Name: "活动提醒", Outcome: "gone"}}}
	require.Equal(t, gone, b.syncTemplates())
	since := b.template(subscribeID).GoneAt
	require.NotNil(t, since)
	require.Equal(t, gone, b.syncTemplates())
	require.Equal(t, since, b.template(subscribeID).GoneAt, "since when, and not when last looked")
	_, err = b.d.CreateTask(t.Context(), "test", subscribeSpec())
	invalid(t, err, "template_id", "template_gone")
	require.Nil(t, b.template(templateID).GoneAt)

	b.account(accountTemplates()[0])
	got := b.syncTemplates()
	require.Equal(t, []push.TemplateChange{{Field: "gone_at", What: "removed"}}, got.Templates[0].Changes)
	require.Nil(t, b.template(subscribeID).GoneAt)
	_, err = b.d.CreateTask(t.Context(), "test", subscribeSpec())
	require.NoError(t, err)
}

// An id that is kept for the other channel is not touched, and does not hinder the others.
func TestSyncTemplates_RefusesOneAndTakesTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.account(sim.Template{ID: templateID, Title: "x", Type: sim.OneTime, Fields: []sim.TemplateField{{Key: "thing1"}}}, accountTemplates()[1])
	got := b.syncTemplates()
	require.Equal(t, []int{1, 1}, []int{got.Refused, got.Added})
	require.Contains(t, got.Templates[0].Message, `channel "form_id"`)
	require.Equal(t, push.ChannelFormID, b.template(templateID).Channel)
}

// What fails at the platform is said with a stable code, and nothing is changed; a token that it has given up is renewed once.
func TestSyncTemplates_FailuresOfThePlatform(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rule sim.Rule
		code push.PlatformCode
		errc int
		says string
	}{
		"address not allowed": {sim.Rule{Kind: sim.ErrCode, Code: 40164, On: sim.OnToken}, push.PlatformCredentials, 40164, "whitelist"},
		"wrong secret":        {sim.Rule{Kind: sim.ErrCode, Code: 40125, On: sim.OnToken}, push.PlatformCredentials, 40125, "secret"},
		"token never good":    {sim.Rule{Kind: sim.ErrCode, Code: 40001, On: sim.OnTemplates}, push.PlatformCredentials, 40001, "access token"},
		"no permission":       {sim.Rule{Kind: sim.ErrCode, Code: 48001, On: sim.OnTemplates}, push.PlatformRefused, 48001, "not authorised"},
		"quota":               {sim.Rule{Kind: sim.ErrCode, Code: 45009, On: sim.OnTemplates}, push.PlatformRefused, 45009, "quota"},
		"busy":                {sim.Rule{Kind: sim.SystemError, On: sim.OnTemplates}, push.PlatformRefused, -1, "busy"},
		"503":                 {sim.Rule{Kind: sim.Unavailable, On: sim.OnTemplates}, push.PlatformUnreachable, 0, "no usable answer"},
		"a page":              {sim.Rule{Kind: sim.GatewayPage, On: sim.OnTemplates}, push.PlatformUnreachable, 0, "no usable answer"},
		"dropped":             {sim.Rule{Kind: sim.Drop, On: sim.OnTemplates}, push.PlatformUnreachable, 0, "no usable answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			_, err := b.d.PutTemplate(t.Context(), "operator", subscribeTemplate())
			require.NoError(t, err)
			b.faults(sim.Faults{Rules: []sim.Rule{tc.rule}})
			_, err = b.d.SyncTemplates(t.Context(), "test", appKey, nil)
			var failed *push.CallError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, tc.code, failed.Code)
			require.Equal(t, tc.errc, failed.Errcode)
			require.Contains(t, failed.EN, tc.says)
			require.NotEmpty(t, failed.ZH)
			require.Nil(t, b.template(subscribeID).GoneAt, "an answer that did not come says nothing")
		})
	}
	b := setup(t, nil)
	b.account(accountTemplates()...)
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.TokenInvalid, On: sim.OnTemplates, Count: 1}}})
	require.Equal(t, 2, b.syncTemplates().Added)
	_, err := b.d.PauseApp(t.Context(), "test", appKey)
	require.NoError(t, err)
	_, err = b.d.SyncTemplates(t.Context(), "test", appKey, nil)
	refused(t, err, push.RefusedAppPaused)
	_, err = b.d.SyncTemplates(t.Context(), "test", "nobody", nil)
	require.ErrorIs(t, err, push.ErrNotFound)
}

func TestSyncTemplates_TwoAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.account(accountTemplates()...)
	var wg sync.WaitGroup
	sums := make([]dispatch.TemplateSync, 4)
	for i := range sums {
		wg.Go(func() { sums[i], _ = b.d.SyncTemplates(t.Context(), "test", appKey, nil) })
	}
	wg.Wait()
	added, unchanged := 0, 0
	for _, s := range sums {
		added, unchanged = added+s.Added, unchanged+s.Unchanged
	}
	require.Equal(t, []int{2, 6}, []int{added, unchanged})
}

// Only the values that the platform lists pass, while the task is written: the text is named, and what is allowed.
func TestSyncTemplates_AllowedValuesAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.account(accountTemplates()...)
	b.syncTemplates()
	template := push.Template{App: appKey, TemplateID: enumID, Channel: push.ChannelSubscribe, Name: "状态通知", LongTerm: true,
		Fields: []push.Field{{Key: "thing1", Value: "{{topic}}"}, {Key: "enum2", Label: "状态", Value: "{{tips}}"}}}
	put, err := b.d.PutTemplate(t.Context(), "operator", template)
	require.NoError(t, err)
	require.Equal(t, []string{"进行中", "已结束"}, put.Fields[1].Enum)
	s := subscribeSpec()
	s.TemplateID, s.ProductCode, s.Tips = enumID, "", "已结束"
	task, err := b.d.CreateTask(t.Context(), "test", s)
	require.NoError(t, err)
	s.Tips = "结束了"
	_, err = b.d.CreateTask(t.Context(), "test", s)
	invalid(t, err, "tips", "not_listed")
	require.ErrorContains(t, err, "进行中, 已结束")
	require.ErrorContains(t, err, "enum2")
	_, err = b.d.ChangeTask(t.Context(), "test", task.ID, func(s *push.TaskSpec) error { s.Tips = "别的"; return nil })
	invalid(t, err, "tips", "not_listed")
	content, err := b.st.Content(t.Context(), task.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"进行中", "已结束"}, content.Template.Fields[1].Enum)
}
