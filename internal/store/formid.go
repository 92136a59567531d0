package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// FormID is one formId as it is collected.
type FormID struct {
	UserID      string
	FormID      string
	Source      int16
	SubmittedAt time.Time
	ExpiresAt   time.Time
}

// InsertFormIDs adds formIds and returns how many were new; the rest are known already; of two of the same, the first counts. day is the day on which they count as collected.
func (s *Store) InsertFormIDs(ctx context.Context, appID int32, day time.Time, ids []FormID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	users, forms, sources := make([]string, len(ids)), make([]string, len(ids)), make([]int16, len(ids))
	submitted, expires := make([]time.Time, len(ids)), make([]time.Time, len(ids))
	for i, f := range ids {
		users[i], forms[i], sources[i], submitted[i], expires[i] = f.UserID, f.FormID, f.Source, f.SubmittedAt, f.ExpiresAt
	}
	var added int
	err := s.db(ctx).QueryRow(ctx, `
		WITH added AS (
		    INSERT INTO form_id (app_id, user_id, form_id, source, submitted_at, expires_at)
		    SELECT $1, n.user_id, n.form_id, n.source, n.submitted_at, n.expires_at
		      FROM unnest($2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::timestamptz[])
		           WITH ORDINALITY AS n(user_id, form_id, source, submitted_at, expires_at, ord)
		     ORDER BY n.form_id, n.ord
		    ON CONFLICT (app_id, form_id) DO NOTHING
		    RETURNING source),
		counted AS (
		    INSERT INTO form_id_day AS d (app_id, day, source, collected)
		    SELECT $1, $7::date, source, count(*) FROM added GROUP BY source ORDER BY source
		    ON CONFLICT (app_id, day, source) DO UPDATE SET collected = d.collected + excluded.collected)
		SELECT count(*) FROM added`, appID, users, forms, sources, submitted, expires, day.Format(time.DateOnly)).Scan(&added)
	return added, wrap(err, "insert formIds")
}

// RetireExpiredFormIDs removes at most limit formIds that expired unused after since, and counts them by the day of their expiry
// and source. It returns how many it removed. Reserved ones stay: their recipient is still being decided. since keeps the
// sweep from reading again and again the used ones, which stay until the purge.
func (s *Store) RetireExpiredFormIDs(ctx context.Context, zone string, since time.Time, limit int) (int, error) {
	var removed int
	err := s.db(ctx).QueryRow(ctx, `
		WITH gone AS (
		    DELETE FROM form_id WHERE ctid = ANY (ARRAY(
		        SELECT ctid FROM form_id WHERE expires_at > $3 AND expires_at <= now() AND state = 0 LIMIT $2 FOR UPDATE SKIP LOCKED))
		    RETURNING app_id, (expires_at AT TIME ZONE $1)::date AS day, source),
		counted AS (
		    INSERT INTO form_id_day AS d (app_id, day, source, expired)
		    SELECT app_id, day, source, count(*) FROM gone GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
		    ON CONFLICT (app_id, day, source) DO UPDATE SET expired = d.expired + excluded.expired)
		SELECT count(*) FROM gone`, zone, limit, since).Scan(&removed)
	return removed, wrap(err, "retire expired formIds")
}

// PurgeFormIDs removes at most limit formIds that were used, found invalid or left reserved by a recipient whose outcome nobody
// will know, and expired before the time given.
func (s *Store) PurgeFormIDs(ctx context.Context, expiredBefore time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM form_id WHERE ctid = ANY (ARRAY(
		    SELECT ctid FROM form_id WHERE expires_at < $1 AND state <> 0 LIMIT $2 FOR UPDATE SKIP LOCKED))`, expiredBefore, limit)
	return int(tag.RowsAffected()), wrap(err, "purge formIds")
}

// FormSources lists the places that yield formIds of an app.
func (s *Store) FormSources(ctx context.Context, appID int32) ([]push.FormSource, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT source, label_zh, label_en FROM form_source WHERE app_id = $1 ORDER BY source`, appID)
	sources, err := pgx.CollectRows(rows, pgx.RowToStructByPos[push.FormSource])
	return sources, wrap(err, "list formId sources")
}

// PermitStock counts the permits of an app. Days are in the time zone named.
func (s *Store) PermitStock(ctx context.Context, appID int32, zone string) (push.Stock, error) {
	stock := push.Stock{}
	if err := s.db(ctx).QueryRow(ctx, `SELECT now()`).Scan(&stock.AsOf); err != nil {
		return stock, wrap(err, "permit stock")
	}
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT f.source, f.label_zh, f.label_en, coalesce(n.available, 0), coalesce(n.reserved, 0), coalesce(n.used, 0), coalesce(n.invalid, 0)
		  FROM form_source f LEFT JOIN (
		       SELECT source, count(*) FILTER (WHERE state = 0 AND expires_at > now()) AS available, count(*) FILTER (WHERE state = 1) AS reserved,
		              count(*) FILTER (WHERE state = 2) AS used, count(*) FILTER (WHERE state = 3) AS invalid
		         FROM form_id WHERE app_id = $1 GROUP BY source) n ON n.source = f.source
		 WHERE f.app_id = $1 ORDER BY f.source`, appID)
	var err error
	stock.BySource, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (push.SourceStock, error) {
		var b push.SourceStock
		return b, row.Scan(&b.Source, &b.LabelZH, &b.LabelEN, &b.Available, &b.Reserved, &b.Used, &b.Invalid)
	})
	if err != nil {
		return stock, wrap(err, "permit stock by source")
	}
	rows, _ = s.db(ctx).Query(ctx, `
		SELECT (expires_at AT TIME ZONE $2)::date::text, count(*) FROM form_id
		 WHERE app_id = $1 AND state = 0 AND expires_at > now() GROUP BY 1 ORDER BY 1`, appID, zone)
	if stock.Expiring, err = pgx.CollectRows(rows, pgx.RowToStructByPos[push.DayCount]); err != nil {
		return stock, wrap(err, "permit stock by day")
	}
	rows, _ = s.db(ctx).Query(ctx, `
		SELECT day::text, source, collected, expired FROM form_id_day WHERE app_id = $1 ORDER BY day DESC, source LIMIT 217`, appID)
	if stock.Daily, err = pgx.CollectRows(rows, pgx.RowToStructByPos[push.SourceDay]); err != nil {
		return stock, wrap(err, "permit days")
	}
	stock.Subscriptions, err = s.SubscriptionStock(ctx, appID)
	return stock, err
}
