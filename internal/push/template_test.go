package push_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

func goodTemplate() push.Template {
	return push.Template{TemplateID: "T", Name: "活动加入成功提醒", Channel: push.ChannelFormID, Page: "pages/index?id={{product.code}}",
		Fields: []push.Field{{Key: "keyword1", Label: "主题", Value: "{{topic}}", Color: "#EE0000"}, {Key: "keyword2", Value: "{{recipient.姓名}}"}}}
}

func TestTemplate_NamesTheFieldAndTheRule(t *testing.T) {
	t.Parallel()
	good := goodTemplate()
	require.NoError(t, good.Validate())
	for _, c := range []struct {
		name, field, rule string
		spoil             func(*push.Template)
	}{
		{"no id", "template_id", "required", func(t *push.Template) { t.TemplateID = "" }},
		{"long id", "template_id", "too_long", func(t *push.Template) { t.TemplateID = strings.Repeat("a", 65) }},
		{"no name", "name", "required", func(t *push.Template) { t.Name = " " }},
		{"channel", "channel", "unknown_channel", func(t *push.Template) { t.Channel = "sms" }},
		{"long page", "page", "too_long", func(t *push.Template) { t.Page = strings.Repeat("a", push.MaxPage+1) }},
		{"page expression", "page", "unknown_variable", func(t *push.Template) { t.Page = "p?{{goods}}" }},
		{"no fields", "fields", "field_count", func(t *push.Template) { t.Fields = nil }},
		{"too many fields", "fields", "field_count", func(t *push.Template) { t.Fields = make([]push.Field, push.MaxFields+1) }},
		{"key", "fields[1].key", "bad_key", func(t *push.Template) { t.Fields[1].Key = "Keyword" }},
		{"key twice", "fields[1].key", "duplicate_key", func(t *push.Template) { t.Fields[1].Key = "keyword1" }},
		{"color", "fields[0].color", "bad_color", func(t *push.Template) { t.Fields[0].Color = "red" }},
		{"no value", "fields[1].value", "required", func(t *push.Template) { t.Fields[1].Value = "" }},
		{"long value", "fields[1].value", "too_long", func(t *push.Template) { t.Fields[1].Value = strings.Repeat("长", push.MaxExpr+1) }},
		{"open brace", "fields[1].value", "bad_expression", func(t *push.Template) { t.Fields[1].Value = "{{topic" }},
		{"unknown name", "fields[1].value", "unknown_variable", func(t *push.Template) { t.Fields[1].Value = "{{nickname}}" }},
		{"label", "fields[0].label", "control_character", func(t *push.Template) { t.Fields[0].Label = "a\nb" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bad := goodTemplate()
			c.spoil(&bad)
			var found []string
			for _, err := range flatten(bad.Validate()) {
				var one *push.InvalidError
				require.ErrorAs(t, err, &one)
				found = append(found, one.Field+" "+one.Rule)
			}
			require.Contains(t, found, c.field+" "+c.rule)
		})
	}
}

func flatten(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the joined errors one by one
		var all []error
		for _, e := range many.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

func TestTemplate_ReportsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	bad := goodTemplate()
	bad.Name, bad.Page, bad.Fields[0].Color, bad.Fields[1].Value = "", "{{x}}", "red", "{{"
	require.Len(t, flatten(bad.Validate()), 4)
}

func TestTaskSpec_NeedsWhatItsTemplateUses(t *testing.T) {
	t.Parallel()
	template := goodTemplate()
	compiled, err := template.Compile()
	require.NoError(t, err)
	require.Equal(t, []string{"姓名"}, compiled.Columns())
	require.NoError(t, (&push.TaskSpec{Topic: "a", ProductCode: "1"}).ValidateFor(compiled))
	err = (&push.TaskSpec{Caption: "a"}).ValidateFor(compiled)
	require.Len(t, flatten(err), 2)
	invalid(t, flatten(err)[0], "topic", "required")
	invalid(t, flatten(err)[1], "product_code", "required")
}

func TestTaskSpec_KnowsItsValues(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*push.TaskSpec){
		"audience": func(s *push.TaskSpec) { s.Audience = "some" }, "misfire": func(s *push.TaskSpec) { s.Misfire = "x" },
		"priority": func(s *push.TaskSpec) { s.Priority = "x" }, "on_unknown": func(s *push.TaskSpec) { s.OnUnknown = "x" },
		"on_price_change": func(s *push.TaskSpec) { s.OnPriceChange = "x" },
	} {
		s := push.TaskSpec{TemplateID: "T"}
		s.Normalize()
		require.NoError(t, s.Validate())
		spoil(&s)
		invalid(t, s.Validate(), field, "unknown_value")
	}
	s := push.TaskSpec{TemplateID: "T", RatePerSecond: -1}
	s.Normalize()
	invalid(t, s.Validate(), "rate_per_second", "out_of_range")
}

func TestCompiled_BindsATask(t *testing.T) {
	t.Parallel()
	template := goodTemplate()
	compiled, err := template.Compile()
	require.NoError(t, err)
	bound := compiled.Bind(&push.Task{ID: 98, TaskSpec: push.TaskSpec{Topic: "礼"}, Product: &push.TaskProduct{Code: "1989", Price: 25000}})
	page, static := bound.Page.Static()
	require.True(t, static)
	require.Equal(t, "pages/index?id=1989", page)
	require.True(t, bound.Uses("recipient."))
	require.False(t, bound.Uses("topic"))
}
