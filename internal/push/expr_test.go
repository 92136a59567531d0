package push_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

func ExampleParseExpr() {
	e, err := push.ParseExpr("fields[0].value", "{{recipient.姓名}},{{product.title}}仅{{product.price}}海贝")
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Columns())
	bound := e.Bind(map[string]string{"product.title": "水杯", "product.price": "9.9"})
	fmt.Println(bound.Render("42", func(column string) string { return map[string]string{"姓名": "小明"}[column] }))
	// Output:
	// [姓名]
	// 小明,水杯仅9.9海贝
}

// invalid asks for an *InvalidError about field that breaks rule.
func invalid(t *testing.T, err error, field, rule string) *push.InvalidError {
	t.Helper()
	var found *push.InvalidError
	require.ErrorAs(t, err, &found)
	require.Equal(t, field, found.Field)
	require.Equal(t, rule, found.Rule, found.Message)
	require.NotEmpty(t, found.Message)
	return found
}

func TestParseExpr_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, rule string }{
		{"{{", "bad_expression"},
		{"a {{topic", "bad_expression"},
		{"a {{topic}", "bad_expression"},
		{"topic}}", "bad_expression"},
		{"{{topic}}}}", "bad_expression"},
		{"{{}}", "unknown_variable"},
		{"{{ }}", "unknown_variable"},
		{"{{Topic}}", "unknown_variable"},
		{"{{user_id}}", "unknown_variable"},
		{"{{product}}", "unknown_variable"},
		{"{{product.prices}}", "unknown_variable"},
		{"{{task.state}}", "unknown_variable"},
		{"{{recipient}}", "unknown_variable"},
		{"{{recipient.}}", "unknown_variable"},
		{"{{recipient.a{b}}", "unknown_variable"},
		{"{{topic {{tips}}", "unknown_variable"},
		{"{{product.price * 2}}", "unknown_variable"},
	} {
		t.Run(c.source, func(t *testing.T) {
			t.Parallel()
			_, err := push.ParseExpr("page", c.source)
			invalid(t, err, "page", c.rule)
		})
	}
}

func TestParseExpr_NamesTheUnknownAndTheKnown(t *testing.T) {
	t.Parallel()
	_, err := push.ParseExpr("fields[2].value", "{{price}}")
	require.ErrorContains(t, err, "fields[2].value uses {{price}}")
	require.ErrorContains(t, err, "product.price")
	require.ErrorContains(t, err, "recipient.<column>")
}

func TestExpr_RendersTextAndNames(t *testing.T) {
	t.Parallel()
	task := map[string]string{"topic": "步数换好礼", "caption": "说明", "tips": "提示", "product.code": "1989", "product.title": "水杯",
		"product.price": "250", "task.id": "98"}
	columns := map[string]string{"姓名": "小明", "城市 名": "上海", "price": "7"}
	for _, c := range []struct{ source, want string }{
		{"", ""},
		{"no names", "no names"},
		{"a } b { c", "a } b { c"},
		{"{topic}", "{topic}"},
		{"{{product.price}}海贝", "250海贝"},
		{"{{ topic }}", "步数换好礼"},
		{"{{topic}}{{tips}}", "步数换好礼提示"},
		{"{{topic}}}", "步数换好礼}"},
		{"pages/goods/detail/detail?backToHome=1&&goodsId={{product.code}}", "pages/goods/detail/detail?backToHome=1&&goodsId=1989"},
		{"{{task.id}}/{{recipient.user_id}}", "98/42"},
		{"{{recipient.姓名}}在{{recipient.城市 名}}", "小明在上海"},
		{"{{recipient.price}}≠{{product.price}}", "7≠250"},
		{"{{recipient.missing}}.", "."},
	} {
		t.Run(c.source, func(t *testing.T) {
			t.Parallel()
			e, err := push.ParseExpr("page", c.source)
			require.NoError(t, err)
			bound := e.Bind(task)
			require.Equal(t, c.want, bound.Render("42", func(name string) string { return columns[name] }))
			text, static := bound.Static()
			require.Equal(t, !strings.Contains(c.source, "recipient."), static)
			if static {
				require.Equal(t, c.want, text)
			}
		})
	}
}

// What a task's texts and columns hold is data: braces in them are never read as names.
func TestExpr_DoesNotReadValuesAsNames(t *testing.T) {
	t.Parallel()
	e, err := push.ParseExpr("page", "{{topic}}|{{recipient.a}}")
	require.NoError(t, err)
	bound := e.Bind(map[string]string{"topic": "{{recipient.user_id}}"})
	require.Equal(t, "{{recipient.user_id}}|{{topic}}", bound.Render("42", func(string) string { return "{{topic}}" }))
}

func TestExpr_SaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	e, err := push.ParseExpr("page", "{{product.code}}{{recipient.user_id}}{{recipient.姓名}}{{recipient.城市}}{{recipient.姓名}}")
	require.NoError(t, err)
	require.Equal(t, []string{"姓名", "城市", "姓名"}, e.Columns(), "user_id is no column of the upload")
	require.True(t, e.Uses("product."))
	require.True(t, e.Uses("recipient."))
	require.False(t, e.Uses("topic"))
	_, static := e.Static()
	require.False(t, static)
}

func FuzzParseExpr(f *testing.F) {
	for _, seed := range []string{"", "{{topic}}", "{{", "}}", "{{recipient.姓名}}", "a{{ tips }}b{{product.price}}c", "{{{{}}}}", "{{recipient.}}", "\xff{{topic}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		e, err := push.ParseExpr("page", source)
		if err != nil {
			var invalid *push.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, "page", invalid.Field)
			return
		}
		// With every name empty only the literal text is left.
		bound := e.Bind(map[string]string{})
		text := bound.Render("", func(string) string { return "" })
		require.LessOrEqual(t, len(text), len(source))
		if !strings.Contains(source, "{{") {
			require.Equal(t, source, text)
		}
	})
}
