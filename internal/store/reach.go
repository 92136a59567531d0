package store

import (
	"context"
	"time"

	"minipush/internal/push"
)

// Reach counts how many of a task's audience can be reached at the time given, by what is known now. For the audience "all",
// total is everyone with an openid and a usable permit now.
func (s *Store) Reach(ctx context.Context, t push.Task, at time.Time, margin time.Duration) (push.Reach, error) {
	audience := `SELECT user_id FROM recipient WHERE audience_id = $1`
	if t.Audience == push.AudienceAll && t.AudienceID == 0 {
		audience = `SELECT user_id FROM app_user u WHERE u.app_id = $2 AND u.openid IS NOT NULL AND $1::bigint = 0
			AND EXISTS (SELECT FROM form_id f WHERE f.app_id = $2 AND f.user_id = u.user_id AND f.state = 0 AND f.expires_at > now() + $4::interval)`
	}
	r := push.Reach{}
	err := s.db(ctx).QueryRow(ctx, `
		SELECT now(), count(*), count(*) FILTER (WHERE known IS NULL), count(*) FILTER (WHERE known AND openid IS NULL),
		       count(*) FILTER (WHERE openid IS NOT NULL AND last > greatest($3::timestamptz, now()) + $4::interval),
		       count(*) FILTER (WHERE openid IS NOT NULL AND last > now() + $4::interval AND last <= greatest($3::timestamptz, now()) + $4::interval)
		  FROM (SELECT r.user_id, true AND u.user_id IS NOT NULL OR NULL AS known, u.openid,
		               (SELECT max(f.expires_at) FROM form_id f WHERE u.openid IS NOT NULL AND f.app_id = $2 AND f.user_id = r.user_id
		                   AND f.state = 0 AND f.expires_at > now() + $4::interval) AS last
		          FROM (`+audience+`) r
		          LEFT JOIN app_user u ON u.app_id = $2 AND u.user_id = r.user_id) x`, t.AudienceID, t.AppID, at, margin).
		Scan(&r.AsOf, &r.Total, &r.NoUser, &r.NoOpenID, &r.Reachable, &r.ExpiresBeforeSend)
	r.NoPermit = r.Total - r.NoUser - r.NoOpenID - r.Reachable
	return r, wrap(err, "reach of task %d", t.ID)
}

// AnyReachable says whether at least one of a task's audience can be reached at the time given. It stops at the first.
func (s *Store) AnyReachable(ctx context.Context, t push.Task, at time.Time, margin time.Duration) (any bool, err error) {
	const usable = `EXISTS (SELECT FROM form_id f WHERE f.app_id = u.app_id AND f.user_id = u.user_id AND f.state = 0
		AND f.expires_at > greatest($3::timestamptz, now()) + $4::interval)`
	query := `SELECT EXISTS (SELECT FROM recipient r
		CROSS JOIN LATERAL (SELECT u.app_id, u.user_id FROM app_user u WHERE u.app_id = $2 AND u.user_id = r.user_id AND u.openid IS NOT NULL LIMIT 1) u
		WHERE r.audience_id = $1 AND ` + usable + `)`
	if t.Audience == push.AudienceAll {
		query = `SELECT EXISTS (SELECT FROM app_user u WHERE u.app_id = $2 AND u.openid IS NOT NULL AND $1::bigint >= 0 AND ` + usable + `)`
	}
	err = s.db(ctx).QueryRow(ctx, query, t.AudienceID, t.AppID, at, margin).Scan(&any)
	return any, wrap(err, "look for someone reachable in task %d", t.ID)
}
