package store

import (
	"context"
	"time"

	"minipush/internal/push"
)

// Reach counts how many of a task's audience can be reached at the time given, by what is known now. For the audience "all",
// total is everyone with an openid and a usable permit now. Each recipient is counted for the first thing that stands against it, in
// the order of the claim; capped is by the day of that time, in the zone named.
func (s *Store) Reach(ctx context.Context, t push.Task, at time.Time, margin time.Duration, zone string) (push.Reach, error) {
	look, err := s.courtesyOf(ctx, t.AppID)
	if err != nil {
		return push.Reach{}, wrap(err, "reach of task %d", t.ID)
	}
	k := permitsOf(t.Channel)
	audience := `SELECT user_id FROM recipient WHERE audience_id = $1`
	if t.Audience == push.AudienceAll && t.AudienceID == 0 {
		audience = `SELECT user_id FROM app_user u WHERE u.app_id = $2 AND u.openid IS NOT NULL AND $1::bigint = 0
			AND EXISTS (SELECT FROM ` + k.table + ` f WHERE ` + k.usable("$2", "u.user_id", "u.openid", "$9", "now()", "$4") + `)`
	}
	r := push.Reach{}
	err = s.db(ctx).QueryRow(ctx, `
		SELECT now(), count(*), count(*) FILTER (WHERE known IS NULL), count(*) FILTER (WHERE known AND openid IS NULL),
		       count(*) FILTER (WHERE openid IS NOT NULL AND suppressed), count(*) FILTER (WHERE openid IS NOT NULL AND NOT suppressed AND twice),
		       count(*) FILTER (WHERE openid IS NOT NULL AND NOT suppressed AND NOT twice AND capped),
		       count(*) FILTER (WHERE free AND last > greatest($3::timestamptz, now()) + $4::interval),
		       count(*) FILTER (WHERE free AND last > now() + $4::interval AND last <= greatest($3::timestamptz, now()) + $4::interval)
		  FROM (SELECT x.*, openid IS NOT NULL AND NOT suppressed AND NOT twice AND NOT capped AS free
		          FROM (SELECT r.user_id, true AND u.user_id IS NOT NULL OR NULL AS known, u.openid, `+courtesyColumns+`,
		               (SELECT max(`+k.until+`) FROM `+k.table+` f WHERE u.openid IS NOT NULL AND $9::text IS NOT NULL
		                   AND `+k.usable("$2", "r.user_id", "u.openid", "$9", "now()", "$4")+`) AS last
		          FROM (`+audience+`) r
		          LEFT JOIN app_user u ON u.app_id = $2 AND u.user_id = r.user_id) x) x`,
		t.AudienceID, t.AppID, at, margin, look.suppress, look.cap, zone, t.ID, t.TemplateID).
		Scan(&r.AsOf, &r.Total, &r.NoUser, &r.NoOpenID, &r.Suppressed, &r.DuplicateOpenID, &r.Capped, &r.Reachable, &r.ExpiresBeforeSend)
	r.NoPermit = r.Total - r.NoUser - r.NoOpenID - r.Suppressed - r.DuplicateOpenID - r.Capped - r.Reachable
	return r, wrap(err, "reach of task %d", t.ID)
}

// courtesyColumns are what stands against a user u of app $2 beside permits, as the claim of task $8 with the list $1 finds it: twice is
// that the person had the message already, under another id.
//
//nolint:gochecknoglobals // a statement in parts
var courtesyColumns = `
	($5 AND (EXISTS (SELECT FROM suppression s WHERE s.scope IN (0, $2) AND s.user_id = u.user_id)
	     OR EXISTS (SELECT FROM suppression s WHERE s.scope IN (0, $2) AND s.openid = u.openid))) AS suppressed,
	coalesce(u.moved, false) AND EXISTS (SELECT FROM openid_move m JOIN recipient o ON o.audience_id = $1 AND o.user_id = m.user_id
	     WHERE m.app_id = $2 AND m.openid = u.openid AND o.openid = u.openid AND (o.state IN (1, 2, 5) OR o.ambiguous)) AS twice,
	EXISTS (` + isCapped("$6::int", "$2", "u.openid", dayOf("greatest($3::timestamptz, now())", "$7"), "$8::bigint") + `) AS capped`

// AnyReachable says whether at least one of a task's audience can be reached at the time given. It stops at the first.
func (s *Store) AnyReachable(ctx context.Context, t push.Task, at time.Time, margin time.Duration, zone string) (any bool, err error) {
	look, err := s.courtesyOf(ctx, t.AppID)
	if err != nil {
		return false, wrap(err, "look for someone reachable in task %d", t.ID)
	}
	k := permitsOf(t.Channel)
	usable := `EXISTS (SELECT FROM ` + k.table + ` f WHERE $9::text IS NOT NULL AND $3::timestamptz IS NOT DISTINCT FROM $3
		AND ` + k.usable("u.app_id", "u.user_id", "u.openid", "$9", "greatest($3::timestamptz, now())", "$4") + `)
		AND NOT EXISTS (` + isSuppressed("$5", "$2", "u.user_id", "u.openid") + `)
		AND NOT EXISTS (` + isCapped("$6::int", "$2", "u.openid", dayOf("greatest($3::timestamptz, now())", "$7"), "$8::bigint") + `)`
	query := `SELECT EXISTS (SELECT FROM recipient r
		CROSS JOIN LATERAL (SELECT u.app_id, u.user_id, u.openid FROM app_user u WHERE u.app_id = $2 AND u.user_id = r.user_id AND u.openid IS NOT NULL LIMIT 1) u
		WHERE r.audience_id = $1 AND ` + usable + `)`
	if t.Audience == push.AudienceAll {
		query = `SELECT EXISTS (SELECT FROM app_user u WHERE u.app_id = $2 AND u.openid IS NOT NULL AND $1::bigint >= 0 AND ` + usable + `)`
	}
	err = s.db(ctx).QueryRow(ctx, query, t.AudienceID, t.AppID, at, margin, look.suppress, look.cap, zone, t.ID, t.TemplateID).Scan(&any)
	return any, wrap(err, "look for someone reachable in task %d", t.ID)
}
