package api

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"minipush/internal/push"
)

// The page of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// params are the query parameters of a call. Each reader notes what is wrong; err returns all of it.
type params struct {
	values url.Values
	wrong  []error
}

// readParams reads the query of a request. A parameter that is not allowed or stands twice is a 400.
func readParams(r *http.Request, allowed []string) (*params, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "bad_query", "the query string is not well formed")
	}
	for name, all := range values {
		if !slices.Contains(allowed, name) {
			return nil, problem(http.StatusBadRequest, "unknown_parameter", "there is no parameter %q here; known are: %s", name, strings.Join(allowed, ", "))
		}
		if len(all) > 1 {
			return nil, problem(http.StatusBadRequest, "repeated_parameter", "the parameter %q stands twice", name)
		}
		if err := checkParameter(name, all[0]); err != nil {
			return nil, err
		}
	}
	return &params{values: values}, nil
}

// storable says whether a text of the database can hold s.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// checkParameter refuses what a text of the database cannot hold.
func checkParameter(name, value string) error {
	if storable(value) {
		return nil
	}
	p := problem(http.StatusBadRequest, "bad_text", "the parameter %q holds a NUL or is not UTF-8", name)
	p.Errors = []FieldError{{Field: name, Rule: "bad_text", Message: "holds a NUL or is not UTF-8"}}
	return p
}

// checkPath is checkParameter for each part of the path that the pattern names.
func checkPath(r *http.Request) error {
	for part := range strings.SplitSeq(r.Pattern, "/") {
		if name, found := strings.CutPrefix(part, "{"); found {
			name = strings.TrimSuffix(name, "}")
			if err := checkParameter(name, r.PathValue(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *params) text(name string) string { return p.values.Get(name) }

func (p *params) given(name string) bool { return p.values.Get(name) != "" }

func (p *params) reject(name, rule, message string) {
	p.wrong = append(p.wrong, &push.InvalidError{Field: name, Rule: rule, Message: message})
}

// number reads a whole number of at least lowest; def if it is not given.
func (p *params) number(name string, def, lowest, highest int64) int64 {
	if !p.given(name) {
		return def
	}
	n, err := strconv.ParseInt(p.text(name), 10, 64)
	if err != nil || n < lowest || n > highest {
		p.reject(name, "out_of_range", "must be a whole number from "+strconv.FormatInt(lowest, 10)+" to "+strconv.FormatInt(highest, 10))
		return def
	}
	return n
}

// moment reads a time; nil if it is not given.
func (p *params) moment(name string) *time.Time {
	if !p.given(name) {
		return nil
	}
	// A plus sign in a query is a blank; people forget to escape the one of the offset.
	t, err := time.Parse(time.RFC3339, strings.Replace(p.text(name), " ", "+", 1))
	if err != nil {
		p.reject(name, "bad_time", `must be RFC 3339 with an offset, as in "2026-12-01T10:00:00+08:00"`)
		return nil
	}
	return &t
}

func (p *params) err() error { return errors.Join(p.wrong...) }

// limit is how many rows a page may have.
func (p *params) limit() int { return int(p.number("limit", defaultLimit, 1, maxLimit)) }

// after is the key of the last row of the page before; empty for the first page. A cursor belongs to one list.
func (p *params) after(list string) string {
	if !p.given("cursor") {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.text("cursor"))
	key, ours := strings.CutPrefix(string(raw), list+":")
	if err != nil || !ours || key == "" || !storable(key) {
		p.reject("cursor", "bad_cursor", "must be a next_cursor of this list")
		return ""
	}
	return key
}

// afterNumber is after for keys that are numbers up to highest; def for the first page.
func (p *params) afterNumber(list string, def, highest int64) int64 {
	key := p.after(list)
	if key == "" {
		return def
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil || n < 0 || n > highest {
		p.reject("cursor", "bad_cursor", "must be a next_cursor of this list")
		return def
	}
	return n
}

// cut takes the page out of rows, of which one more than limit was asked for, and makes the cursor of the next page; nil at the end.
func cut[Row any](rows []Row, limit int, list string, key func(Row) string) ([]Row, *string) {
	if len(rows) <= limit {
		return append([]Row{}, rows...), nil
	}
	rows = rows[:limit]
	next := base64.RawURLEncoding.EncodeToString([]byte(list + ":" + key(rows[limit-1])))
	return rows, &next
}
