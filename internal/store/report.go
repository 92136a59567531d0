package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// ReportBy is what the lines of a report stand for.
type ReportBy string

// The lines of a report: a day each, or a product, a template, or what made the task.
const (
	ReportByDay      ReportBy = "day"
	ReportByProduct  ReportBy = "product"
	ReportByTemplate ReportBy = "template"
	ReportByOrigin   ReportBy = "origin"
)

// ReportLine is what came of the tasks of one group.
type ReportLine struct {
	// Key is the day ("2026-12-01"), the product's code, the template's id, or "schedule", "copy" or "person"; empty: no product.
	Key string
	// Name is the newest title of the product, or the newest name of the template; empty otherwise.
	Name  string
	Tasks int
	Total int64
	Sent, Failed, Skipped, Unknown,
	// Open are those whose outcome is still to come.
	Open int64
}

// MaxReportLines bounds a report: 92 days, or as many products.
const MaxReportLines = 1000

// Report adds up the tasks that started in [from, to), of some apps (nil is all), by group. A day is one of the zone. It reads the counters of chunks, and
// no recipient. Tests are not among them.
func (s *Store) Report(ctx context.Context, by ReportBy, appIDs []int32, from, to time.Time, zone string) ([]ReportLine, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT g.key, (array_agg(g.name ORDER BY g.id DESC))[1], count(*)::int, sum(c.total)::bigint, sum(c.sent)::bigint, sum(c.failed)::bigint,
		       sum(c.skipped)::bigint, sum(c.unknown)::bigint, sum(c.open)::bigint
		  FROM (SELECT t.id,
		               CASE $1 WHEN 'day' THEN to_char(t.started_at AT TIME ZONE $5::text, 'YYYY-MM-DD') WHEN 'product' THEN coalesce(t.product_code, '')
		                    WHEN 'template' THEN t.template_id
		                    ELSE CASE WHEN EXISTS (SELECT FROM schedule_tick k WHERE k.task_id = t.id) THEN 'schedule' WHEN t.source_task_id IS NOT NULL THEN 'copy' ELSE 'person' END
		               END AS key,
		               CASE $1 WHEN 'product' THEN coalesce(t.product_title, '') WHEN 'template' THEN coalesce(t.template_name, '') ELSE '' END AS name
		          FROM task t WHERE t.kind = 'push' AND t.started_at >= $3 AND t.started_at < $4 AND ($2::int[] IS NULL OR t.app_id = ANY ($2))) g
		 CROSS JOIN LATERAL (
		       SELECT coalesce(sum(hi - lo), 0) AS total, coalesce(sum(sent), 0) AS sent, coalesce(sum(failed), 0) AS failed, coalesce(sum(skipped), 0) AS skipped,
		              coalesce(sum(unknown), 0) AS unknown, coalesce(sum(pending + waiting + sending), 0) AS open
		         FROM chunk WHERE task_id = g.id) c
		 GROUP BY g.key ORDER BY CASE WHEN $1 = 'day' THEN g.key END, sum(c.total) DESC, g.key LIMIT $6`, string(by), appIDs, from, to, zone, MaxReportLines)
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ReportLine])
	return lines, wrap(err, "report by %s", string(by))
}

// SourceLine is what a source of formIds gave and lost.
type SourceLine struct {
	Source             int16
	LabelZH, LabelEN   string
	Collected, Expired int64
}

// SourceReport adds up the formIds that were collected and that expired unused, by source, from one day to another, both of them counted,
// of some apps (nil is all).
func (s *Store) SourceReport(ctx context.Context, appIDs []int32, from, to time.Time) ([]SourceLine, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT d.source, coalesce(min(s.label_zh), ''), coalesce(min(s.label_en), ''), sum(d.collected)::bigint, sum(d.expired)::bigint
		  FROM form_id_day d LEFT JOIN form_source s ON s.app_id = d.app_id AND s.source = d.source
		 WHERE d.day >= $2::date AND d.day <= $3::date AND ($1::int[] IS NULL OR d.app_id = ANY ($1))
		 GROUP BY d.source ORDER BY d.source`, appIDs, from.Format(time.DateOnly), to.Format(time.DateOnly))
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SourceLine])
	return lines, wrap(err, "report of formId sources")
}
