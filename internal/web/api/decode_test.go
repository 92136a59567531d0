package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

func TestDecode_NamesThePlaceOfWhatIsWrong(t *testing.T) {
	t.Parallel()
	type body struct {
		Name  string     `json:"name"`
		Count int        `json:"count"`
		At    *time.Time `json:"at"`
		Items []struct {
			Key string `json:"key"`
		} `json:"items"`
	}
	for name, tc := range map[string]struct {
		body, code   string
		line, column int
		field        string
	}{
		"Empty":           {body: "", code: "empty_body", line: 1, column: 1},
		"Blank":           {body: " \n", code: "empty_body", line: 2, column: 1},
		"Broken":          {body: "{\n  \"name\": nope}", code: "bad_json", line: 2, column: 12},
		"CutOff":          {body: `{"name":"a"`, code: "bad_json", line: 1, column: 12},
		"TrailingData":    {body: "{}\n  {}", code: "trailing_data", line: 2, column: 3},
		"TrailingGarbage": {body: "{} x", code: "trailing_data", line: 1, column: 4},
		"UnknownField":    {body: "{\"name\":\"naem\",\n \"naem\":1}", code: "unknown_field", line: 2, column: 2, field: "naem"},
		"UnknownInItem":   {body: `{"items":[{"key":"a"},{"kee":"b"}]}`, code: "unknown_field", line: 1, column: 24, field: "kee"},
		"WrongType":       {body: `{"count":"12"}`, code: "wrong_type", line: 1, column: 14, field: "count"},
		"WrongTypeDeep":   {body: `{"items":[{"key":1}]}`, code: "wrong_type", line: 1, column: 19, field: "items.key"},
		"NotAnObject":     {body: `[1]`, code: "wrong_type", line: 1, column: 2},
		"BadTime":         {body: `{"at":"tomorrow"}`, code: "bad_time", line: 1, column: 8},
		"NotUTF8":         {body: "{\"name\":\"中\xff\"}", code: "not_utf8", line: 1, column: 11},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *Problem
			require.ErrorAs(t, decode([]byte(tc.body), &body{}), &p)
			require.Equal(t, http.StatusBadRequest, p.Status)
			require.Equal(t, tc.code, p.Code, p.Detail)
			require.Equal(t, [2]int{tc.line, tc.column}, [2]int{p.Line, p.Column}, p.Detail)
			if tc.field != "" {
				require.Equal(t, tc.field, p.Errors[0].Field)
			}
		})
	}
}

func TestDecode_ReadsWhatIsRight(t *testing.T) {
	t.Parallel()
	var spec push.TaskSpec
	require.NoError(t, decode([]byte(" {\"topic\":\"双十一\",\"not_after\":null} \n"), &spec))
	require.Equal(t, "双十一", spec.Topic)
}

func TestDecode_ARuleOfATypeIsNotMalformed(t *testing.T) {
	t.Parallel()
	err := decode([]byte(`{"price":"2.505"}`), &productBody{})
	p := problemOf(err)
	require.Equal(t, http.StatusUnprocessableEntity, p.Status)
	require.Equal(t, []FieldError{{Field: "price", Rule: "not_a_price", Message: p.Errors[0].Message}}, p.Errors)
}

func TestDecodeItem_SaysWhatIsWrongWithTheItem(t *testing.T) {
	t.Parallel()
	var item struct {
		UserID string `json:"user_id"`
	}
	for text, want := range map[string]string{
		`42`:                      "must be an object",
		`null`:                    "must be an object",
		`{"user_id":42}`:          "user_id must be a string, not number",
		`{"userid":"42"}`:         "userid is not known",
		`{"user_id":"1"}`:         "",
		`{"user_id":"1","x":nil}`: "cannot be read: bad_json",
	} {
		err := decodeItem(json.RawMessage(text), &item)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"topic":1}`, `{"a":[{"b":"c"}]}`, "{\"\xff", `{"app":"a"} x`, `]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := decode(body, &push.TaskSpec{})
		if err == nil {
			return
		}
		var invalid *push.InvalidError
		if errors.As(err, &invalid) {
			return
		}
		var p *Problem
		require.ErrorAs(t, err, &p)
		require.Positive(t, p.Line)
		require.Positive(t, p.Column)
	})
}
