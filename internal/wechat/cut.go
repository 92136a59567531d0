package wechat

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const ellipsis = "…"

// CanCut says whether a value of kind may be cut and still tell the user something true. A text may; a number, an order
// number or a date may not.
func CanCut(kind Kind) bool { return kind == KindThing || kind == KindConst || kind == KindName }

// Cut shortens a value to what a field of kind may hold: its beginning and an ellipsis, e.g. 19 characters and "…" for a
// thing. What is short enough, or of a kind that [CanCut] does not name, comes back as it is. It cuts between what a person
// sees as characters wherever they are made of several.
func Cut(kind Kind, value string) string {
	if !CanCut(kind) || !utf8.ValidString(value) {
		return value
	}
	limit := kinds[kind].limitFor(kind, value)
	if units(value) <= limit {
		return value
	}
	end, used := 0, units(ellipsis)
	for i, c := range value {
		if used += unit(c); used > limit {
			end = i
			break
		}
	}
	for end > 0 && joined(value[:end], value[end:]) {
		_, size := utf8.DecodeLastRuneInString(value[:end])
		end -= size
	}
	return strings.TrimRight(value[:end], " ") + ellipsis
}

const zeroWidthJoiner = '\u200d'

// joined says whether a cut between before and after would part one character: a letter from its accent, an emoji from its
// colour, a family from its child, or the two halves of a flag.
func joined(before, after string) bool {
	last, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	switch {
	case last == zeroWidthJoiner, next == zeroWidthJoiner, unicode.Is(unicode.M, next), unicode.Is(unicode.Sk, next) && next > 0xFFFF:
		return true
	case isFlagHalf(last) && isFlagHalf(next):
		halves := 0
		for before != "" && isFlagHalf(last) {
			halves++
			_, size := utf8.DecodeLastRuneInString(before)
			before = before[:len(before)-size]
			last, _ = utf8.DecodeLastRuneInString(before)
		}
		return halves%2 == 1
	}
	return false
}

func isFlagHalf(c rune) bool { return unicode.Is(unicode.Regional_Indicator, c) }
