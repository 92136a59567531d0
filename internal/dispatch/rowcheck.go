package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"minipush/internal/intake"
	"minipush/internal/provider"
	"minipush/internal/push"
	"minipush/internal/store"
)

// rowCheck holds the fields of a task's template that differ from row to row against their kinds, while a list is read: what the platform
// would refuse is refused here, with its line. A template or text that is changed later is not held against the list again: what then does
// not fit fails by itself at its turn, without a call (field_invalid).
type rowCheck struct {
	channel provider.Channel
	fields  []push.Field
	values  []push.Expr
	columns map[string]int
	// byUser: a field names the user id, which the row of a list of openids does not have yet.
	byUser bool
	vars   []string
	column func(string) string
}

// newRowCheck is nil where no field needs a look: then a row costs nothing. A field with a column that the list does not have is left
// out: the send is refused for it, and would be so with every row.
func newRowCheck(ctx context.Context, st *store.Store, taskID int64, columns []string) (*rowCheck, error) {
	stored, err := st.Content(ctx, taskID)
	if err != nil {
		return nil, err
	}
	c := &rowCheck{channel: provider.For(stored.Template.Channel), columns: make(map[string]int, len(columns))}
	if !c.channel.ChecksFields() {
		return nil, nil //nolint:nilnil // no check is a check
	}
	compiled, err := stored.Template.Compile()
	if err != nil {
		return nil, fmt.Errorf("compile template of task %d: %w", taskID, err)
	}
	for i, name := range columns {
		c.columns[name] = i
	}
	for i, f := range compiled.Bind(&stored.Task).Fields {
		_, same := f.Value.Static()
		missing := slices.ContainsFunc(f.Value.Columns(), func(name string) bool { _, there := c.columns[name]; return !there })
		if same || missing {
			continue
		}
		c.fields, c.values = append(c.fields, stored.Template.Fields[i]), append(c.values, f.Value)
		c.byUser = c.byUser || f.Value.Uses("recipient.user_id")
	}
	if len(c.fields) == 0 {
		return nil, nil //nolint:nilnil // as above
	}
	c.column = func(name string) string {
		if i := c.columns[name]; i < len(c.vars) {
			return c.vars[i]
		}
		return ""
	}
	return c, nil
}

// row says what stands against a row; nil: nothing.
func (c *rowCheck) row(userID string, vars []string) *store.Reject {
	c.vars = vars
	for i, value := range c.values {
		if _, err := c.channel.Value(c.fields[i], value.Render(userID, c.column)); err != nil {
			r := &store.Reject{Code: string(intake.FieldInvalid), Field: c.fields[i].Key}
			r.Rule, r.ZH, r.EN = provider.Fault(c.fields[i], err)
			return r
		}
	}
	return nil
}

// packed is row for columns as they are kept.
func (c *rowCheck) packed(r store.NewRecipient) (*store.Reject, error) {
	var vars []string
	if r.Vars != nil {
		if err := json.Unmarshal(r.Vars, &vars); err != nil {
			return nil, fmt.Errorf("read columns of a row: %w", err)
		}
	}
	return c.row(r.UserID, vars), nil
}
