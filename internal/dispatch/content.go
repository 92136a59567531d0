package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat"
)

// content writes the messages of one task: the template as frozen, with everything filled in that is the same for all.
type content struct {
	templateID string
	bound      push.Compiled
	columns    []string
	// personal says that a message holds data of its recipient, in a field or in its page; personalData in a field.
	personal, personalData bool
	// data are the fields of a task without personal ones, made once.
	data []wechat.Field
	// fields are those of the template.
	fields []push.Field
	// channel is how the messages are sent.
	channel provider.Channel
}

// loadContent reads and compiles the content of a task.
func loadContent(ctx context.Context, st *store.Store, taskID int64) (*content, error) {
	stored, err := st.Content(ctx, taskID)
	if err != nil {
		return nil, err
	}
	compiled, err := stored.Template.Compile()
	if err != nil {
		return nil, fmt.Errorf("compile template of task %d: %w", taskID, err)
	}
	c := newContent(stored, compiled)
	if !c.personalData {
		c.data, err = c.values("", nil)
	}
	return c, err
}

func newContent(stored store.Content, compiled push.Compiled) *content {
	bound := compiled.Bind(&stored.Task)
	ofField := func(f push.CompiledField) bool { return f.Value.Uses("recipient.") }
	return &content{
		templateID: stored.Template.TemplateID, bound: bound, columns: stored.Columns,
		personal: bound.Uses("recipient."), personalData: slices.ContainsFunc(bound.Fields, ofField),
		fields: stored.Template.Fields, channel: provider.For(stored.Template.Channel),
	}
}

// unsayable says that the content of a task is at fault, and not the database that it is read from.
func unsayable(err error) bool {
	_, field := errors.AsType[*wechat.FieldError](err)
	_, invalid := errors.AsType[*push.InvalidError](err)
	return field || invalid
}

// message renders the message of one claimed recipient.
func (c *content) message(r *store.Claimed) (provider.Message, error) {
	m := provider.Message{OpenID: r.OpenID, TemplateID: c.templateID, Permit: r.FormID, Data: c.data}
	var vars []string
	if c.personal {
		if r.Vars != nil {
			if err := json.Unmarshal(r.Vars, &vars); err != nil {
				return m, fmt.Errorf("read columns of recipient %d: %w", r.Seq, err)
			}
		}
	}
	if c.personalData {
		var err error
		if m.Data, err = c.values(r.UserID, vars); err != nil {
			return m, fmt.Errorf("recipient %d: %w", r.Seq, err)
		}
	}
	m.Page = c.bound.Page.Render(r.UserID, c.column(vars))
	return m, nil
}

// blames says whether a complaint about what a message says may be about its recipient's own data: about the field that it names, where it
// names one. The page does not come into it: of a page the platform complains in other words.
func (c *content) blames(r wechat.Result) bool {
	if r.Code == 0 {
		return c.personal // it is ours: the message could not be made
	}
	if i := slices.IndexFunc(c.bound.Fields, func(f push.CompiledField) bool { return f.Key == wechat.FieldOf(r.Msg) }); r.Class == wechat.ClassField && i >= 0 {
		return c.bound.Fields[i].Value.Uses("recipient.")
	}
	return c.personalData
}

// values renders the fields. An error says that the platform would not take one of them.
func (c *content) values(userID string, vars []string) ([]wechat.Field, error) {
	data := make([]wechat.Field, len(c.bound.Fields))
	column := c.column(vars)
	for i, f := range c.bound.Fields {
		value, err := c.channel.Value(c.fields[i], f.Value.Render(userID, column))
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Key, err)
		}
		data[i] = wechat.Field{Key: f.Key, Value: value, Color: f.Color}
	}
	return data, nil
}

func (c *content) column(vars []string) func(string) string {
	return func(name string) string {
		if i := slices.Index(c.columns, name); i >= 0 && i < len(vars) {
			return vars[i]
		}
		return ""
	}
}
