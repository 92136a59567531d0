package wechat

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The characters that the rules of fields speak of. A digit and a letter are those of ASCII; a symbol is what is neither of
// these, nor a letter of another script, nor a space.

func isHan(c rune) bool    { return unicode.Is(unicode.Han, c) }
func isDigit(c rune) bool  { return '0' <= c && c <= '9' }
func isLetter(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isSymbol(c rune) bool { return unicode.IsPunct(c) || unicode.IsSymbol(c) }
func isSpace(c rune) bool  { return c == ' ' }

// isControl finds what breaks a line or cannot be seen: C0, DEL, C1, and the two separators of Unicode.
func isControl(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }

// all makes a test of a text whose every character passes one of the tests.
func all(tests ...func(rune) bool) func(string) bool {
	return func(s string) bool {
		for _, c := range s {
			ok := false
			for _, test := range tests {
				ok = ok || test(c)
			}
			if !ok {
				return false
			}
		}
		return true
	}
}

// digits counts the digits of a number or an amount.
func digits(s string) int {
	n := 0
	for _, c := range s {
		if isDigit(c) {
			n++
		}
	}
	return n
}

// isNumber takes digits with at most one point between them.
func isNumber(s string) bool {
	whole, decimals, hasPoint := strings.Cut(s, ".")
	onlyDigits := all(isDigit)
	return whole != "" && onlyDigits(whole) && onlyDigits(decimals) && hasPoint == (decimals != "")
}

// isAmount takes one sign of a currency, a number and 元, the first and the last as they please. An amount without a sign is
// taken by the platform though its document asks for one.
func isAmount(s string) bool {
	if first, size := utf8.DecodeRuneInString(s); unicode.Is(unicode.Sc, first) {
		s = s[size:]
	}
	return isNumber(strings.TrimSuffix(s, "元"))
}

// isCarNumber takes letters and digits, and a Chinese character at either end.
func isCarNumber(s string) bool {
	runes := []rune(s)
	for i, c := range runes {
		atEnd := i == 0 || i == len(runes)-1
		if !isLetter(c) && !isDigit(c) && !(atEnd && isHan(c)) {
			return false
		}
	}
	return true
}
