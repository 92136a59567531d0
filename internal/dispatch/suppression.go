package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/store"
)

// SuppressionReport says who is to get no message: by user id or by openid, one of the two.
type SuppressionReport struct {
	UserID string `json:"user_id"`
	OpenID string `json:"openid"`
	Note   string `json:"note"`
}

// Suppress puts people on the suppression list (免打扰名单) of an app, or of all apps ([push.AllApps]). They need not be known: an
// entry holds for whoever has the user id, or the openid, when a message is to be sent. One bad item does not fail the others; who
// is on the list already is a duplicate, and their entry stays as it is. Claims that begin after the return find the entries.
func (d *Dispatcher) Suppress(ctx context.Context, actor, app string, list []SuppressionReport) (Received, error) {
	got := Received{Rejected: []Rejection{}}
	if err := checkBatch("suppressions", len(list)); err != nil {
		return got, err
	}
	appID, err := d.scopeOf(ctx, app)
	if err != nil {
		return got, err
	}
	good := make([]store.NewSuppression, 0, len(list))
	for i, r := range list {
		if bad := checkSuppression(r); bad != nil {
			bad.Index = i
			got.Rejected = append(got.Rejected, *bad)
			continue
		}
		good = append(good, store.NewSuppression{UserID: r.UserID, OpenID: r.OpenID, Note: r.Note})
	}
	added, err := d.st.AddSuppressions(ctx, appID, good, actor)
	if err != nil {
		return Received{}, err
	}
	got.Accepted, got.Duplicate = added, len(good)-added
	d.log.InfoContext(ctx, "suppressions added", slog.Any("app", app), slog.Any("count", added), slog.Any("actor", actor))
	return got, nil
}

// scopeOf is the id of an app, or nil for all apps.
func (d *Dispatcher) scopeOf(ctx context.Context, app string) (*int32, error) {
	if app == push.AllApps {
		return nil, nil //nolint:nilnil // all apps
	}
	a, err := d.st.App(ctx, app)
	return &a.ID, err
}

func checkSuppression(r SuppressionReport) *Rejection {
	if (r.UserID == "") == (r.OpenID == "") {
		return &Rejection{Code: "one_of", Message: "user_id, openid: give one of the two", MessageZH: "user_id、openid: 必须二选一"}
	}
	field, bad := "user_id", (*intake.Rejection)(nil)
	if r.UserID != "" {
		bad = intake.CheckUserID(r.UserID)
	} else {
		field, bad = "openid", intake.CheckOpenID(r.OpenID)
	}
	if bad != nil {
		return &Rejection{Code: string(bad.Code), Message: field + ": " + bad.Code.EN(), MessageZH: field + ": " + bad.Code.ZH()}
	}
	if err := push.CheckText("note", r.Note, push.MaxSuppressionNote); err != nil {
		var invalid *push.InvalidError
		if errors.As(err, &invalid) {
			return &Rejection{Code: invalid.Rule, Message: invalid.Field + ": " + invalid.Message, MessageZH: fmt.Sprintf("note: 备注无效,最多 %d 个字符,不能换行", push.MaxSuppressionNote)}
		}
	}
	return nil
}

// Unsuppress takes an entry off the suppression list. Recipients that were skipped by it stay skipped.
func (d *Dispatcher) Unsuppress(ctx context.Context, actor string, id int64) error {
	removed, err := d.st.RemoveSuppression(ctx, id)
	if err == nil && !removed {
		err = fmt.Errorf("suppression %d: %w", id, push.ErrNotFound)
	}
	if err == nil {
		d.log.InfoContext(ctx, "suppression removed", slog.Any("id", id), slog.Any("actor", actor))
	}
	return err
}

// UnsuppressPerson is Unsuppress for the entry of a user id or of an openid, the other one empty.
func (d *Dispatcher) UnsuppressPerson(ctx context.Context, actor, app, user, openID string) error {
	if (user == "") == (openID == "") {
		return &push.InvalidError{Field: "user_id", Rule: "one_of", Message: "or openid must be given, one of the two"}
	}
	appID, err := d.scopeOf(ctx, app)
	if err != nil {
		return err
	}
	entry, err := d.st.SuppressionOf(ctx, appID, user, openID)
	if err != nil {
		return err
	}
	return d.Unsuppress(ctx, actor, entry.ID)
}
