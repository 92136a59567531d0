package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/store"
)

// SubscriptionReport is what a person answered when the mini-program asked whether it may send messages of a template.
type SubscriptionReport struct {
	// ID is the client's own: what comes again with the same id is a duplicate.
	ID         string `json:"id"`
	UserID     string `json:"user_id"`
	TemplateID string `json:"template_id"`
	// Result is the value that wx.requestSubscribeMessage gave for the template. Any that starts with "accept" is one message more;
	// "reject", "ban" and "filter" change nothing.
	Result string `json:"result"`
}

// Codes of reports that are refused, beside those of package intake.
const (
	codeBadReportID     intake.Code = "bad_id"
	codeUnknownTemplate intake.Code = "unknown_template"
	codeBadResult       intake.Code = "bad_result"
	codeNoOpenID        intake.Code = "no_openid"
)

// maxReportID bounds the client's own id of a report.
const maxReportID = 128

// ReportSubscriptions takes in what people accepted. One bad item does not fail the others. An app whose subscriptions are counted by
// the platform's events refuses all of them: each would count twice.
func (d *Dispatcher) ReportSubscriptions(ctx context.Context, app string, reports []SubscriptionReport) (Received, error) {
	got := Received{Rejected: []Rejection{}}
	if err := checkBatch("subscriptions", len(reports)); err != nil {
		return got, err
	}
	a, err := d.st.App(ctx, app)
	if err != nil {
		return got, err
	}
	if a.PermitSource != push.PermitsFromClient {
		return got, &push.Refusal{Code: push.RefusedSourceDisabled, Detail: "subscriptions of this app are counted by the platform's events"}
	}
	openIDs, templates, err := d.reported(ctx, a.ID, reports)
	if err != nil {
		return got, err
	}
	var good []store.SubscriptionReport
	var users []string
	for i, r := range reports {
		switch bad := intake.CheckUserID(r.UserID); {
		case r.ID == "" || len(r.ID) > maxReportID || strings.ContainsRune(r.ID, 0):
			got.refuse(i, "id", codeBadReportID, "必须为 1 到 128 个字节", "must have 1 to 128 bytes")
		case bad != nil:
			got.reject(i, "user_id", bad.Code)
		case !templates[r.TemplateID]:
			got.refuse(i, "template_id", codeUnknownTemplate, "不是此小程序的订阅消息模板", "is no subscribe template of this app")
		case r.Result == "":
			got.refuse(i, "result", codeBadResult, "不能为空", "must not be empty")
		case openIDs[r.UserID] == "":
			got.refuse(i, "user_id", codeNoOpenID, "用户没有 openid,请先上报用户", "has no openid: report the user first")
		default:
			good = append(good, store.SubscriptionReport{ID: r.ID, OpenID: openIDs[r.UserID], TemplateID: r.TemplateID, Accepted: strings.HasPrefix(r.Result, "accept")})
			users = append(users, r.UserID)
		}
	}
	added, err := d.st.InsertSubscriptions(ctx, a.ID, good)
	for range 3 {
		if !store.IsDeadlock(err) {
			break
		}
		added, err = d.st.InsertSubscriptions(ctx, a.ID, good) // with outcomes of the same people; nothing was kept
	}
	if err != nil {
		return Received{}, err
	}
	got.Accepted, got.Duplicate = added, len(good)-added
	if added == 0 {
		return got, nil
	}
	return got, d.wakeUsers(ctx, a.ID, users)
}

// subscriptionPage is how many counters one statement looks at.
const subscriptionPage = 1000

// realignBudget bounds how long whoever writes a template waits for the counters to follow it.
const realignBudget = 5 * time.Second

// realign makes what people have accepted follow the templates of an app that turned into long-term ones, or back, for a bounded time. What is
// left, after an error or in a caller's transaction too, the sweep goes on with: the templates are written.
func (d *Dispatcher) realign(ctx context.Context, appID int32) {
	if store.Tx(ctx) != nil {
		return // the templates are not written yet, and nothing long belongs into their transaction
	}
	bound, cancel := context.WithTimeout(ctx, realignBudget)
	defer cancel()
	if err := d.realignAll(bound, appID); err != nil {
		d.log.WarnContext(ctx, "subscriptions do not follow their templates yet, the sweep goes on", d.clients.name(appID), slog.Any("err", err))
	}
}

// realignAll is realign for all apps (0) or one, however long it takes.
func (d *Dispatcher) realignAll(ctx context.Context, appID int32) error {
	for {
		some, err := d.st.RealignSubscriptions(ctx, appID, subscriptionPage)
		if store.IsDeadlock(err) {
			continue // with reports or outcomes of the same people; nothing of the page was kept
		}
		if err != nil || !some {
			return err
		}
	}
}

// tendRealign goes on where a sync or a person's write of a template ended before all counters had followed it.
func (d *Dispatcher) tendRealign(ctx context.Context) error {
	d.beside(ctx, chore{"realign", 0}, func(ctx context.Context) {
		if err := d.realignAll(ctx, 0); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "subscriptions do not follow their templates yet", slog.Any("err", err))
		}
	})
	return nil
}

// Retry is which units that were set aside are to be tried again.
type Retry struct {
	// TemplateID is the one template; empty is all of the app.
	TemplateID string
	// OlderThan is how long ago at least they were set aside.
	OlderThan time.Duration
	// Begun is run in the transaction of the first page; may be nil.
	Begun func(ctx context.Context) error
}

// RetryOlderThan is for how long units stay set aside unless the operator says otherwise: people who were refused within a day of many
// messages could be reached some hours later.
const RetryOlderThan = 6 * time.Hour

// Retried is what became available again.
type Retried struct {
	// Units are messages, Users the people who may be sent them.
	Units int `json:"units"`
	Users int `json:"users"`
}

// RetrySuspects makes units available again that were set aside because the platform refused a message although they were left (43101),
// page by page: after an error, what was made available before it stays so. Recipients who wait for a permit are woken.
func (d *Dispatcher) RetrySuspects(ctx context.Context, actor, app string, what Retry) (got Retried, err error) {
	if what.OlderThan < 0 {
		return got, &push.InvalidError{Field: "older_than", Rule: "out_of_range", Message: "must not be negative"}
	}
	a, err := d.st.App(ctx, app)
	if err != nil {
		return got, err
	}
	if what.TemplateID != "" {
		if _, err := d.st.Template(ctx, a.ID, what.TemplateID); err != nil {
			return got, err
		}
	}
	for after := int64(0); ; {
		page, err := d.retryPage(ctx, a.ID, what, after)
		if err == nil {
			got.Units, got.Users = got.Units+page.Units, got.Users+len(page.OpenIDs)
			err = d.wakeOpenIDs(ctx, a.ID, page.OpenIDs)
		}
		if after = page.Last; err != nil || after == 0 {
			d.log.InfoContext(ctx, "suspect units are tried again", slog.Any("app", app), slog.Any("actor", actor), slog.Any("template_id", what.TemplateID),
				slog.Any("older_than", what.OlderThan), slog.Any("units", got.Units), slog.Any("users", got.Users))
			return got, err
		}
	}
}

// retryPage makes a page of units available again, the first one in one transaction with Begun.
func (d *Dispatcher) retryPage(ctx context.Context, appID int32, what Retry, after int64) (page store.Retried, err error) {
	if after > 0 || what.Begun == nil {
		return d.st.RetrySuspects(ctx, appID, what.TemplateID, what.OlderThan, after, subscriptionPage)
	}
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if err := what.Begun(ctx); err != nil {
			return err
		}
		page, err = d.st.RetrySuspects(ctx, appID, what.TemplateID, what.OlderThan, after, subscriptionPage)
		return err
	})
	return page, err
}

// wakeOpenIDs is wakeUsers for people who are known by their openids.
func (d *Dispatcher) wakeOpenIDs(ctx context.Context, appID int32, openIDs []string) error {
	if len(openIDs) == 0 {
		return nil
	}
	users, err := d.st.UserIDsOf(ctx, appID, openIDs)
	if err != nil {
		return err
	}
	return d.wakeUsers(ctx, appID, slices.DeleteFunc(users, func(u string) bool { return u == "" }))
}

// reported looks up what reports name: the openids of their users, and which of their templates are subscribe templates.
func (d *Dispatcher) reported(ctx context.Context, appID int32, reports []SubscriptionReport) (openIDs map[string]string, templates map[string]bool, err error) {
	users, ids := make([]string, len(reports)), make([]string, len(reports))
	for i, r := range reports {
		users[i], ids[i] = strings.ToValidUTF8(strings.ReplaceAll(r.UserID, "\x00", ""), ""), strings.ToValidUTF8(strings.ReplaceAll(r.TemplateID, "\x00", ""), "")
	}
	if openIDs, err = d.st.OpenIDsOf(ctx, appID, users); err != nil {
		return nil, nil, err
	}
	templates, err = d.st.SubscribeTemplates(ctx, appID, ids)
	return openIDs, templates, err
}

func (r *Received) refuse(index int, field string, code intake.Code, zh, en string) {
	r.Rejected = append(r.Rejected, Rejection{Index: index, Code: string(code), Message: field + " " + en, MessageZH: field + " " + zh})
}
