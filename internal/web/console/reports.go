package console

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// Reports go over reportDays days unless asked otherwise, and over maxReportDays at most.
const (
	reportDays    = 14
	maxReportDays = 92
)

// bySource is the report of the formId sources; the others are of package store.
const bySource = "source"

// reportsPage adds tasks up over days.
type reportsPage struct {
	By, From, To field
	Lines        []store.ReportLine
	Sum          store.ReportLine
	Sources      []reportSource
	// IsDay, IsSource, IsOrigin say what the lines are. TooLong: it was cut to maxReportDays.
	IsDay, IsSource, IsOrigin, TooLong bool
	MaxDays                            int
}

// reportSource is a source of formIds.
type reportSource struct {
	store.SourceLine
	Label both
}

func (k *Console) reportRoutes(t *table) {
	t.page("/console/reports", auth.Viewer, k.showReports)
}

func reportKinds() []string {
	return []string{string(store.ReportByDay), string(store.ReportByProduct), string(store.ReportByTemplate), string(store.ReportByOrigin), bySource}
}

func (k *Console) showReports(ctx context.Context, c *call) (reply, error) {
	by := c.value("by")
	if !slices.Contains(reportKinds(), by) {
		by = string(store.ReportByDay)
	}
	today := k.cfg.Now().In(k.cfg.Location)
	p := reportsPage{
		By:    field{Name: "by", Label: "reports.by", Options: choose("reports.by_", by, reportKinds()...)},
		From:  field{Name: "from", Label: "reports.from", Type: "date", Value: c.value("from")},
		To:    field{Name: "to", Label: "reports.to", Type: "date", Value: c.value("to")},
		IsDay: by == string(store.ReportByDay), IsSource: by == bySource, IsOrigin: by == string(store.ReportByOrigin), MaxDays: maxReportDays,
	}
	if p.To.Value == "" {
		p.To.Value = today.Format(time.DateOnly)
	}
	end := k.day(&p.To, 1)
	if end == nil {
		return page("reports", p), nil
	}
	if p.From.Value == "" {
		p.From.Value = end.AddDate(0, 0, -reportDays).Format(time.DateOnly)
	}
	begin := k.day(&p.From, 0)
	if begin == nil {
		return page("reports", p), nil
	}
	if earliest := end.AddDate(0, 0, -maxReportDays); begin.Before(earliest) {
		begin, p.TooLong = &earliest, true
		p.From.Value = earliest.Format(time.DateOnly)
	}
	return page("reports", &p), k.readReport(ctx, c, &p, by, *begin, *end)
}

func (k *Console) readReport(ctx context.Context, c *call, p *reportsPage, by string, begin, end time.Time) (err error) {
	if by == bySource {
		lines, err := k.store.SourceReport(ctx, c.appIDs(), begin, end.AddDate(0, 0, -1))
		for _, l := range lines {
			p.Sources = append(p.Sources, reportSource{l, both{l.LabelZH, l.LabelEN}})
		}
		return err
	}
	if p.Lines, err = k.store.Report(ctx, store.ReportBy(by), c.appIDs(), begin, end, k.cfg.Location.String()); err != nil {
		return err
	}
	for _, l := range p.Lines {
		p.Sum.Tasks += l.Tasks
		p.Sum.Total += l.Total
		p.Sum.Sent += l.Sent
		p.Sum.Failed += l.Failed
		p.Sum.Skipped += l.Skipped
		p.Sum.Unknown += l.Unknown
		p.Sum.Open += l.Open
	}
	return nil
}

// chartLines is how many lines a chart can show.
const chartLines = 31

// Bars are the lines as JSON for the chart; the table has them all.
func (p *reportsPage) Bars() string {
	lines := p.Lines
	if len(lines) > chartLines && p.IsDay {
		lines = lines[len(lines)-chartLines:]
	}
	lines = lines[:min(len(lines), chartLines)]
	bars := struct {
		Names   []string `json:"names"`
		Sent    []int64  `json:"sent"`
		Failed  []int64  `json:"failed"`
		Skipped []int64  `json:"skipped"`
		Unknown []int64  `json:"unknown"`
	}{}
	for _, l := range lines {
		name := l.Key
		if p.IsDay {
			name = l.Key[5:]
		}
		if l.Name != "" {
			name = l.Name
		}
		bars.Names = append(bars.Names, name)
		bars.Sent, bars.Failed = append(bars.Sent, l.Sent), append(bars.Failed, l.Failed)
		bars.Skipped, bars.Unknown = append(bars.Skipped, l.Skipped), append(bars.Unknown, l.Unknown)
	}
	data, _ := json.Marshal(bars) // texts and numbers
	return string(data)
}
