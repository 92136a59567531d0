package dispatch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/store"
)

// MaxBatch bounds the items of one report.
const MaxBatch = 10_000

// UserReport says which openid a user has. An empty openid: the user is known and has none.
type UserReport struct {
	UserID string `json:"user_id"`
	OpenID string `json:"openid"`
}

// FormIDReport is a formId that a user's tap yielded.
type FormIDReport struct {
	UserID string `json:"user_id"`
	FormID string `json:"form_id"`
	Source int16  `json:"source"`
	// SubmittedAt is when the user tapped; nil is now. Not more than 60 s in the future, nor 7 days back.
	SubmittedAt *time.Time `json:"submitted_at"`
}

// Rejection says why one item of a report was refused.
type Rejection struct {
	Index     int    `json:"index"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	MessageZH string `json:"message_zh"`
}

// Received is what became of a report. Accepted, Duplicate and Rejected add up to its items.
type Received struct {
	Accepted  int         `json:"accepted"`
	Duplicate int         `json:"duplicate"`
	Rejected  []Rejection `json:"rejected"`
}

func (r *Received) reject(index int, field string, code intake.Code) {
	r.Rejected = append(r.Rejected, Rejection{Index: index, Code: string(code), Message: field + ": " + code.EN(), MessageZH: field + ": " + code.ZH()})
}

func checkBatch(field string, n int) error {
	if n == 0 || n > MaxBatch {
		return &push.InvalidError{Field: field, Rule: "batch_size", Message: fmt.Sprintf("must have 1 to %d items", MaxBatch)}
	}
	return nil
}

// ReportUsers takes in who has which openid. One bad item does not fail the others. Of two items for the same user, and of two
// users for the same openid, the later one counts, as it would in two reports.
func (d *Dispatcher) ReportUsers(ctx context.Context, app string, users []UserReport) (Received, error) {
	got := Received{Rejected: []Rejection{}}
	if err := checkBatch("users", len(users)); err != nil {
		return got, err
	}
	a, err := d.st.App(ctx, app)
	if err != nil {
		return got, err
	}
	byUser, byOpenID := map[string]string{}, map[string]string{}
	for i, u := range users {
		if bad := intake.CheckUserID(u.UserID); bad != nil {
			got.reject(i, "user_id", bad.Code)
			continue
		}
		if u.OpenID != "" {
			if bad := intake.CheckOpenID(u.OpenID); bad != nil {
				got.reject(i, "openid", bad.Code)
				continue
			}
			if before, ok := byOpenID[u.OpenID]; ok && before != u.UserID {
				byUser[before] = ""
			}
			byOpenID[u.OpenID] = u.UserID
		}
		if before := byUser[u.UserID]; before != "" && before != u.OpenID {
			delete(byOpenID, before)
		}
		byUser[u.UserID] = u.OpenID
		got.Accepted++
	}
	userIDs, openIDs := make([]string, 0, len(byUser)), make([]string, 0, len(byUser))
	for user, openID := range byUser {
		userIDs, openIDs = append(userIDs, user), append(openIDs, openID)
	}
	if len(userIDs) == 0 {
		return got, nil
	}
	return got, d.st.UpsertUsers(ctx, a.ID, userIDs, openIDs)
}

// ReportFormIDs takes in formIds. One bad item does not fail the others; a formId that is known already is a duplicate, and no error.
func (d *Dispatcher) ReportFormIDs(ctx context.Context, app string, ids []FormIDReport) (Received, error) {
	got := Received{Rejected: []Rejection{}}
	if err := checkBatch("form_ids", len(ids)); err != nil {
		return got, err
	}
	a, err := d.st.App(ctx, app)
	if err != nil {
		return got, err
	}
	sources, err := d.st.FormSources(ctx, a.ID)
	if err != nil {
		return got, err
	}
	known := map[int16]bool{}
	for _, s := range sources {
		known[s.Source] = true
	}
	now := time.Now()
	good := make([]store.FormID, 0, len(ids))
	for i, r := range ids {
		f, field, bad := d.checkFormID(r, known, now)
		if bad != nil {
			got.reject(i, field, bad.Code)
			continue
		}
		good = append(good, f)
	}
	added, err := d.st.InsertFormIDs(ctx, a.ID, now.In(d.cfg.Location), good)
	if err != nil {
		return Received{}, err
	}
	got.Accepted, got.Duplicate = added, len(good)-added
	if added == 0 {
		return got, nil
	}
	users := make([]string, len(good))
	for i, f := range good {
		users[i] = f.UserID
	}
	return got, d.wakeUsers(ctx, a.ID, users)
}

func (d *Dispatcher) checkFormID(r FormIDReport, sources map[int16]bool, now time.Time) (f store.FormID, field string, bad *intake.Rejection) {
	if bad := intake.CheckUserID(r.UserID); bad != nil {
		return f, "user_id", bad
	}
	if bad := intake.CheckFormID(r.FormID, d.cfg.FormIDDeny); bad != nil {
		return f, "form_id", bad
	}
	if !sources[r.Source] {
		return f, "source", &intake.Rejection{Code: intake.UnknownSource}
	}
	at := now
	if r.SubmittedAt != nil {
		if at, bad = intake.CheckSubmittedAt(*r.SubmittedAt, now); bad != nil {
			return f, "submitted_at", bad
		}
	}
	return store.FormID{UserID: r.UserID, FormID: strings.Clone(r.FormID), Source: r.Source, SubmittedAt: at, ExpiresAt: at.Add(intake.FormIDLife)}, "", nil
}
