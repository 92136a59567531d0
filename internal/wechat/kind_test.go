package wechat_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]wechat.Kind{
		"thing1": wechat.KindThing, "character_string12": wechat.KindCharacterString, "phone_number01": wechat.KindPhoneNumber,
		"const3": wechat.KindConst, "enum4": wechat.KindEnum, "car_number5": wechat.KindCarNumber,
	} {
		kind, ok := wechat.KindOf(key)
		require.True(t, ok, key)
		require.Equal(t, want, kind)
	}
	for key, want := range map[string]wechat.Kind{
		"thing": "thing", "keyword1": "keyword", "Thing1": "Thing", "thing1x": "thing1x", "": "", "1": "",
	} {
		kind, ok := wechat.KindOf(key)
		require.False(t, ok, key)
		require.Equal(t, want, kind)
	}
}

// The table of the reference (wechat.md §5), both sides of each border.
func TestCheckField(t *testing.T) {
	t.Parallel()
	const han = "汉"
	for _, tc := range []struct {
		kind  wechat.Kind
		value string
		rule  wechat.Rule // empty: it passes
	}{
		{wechat.KindThing, strings.Repeat(han, 20), ""},
		{wechat.KindThing, strings.Repeat(han, 21), wechat.RuleTooLong},
		{wechat.KindThing, "a 1，汉！😀", ""},
		{wechat.KindThing, strings.Repeat("😀", 10), ""},
		{wechat.KindThing, strings.Repeat("😀", 10) + "a", wechat.RuleTooLong},
		{wechat.KindConst, strings.Repeat("a", 20), ""},
		{wechat.KindConst, strings.Repeat("a", 21), wechat.RuleTooLong},

		{wechat.KindNumber, strings.Repeat("1", 32), ""},
		{wechat.KindNumber, strings.Repeat("1", 33), wechat.RuleTooLong},
		{wechat.KindNumber, strings.Repeat("1", 30) + ".25", ""},
		{wechat.KindNumber, strings.Repeat("1", 31) + ".25", wechat.RuleTooLong},
		{wechat.KindNumber, "1.", wechat.RuleCharacter},
		{wechat.KindNumber, ".5", wechat.RuleCharacter},
		{wechat.KindNumber, "1.2.3", wechat.RuleCharacter},
		{wechat.KindNumber, "-1", wechat.RuleCharacter},
		{wechat.KindNumber, "１２", wechat.RuleCharacter},
		{wechat.KindNumber, " 1", wechat.RuleCharacter},

		{wechat.KindLetter, strings.Repeat("Az", 16), ""},
		{wechat.KindLetter, strings.Repeat("Az", 16) + "a", wechat.RuleTooLong},
		{wechat.KindLetter, "a1", wechat.RuleCharacter},
		{wechat.KindLetter, "a b", wechat.RuleCharacter},

		{wechat.KindSymbol, "!，￥~#", ""},
		{wechat.KindSymbol, "!，￥~#+", wechat.RuleTooLong},
		{wechat.KindSymbol, "!a", wechat.RuleCharacter},
		{wechat.KindSymbol, "1", wechat.RuleCharacter},
		{wechat.KindSymbol, "汉", wechat.RuleCharacter},

		{wechat.KindCharacterString, strings.Repeat("a-1 ", 8), ""},
		{wechat.KindCharacterString, strings.Repeat("a-1 ", 8) + "a", wechat.RuleTooLong},
		{wechat.KindCharacterString, "订单1", wechat.RuleCharacter},
		{wechat.KindCharacterString, "かな", wechat.RuleCharacter},

		{wechat.KindTime, "15:01", ""},
		{wechat.KindTime, "00:00:00", ""},
		{wechat.KindTime, "23:59:59", ""},
		{wechat.KindTime, "24:00", wechat.RuleFormat},
		{wechat.KindTime, "23:60", wechat.RuleFormat},
		{wechat.KindTime, "23:59:60", wechat.RuleFormat},
		{wechat.KindTime, "9:05", wechat.RuleFormat},
		{wechat.KindTime, "15", wechat.RuleFormat},
		{wechat.KindTime, "15:01:00:00", wechat.RuleFormat},
		{wechat.KindTime, "2019年10月1日 15:01", ""},
		{wechat.KindTime, "2019-10-01 15:01:59", ""},
		{wechat.KindTime, "10月1日 15:01", ""},
		{wechat.KindTime, "2019年10月 15:01", wechat.RuleFormat},
		{wechat.KindTime, "2019年10月1日", wechat.RuleFormat},
		{wechat.KindTime, "15:01~16:00", ""},
		{wechat.KindTime, "2019年10月1日 15:01~2019年10月2日 16:00", ""},
		{wechat.KindTime, "15:01～16:00", wechat.RuleTilde},
		{wechat.KindTime, "15:01~16:00~17:00", wechat.RuleFormat},
		{wechat.KindTime, "15:01~", wechat.RuleFormat},
		{wechat.KindTime, "15:01 ~ 16:00", wechat.RuleFormat},

		{wechat.KindDate, "2019年10月1日", ""},
		{wechat.KindDate, "2019年10月", ""},
		{wechat.KindDate, "10月1日", ""},
		{wechat.KindDate, "2018-01-01", ""},
		{wechat.KindDate, "2018/01/01", ""},
		{wechat.KindDate, "2018.01.01", ""},
		{wechat.KindDate, "2018-01", ""},
		{wechat.KindDate, "01-01", ""},
		{wechat.KindDate, "2019年10月1日 15:01", ""},
		{wechat.KindDate, "2018-01-01~2018-01-05", ""},
		{wechat.KindDate, "2018-01-01～2018-01-05", wechat.RuleTilde},
		{wechat.KindDate, "2018-01/01", wechat.RuleFormat},
		{wechat.KindDate, "2018-13-01", wechat.RuleFormat},
		{wechat.KindDate, "2018-12-32", wechat.RuleFormat},
		{wechat.KindDate, "2024-02-29", ""},
		{wechat.KindDate, "2023-02-29", wechat.RuleFormat},
		{wechat.KindDate, "2月29日", ""},
		{wechat.KindDate, "2月30日", wechat.RuleFormat},
		{wechat.KindDate, "2018-00", wechat.RuleFormat},
		{wechat.KindDate, "18-01-01", wechat.RuleFormat},
		{wechat.KindDate, "12年1日", wechat.RuleFormat},
		{wechat.KindDate, "2019年1日", wechat.RuleFormat},
		{wechat.KindDate, "2019年", wechat.RuleFormat},
		{wechat.KindDate, "1日", wechat.RuleFormat},
		{wechat.KindDate, "2018-01-01-01", wechat.RuleFormat},
		{wechat.KindDate, "15:01", wechat.RuleFormat},
		{wechat.KindDate, "2018-01 15:01", wechat.RuleFormat},

		{wechat.KindAmount, "￥99.00", ""},
		{wechat.KindAmount, "100元", ""},
		{wechat.KindAmount, "$12345678.90", ""},
		{wechat.KindAmount, "¥1234567890元", ""},
		{wechat.KindAmount, "¥12345678901元", wechat.RuleTooLong},
		{wechat.KindAmount, "99", ""},
		{wechat.KindAmount, "￥￥9", wechat.RuleFormat},
		{wechat.KindAmount, "￥", wechat.RuleFormat},
		{wechat.KindAmount, "元", wechat.RuleFormat},
		{wechat.KindAmount, "1,000元", wechat.RuleFormat},
		{wechat.KindAmount, "-1", wechat.RuleFormat},
		{wechat.KindAmount, "250海贝", wechat.RuleFormat},

		{wechat.KindPhoneNumber, "+86-0766-66888866", ""},
		{wechat.KindPhoneNumber, "+86-0766-668888661", wechat.RuleTooLong},
		{wechat.KindPhoneNumber, "138x", wechat.RuleCharacter},

		{wechat.KindCarNumber, "粤A8Z888挂", ""},
		{wechat.KindCarNumber, "粤A8Z8881挂", wechat.RuleTooLong},
		{wechat.KindCarNumber, "A粤8", wechat.RuleCharacter},
		{wechat.KindCarNumber, "粤A-8888", wechat.RuleCharacter},

		{wechat.KindName, strings.Repeat(han, 10), ""},
		{wechat.KindName, strings.Repeat(han, 11), wechat.RuleTooLong},
		{wechat.KindName, strings.Repeat("a", 20), ""},
		{wechat.KindName, strings.Repeat("a", 21), wechat.RuleTooLong},
		{wechat.KindName, han + strings.Repeat("a", 9), ""},
		{wechat.KindName, han + strings.Repeat("a", 10), wechat.RuleTooLong},
		{wechat.KindName, "阿凡提·买买提", ""},
		{wechat.KindName, "Zoë O'Neil-Smith", ""},
		{wechat.KindName, "user42", wechat.RuleCharacter},

		{wechat.KindPhrase, "已经配送中", ""},
		{wechat.KindPhrase, "已经在配送中", wechat.RuleTooLong},
		{wechat.KindPhrase, "配送中!", wechat.RuleCharacter},
		{wechat.KindPhrase, "OK", wechat.RuleCharacter},

		{wechat.KindEnum, "任何值", ""},               // the list is not known
		{"new_kind", strings.Repeat("x", 100), ""}, // the platform may add one
		{"new_kind", "a\nb", wechat.RuleControl},
		{wechat.KindThing, "", wechat.RuleEmpty},
		{wechat.KindThing, " \u3000\n", wechat.RuleEmpty},
		{wechat.KindThing, "a\tb", wechat.RuleControl},
		{wechat.KindThing, "a\u2028b", wechat.RuleControl},
		{wechat.KindThing, "a\u0085b", wechat.RuleControl},
		{wechat.KindThing, "bad \xff byte", wechat.RuleUTF8},
	} {
		err := wechat.CheckField(tc.kind, tc.value, nil)
		if tc.rule == "" {
			require.NoError(t, err, "%s %q", tc.kind, tc.value)
			continue
		}
		e, ok := errors.AsType[*wechat.FieldError](err)
		require.True(t, ok, "%s %q passes", tc.kind, tc.value)
		require.Equal(t, tc.rule, e.Rule, "%s %q: %v", tc.kind, tc.value, err)
		require.Equal(t, tc.kind, e.Kind)
		require.Equal(t, tc.rule == wechat.RuleTooLong, e.Limit > 0)
		require.NotEmpty(t, e.English)
		require.NotEmpty(t, e.Chinese)
	}
}

func TestCheckField_ListedValues(t *testing.T) {
	t.Parallel()
	list := []string{"男", "女"}
	require.NoError(t, wechat.CheckField(wechat.KindEnum, "女", list))
	require.NoError(t, wechat.CheckField(wechat.KindNumber, "女", list), "what the template lists is allowed, whatever the kind")
	err := wechat.CheckField(wechat.KindEnum, "其他", list)
	require.Equal(t, &wechat.FieldError{
		Kind: wechat.KindEnum, Rule: wechat.RuleEnum, English: "must be one of: 男, 女", Chinese: "只能是以下之一：男, 女",
	}, err)
}

func TestCheckField_SaysTheLimitInBothLanguages(t *testing.T) {
	t.Parallel()
	e, ok := errors.AsType[*wechat.FieldError](wechat.CheckField(wechat.KindThing, strings.Repeat("a", 21), nil))
	require.True(t, ok)
	require.Equal(t, 20, e.Limit)
	require.Equal(t, "thing must have at most 20 characters", e.Error())
	require.Equal(t, "不能超过20个字符", e.Chinese)
	e, ok = errors.AsType[*wechat.FieldError](wechat.CheckField(wechat.KindName, strings.Repeat("汉", 11), nil))
	require.True(t, ok)
	require.Equal(t, 10, e.Limit, "a Chinese character halves the limit of a name")
}

func TestCut(t *testing.T) {
	t.Parallel()
	const family = "👨\u200d👩\u200d👧"
	for _, tc := range []struct {
		kind        wechat.Kind
		value, want string
	}{
		{wechat.KindThing, strings.Repeat("汉", 20), strings.Repeat("汉", 20)},
		{wechat.KindThing, strings.Repeat("汉", 21), strings.Repeat("汉", 19) + "…"},
		{wechat.KindThing, strings.Repeat("a", 18) + " bcd", strings.Repeat("a", 18) + "…"},
		{wechat.KindThing, strings.Repeat("a", 18) + "😀😀", strings.Repeat("a", 18) + "…"},
		{wechat.KindThing, strings.Repeat("a", 18) + "e\u0301e", strings.Repeat("a", 18) + "…"},
		{wechat.KindThing, strings.Repeat("a", 14) + family, strings.Repeat("a", 14) + "…"},
		{wechat.KindThing, strings.Repeat("a", 17) + "👍🏽", strings.Repeat("a", 17) + "…"},
		{wechat.KindThing, strings.Repeat("a", 13) + "🇨🇳🇨🇳", strings.Repeat("a", 13) + "🇨🇳…"},
		{wechat.KindConst, strings.Repeat("a", 21), strings.Repeat("a", 19) + "…"},
		{wechat.KindName, strings.Repeat("a", 21), strings.Repeat("a", 19) + "…"},
		{wechat.KindName, strings.Repeat("汉", 11), strings.Repeat("汉", 9) + "…"},
		{wechat.KindCharacterString, strings.Repeat("1", 40), strings.Repeat("1", 40)},
		{wechat.KindThing, "", ""},
	} {
		got := wechat.Cut(tc.kind, tc.value)
		require.Equal(t, tc.want, got, "%s %q", tc.kind, tc.value)
	}
	require.False(t, wechat.CanCut(wechat.KindCharacterString), "a cut order number is a wrong one")
	require.False(t, wechat.CanCut("new_kind"))
}

// What was only too long is right once it is cut, and what was right is not touched.
func FuzzCut(f *testing.F) {
	f.Add("thing", strings.Repeat("汉", 30))
	f.Add("name", strings.Repeat("a", 25)+"汉")
	f.Add("const", strings.Repeat(" ", 30)+"😀\u200d😀\u0301")
	f.Add("thing", strings.Repeat("\u0301", 30))
	f.Add("name", strings.Repeat("🇨🇳", 9))
	f.Fuzz(func(t *testing.T, name, value string) {
		kind := wechat.Kind(name)
		err := wechat.CheckField(kind, value, nil)
		got := wechat.Cut(kind, value)
		if err == nil {
			require.Equal(t, value, got)
			return
		}
		if e, ok := errors.AsType[*wechat.FieldError](err); ok && e.Rule == wechat.RuleTooLong && wechat.CanCut(kind) {
			require.NoError(t, wechat.CheckField(kind, got, nil), "%q", got)
			require.True(t, strings.HasSuffix(got, "…"))
		}
	})
}
