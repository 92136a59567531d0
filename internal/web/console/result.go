package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"minipush/internal/dispatch"
	"minipush/internal/export"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
	"minipush/internal/web/patient"
)

// countAtOnce is up to how many recipients deliveries are counted without being asked: it reads all of them.
const countAtOnce = 100_000

// taskResult is what came of a task that has ended.
type taskResult struct {
	// Reasons are those for which recipients were not sent, each with its cause and its cure.
	Reasons []reasonRow
	// CanResend: a draft can be made of those who were not sent. CanResolve: outcomes are unknown, and the account may settle them.
	CanResend, CanResolve bool
	// NoneChosen: a draft was asked for without a reason.
	NoneChosen bool
	// Deliveries: the channel reports later what was delivered. CountNow: it is counted with the page.
	Deliveries, CountNow bool
	// Masked: the account does not see openids and formIds whole.
	Masked bool
}

func newTaskResult(c *call, f figures) *taskResult {
	return &taskResult{
		Reasons: f.Rows, CanResend: c.may(auth.Author) && len(f.Rows) > 0 && c.task.AudienceID != 0,
		CanResolve: c.may(auth.Operator) && f.Counts.Unknown > 0 && c.task.AudienceID != 0,
		Deliveries: c.task.Channel == push.ChannelSubscribe && f.Counts.Sent > 0 && c.task.AudienceID != 0, CountNow: f.Counts.Total <= countAtOnce,
		Masked: !c.seesAll(),
	}
}

// seesAll says whether the account sees openids and formIds whole: operators do, who have to look for them on the platform. The others see
// enough to tell two apart; a program reads them by the API with a token.
func (c *call) seesAll() bool { return c.session.Principal.Role.May(auth.Operator, auth.Read) }

// mask is an openid or a formId as the account sees it.
func (c *call) mask(id string) string {
	if c.seesAll() {
		return id
	}
	return export.Mask(id)
}

func (k *Console) resultRoutes(t *table) {
	t.page("/console/tasks/{id}/deliveries", auth.Viewer, k.showDeliveries)
	t.stream(http.MethodGet, "/console/tasks/{id}/results", auth.Viewer, k.downloadResults)
	t.change("/console/tasks/{id}/resend", auth.Author, "task.resend", k.resendTask)
	// Of many recipients it takes many short transactions. It writes its own entry in the audit log.
	t.row(Route{Method: http.MethodPost, Pattern: "/console/tasks/{id}/resolve", Role: auth.Operator}, k.resolveTask)
}

// deliveriesPage is what the platform reported later.
type deliveriesPage struct {
	Path string
	// Counted is what was counted last; nil before the first count is done. Counting: a count is under way.
	Counted  *store.Deliveries
	Counting bool
}

// showDeliveries shows what was delivered: as a part of the task's page with htmx, and as a page without JavaScript. It is counted beside the
// request, which reads all recipients.
func (k *Console) showDeliveries(ctx context.Context, c *call) (reply, error) {
	p := deliveriesPage{Path: taskPath(c.task.ID)}
	p.Counted, p.Counting = k.deliveries.of(ctx, c.task.ID, func(ctx context.Context) (store.Deliveries, error) {
		d, err := k.store.Deliveries(ctx, c.task.ID)
		if err != nil {
			k.log.WarnContext(ctx, "count deliveries", slog.Int64("task_id", c.task.ID), slog.Any("err", err))
		}
		return d, err
	})
	if c.r.Header.Get("HX-Request") != "" {
		return part("deliveries", "counts", p), nil
	}
	return page("deliveries", p, c.task.ID).under(crumb{Key: "tasks.title", Href: home}), nil
}

// downloadResults streams who got the message, who did not and why: the file of the API, by the same code. What left the house, and with whom,
// is in the audit log.
func (k *Console) downloadResults(w http.ResponseWriter, r *http.Request, c *call) error {
	format := c.value("format")
	results := export.Results{Store: k.store, TaskID: c.task.ID, Location: k.cfg.Location, Masked: !c.seesAll()}
	if state, known := push.ParseRecipientState(c.value("state")); known {
		results.State = &state
	}
	write, contentType := results.CSV, "text/csv; charset=utf-8"
	if format == "xlsx" {
		write, contentType = results.XLSX, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	} else {
		format = "csv"
	}
	err := k.store.InsertAuditEntry(r.Context(), store.AuditEntry{
		Action: "task.export", AppID: &c.task.AppID, Object: fmt.Sprintf("task:%d", c.task.ID),
		Detail: map[string]any{"format": format, "masked": results.Masked},
	})
	if err != nil {
		return err
	}
	return k.download(w, r, contentType, fmt.Sprintf("task-%d-results.%s", c.task.ID, format), func(out io.Writer) error {
		_, err := write(r.Context(), out)
		if errors.Is(err, export.ErrTooManyRows) {
			return &push.InvalidError{Field: "format", Rule: "too_large", Message: "a workbook does not hold so many rows; take CSV"}
		}
		return err
	})
}

// download answers with a file. An error before its first byte is the caller's to show.
func (k *Console) download(w http.ResponseWriter, r *http.Request, contentType, name string, write func(out io.Writer) error) error {
	return patient.Download(w, k.cfg.Stall, contentType, name, write, func(err error) {
		k.log.WarnContext(r.Context(), "download broken off", slog.String("route", r.Pattern), slog.Any("err", err))
		panic(http.ErrAbortHandler)
	})
}

// resendTask makes a draft of those who ended for the reasons that were chosen.
func (k *Console) resendTask(ctx context.Context, c *call) (reply, error) {
	var reasons []push.Reason
	for _, code := range c.form["reason"] {
		if reason, known := push.ParseReason(code); known && reason != push.NoReason {
			reasons = append(reasons, reason)
		}
	}
	if p, err := k.newTaskPage(ctx, c); len(reasons) == 0 && p.Result != nil {
		p.Result.NoneChosen = true
		return invalid("task", p, c.task.ID).under(crumb{Key: "tasks.title", Href: home}), err
	}
	draft, err := k.d.Resend(ctx, c.actor(), c.task.ID, reasons)
	if err != nil {
		return reply{}, err
	}
	codes := make([]string, len(reasons))
	for i, r := range reasons {
		codes[i] = r.String()
	}
	c.audit.Detail = map[string]any{"reasons": codes, "draft": draft.ID}
	return redirect(taskPath(draft.ID)).saying("task.flash_resend", strconv.FormatInt(c.task.ID, 10)), nil
}

// resolveTask settles unknown outcomes by a person's word.
func (k *Console) resolveTask(ctx context.Context, c *call) (reply, error) {
	what := dispatch.Resolution{As: c.value("as"), All: c.value("all") != ""}
	for _, text := range c.form["seq"] {
		seq, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return reply{}, &push.InvalidError{Field: "seq", Rule: "unknown_recipient", Message: "is not a recipient of the task"}
		}
		what.Seqs = append(what.Seqs, int32(seq))
	}
	if !what.All && len(what.Seqs) == 0 {
		p, err := k.recipientsPage(ctx, c)
		p.NoneChosen = true
		return invalid("recipients", p, c.task.ID).under(taskCrumbs(c)...), err
	}
	if what.All {
		what.Seqs = nil
	}
	what.Begun = func(ctx context.Context) error {
		e := c.entry(didTaskResolve)
		e.Detail = map[string]any{"as": what.As, "all": what.All}
		if !what.All {
			e.Detail["recipients"] = what.Seqs
		}
		return k.store.InsertAuditEntry(ctx, e)
	}
	done, err := k.d.Resolve(ctx, c.actor(), c.task.ID, what)
	if err != nil {
		return reply{}, err
	}
	return redirect(taskPath(c.task.ID)+"/recipients?state=unknown").saying("recipients.flash_resolved", strconv.Itoa(done.Resolved)), nil
}
