package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	// OpTemplates is the Op of errors of [Client.Templates], where they are not of the token that it needs.
	OpTemplates   = "get_template"
	templatesPath = "/wxaapi/newtmpl/gettemplate"

	maxTemplatesBytes = 2 << 20 // an account has some dozens of templates, each of a few hundred characters
)

// Template is one subscribe template that the app has chosen.
type Template struct {
	ID      string
	Title   string
	Type    TemplateType
	Fields  []TemplateField // in the order of the card
	Content string          // what Fields was read from, e.g. "会议时间:{{date2.DATA}}\n"
	Example string          // the card filled in, one line a field
}

// TemplateType says what one consent of a user is good for.
type TemplateType int

// The types.
const (
	TemplateOneTime  TemplateType = 2 // one message
	TemplateLongTerm TemplateType = 3 // any number, until the user turns them off
)

// TemplateField is one keyword of a template.
type TemplateField struct {
	Key     string // e.g. "thing1"
	Label   string // what the card shows before the value
	Kind    Kind   // from the key; perhaps one that this package does not know
	Example string // empty where the template's example cannot be matched with its fields
	Enum    []string
}

// Templates asks for the subscribe templates that the app has (newtmpl/gettemplate). The platform counts the call against
// a small daily quota: keep the answer. A token that it refuses is invalidated once and the call made once more. The error
// is an *APIError where the platform refused.
func (c *Client) Templates(ctx context.Context) ([]Template, error) {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return nil, callError(OpTemplates, err)
	}
	list, err := c.templatesOnce(ctx, token)
	if err == nil || !isTokenError(err) {
		return list, err
	}
	if err := c.tokens.Invalidate(ctx, token); err != nil {
		return nil, callError(OpTemplates, fmt.Errorf("invalidate token: %w", err))
	}
	if token, err = c.tokens.Token(ctx); err != nil {
		return nil, callError(OpTemplates, err)
	}
	return c.templatesOnce(ctx, token)
}

func (c *Client) templatesOnce(ctx context.Context, token string) ([]Template, error) {
	x := c.begin()
	defer x.leave()
	x.maxReply = maxTemplatesBytes
	req := c.endpoint(templatesPath, tokenQuery(token))
	req.Method = http.MethodGet
	if _, err := c.roundTrip(ctx, req, x); err != nil {
		return nil, callError(OpTemplates, err, token, c.secret)
	}
	var v templatesReply
	if err := json.Unmarshal(x.reply, &v); err != nil {
		return nil, callError(OpTemplates, errNotJSON)
	}
	switch {
	case v.ErrCode == nil:
		return nil, callError(OpTemplates, errNoErrCode)
	case *v.ErrCode != codeOK:
		msg, rid := splitMsg(redacted(v.ErrMsg, token, c.secret))
		return nil, &APIError{Op: OpTemplates, Code: int(*v.ErrCode), Msg: msg, RID: rid}
	}
	list := make([]Template, 0, len(v.Data))
	for i := range v.Data {
		list = append(list, v.Data[i].template())
	}
	return list, nil
}

type templatesReply struct {
	ErrCode *looseInt       `json:"errcode"`
	ErrMsg  string          `json:"errmsg"`
	Data    []templateReply `json:"data"`
}

type templateReply struct {
	ID      string   `json:"priTmplId"` //nolint:tagliatelle // the platform's name
	Title   string   `json:"title"`
	Content string   `json:"content"`
	Example string   `json:"example"`
	Type    looseInt `json:"type"`
	Enums   []struct {
		Key    string   `json:"keywordCode"`   //nolint:tagliatelle // the platform's name
		Values []string `json:"enumValueList"` //nolint:tagliatelle // the platform's name
	} `json:"keywordEnumValueList"` //nolint:tagliatelle // the platform's name
}

func (r *templateReply) template() Template {
	t := Template{ID: r.ID, Title: r.Title, Type: TemplateType(r.Type), Content: r.Content, Example: r.Example}
	t.Fields = fieldsOf(r.Content)
	for _, e := range r.Enums {
		key := strings.TrimSuffix(e.Key, ".DATA")
		if i := slices.IndexFunc(t.Fields, func(f TemplateField) bool { return f.Key == key }); i >= 0 {
			t.Fields[i].Enum = e.Values
		}
	}
	fillExamples(t.Fields, r.Example)
	return t
}

// fieldsOf reads the fields of a template's content: "会议时间:{{date2.DATA}}\n" a line, or label and field on two lines.
func fieldsOf(content string) []TemplateField {
	fields := []TemplateField{}
	for {
		before, rest, ok := strings.Cut(content, "{{")
		if !ok {
			return fields
		}
		name, after, ok := strings.Cut(rest, "}}")
		if !ok {
			return fields
		}
		content = after
		key := strings.TrimSuffix(strings.TrimSpace(name), ".DATA")
		if key == "" || strings.ContainsAny(key, " \n{") {
			continue
		}
		kind, _ := KindOf(key)
		fields = append(fields, TemplateField{Key: key, Label: labelOf(before), Kind: kind})
	}
}

// labelOf is the last line with a text on it, without its colon.
func labelOf(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return strings.TrimSpace(strings.TrimRight(text, ":： "))
}

// fillExamples gives each field the value of the line of the example that begins with its label.
func fillExamples(fields []TemplateField, example string) {
	lines := strings.Split(example, "\n")
	for i := range fields {
		f := &fields[i]
		for n, line := range lines {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), f.Label)
			if f.Label == "" || !ok {
				continue
			}
			value := strings.TrimLeft(rest, ":： ")
			if value == rest && rest != "" {
				continue // the label of another field begins alike
			}
			f.Example = strings.TrimSpace(value)
			if rest == "" && n+1 < len(lines) { // label and value on lines of their own
				f.Example = strings.TrimSpace(lines[n+1])
			}
			break
		}
	}
}

// isTokenError says whether the platform refused the access token of a call.
func isTokenError(err error) bool {
	apiErr, ok := errors.AsType[*APIError](err)
	return ok && Classify(ChannelSubscribe, apiErr.Code) == ClassToken
}

// looseInt reads an integer that the platform writes as a number or as a string.
type looseInt int64

// UnmarshalJSON reads 2, "2" and null, which is 0.
func (n *looseInt) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "" {
		*n = 0
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	*n = looseInt(v)
	return err
}
