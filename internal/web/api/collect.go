package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// The items of a batch are read one by one: one that is JSON but not of the right shape is rejected like one with a bad value,
// and the rest goes on.

type userBatch struct {
	Users []json.RawMessage `json:"users"`
}

type formIDBatch struct {
	FormIDs []json.RawMessage `json:"form_ids"`
}

// usersReceived is the answer to a batch of users. It has no duplicates: the newest report wins.
type usersReceived struct {
	Accepted int                  `json:"accepted"`
	Rejected []dispatch.Rejection `json:"rejected"`
}

func (a *API) reportUsers(ctx context.Context, c *call, batch *userBatch) (*usersReceived, error) {
	got, err := receive(ctx, "users", batch.Users, func(ctx context.Context, users []dispatch.UserReport) (dispatch.Received, error) {
		return a.d.ReportUsers(ctx, c.app.Key, users)
	})
	return &usersReceived{Accepted: got.Accepted, Rejected: got.Rejected}, err
}

func (a *API) reportFormIDs(ctx context.Context, c *call, batch *formIDBatch) (*dispatch.Received, error) {
	got, err := receive(ctx, "form_ids", batch.FormIDs, func(ctx context.Context, ids []dispatch.FormIDReport) (dispatch.Received, error) {
		return a.d.ReportFormIDs(ctx, c.app.Key, ids)
	})
	return &got, err
}

type subscriptionBatch struct {
	Subscriptions []json.RawMessage `json:"subscriptions"`
}

func (a *API) reportSubscriptions(ctx context.Context, c *call, batch *subscriptionBatch) (*dispatch.Received, error) {
	got, err := receive(ctx, "subscriptions", batch.Subscriptions, func(ctx context.Context, reports []dispatch.SubscriptionReport) (dispatch.Received, error) {
		return a.d.ReportSubscriptions(ctx, c.app.Key, reports)
	})
	return &got, err
}

// receive reads the items of a batch, hands over those of the right shape, and puts all rejections in the order of the batch.
func receive[Item any](ctx context.Context, field string, raw []json.RawMessage,
	hand func(context.Context, []Item) (dispatch.Received, error),
) (dispatch.Received, error) {
	if len(raw) == 0 || len(raw) > dispatch.MaxBatch {
		return dispatch.Received{}, &push.InvalidError{Field: field, Rule: "batch_size", Message: fmt.Sprintf("must have 1 to %d items", dispatch.MaxBatch)}
	}
	items, index := make([]Item, 0, len(raw)), make([]int, 0, len(raw))
	rejected := []dispatch.Rejection{}
	for i, text := range raw {
		var item Item
		if err := decodeItem(text, &item); err != nil {
			rejected = append(rejected, dispatch.Rejection{Index: i, Code: "bad_item", Message: err.Error(), MessageZH: "格式不正确"})
			continue
		}
		items, index = append(items, item), append(index, i)
	}
	if len(items) == 0 {
		return dispatch.Received{Rejected: rejected}, nil
	}
	got, err := hand(ctx, items)
	if err != nil {
		return dispatch.Received{}, err
	}
	for _, r := range got.Rejected {
		r.Index = index[r.Index]
		rejected = append(rejected, r)
	}
	slices.SortStableFunc(rejected, func(x, y dispatch.Rejection) int { return x.Index - y.Index })
	got.Rejected = rejected
	return got, nil
}

// decodeItem is decode for one item of a batch: the message is about the item, not about a place in the body.
func decodeItem(text json.RawMessage, item any) error {
	if len(text) == 0 || text[0] != '{' {
		return errors.New("must be an object")
	}
	err := decode(text, item)
	if err == nil {
		return nil
	}
	p := problemOf(err)
	if len(p.Errors) == 1 {
		return fmt.Errorf("%s %s", p.Errors[0].Field, p.Errors[0].Message)
	}
	return fmt.Errorf("cannot be read: %s", p.Code)
}

func (a *API) showUser(ctx context.Context, c *call, _ *none) (*push.User, error) {
	user, err := a.store.User(ctx, c.app.ID, c.path("user_id"))
	return &user, err
}

func (a *API) showPermits(ctx context.Context, c *call, _ *none) (*push.Stock, error) {
	stock, err := a.store.PermitStock(ctx, c.app.ID, a.cfg.Location.String())
	return &stock, err
}

// retryBody says which units that were set aside are tried again: of one template or all, and set aside how long ago at least.
type retryBody struct {
	TemplateID string  `json:"template_id"`
	OlderThan  *string `json:"older_than"`
}

func (retryBody) mayBeEmpty() {}

func (a *API) retryPermits(ctx context.Context, c *call, body *retryBody) (*dispatch.Retried, error) {
	what := dispatch.Retry{TemplateID: body.TemplateID, OlderThan: dispatch.RetryOlderThan}
	if body.OlderThan != nil {
		var err error
		if what.OlderThan, err = time.ParseDuration(*body.OlderThan); err != nil {
			return nil, &push.InvalidError{Field: "older_than", Rule: "bad_duration", Message: `must be a length of time, such as "6h" or "90m"`}
		}
	}
	what.Begun = func(ctx context.Context) error {
		return a.note(ctx, c, map[string]any{"template_id": what.TemplateID, "older_than": what.OlderThan.String()})
	}
	got, err := a.d.RetrySuspects(ctx, c.principal.Name, c.app.Key, what)
	return &got, err
}
