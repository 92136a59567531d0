package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// permitDays is how many days the page shows.
const permitDays = 14

// permitsPage is what an app holds in permits, what came in and went out, and what is about to expire.
type permitsPage struct {
	// App is the key of the app; empty where the account sees none.
	App    string
	Choose field
	Many   bool
	Stock  stockPart
	Days   []store.PermitDay
	Flow   chart
}

// stockPart is the part that is counted beside the request: over millions of permits that takes a while.
type stockPart struct {
	// Path is where the part is asked for.
	Path string
	// Stock is what was counted last; nil before the first count is done.
	Stock *push.Stock
	// Counting: a count is under way.
	Counting bool
	// NoFormIDs: the app sends by subscriptions only, so that there is nothing to say of formIds.
	NoFormIDs bool
	Sources   []sourceRow
	Total     sourceRow
	Expiring  []push.DayCount
	Forecast  chart
	// Subscriptions are the units by subscribe template.
	Subscriptions []subscriptionRow
}

// subscriptionRow is the units of one template.
type subscriptionRow struct {
	push.TemplateStock
	// Retry makes the ones available that were set aside; its Action is empty where the account may not, or there are none.
	Retry sure
}

// sourceRow is the permits of one source by state.
type sourceRow struct {
	push.SourceStock
	// Expired is how many expired unused, of the last month.
	Expired int64
}

// Label is the source's.
func (r sourceRow) Label() both { return both{r.LabelZH, r.LabelEN} }

func (k *Console) permitRoutes(t *table) {
	t.page("/console/permits", auth.Viewer, k.showPermits)
	t.page("/console/permits/stock", auth.Viewer, k.showStock)
	// It works page by page, each in a transaction of its own; its entry in the audit log is written after it.
	t.row(Route{Method: http.MethodPost, Pattern: "/console/apps/{app}/retry-permits", Role: auth.Operator}, k.retryPermits)
}

func (k *Console) showPermits(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOfList()
	if err != nil || !ok {
		return page("permits", permitsPage{}), err
	}
	p := permitsPage{App: app.Key, Choose: c.appChoice("permits.app", app.Key), Many: len(c.apps) > 1}
	if p.Stock, err = k.stockPart(ctx, c, app); err != nil {
		return reply{}, err
	}
	if p.Days, err = k.store.PermitDays(ctx, app.ID, k.cfg.Location.String(), permitDays); err != nil {
		return reply{}, err
	}
	p.Flow = chart{Label: "permits.flow_chart", Series: []series{{"permits.collected", "collected"}, {"permits.sent", "sent"}, {"permits.expired", "expired"}}}
	for i := range p.Days {
		d := p.Days[len(p.Days)-1-i]
		p.Flow.add(d.Day, d.Collected, d.Sent, d.Expired)
	}
	p.Flow.draw()
	return page("permits", p), nil
}

// showStock is the part of the page that is counted; the page asks for it while it is.
func (k *Console) showStock(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOfList()
	if err != nil || !ok {
		return part("permits", "stock", stockPart{}), err
	}
	p, err := k.stockPart(ctx, c, app)
	return part("permits", "stock", p), err
}

func (k *Console) stockPart(ctx context.Context, c *call, app push.App) (p stockPart, err error) {
	p = stockPart{Path: "/console/permits/stock?app=" + url.QueryEscape(app.Key)}
	p.Stock, p.Counting = k.stocks.of(ctx, app.ID, func(ctx context.Context) (push.Stock, error) {
		stock, err := k.store.PermitStock(ctx, app.ID, k.cfg.Location.String())
		if err != nil {
			k.log.WarnContext(ctx, "count permits", slog.Any("app", app.Key), slog.Any("err", err))
		}
		return stock, err
	})
	if p.Stock == nil {
		return p, nil
	}
	expired := map[int16]int64{}
	for _, d := range p.Stock.Daily {
		expired[d.Source] += d.Expired
	}
	for _, s := range p.Stock.BySource {
		row := sourceRow{SourceStock: s, Expired: expired[s.Source]}
		p.Sources = append(p.Sources, row)
		p.Total.Available += row.Available
		p.Total.Reserved += row.Reserved
		p.Total.Used += row.Used
		p.Total.Invalid += row.Invalid
		p.Total.Expired += row.Expired
	}
	p.Expiring = k.week(p.Stock)
	p.Forecast = chart{Label: "permits.forecast_chart", Series: []series{{"permits.expiring", "expired"}}}
	for _, d := range p.Expiring {
		p.Forecast.add(d.Day, d.Count)
	}
	p.Forecast.draw()
	for _, s := range p.Stock.Subscriptions {
		row := subscriptionRow{TemplateStock: s}
		if s.Suspect > 0 && c.may(auth.Operator) {
			row.Retry = sure{
				Action: pathOf("apps", app.Key, "retry-permits"), Button: "permits.retry", Question: "permits.retry_sure", Yes: "permits.retry_yes",
				Field: "template_id", Value: s.TemplateID,
			}
		}
		p.Subscriptions = append(p.Subscriptions, row)
	}
	if total := p.Total; len(p.Subscriptions) > 0 && total.Available+total.Reserved+total.Used+total.Invalid+total.Expired == 0 {
		p.NoFormIDs, err = k.sendsNoFormIDs(ctx, app)
	}
	return p, err
}

// sendsNoFormIDs says whether an app has no template that takes formIds.
func (k *Console) sendsNoFormIDs(ctx context.Context, app push.App) (bool, error) {
	templates, err := k.store.Templates(ctx, app.ID, "", maxTemplatesShown)
	return !slices.ContainsFunc(templates, func(t push.Template) bool { return t.Channel == push.ChannelFormID }), err
}

// week is how many permits expire on each of the next days: today, and the seven days for which a formId is good, whether any do or not.
func (k *Console) week(stock *push.Stock) (days []push.DayCount) {
	if len(stock.Expiring) == 0 {
		return nil
	}
	count := map[string]int64{}
	for _, d := range stock.Expiring {
		count[d.Day] = d.Count
	}
	for i := range 8 {
		day := stock.AsOf.In(k.cfg.Location).AddDate(0, 0, i).Format(time.DateOnly)
		days = append(days, push.DayCount{Day: day, Count: count[day]})
	}
	return days
}

// retryPermits makes units of a subscribe template available again that were set aside.
func (k *Console) retryPermits(ctx context.Context, c *call) (reply, error) {
	template := c.value("template_id")
	what := dispatch.Retry{TemplateID: template, OlderThan: dispatch.RetryOlderThan}
	what.Begun = func(ctx context.Context) error {
		return k.store.InsertAuditEntry(ctx, store.AuditEntry{
			Action: didPermitRetry, AppID: &c.app.ID, Object: "template:" + template, Detail: map[string]any{"older_than": what.OlderThan.String()},
		})
	}
	got, err := k.d.RetrySuspects(ctx, c.actor(), c.app.Key, what)
	k.stocks.forget(c.app.ID)
	return redirect("/console/permits?app="+c.app.Key).saying("permits.flash_retried", strconv.Itoa(got.Units)), err
}
