package wechat

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is the kind of a field of a subscribe template, which says what the field may hold. The key of a field begins with
// it: "thing1" is of kind "thing".
type Kind string

// The kinds that the platform documents, and const, which only older documents name.
const (
	KindThing           Kind = "thing"            // any text
	KindNumber          Kind = "number"           // digits
	KindLetter          Kind = "letter"           // letters
	KindSymbol          Kind = "symbol"           // symbols
	KindCharacterString Kind = "character_string" // digits, letters and symbols: an order number
	KindTime            Kind = "time"             // a time of day, with or without a date
	KindDate            Kind = "date"             // a date, with or without a time of day
	KindAmount          Kind = "amount"           // an amount of money
	KindPhoneNumber     Kind = "phone_number"
	KindCarNumber       Kind = "car_number"
	KindName            Kind = "name"
	KindPhrase          Kind = "phrase" // a few Chinese characters: a state
	KindEnum            Kind = "enum"   // one of the values that the template lists
	KindConst           Kind = "const"
)

// KindOf reads the kind off a key such as "thing1" or "character_string12". ok is false where the key is not of that form or
// the kind is not one of the documented ones; kind is then what stands before the number.
func KindOf(key string) (kind Kind, ok bool) {
	name := strings.TrimRight(key, "0123456789")
	_, known := kinds[Kind(name)]
	return Kind(name), known && name != key
}

// kindRule is what one kind of field may hold.
type kindRule struct {
	limit int                     // of what count counts; 0 = none
	count func(value string) int  // nil: characters
	valid func(value string) bool // nil: anything
	rule  Rule                    // that valid stands for

	english, chinese string // what valid asks for, as the end of a sentence
	unitEN, unitZH   string // what limit counts
}

// kinds are the rules as the platform documents them (参数值内容限制说明). Where the document is silent, what it does not forbid is
// allowed: a wrong refusal here could be corrected by nobody, a wrong acceptance shows in the first test message.
//
//nolint:gochecknoglobals // a table that is only read
var kinds = map[Kind]kindRule{
	KindThing:  {limit: 20, unitEN: "characters", unitZH: "个字符"},
	KindConst:  {limit: 20, unitEN: "characters", unitZH: "个字符"},
	KindEnum:   {},
	KindNumber: {32, digits, isNumber, RuleCharacter, "must be digits, with a decimal point or without", "只能是数字，可带小数", "digits", "位数字"},
	KindLetter: {32, nil, all(isLetter), RuleCharacter, "must be letters", "只能是字母", "letters", "个字母"},
	KindSymbol: {5, nil, all(isSymbol), RuleCharacter, "must be symbols", "只能是符号", "symbols", "个符号"},
	KindCharacterString: {
		32, nil, all(isLetter, isDigit, isSymbol, isSpace), RuleCharacter,
		"must be digits, letters and symbols", "只能是数字、字母或符号", "characters", "个字符",
	},
	KindTime: {
		valid: func(s string) bool { return isRange(s, isTime) }, rule: RuleFormat,
		english: "must be a time such as 15:01 or 2019年10月1日 15:01, or two of them joined by ~",
		chinese: "应为时间，例如 15:01 或 2019年10月1日 15:01，时间段用“~”连接",
	},
	KindDate: {
		valid: func(s string) bool { return isRange(s, isDate) }, rule: RuleFormat,
		english: "must be a date such as 2019年10月1日, 2019-10-01 or 2019年10月1日 15:01, or two of them joined by ~",
		chinese: "应为日期，例如 2019年10月1日、2019-10-01 或 2019年10月1日 15:01，时间段用“~”连接",
	},
	KindAmount: {
		10, digits, isAmount, RuleFormat,
		"must be an amount such as ￥99.00 or 100元", "应为金额，例如 ￥99.00 或 100元", "digits", "位数字",
	},
	KindPhoneNumber: {
		17, nil, all(isDigit, isSymbol, isSpace), RuleCharacter,
		"must be digits and symbols, such as +86-0766-66888866", "只能是数字和符号，例如 +86-0766-66888866", "characters", "位",
	},
	KindCarNumber: {
		8, nil, isCarNumber, RuleCharacter,
		"must be letters and digits, a Chinese character only first or last", "只能是字母或数字，首尾可为汉字", "characters", "位",
	},
	KindName: {
		20, nil, all(unicode.IsLetter, isSymbol, isSpace), RuleCharacter,
		"must be Chinese characters, letters and symbols", "只能是汉字、字母或符号", "characters", "个字符",
	},
	KindPhrase: {5, nil, all(isHan), RuleCharacter, "must be Chinese characters", "只能是汉字", "Chinese characters", "个汉字"},
}

// nameLimitHan is the limit of a name that holds a Chinese character.
const nameLimitHan = 10

// CheckField says whether the platform would take value for a field of kind, as far as its document says; it answers 47003
// to one that it does not take. A refusal is a [*FieldError]. The value is checked as it would be sent, so it is the
// caller's to trim it. enum is the list of the template for this field; where there is one, only its values pass, and no
// other rule of the kind holds. A kind that is not documented is checked for what holds for all: text, and no control
// characters.
//
// Characters are counted in UTF-16 units, the strictest reading: an emoji is two.
func CheckField(kind Kind, value string, enum []string) error {
	switch {
	case !utf8.ValidString(value):
		return fieldError(kind, RuleUTF8, 0, "is not UTF-8", "不是有效的 UTF-8 文本")
	case strings.TrimSpace(value) == "":
		return fieldError(kind, RuleEmpty, 0, "is empty", "不能为空")
	case strings.ContainsFunc(value, isControl):
		return fieldError(kind, RuleControl, 0, "must not hold line breaks or other control characters", "不能含换行等控制字符")
	case len(enum) > 0 && slices.Contains(enum, value):
		return nil
	case len(enum) > 0:
		list := strings.Join(enum, ", ")
		return fieldError(kind, RuleEnum, 0, "must be one of: "+list, "只能是以下之一："+list)
	}
	r := kinds[kind]
	if (kind == KindTime || kind == KindDate) && strings.ContainsRune(value, '～') {
		return fieldError(kind, RuleTilde, 0, "must join the two ends by ~ and not by the wide ～", "时间段请使用半角“~”，不能使用全角“～”")
	}
	if r.valid != nil && !r.valid(value) {
		return fieldError(kind, r.rule, 0, r.english, r.chinese)
	}
	if limit := r.limitFor(kind, value); limit > 0 && r.length(value) > limit {
		return tooLong(kind, limit, r)
	}
	return nil
}

// limitFor is the limit of a value; 0 = none. A name is the one kind whose limit depends on what it holds.
func (r kindRule) limitFor(kind Kind, value string) int {
	if kind == KindName && strings.ContainsFunc(value, isHan) {
		return nameLimitHan
	}
	return r.limit
}

func (r kindRule) length(value string) int {
	if r.count != nil {
		return r.count(value)
	}
	return units(value)
}

// units is the length in UTF-16.
func units(s string) int {
	n := 0
	for _, c := range s {
		n += unit(c)
	}
	return n
}

func unit(c rune) int {
	if c > 0xFFFF {
		return 2
	}
	return 1
}
