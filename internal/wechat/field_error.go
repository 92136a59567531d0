package wechat

import "strconv"

// Rule is a rule of fields: a stable code.
type Rule string

// The rules.
const (
	RuleUTF8      Rule = "not_utf8"
	RuleEmpty     Rule = "empty"
	RuleControl   Rule = "control_character"
	RuleTooLong   Rule = "too_long"
	RuleCharacter Rule = "wrong_character"  // a character that the kind does not allow
	RuleFormat    Rule = "wrong_format"     // a time, date or amount in no form that the kind knows
	RuleTilde     Rule = "full_width_tilde" // a range joined by ～ (U+FF5E) and not by ~
	RuleEnum      Rule = "not_listed"
)

// FieldError says why a value does not fit a field. It holds nothing of the value.
type FieldError struct {
	Kind  Kind
	Rule  Rule
	Limit int // the most that may stand in the field, of RuleTooLong; 0 of the others
	// English and Chinese are the ends of a sentence that begins with the field: "must have at most 20 characters",
	// "不能超过20个字符".
	English, Chinese string
}

func (e *FieldError) Error() string { return string(e.Kind) + " " + e.English }

func fieldError(kind Kind, rule Rule, limit int, english, chinese string) error {
	return &FieldError{Kind: kind, Rule: rule, Limit: limit, English: english, Chinese: chinese}
}

func tooLong(kind Kind, limit int, r kindRule) error {
	n := strconv.Itoa(limit)
	english, chinese := "must have at most "+n+" "+r.unitEN, "不能超过"+n+r.unitZH
	if kind == KindName {
		english += " (10 with Chinese characters, 20 without)"
		chinese += "（含汉字10个，不含汉字20个）"
	}
	return fieldError(kind, RuleTooLong, limit, english, chinese)
}
