package wechat

import (
	"strconv"
	"strings"
	"time"
)

// isRange takes one moment, or two joined by ~. Which comes first is not looked at, as the document does not ask for it.
func isRange(s string, isMoment func(string) bool) bool {
	from, to, isTwo := strings.Cut(s, "~")
	return isMoment(from) && (!isTwo || isMoment(to))
}

// isTime takes a time of day, or a day, a space and a time of day.
func isTime(s string) bool {
	day, clock, hasDay := strings.Cut(s, " ")
	if !hasDay {
		return isClock(s)
	}
	return isDay(day) && isClock(clock)
}

// isDate takes a day, a month of a year, or a day, a space and a time of day.
func isDate(s string) bool {
	day, clock, hasClock := strings.Cut(s, " ")
	if hasClock {
		return isDay(day) && isClock(clock)
	}
	return isDay(s) || isMonth(s)
}

// isClock takes HH:MM and HH:MM:SS of 24 hours.
func isClock(s string) bool {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return false
	}
	for i, p := range parts {
		limit := 59
		if i == 0 {
			limit = 23
		}
		if n, ok := number(p, 2, 2); !ok || n > limit {
			return false
		}
	}
	return true
}

// isDay takes a day with or without its year: 2019年10月1日, 10月1日, 2019-10-01, 10-01, and the same with / or a point.
func isDay(s string) bool {
	parts := dateParts(s, "日")
	switch len(parts) {
	case 3:
		year, ok := number(parts[0], 4, 4)
		return ok && inCalendar(year, parts[1], parts[2])
	case 2:
		return inCalendar(2000, parts[0], parts[1]) // a leap year: the year is not known
	}
	return false
}

// isMonth takes a month of a year: 2019年10月, 2019-10.
func isMonth(s string) bool {
	parts := dateParts(s, "月")
	if len(parts) != 2 {
		return false
	}
	year, ok := number(parts[0], 4, 4)
	return ok && inCalendar(year, parts[1], "1")
}

// dateParts are the numbers of a date, in order. last is the character that a date written in Chinese must end with. It is nil
// where s is no date.
func dateParts(s, last string) []string {
	if body, ok := strings.CutSuffix(s, last); ok {
		if last == "月" {
			return strings.Split(body, "年")
		}
		month, day, ok := strings.Cut(body, "月")
		if !ok {
			return nil
		}
		return append(strings.Split(month, "年"), day)
	}
	for _, sep := range []string{"-", "/", "."} {
		if parts := strings.Split(s, sep); len(parts) > 1 {
			return parts
		}
	}
	return nil
}

func inCalendar(year int, month, day string) bool {
	m, okMonth := number(month, 1, 2)
	d, okDay := number(day, 1, 2)
	if !okMonth || !okDay {
		return false
	}
	t := time.Date(year, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return int(t.Month()) == m && t.Day() == d
}

// number reads shortest to longest digits, and nothing else.
func number(s string, shortest, longest int) (int, bool) {
	if len(s) < shortest || len(s) > longest {
		return 0, false
	}
	for _, c := range s {
		if !isDigit(c) {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
