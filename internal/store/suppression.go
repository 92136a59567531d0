package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// NewSuppression is one person to be left alone: UserID or OpenID, the other one empty.
type NewSuppression struct {
	UserID, OpenID, Note string
}

// AddSuppressions puts people on the list of an app (nil: of all apps), and returns how many were not on it yet. The others stay as
// they are. A claim that begins after the commit finds them.
func (s *Store) AddSuppressions(ctx context.Context, appID *int32, list []NewSuppression, by string) (added int, err error) {
	users, openIDs, notes := make([]string, len(list)), make([]string, len(list)), make([]string, len(list))
	for i, n := range list {
		users[i], openIDs[i], notes[i] = n.UserID, n.OpenID, n.Note
	}
	tag, err := s.db(ctx).Exec(ctx, `
		INSERT INTO suppression (app_id, user_id, openid, note, added_by)
		SELECT $1, nullif(n.user_id, ''), nullif(n.openid, ''), n.note, $5
		  FROM unnest($2::text[], $3::text[], $4::text[]) AS n(user_id, openid, note) ORDER BY n.user_id COLLATE "C", n.openid COLLATE "C"
		ON CONFLICT DO NOTHING`, appID, users, openIDs, notes, by)
	return int(tag.RowsAffected()), wrap(err, "add suppressions")
}

// SuppressionFilter narrows the list.
type SuppressionFilter struct {
	// AppIDs are the apps to show, with what holds for all apps; nil is every app.
	AppIDs []int32
	// OnlyAll shows only what holds for all apps.
	OnlyAll        bool
	UserID, OpenID string
	After          int64
	Limit          int
}

const (
	suppressionColumns = `
	SELECT s.id, coalesce(a.key, '` + push.AllApps + `'), coalesce(s.app_id, 0), s.user_id, s.openid, s.note, s.added_by, s.created_at, s.updated_at`
	suppressionSelect = suppressionColumns + `
	  FROM suppression s LEFT JOIN app a ON a.id = s.app_id`
)

// Suppressions lists the entries by id, after the one given.
func (s *Store) Suppressions(ctx context.Context, f SuppressionFilter) ([]push.Suppression, error) {
	var scopes []int32 // nil is every one
	switch {
	case f.OnlyAll:
		scopes = []int32{0}
	case f.AppIDs != nil:
		scopes = append([]int32{0}, f.AppIDs...)
	}
	var c conditions
	from := `suppression s`
	c.add(true, `s.id > `, f.After)
	// The few entries of a person are found by their own index first. Beside an order and a limit it would not be chosen: to walk all
	// entries until the page is full looks as good to a planner that has no statistics, and never ends where nobody is found.
	if f.UserID != "" {
		c.where = append(c.where, `s.id = ANY (ARRAY(SELECT o.id FROM suppression o WHERE o.user_id = `+c.arg(f.UserID)+`))`)
	}
	if f.OpenID != "" {
		c.where = append(c.where, `s.id = ANY (ARRAY(SELECT o.id FROM suppression o WHERE o.openid = `+c.arg(f.OpenID)+`))`)
	}
	switch {
	case scopes != nil && f.UserID == "" && f.OpenID == "": // a page of each list, whatever the others hold: as in anySuppressed
		from = `unnest(` + c.arg(scopes) + `::int[]) n(scope)
			CROSS JOIN LATERAL (SELECT o.* FROM suppression o WHERE o.scope BETWEEN n.scope AND n.scope AND o.id > $1 ORDER BY o.scope, o.id LIMIT ` + c.arg(f.Limit) + `) s`
	case scopes != nil:
		c.where = append(c.where, `s.scope = ANY (`+c.arg(scopes)+`)`)
	}
	rows, _ := s.db(ctx).Query(ctx, suppressionColumns+` FROM `+from+` LEFT JOIN app a ON a.id = s.app_id`+c.sql()+` ORDER BY s.id LIMIT `+c.arg(f.Limit), c.args...)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[push.Suppression])
	return list, wrap(err, "list suppressions")
}

// Suppression finds an entry.
func (s *Store) Suppression(ctx context.Context, id int64) (push.Suppression, error) {
	rows, _ := s.db(ctx).Query(ctx, suppressionSelect+` WHERE s.id = $1`, id)
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[push.Suppression])
	return found, wrap(err, "suppression %d", id)
}

// SuppressionOf finds the entry of a person, by user id or (user empty) by openid, in an app (nil: for all apps).
func (s *Store) SuppressionOf(ctx context.Context, appID *int32, user, openID string) (push.Suppression, error) {
	rows, _ := s.db(ctx).Query(ctx, suppressionSelect+`
		 WHERE s.scope = coalesce($1::int, 0) AND CASE WHEN $2 <> '' THEN s.user_id = $2 ELSE s.openid = $3 END`, appID, user, openID)
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[push.Suppression])
	return found, wrap(err, "suppression")
}

// RemoveSuppression takes an entry off the list; false if it is gone already.
func (s *Store) RemoveSuppression(ctx context.Context, id int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `DELETE FROM suppression WHERE id = $1`, id)
	return tag.RowsAffected() == 1, wrap(err, "remove suppression %d", id)
}
