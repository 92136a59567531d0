package push

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// The limits of the original's form, in characters.
const (
	MaxTopic   = 10
	MaxCaption = 30
	MaxTips    = 30
)

// Length counts the characters of s as a person counts them: a letter with its accents, or an emoji with its modifiers, is one.
func Length(s string) int { return uniseg.GraphemeClusterCount(s) }

// CheckText checks one line of text: valid UTF-8, no control characters, at most limit characters. Empty is allowed.
func CheckText(field, s string, limit int) error {
	if !utf8.ValidString(s) {
		return &InvalidError{Field: field, Rule: "not_utf8", Message: "is not valid UTF-8"}
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return &InvalidError{Field: field, Rule: "control_character", Message: "contains a line break or another control character"}
	}
	if n := Length(s); n > limit {
		return &InvalidError{Field: field, Rule: "too_long", Message: fmt.Sprintf("has %d characters; at most %d are allowed", n, limit)}
	}
	return nil
}

// RequireText is CheckText for a field that must not be blank.
func RequireText(field, s string, limit int) error {
	if strings.TrimSpace(s) == "" {
		return &InvalidError{Field: field, Rule: "required", Message: "must not be empty"}
	}
	return CheckText(field, s, limit)
}
