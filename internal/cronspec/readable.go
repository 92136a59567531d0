package cronspec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/robfig/cron/v3"
)

// field is one of the fields of a spec, as people speak of it.
type field struct {
	name, span string
	bit        cron.ParseOption
}

// fieldsOf are the fields of a spec of n.
func fieldsOf(n int) []field {
	all := []field{
		{"second", "0 to 59", cron.Second}, {"minute", "0 to 59", cron.Minute}, {"hour", "0 to 23", cron.Hour}, {"day", "1 to 31", cron.Dom},
		{"month", "1 to 12", cron.Month}, {"weekday", "0 (Sunday) to 6", cron.Dow},
	}
	return all[max(0, len(all)-n):]
}

var (
	beyond    = regexp.MustCompile(`\((\d+)\) (?:above maximum|below minimum)`)
	backwards = regexp.MustCompile(`beyond end of range`)
	step      = regexp.MustCompile(`^step of range`)
)

// readable says in the words of people what the parser said of a spec.
func readable(spec string, err error) error {
	if name, arg, _ := strings.Cut(spec, " "); strings.HasPrefix(spec, "@") {
		if name == "@every" {
			return fmt.Errorf("%q takes a length of time, for example @every 10s", strings.TrimSpace(name+" "+arg))
		}
		return fmt.Errorf("%q is not a descriptor: there are @hourly, @daily, @weekly, @monthly and @yearly", name)
	}
	texts := strings.Fields(spec)
	if len(texts) < 5 || len(texts) > 6 {
		return errors.New(err.Error()) // the number of fields
	}
	for i, f := range fieldsOf(len(texts)) {
		for part := range strings.SplitSeq(texts[i], ",") {
			if _, err := cron.NewParser(f.bit).Parse(part); err != nil && part != "" {
				return f.wrong(part, err.Error())
			}
		}
	}
	return err
}

// wrong says what is wrong with a part of a field.
func (f field) wrong(part, said string) error {
	if m := beyond.FindStringSubmatch(said); m != nil {
		return fmt.Errorf("the %s %s does not exist: %s", f.name, m[1], f.span)
	}
	switch {
	case backwards.MatchString(said):
		return fmt.Errorf("the %s range %q ends before it begins; write two, with a comma", f.name, part)
	case step.MatchString(said):
		return fmt.Errorf("the %s %q has a step of 0", f.name, part)
	}
	names := ""
	switch f.name {
	case "month":
		names = ", or a name such as jan"
	case "weekday":
		names = ", or a name such as mon"
	}
	return fmt.Errorf("the %s %q is not understood: write *, a number of %s%s, a range such as 1-5, a step such as */2, or several with commas", f.name, part, f.span, names)
}
