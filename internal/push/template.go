package push

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Channel is a way of sending: what a permit is, and which call of the platform carries the message.
type Channel string

// The channels.
const (
	ChannelFormID    Channel = "form_id"
	ChannelSubscribe Channel = "subscribe"
)

// Template is a template of the platform as minipush fills it.
type Template struct {
	App        string  `json:"app"`
	TemplateID string  `json:"template_id"`
	Channel    Channel `json:"channel"`
	Name       string  `json:"name"`
	Page       string  `json:"page"`
	Fields     []Field `json:"fields"`
	// LongTerm, on the subscribe channel: one acceptance is for good, so that messages are not counted.
	LongTerm bool `json:"long_term"`
	// SyncedAt is when it was last found in the app's account at the platform; nil: never looked for. GoneAt is since when it is missing
	// there; nil: it is not.
	SyncedAt  *time.Time `json:"synced_at"`
	GoneAt    *time.Time `json:"gone_at"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

// Field is one field of a template. Value is an [Expr].
type Field struct {
	Key   string `json:"key"`
	Label string `json:"label"`
	Value string `json:"value"`
	Color string `json:"color,omitempty"`
	// TooLong says what to do with a value that the platform would find too long: refuse it (empty), or "cut" it with an ellipsis.
	TooLong string `json:"too_long,omitempty"`
	// Enum lists the values that the platform takes for the field; empty where it names none. Nil, when a template is written, keeps what
	// the account said.
	Enum []string `json:"enum,omitempty"`
}

// TooLongCut cuts a value that is too long.
const TooLongCut = "cut"

// The limits of a template. A page longer than MaxPage is refused by the platform.
const (
	MaxTemplateID   = 64
	MaxTemplateName = 64
	MaxFields       = 20
	MaxExpr         = 512
	MaxPage         = 1024
	MaxEnum         = 200
	MaxEnumValue    = 64
)

// Validate checks every field and returns all that is wrong, joined.
func (t *Template) Validate() error {
	var errs []error
	errs = append(errs, RequireText("template_id", t.TemplateID, MaxTemplateID), RequireText("name", t.Name, MaxTemplateName),
		CheckText("page", t.Page, MaxPage))
	if t.Channel != ChannelFormID && t.Channel != ChannelSubscribe {
		errs = append(errs, &InvalidError{Field: "channel", Rule: "unknown_channel", Message: `must be "form_id" or "subscribe"`})
	}
	if t.LongTerm && t.Channel != ChannelSubscribe {
		errs = append(errs, &InvalidError{Field: "long_term", Rule: "not_for_channel", Message: `is of channel "subscribe" only`})
	}
	if len(t.Fields) == 0 || len(t.Fields) > MaxFields {
		errs = append(errs, fieldCount())
	}
	var keys []string
	for i, f := range t.Fields {
		at := fmt.Sprintf("fields[%d].", i)
		if slices.Contains(keys, f.Key) {
			errs = append(errs, duplicateKey(at, f.Key))
		}
		keys = append(keys, f.Key)
		errs = append(errs, f.validate(at), RequireText(at+"value", f.Value, MaxExpr))
	}
	_, err := t.Compile()
	return errors.Join(append(errs, err)...)
}

func duplicateKey(at, key string) error {
	return &InvalidError{Field: at + "key", Rule: "duplicate_key", Message: fmt.Sprintf("%q stands twice", key)}
}

func fieldCount() error {
	return &InvalidError{Field: "fields", Rule: "field_count", Message: fmt.Sprintf("must have 1 to %d entries", MaxFields)}
}

var (
	fieldKey   = regexp.MustCompile(`^[a-z_]+[0-9]+$`)
	fieldColor = regexp.MustCompile(`^(#[0-9A-Fa-f]{6})?$`)
)

// validate checks all of a field but its value. at is its path, with a dot at the end.
func (f *Field) validate(at string) error {
	errs := []error{CheckText(at+"label", f.Label, MaxTemplateName)}
	if !fieldKey.MatchString(f.Key) {
		errs = append(errs, &InvalidError{Field: at + "key", Rule: "bad_key", Message: `must be a kind and a number, for example "keyword1"`})
	}
	if !fieldColor.MatchString(f.Color) {
		errs = append(errs, &InvalidError{Field: at + "color", Rule: "bad_color", Message: `must be empty or of the form "#EE0000"`})
	}
	if f.TooLong != "" && f.TooLong != TooLongCut {
		errs = append(errs, &InvalidError{Field: at + "too_long", Rule: "unknown_policy", Message: `must be left out (refuse) or "cut"`})
	}
	if len(f.Enum) > MaxEnum {
		errs = append(errs, &InvalidError{Field: at + "enum", Rule: "too_many", Message: fmt.Sprintf("must have at most %d values", MaxEnum)})
	}
	for i, value := range f.Enum {
		errs = append(errs, RequireText(fmt.Sprintf("%senum[%d]", at, i), value, MaxEnumValue))
	}
	return errors.Join(errs...)
}

// Compiled is a template whose expressions have been read.
type Compiled struct {
	Page   Expr
	Fields []CompiledField
}

// CompiledField is one field of a compiled template.
type CompiledField struct {
	Key, Color string
	Value      Expr
}

// Compile reads the expressions of page and fields.
func (t *Template) Compile() (Compiled, error) {
	page, err := ParseExpr("page", t.Page)
	errs := []error{err}
	c := Compiled{Page: page, Fields: make([]CompiledField, 0, len(t.Fields))}
	for i, f := range t.Fields {
		value, err := ParseExpr(fmt.Sprintf("fields[%d].value", i), f.Value)
		errs = append(errs, err)
		c.Fields = append(c.Fields, CompiledField{Key: f.Key, Color: f.Color, Value: value})
	}
	return c, errors.Join(errs...)
}

// Uses says whether page or a field names something that starts with prefix.
func (c Compiled) Uses(prefix string) bool {
	return c.Page.Uses(prefix) || slices.ContainsFunc(c.Fields, func(f CompiledField) bool { return f.Value.Uses(prefix) })
}

// Columns lists the columns of the upload that are needed, each once, in the order in which they are first named.
func (c Compiled) Columns() []string {
	columns := c.Page.Columns()
	for _, f := range c.Fields {
		columns = append(columns, f.Value.Columns()...)
	}
	var once []string
	for _, name := range columns {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}

// Bind resolves what is the same for every recipient of t.
func (c Compiled) Bind(t *Task) Compiled {
	names := map[string]string{"topic": t.Topic, "caption": t.Caption, "tips": t.Tips, "task.id": strconv.FormatInt(t.ID, 10)}
	if p := t.Product; p != nil {
		names["product.code"], names["product.title"], names["product.price"] = p.Code, p.Title, p.Price.String()
	}
	bound := Compiled{Page: c.Page.Bind(names), Fields: make([]CompiledField, len(c.Fields))}
	for i, f := range c.Fields {
		bound.Fields[i] = CompiledField{Key: f.Key, Color: f.Color, Value: f.Value.Bind(names)}
	}
	return bound
}
