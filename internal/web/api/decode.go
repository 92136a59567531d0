package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"minipush/internal/push"
)

// maxBody bounds a JSON body: a batch of 10,000 formIds of full length is about 3 MB.
const maxBody = 8 << 20

// readBody reads a whole JSON body. A longer one than maxBody is an *http.MaxBytesError.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, err
	case err != nil:
		return nil, unreadable()
	}
	return body, nil
}

// unreadable says that the client broke off, or was too slow.
func unreadable() error {
	return problem(http.StatusBadRequest, "unreadable_body", "the body could not be read to its end")
}

// decode reads one JSON value into v: no field that v does not have, nothing after the value, valid UTF-8. What is wrong is a
// 400 that names the place; a value that is read but breaks a rule of its type is an *push.InvalidError.
func decode(body []byte, v any) error {
	if !utf8.Valid(body) {
		return at(body, firstInvalid(body), "not_utf8", "is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return malformed(body, err)
	}
	end := dec.InputOffset()
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		end += int64(len(body[end:]) - len(bytes.TrimLeft(body[end:], " \t\r\n")))
		return at(body, end, "trailing_data", "has something after the JSON value")
	}
	return nil
}

// malformed turns an error of encoding/json into a Problem.
func malformed(body []byte, err error) error {
	var (
		syntax  *json.SyntaxError
		kind    *json.UnmarshalTypeError
		clock   *time.ParseError
		invalid *push.InvalidError
	)
	switch {
	case errors.As(err, &invalid):
		return err
	case errors.Is(err, io.EOF):
		return at(body, int64(len(body)), "empty_body", "is empty; a JSON object is expected")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return at(body, int64(len(body)), "bad_json", "ends in the middle of the JSON value")
	case errors.As(err, &syntax):
		return at(body, syntax.Offset-1, "bad_json", strings.TrimPrefix(syntax.Error(), "json: "))
	case errors.As(err, &kind):
		p := at(body, kind.Offset, "wrong_type", fmt.Sprintf("has a %s where %s is expected", kind.Value, jsonKind(kind)))
		p.Errors = []FieldError{{Field: kind.Field, Rule: "wrong_type", Message: "must be " + jsonKind(kind) + ", not " + kind.Value}}
		return p
	case errors.As(err, &clock):
		return at(body, int64(max(0, bytes.Index(body, []byte(clock.Value)))), "bad_time", `has a time that is not RFC 3339 with an offset, as in "2026-12-01T10:00:00+08:00"`)
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		name = strings.Trim(name, `"`)
		p := at(body, keyOffset(body, name), "unknown_field", fmt.Sprintf("has a field %q that is not known", name))
		p.Errors = []FieldError{{Field: name, Rule: "unknown_field", Message: "is not known"}}
		return p
	}
	return at(body, 0, "bad_json", strings.TrimPrefix(err.Error(), "json: "))
}

// jsonKind names what a Go type is in JSON.
func jsonKind(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"), strings.HasPrefix(kind, "float"):
		return "a number of type " + kind
	case kind == "string", e.Type.PkgPath() != "" && kind != "struct":
		return "a string"
	case kind == "bool":
		return "true or false"
	case kind == "slice":
		return "an array"
	}
	return "an object"
}

// at makes a 400 that names the place of an offset in body.
func at(body []byte, offset int64, code, what string) *Problem {
	before := body[:min(max(offset, 0), int64(len(body)))]
	p := problem(http.StatusBadRequest, code, "")
	p.Line = 1 + bytes.Count(before, []byte("\n"))
	p.Column = 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	p.Detail = fmt.Sprintf("the body %s (line %d, column %d)", what, p.Line, p.Column)
	return p
}

func firstInvalid(body []byte) int64 {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			return int64(i)
		}
		i += size
	}
	return 0
}

// keyOffset finds where an object has a field of that name; 0 if nowhere.
func keyOffset(body []byte, name string) int64 {
	dec := json.NewDecoder(bytes.NewReader(body))
	type level struct{ object, value bool }
	var open []level
	for {
		token, err := dec.Token()
		if err != nil {
			return 0
		}
		top := len(open) - 1
		isKey := top >= 0 && open[top].object && !open[top].value
		if text, ok := token.(string); ok && isKey && text == name {
			return dec.InputOffset() - int64(len(name)) - 2
		}
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{', '[':
				open = append(open, level{object: delim == '{'})
				continue
			case '}', ']':
				open = open[:top]
				top--
			}
			isKey = false
		}
		if top >= 0 {
			open[top].value = isKey
		}
	}
}
