package console

import (
	"context"
	"math"
	"net/url"
	"strconv"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

const recipientsPerPage = 50

// recipientsPage is who got the message of a task, who did not and why.
type recipientsPage struct {
	Path                  string
	State, Reason, UserID field
	Filtered              bool
	Recipients            []recipientRow
	First, Next           string
	// CanResolve: the rows are of unknown outcome, and the account may settle them. NoneChosen: it was asked to without a row.
	CanResolve, NoneChosen bool
	Masked                 bool
}

// recipientRow is one of them; OpenID and FormID are as the account sees them.
type recipientRow struct {
	push.Recipient
	Text           both
	OpenID, FormID string
}

func (k *Console) recipientRoutes(t *table) {
	t.page("/console/tasks/{id}/recipients", auth.Viewer, k.showRecipients)
}

func (k *Console) showRecipients(ctx context.Context, c *call) (reply, error) {
	p, err := k.recipientsPage(ctx, c)
	return page("recipients", p, c.task.ID).under(taskCrumbs(c)...), err
}

func (k *Console) recipientsPage(ctx context.Context, c *call) (recipientsPage, error) {
	p := recipientsPage{
		Path: taskPath(c.task.ID), Masked: !c.seesAll(),
		State:  field{Name: "state", Label: "recipients.state", Value: c.value("state"), Options: []option{{Key: "recipients.all"}}},
		Reason: field{Name: "reason", Label: "recipients.reason", Value: c.value("reason"), Options: []option{{Key: "recipients.all"}}},
		UserID: field{Name: "user_id", Label: "recipients.user_id", Type: "search", Value: c.value("user_id")},
	}
	if c.form != nil {
		p.State.Value = push.Unknown.String() // what a form of this page is about
	}
	filter := store.RecipientFilter{UserID: p.UserID.Value, After: -1, Limit: recipientsPerPage + 1}
	for _, s := range push.RecipientStates() {
		p.State.Options = append(p.State.Options, option{Value: s.String(), Key: "state.recipient_" + s.String(), Selected: s.String() == p.State.Value})
	}
	if state, known := push.ParseRecipientState(p.State.Value); known {
		filter.State = &state
	}
	for _, r := range c.task.Reasons {
		text := r.ZH
		if c.lang == english {
			text = r.EN
		}
		p.Reason.Options = append(p.Reason.Options, option{Value: r.Code, Text: text, Selected: r.Code == p.Reason.Value})
	}
	filter.Reason, _ = push.ParseReason(p.Reason.Value) // what is none is all
	if after, err := strconv.ParseInt(c.value("after"), 10, 32); err == nil && after >= 0 && after < math.MaxInt32 {
		filter.After = int32(after)
	}
	p.Filtered = filter.State != nil || filter.Reason != push.NoReason || filter.UserID != ""
	rows, err := k.store.Recipients(ctx, c.task.ID, filter)
	if err != nil {
		return p, err
	}
	for _, r := range rows[:min(len(rows), recipientsPerPage)] {
		p.Recipients = append(p.Recipients, newRecipientRow(c, r))
	}
	if filter.After >= 0 {
		p.First = withQuery(c, "after", "")
	}
	if len(rows) > recipientsPerPage {
		p.Next = withQuery(c, "after", strconv.Itoa(int(rows[recipientsPerPage-1].Seq)))
	}
	p.CanResolve = c.may(auth.Operator) && filter.State != nil && *filter.State == push.Unknown && len(p.Recipients) > 0
	return p, nil
}

func newRecipientRow(c *call, r push.Recipient) recipientRow {
	text := r.Reason.Text()
	row := recipientRow{Recipient: r, Text: both{text.ZH, text.EN}}
	for _, of := range c.task.Reasons { // as the task says it: the channel has its own words
		if of.Code == text.Code {
			row.Text = both{of.ZH, of.EN}
		}
	}
	if r.OpenID != nil {
		row.OpenID = c.mask(*r.OpenID)
	}
	if r.FormID != nil {
		row.FormID = c.mask(*r.FormID)
	}
	return row
}

// withQuery is the address of this page with another value in its query; an empty one is left out.
func withQuery(c *call, name, value string) string {
	q := c.r.URL.Query()
	q.Del(name)
	if value != "" {
		q.Set(name, value)
	}
	return (&url.URL{Path: c.r.URL.Path, RawQuery: q.Encode()}).String()
}
