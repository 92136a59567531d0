package config

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that does not print: not by fmt, slog, JSON or YAML.
type Secret string

// Reveal is the text itself. Call it where the secret is used, and nowhere else.
func (s Secret) Reveal() string { return string(s) }

// String is "[redacted]", or nothing where there is no secret: whether one is set may be seen.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format covers the verbs that String does not: a wrong one, such as %d, would print the text in its complaint.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || f.Flag('#') {
		_, _ = fmt.Fprintf(f, "%q", s.String())
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// LogValue is what a log shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON and other encoders write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
