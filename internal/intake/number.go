package intake

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxExactDigits is how many digits of a number Excel keeps. It writes zeros for the others.
const maxExactDigits = 15

// numberFormat says how a style shows a number, as far as it matters here.
type numberFormat struct {
	date bool
	// zeros is the width to which a number is filled with zeros, as the format "0000" does; 0 if it is not.
	zeros int
}

// newNumberFormat reads a format by its number: those below 164 are known, the others have a code in the file.
func newNumberFormat(id int, codes map[int]string) numberFormat {
	code, custom := codes[id]
	if !custom {
		isDate := (id >= 14 && id <= 22) || (id >= 27 && id <= 36) || (id >= 45 && id <= 47) || (id >= 50 && id <= 58)
		return numberFormat{date: isDate}
	}
	if strings.Trim(code, "0") == "" {
		return numberFormat{zeros: len(code)}
	}
	// Quoted and escaped text, colours and currencies are no parts of a date; [h] is time that goes on after 24 hours.
	bare := regexp.MustCompile(`"[^"]*"|\\.|_.|\*.|\[[^\]]*\]`).ReplaceAllStringFunc(strings.ToLower(code), func(part string) string {
		if part == "[h]" || part == "[hh]" || part == "[m]" || part == "[mm]" || part == "[s]" || part == "[ss]" {
			return part
		}
		return ""
	})
	return numberFormat{date: bare != "general" && strings.ContainsAny(bare, "ymdhs")}
}

// show is the text that a person sees in a cell of a type and style, and what is wrong with it as an id or at all.
// Dates are shown as 2026-12-01 or 2026-12-01 10:00:00, whatever the format; numbers in full, without an exponent.
func (w *workbook) show(raw, kind string, style int) (string, Code, error) {
	switch kind {
	case "s":
		number, err := strconv.Atoi(strings.TrimSpace(raw))
		if err != nil {
			return "", "", err
		}
		text, err := w.texts.get(number)
		return text, "", err
	case "b":
		return map[string]string{"1": "TRUE", "0": "FALSE"}[raw], "", nil
	case "e":
		return raw, CellError, nil
	case "", "n":
		var format numberFormat
		if style < len(w.formats) {
			format = w.formats[style]
		}
		text, problem := showNumber(strings.TrimSpace(raw), format, w.date1904)
		return text, problem, nil
	default: // str, inlineStr, d
		return raw, "", nil
	}
}

func showNumber(raw string, format numberFormat, date1904 bool) (string, Code) {
	n, err := strconv.ParseFloat(raw, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return raw, ""
	}
	if format.date {
		return showDate(n, date1904), ""
	}
	text := raw
	if !isDigits(raw) {
		// 15 digits, as Excel shows them: 0.30000000000000004 is 0.3.
		n, _ = strconv.ParseFloat(strconv.FormatFloat(n, 'g', maxExactDigits, 64), 64)
		text = strconv.FormatFloat(n, 'f', -1, 64)
	}
	if missing := format.zeros - len(text); missing > 0 && isDigits(text) {
		text = strings.Repeat("0", missing) + text
	}
	if isDigits(text) && len(strings.TrimLeft(text, "0")) > maxExactDigits {
		return text, DigitsLost
	}
	return text, ""
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// showDate converts days since the workbook's epoch. Excel counts a 29 February 1900 that was not: from 1 March 1900 on the
// epoch is 30 December 1899.
func showDate(days float64, date1904 bool) string {
	const maxDays = 2_958_466 // the year 10000
	if days < 0 || days >= maxDays {
		return strconv.FormatFloat(days, 'f', -1, 64)
	}
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	if date1904 {
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	whole, part := math.Modf(days)
	t := epoch.AddDate(0, 0, int(whole)).Add(time.Duration(math.Round(part*86400)) * time.Second)
	switch {
	case whole == 0 && part > 0:
		return t.Format(time.TimeOnly)
	case t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0:
		return t.Format(time.DateOnly)
	default:
		return t.Format(time.DateTime)
	}
}
