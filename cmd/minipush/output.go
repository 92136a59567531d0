package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// json says whether the answer is for a program.
func (c *cli) json() bool { return c.output == "json" }

// answer writes v as JSON, or calls people to write it for people.
func (c *cli) answer(v any, people func(w io.Writer)) error {
	if !c.json() {
		people(c.stdout)
		return nil
	}
	enc := json.NewEncoder(c.stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// say writes one line for people; a program gets only the answer.
func (c *cli) say(format string, args ...any) {
	if !c.json() {
		fmt.Fprintf(c.stdout, format+"\n", args...)
	}
}

// table writes rows under headers, aligned by the width that a terminal gives the text: a Chinese character is two wide.
func table(w io.Writer, headers []string, rows [][]string) {
	widths := make([]int, len(headers))
	for _, row := range append([][]string{headers}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	for _, row := range append([][]string{headers}, rows...) {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// pairs writes names and values in two columns.
func pairs(w io.Writer, rows [][2]string) {
	width := 0
	for _, row := range rows {
		width = max(width, uniseg.StringWidth(row[0]))
	}
	for _, row := range rows {
		fmt.Fprintln(w, strings.TrimRight(row[0]+strings.Repeat(" ", width-uniseg.StringWidth(row[0])+2)+row[1], " "))
	}
}

// clock prints times in the configured zone.
type clock struct{ loc *time.Location }

func (k clock) minute(t time.Time) string { return t.In(k.loc).Format("2006-01-02 15:04:05") }

func (k clock) maybe(t *time.Time) string {
	if t == nil {
		return "–"
	}
	return k.minute(*t)
}

// read understands what a person types: "2026-12-01 10:00", with seconds, or RFC 3339 with an offset.
func (k clock) read(flag, text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, k.loc); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usageError{fmt.Sprintf(`--%s is %q; write it as "2026-12-01 10:00" (%s) or as 2026-12-01T10:00:00+08:00`, flag, text, k.loc)}
	}
	return t, nil
}

// readBound reads a time that may be left out; off is none too.
func (k clock) readBound(flag, text string) (*time.Time, error) {
	if text == "" || text == off {
		return nil, nil //nolint:nilnil // nil is no bound
	}
	t, err := k.read(flag, text)
	return &t, err
}

// plural counts things: one of them, or many.
func plural(n int, one, many string) string {
	return fmt.Sprintf("%d %s", n, yesNo(n == 1, one, many))
}

func yesNo(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
