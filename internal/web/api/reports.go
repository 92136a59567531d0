package api

import (
	"context"
	"slices"
	"time"

	"minipush/internal/store"
)

// Reports go over reportDays days unless asked otherwise, and over maxReportDays at most.
const (
	reportDays    = 14
	maxReportDays = 92
)

// reportLine is what came of the tasks of a group.
type reportLine struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Tasks   int    `json:"tasks"`
	Total   int64  `json:"total"`
	Sent    int64  `json:"sent"`
	Failed  int64  `json:"failed"`
	Skipped int64  `json:"skipped"`
	Unknown int64  `json:"unknown"`
	Open    int64  `json:"open"`
}

type report struct {
	From  time.Time    `json:"from"`
	To    time.Time    `json:"to"`
	By    string       `json:"by"`
	Lines []reportLine `json:"lines"`
}

// daily adds up the tasks that started in a time, by day or otherwise.
func (a *API) daily(ctx context.Context, c *call, _ *none) (*report, error) {
	out := report{By: c.text("by"), To: time.Now(), Lines: []reportLine{}}
	if out.By == "" {
		out.By = string(store.ReportByDay)
	}
	kinds := []store.ReportBy{store.ReportByDay, store.ReportByProduct, store.ReportByTemplate, store.ReportByOrigin}
	if !slices.Contains(kinds, store.ReportBy(out.By)) {
		c.reject("by", "unknown_value", `must be "day", "product", "template" or "origin"`)
	}
	from, to := c.moment("from"), c.moment("to")
	if to != nil {
		out.To = *to
	}
	out.From = out.To.AddDate(0, 0, -reportDays)
	if from != nil {
		out.From = *from
	}
	if out.From.After(out.To) || out.From.Before(out.To.AddDate(0, 0, -maxReportDays)) {
		c.reject("from", "out_of_range", "must lie before to, at most 92 days")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	apps := c.principal.AppIDs
	if c.given("app") {
		app, err := a.visibleApp(ctx, c.principal, c.text("app"))
		if err != nil {
			return nil, err
		}
		apps = []int32{app.ID}
	}
	lines, err := a.store.Report(ctx, store.ReportBy(out.By), apps, out.From, out.To, a.cfg.Location.String())
	for _, l := range lines {
		out.Lines = append(out.Lines, reportLine(l))
	}
	return &out, err
}
