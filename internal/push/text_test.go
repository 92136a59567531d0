package push_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

func TestLength_CountsAsAPersonDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"empty", "", 0},
		{"chinese", "步数换好礼", 5},
		{"mixed", "送1杯Tea", 6},
		{"full-width", "!,", 2},
		{"beyond the basic plane", "𠮷野家", 3},
		{"composed accent", "é", 1},
		{"combining accent", "e\u0301", 1},
		{"two combining accents", "e\u0301\u0323", 1},
		{"emoji", "🎁", 1},
		{"skin tone", "👍🏽", 1},
		{"family", "👨‍👩‍👧‍👦", 1},
		{"flag", "🇨🇳", 1},
		{"two flags", "🇨🇳🇫🇷", 2},
		{"keycap", "1️⃣", 1},
		{"hangul letters", "\u1112\u1161\u11ab", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, push.Length(c.text))
		})
	}
}

func TestTaskSpec_LimitsOfTheOriginalsForm(t *testing.T) {
	t.Parallel()
	const family = "👨‍👩‍👧‍👦"
	for _, c := range []struct {
		field string
		limit int
		set   func(*push.TaskSpec, string)
	}{
		{"topic", 10, func(s *push.TaskSpec, v string) { s.Topic = v }},
		{"caption", 30, func(s *push.TaskSpec, v string) { s.Caption = v }},
		{"tips", 30, func(s *push.TaskSpec, v string) { s.Tips = v }},
	} {
		for _, unit := range []string{"礼", "a", family, "e\u0301"} {
			t.Run(c.field+unit, func(t *testing.T) {
				t.Parallel()
				s := push.TaskSpec{TemplateID: "T"}
				s.Normalize()
				c.set(&s, strings.Repeat(unit, c.limit))
				require.NoError(t, s.Validate())
				c.set(&s, strings.Repeat(unit, c.limit+1))
				invalid(t, s.Validate(), c.field, "too_long")
			})
		}
	}
}

func TestCheckText_RefusesWhatDoesNotPrint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, rule string }{{"a\nb", "control_character"}, {"a\x00", "control_character"}, {"\xff", "not_utf8"}, {"a\x7f", "control_character"}} {
		invalid(t, push.CheckText("topic", c.text, 10), "topic", c.rule)
	}
	invalid(t, push.RequireText("name", " \u3000", 10), "name", "required")
	require.NoError(t, push.CheckText("topic", "", 10))
}
