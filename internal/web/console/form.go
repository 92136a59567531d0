package console

import (
	"time"

	"minipush/internal/push"
)

// formTime is how a browser writes a time without a zone.
const formTime = "2006-01-02T15:04"

// parseMoment reads a time that a browser wrote, in a zone, to the minute: some browsers write the seconds.
func parseMoment(name, text string, zone *time.Location) (time.Time, error) {
	if len(text) == len(formTime+":00") {
		if _, err := time.Parse(formTime+":05", text); err == nil {
			text = text[:len(formTime)]
		}
	}
	at, err := time.ParseInLocation(formTime, text, zone)
	if err != nil {
		return at, &push.InvalidError{Field: name, Rule: "bad_time", Message: "must be a time"}
	}
	return at, nil
}

// field is one input of a form with everything around it: the dot of the partials field, choice and area.
type field struct {
	// Name is the name of the field in the form, and in an *push.InvalidError.
	Name string
	// Label, Hint and Unit are keys of the catalogue; Hint and Unit may be empty.
	Label, Hint, Unit string
	Value             string
	// Type is the type of the input: text, password, number, datetime-local, search…
	Type string
	// Max is how many characters are allowed, as a person counts them; 0 shows no counter.
	Max      int
	Required bool
	// Autocomplete is what the browser may fill in; empty is nothing.
	Autocomplete string
	// Options are those of a choice.
	Options []option
	// Rules are what is wrong with the value: "rule.<rule>" is shown at the field.
	Rules []string
}

// option is one value of a choice.
type option struct {
	Value string
	// Key is a key of the catalogue; where it is empty, Text is shown.
	Key, Text string
	Selected  bool
}

// Invalid says whether something is wrong with the field.
func (f field) Invalid() bool { return len(f.Rules) > 0 }

// DescribedBy names what a screen reader says beside the label.
func (f field) DescribedBy() string {
	ids := ""
	if f.Hint != "" {
		ids = f.Name + "-hint"
	}
	if f.Invalid() {
		ids += " " + f.Name + "-error"
	}
	return ids
}

// choose makes the options of a choice of texts of the catalogue "prefix<value>".
func choose(prefix, selected string, values ...string) []option {
	all := make([]option, len(values))
	for i, v := range values {
		all[i] = option{Value: v, Key: prefix + v, Selected: v == selected}
	}
	return all
}

// refuse puts what is wrong at its fields. It returns the error if it is none of a form, or of a field that the form does not have.
func refuse(err error, fields ...*field) error {
	wrong, ok := push.InvalidFields(err)
	if !ok {
		return err
	}
	for _, w := range wrong {
		at := -1
		for i, f := range fields {
			if f.Name == w.Field {
				at = i
			}
		}
		if at < 0 {
			return err
		}
		fields[at].Rules = append(fields[at].Rules, w.Rule)
	}
	return nil
}
