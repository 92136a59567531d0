package main

import "fmt"

// figure is one measured value, with its bar where it has one.
type figure struct {
	Name   string   `json:"name"`
	Value  float64  `json:"value"`
	Bar    *float64 `json:"bar,omitempty"`
	Sense  string   `json:"sense,omitempty"` // "at least" or "at most"
	OK     *bool    `json:"ok,omitempty"`
	format string
}

func plain(name string, value float64, format string) figure {
	return figure{Name: name, Value: value, format: format}
}

func atLeast(name string, value, bar float64, format string) figure {
	ok := value >= bar
	return figure{Name: name, Value: value, Bar: &bar, Sense: "at least", OK: &ok, format: format}
}

func atMost(name string, value, bar float64, format string) figure {
	ok := value <= bar
	return figure{Name: name, Value: value, Bar: &bar, Sense: "at most", OK: &ok, format: format}
}

// String is a line of the report: "name   value   (at most bar) ok".
func (f figure) String() string {
	line := fmt.Sprintf("  %-42s %10s", f.Name, fmt.Sprintf(f.format, f.Value))
	if f.Bar == nil {
		return line
	}
	verdict := "ok"
	if !*f.OK {
		verdict = "MISSED"
	}
	sign := "≥"
	if f.Sense == "at most" {
		sign = "≤"
	}
	return fmt.Sprintf("%s   %s %-7g %s", line, sign, *f.Bar, verdict)
}
