package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

const appColumns = `id, key, appid, base_url, rate_per_second, ramp_from, ramp_minutes, daily_budget, to_char(quiet_from, 'HH24:MI'),
	to_char(quiet_to, 'HH24:MI'), daily_cap, permit_source, paused_at, paused_by, created_at, updated_at,
	quota_limit, quota_used, quota_asked_at, quota_until, approval, testers,
	coalesce((SELECT d.calls FROM app_day d WHERE d.app_id = app.id AND d.day = (now() AT TIME ZONE 'Asia/Shanghai')::date), 0)`

func appFields(a *push.App) []any {
	return []any{
		&a.ID, &a.Key, &a.AppID, &a.BaseURL, &a.RatePerSecond, &a.RampFrom, &a.RampMinutes, &a.DailyBudget, &a.QuietFrom,
		&a.QuietTo, &a.DailyCap, &a.PermitSource, &a.PausedAt, &a.PausedBy, &a.CreatedAt, &a.UpdatedAt,
		&a.Quota.Limit, &a.Quota.Used, &a.Quota.AskedAt, &a.Quota.OutUntil, &a.Approval, &a.Testers, &a.Quota.BudgetUsed,
	}
}

func scanApp(row pgx.CollectableRow) (push.App, error) {
	var a push.App
	err := row.Scan(appFields(&a)...)
	return a, err
}

// InsertApp adds an app with the original's seven formId sources. seal is given the new id, to which the secret is bound.
// A key or appid that is taken is an *push.InvalidError.
func (s *Store) InsertApp(ctx context.Context, a push.App, seal func(id int32) []byte) (push.App, error) {
	var app push.App
	err := s.InTx(ctx, func(ctx context.Context) error {
		rows, _ := s.db(ctx).Query(ctx, `
			INSERT INTO app (key, appid, base_url, secret_sealed) VALUES ($1, $2, $3, '')
			RETURNING `+appColumns, a.Key, a.AppID, a.BaseURL)
		var err error
		if app, err = pgx.CollectExactlyOneRow(rows, scanApp); err != nil {
			return err
		}
		if _, err := s.db(ctx).Exec(ctx, `UPDATE app SET secret_sealed = $2 WHERE id = $1`, app.ID, seal(app.ID)); err != nil {
			return err
		}
		for _, f := range push.FormSources() {
			if _, err := s.db(ctx).Exec(ctx, `INSERT INTO form_source (app_id, source, label_zh, label_en) VALUES ($1, $2, $3, $4)`,
				app.ID, f.Source, f.LabelZH, f.LabelEN); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case violates(err, "app_key_unique"):
		return push.App{}, &push.InvalidError{Field: "key", Rule: "taken", Message: "is the key of another app"}
	case violates(err, "app_appid_unique"):
		return push.App{}, &push.InvalidError{Field: "appid", Rule: "taken", Message: "is registered already, under another key"}
	case violates(err, "app_key_form"):
		return push.App{}, &push.InvalidError{Field: "key", Rule: "bad_key", Message: "must be lower-case letters, digits, - and _, at most 63"}
	}
	return app, wrap(err, "insert app %q", a.Key)
}

// UpdateApp changes base URL and appid, and the secret where sealed is not nil. The token that was fetched with what stood before is
// given up, and one that is just being fetched will not be kept. The caller has a transaction and holds the app's row.
func (s *Store) UpdateApp(ctx context.Context, a push.App, sealed []byte) (push.App, error) {
	if _, err := s.db(ctx).Exec(ctx, `
		UPDATE app_token SET version = version + 1, token_sealed = NULL, expires_at = NULL, refreshing_until = NULL, updated_at = now() WHERE app_id = $1`, a.ID); err != nil {
		return push.App{}, wrap(err, "update app %q", a.Key)
	}
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE app SET appid = $2, base_url = $3, secret_sealed = coalesce($4, secret_sealed), updated_at = now()
		 WHERE id = $1 RETURNING `+appColumns, a.ID, a.AppID, a.BaseURL, sealed)
	app, err := pgx.CollectExactlyOneRow(rows, scanApp)
	if violates(err, "app_appid_unique") {
		return push.App{}, &push.InvalidError{Field: "appid", Rule: "taken", Message: "is registered already, under another key"}
	}
	return app, wrap(err, "update app %q", a.Key)
}

// UpdateAppSettings writes the limits and courtesies of an app.
func (s *Store) UpdateAppSettings(ctx context.Context, id int32, v push.AppSettings) (push.App, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE app SET rate_per_second = $2, ramp_from = $3, ramp_minutes = $4, daily_budget = $5, quiet_from = $6::text::time, quiet_to = $7::text::time,
		       daily_cap = $8, permit_source = coalesce(nullif($9, ''), 'client'), approval = $10, testers = coalesce($11::text[], '{}'), updated_at = now()
		 WHERE id = $1 RETURNING `+appColumns,
		id, v.RatePerSecond, v.RampFrom, v.RampMinutes, v.DailyBudget, v.QuietFrom, v.QuietTo, v.DailyCap, v.PermitSource, v.Approval, v.Testers)
	app, err := pgx.CollectExactlyOneRow(rows, scanApp)
	return app, wrap(err, "update settings of app %d", id)
}

// LockAppID locks the row of an app until the transaction ends. Whoever changes tasks as well locks it first.
func (s *Store) LockAppID(ctx context.Context, id int32) error {
	_, err := s.db(ctx).Exec(ctx, `SELECT `+boundTx+` FROM app WHERE id = $1 FOR NO KEY UPDATE`, id)
	return wrap(err, "lock app %d", id)
}

// LockApp finds an app by its key and locks its row until the transaction ends.
func (s *Store) LockApp(ctx context.Context, key string) (push.App, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+appColumns+` FROM app WHERE key = $1 FOR NO KEY UPDATE`, key)
	app, err := pgx.CollectExactlyOneRow(rows, scanApp)
	return app, wrap(err, "app %q", key)
}

// SetAppPaused turns the kill switch of an app on (by names who) or, with by empty, off.
func (s *Store) SetAppPaused(ctx context.Context, key, by string) (push.App, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE app SET paused_at = CASE WHEN $2 = '' THEN NULL ELSE coalesce(paused_at, now()) END,
		       paused_by = CASE WHEN $2 = '' THEN NULL ELSE coalesce(paused_by, $2) END, updated_at = now()
		 WHERE key = $1 RETURNING `+appColumns, key, by)
	app, err := pgx.CollectExactlyOneRow(rows, scanApp)
	return app, wrap(err, "app %q", key)
}

// App finds an app by its key.
func (s *Store) App(ctx context.Context, key string) (push.App, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+appColumns+` FROM app WHERE key = $1`, key)
	app, err := pgx.CollectExactlyOneRow(rows, scanApp)
	return app, wrap(err, "app %q", key)
}

// Apps lists all apps by key.
func (s *Store) Apps(ctx context.Context) ([]push.App, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+appColumns+` FROM app ORDER BY key`)
	apps, err := pgx.CollectRows(rows, scanApp)
	return apps, wrap(err, "list apps")
}

// AppSecret is what a client of the platform needs to know about an app.
type AppSecret struct {
	App    push.App
	Sealed []byte
}

// AppSecret reads an app with its sealed secret.
func (s *Store) AppSecret(ctx context.Context, id int32) (AppSecret, error) {
	var a AppSecret
	err := s.db(ctx).QueryRow(ctx, `SELECT `+appColumns+`, secret_sealed FROM app WHERE id = $1`, id).Scan(append(appFields(&a.App), &a.Sealed)...)
	return a, wrap(err, "secret of app %d", id)
}

// AppToken is the platform's token of an app as all daemons share it. Version 0 is none yet.
type AppToken struct {
	Version   int32
	Sealed    []byte
	ExpiresIn time.Duration // by the database's clock; negative once past
}

// AppToken reads the token in force.
func (s *Store) AppToken(ctx context.Context, appID int32) (AppToken, error) {
	var t AppToken
	var seconds float64
	err := s.db(ctx).QueryRow(ctx, `
		SELECT version, token_sealed, coalesce(extract(epoch FROM expires_at - clock_timestamp()), 0)::float8
		  FROM app_token WHERE app_id = $1`, appID).Scan(&t.Version, &t.Sealed, &seconds)
	t.ExpiresIn = time.Duration(seconds * float64(time.Second))
	return t, wrap(err, "token of app %d", appID)
}

// BeginTokenRefresh asks for the right to fetch a token that follows version. At most one caller in hold gets it; a caller
// whose version is no longer the one in force does not, for somebody has replaced it already.
func (s *Store) BeginTokenRefresh(ctx context.Context, appID, version int32, hold time.Duration) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		INSERT INTO app_token AS t (app_id, refreshing_until) VALUES ($1, clock_timestamp() + $3::interval)
		ON CONFLICT (app_id) DO UPDATE SET refreshing_until = excluded.refreshing_until, updated_at = now()
		 WHERE t.version = $2 AND (t.refreshing_until IS NULL OR t.refreshing_until < clock_timestamp())`, appID, version, hold)
	return tag.RowsAffected() == 1, wrap(err, "begin token refresh of app %d", appID)
}

// EndTokenRefresh stores the token that follows version and gives the right back; with sealed nil it only gives it back.
func (s *Store) EndTokenRefresh(ctx context.Context, appID, version int32, sealed []byte, expiresIn time.Duration) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE app_token SET refreshing_until = NULL, updated_at = now(),
		       version = version + CASE WHEN $3::bytea IS NULL THEN 0 ELSE 1 END,
		       token_sealed = coalesce($3, token_sealed),
		       expires_at = CASE WHEN $3::bytea IS NULL THEN expires_at ELSE clock_timestamp() + $4::interval END
		 WHERE app_id = $1 AND version = $2`, appID, version, sealed, expiresIn)
	return wrap(err, "end token refresh of app %d", appID)
}
