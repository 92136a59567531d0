package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// PermitDay is what became of the permits of an app on a day, "2006-01-02".
type PermitDay struct {
	Day string
	// Collected and Expired are formIds, Sent the messages of the tasks that started on that day: each spent one permit.
	Collected, Expired, Sent int64
}

// PermitDays counts the permits of an app by day, the last days up to today in the time zone named, newest first. It reads the counters
// that are kept by day and by chunk, and no permit.
func (s *Store) PermitDays(ctx context.Context, appID int32, zone string, days int) ([]PermitDay, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		WITH today AS MATERIALIZED (SELECT (now() AT TIME ZONE $2)::date AS day),
		f AS (SELECT d.day, sum(d.collected)::bigint AS collected, sum(d.expired)::bigint AS expired
		        FROM form_id_day d WHERE d.app_id = $1 AND d.day > (SELECT day FROM today) - $3::int GROUP BY 1),
		m AS (SELECT (t.started_at AT TIME ZONE $2)::date AS day, sum(c.sent)::bigint AS sent
		        FROM task t JOIN chunk c ON c.task_id = t.id
		       WHERE t.app_id = $1 AND t.started_at >= ((SELECT day FROM today) - $3::int + 1)::timestamp AT TIME ZONE $2 GROUP BY 1)
		SELECT d.day::text, coalesce(f.collected, 0), coalesce(f.expired, 0), coalesce(m.sent, 0)
		  FROM (SELECT today.day - n AS day FROM today, generate_series(0, $3::int - 1) n) d LEFT JOIN f USING (day) LEFT JOIN m USING (day)
		 ORDER BY d.day DESC`, appID, zone, days)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PermitDay])
	return list, wrap(err, "permit days of app %d", appID)
}
