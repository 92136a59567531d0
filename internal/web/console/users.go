package console

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

const (
	historyPerPage = 20
	// heldShown is how many formIds of a user are shown.
	heldShown = 10
)

// usersPage looks one user up: what is known, what was sent, and why not.
type usersPage struct {
	UserID, App field
	// Asked: somebody was looked for. Known: the user is there.
	Asked, Known bool
	User         push.User
	// OpenID is the openid as the account sees it; empty where there is none.
	OpenID        string
	Suppressed    bool
	FormIDs       []heldRow
	More          bool
	Subscriptions []store.HeldSubscription
	History       []historyRow
	First, Next   string
	Masked        bool
}

// heldRow is a formId that the user holds.
type heldRow struct {
	store.HeldFormID
	Label both
}

// historyRow is what became of the user in a task.
type historyRow struct {
	store.Received
	Text both
}

func (k *Console) userRoutes(t *table) {
	t.page("/console/users", auth.Viewer, k.showUsers)
}

func (k *Console) showUsers(ctx context.Context, c *call) (reply, error) {
	p := usersPage{
		UserID: field{Name: "user_id", Label: "users.user_id", Type: "search", Value: c.value("user_id")},
		App:    field{Name: "app", Label: "users.app", Value: c.value("app")}, Masked: !c.seesAll(),
	}
	if chosen, ok := c.chosenApp(); ok && p.App.Value == "" {
		p.App.Value = chosen.Key
	}
	for i, a := range c.apps {
		if p.App.Value == "" && i == 0 {
			p.App.Value = a.Key
		}
		p.App.Options = append(p.App.Options, option{Value: a.Key, Text: a.Key, Selected: a.Key == p.App.Value})
	}
	at := slices.IndexFunc(c.apps, func(a push.App) bool { return a.Key == p.App.Value })
	if p.UserID.Value == "" || at < 0 {
		return page("users", p), nil
	}
	p.Asked = true
	return page("users", &p), k.lookUp(ctx, c, &p, c.apps[at].ID)
}

// lookUp reads what is known of a user. One who is in a list without ever having been reported has a history all the same.
func (k *Console) lookUp(ctx context.Context, c *call, p *usersPage, appID int32) error {
	id := p.UserID.Value
	if strings.ContainsRune(id, 0) || len(id) > 256 {
		return nil // no user has such an id
	}
	user, err := k.store.User(ctx, appID, id)
	if err != nil && !errors.Is(err, push.ErrNotFound) {
		return err
	}
	openID := ""
	if p.Known, p.User = err == nil, user; user.OpenID != nil {
		openID = *user.OpenID
		p.OpenID = c.mask(openID)
	}
	if p.Suppressed, err = k.store.IsSuppressed(ctx, appID, id, openID); err != nil {
		return err
	}
	held, err := k.store.HeldFormIDs(ctx, appID, id, heldShown+1)
	if err != nil {
		return err
	}
	p.More = len(held) > heldShown
	for _, f := range held[:min(len(held), heldShown)] {
		p.FormIDs = append(p.FormIDs, heldRow{f, both{f.LabelZH, f.LabelEN}})
	}
	if openID != "" {
		if p.Subscriptions, err = k.store.HeldSubscriptions(ctx, appID, openID); err != nil {
			return err
		}
	}
	return k.readHistory(ctx, c, p, appID)
}

func (k *Console) readHistory(ctx context.Context, c *call, p *usersPage, appID int32) error {
	before, _ := strconv.ParseInt(c.value("before"), 10, 64) // what is no number is the newest
	rows, err := k.store.History(ctx, appID, p.UserID.Value, max(0, before), historyPerPage+1)
	if err != nil {
		return err
	}
	if before > 0 {
		p.First = withQuery(c, "before", "")
	}
	if len(rows) > historyPerPage {
		rows = rows[:historyPerPage]
		p.Next = withQuery(c, "before", strconv.FormatInt(rows[len(rows)-1].ListID, 10))
	}
	for _, r := range rows {
		text := r.Reason.Text()
		if r.Reason == push.NoPermit {
			text.ZH = push.NoPermitZH(r.Channel)
		}
		p.History = append(p.History, historyRow{r, both{text.ZH, text.EN}})
	}
	return nil
}
