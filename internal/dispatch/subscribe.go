package dispatch

import (
	"context"
	"strings"

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
