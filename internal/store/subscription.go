package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// SubscriptionReport is one thing that a person did about the messages of a template.
type SubscriptionReport struct {
	// ID is the reporter's own: what has the same id counts once.
	ID                 string
	OpenID, TemplateID string
	// Accepted is one more message that the person allows; for a long-term template, any number. TurnedOff ends what was allowed. With
	// neither the person only declined to allow one more.
	Accepted, TurnedOff bool
	// At is when; zero is now. What was turned off before the last acceptance stays accepted, and what was accepted before it was last turned
	// off counts no more: reports come late, and again.
	At time.Time
}

// InsertSubscriptions takes reports in and returns how many were new; of two with the same id the first counts. Of one batch for the
// same openid and template, what was accepted is added after what was turned off.
func (s *Store) InsertSubscriptions(ctx context.Context, appID int32, reports []SubscriptionReport) (added int, err error) {
	if len(reports) == 0 {
		return 0, nil
	}
	n := len(reports)
	ids, openIDs, templates, accepted, off, at := make([]string, n), make([]string, n), make([]string, n), make([]bool, n), make([]bool, n), make([]*time.Time, n)
	for i, r := range reports {
		if !r.At.IsZero() {
			at[i] = &r.At
		}
		ids[i], openIDs[i], templates[i], accepted[i], off[i] = r.ID, r.OpenID, r.TemplateID, r.Accepted, r.TurnedOff
	}
	err = s.db(ctx).QueryRow(ctx, `
		WITH n AS MATERIALIZED (
		    SELECT DISTINCT ON (id) * FROM unnest($2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::timestamptz[])
		           WITH ORDINALITY AS n(id, openid, template_id, accepted, turned_off, at, ord) ORDER BY id, ord),
		added AS (INSERT INTO subscription_report (app_id, id) SELECT $1, id FROM n ORDER BY id ON CONFLICT (app_id, id) DO NOTHING RETURNING id),
		summed AS (
		    SELECT n.openid, n.template_id, count(*) FILTER (WHERE n.accepted) AS units, max(coalesce(n.at, now())) FILTER (WHERE n.turned_off) AS off_at,
		           max(coalesce(n.at, now())) FILTER (WHERE n.accepted) AS accepted_at
		      FROM n JOIN added USING (id) GROUP BY 1, 2),
		kept AS (
		    INSERT INTO subscription AS s (app_id, openid, template_id, available, fresh, long_term, off_at, accepted_at)
		    SELECT $1, m.openid, m.template_id, n.units, n.units, t.long_term, m.off_at, m.accepted_at
		      FROM summed m CROSS JOIN LATERAL (SELECT coalesce((SELECT long_term FROM template WHERE app_id = $1 AND template_id = m.template_id), false) AS long_term) t
		      CROSS JOIN LATERAL (SELECT CASE WHEN t.long_term THEN least(m.units, 1) ELSE m.units END AS units) n
		     WHERE m.units > 0 OR m.off_at IS NOT NULL ORDER BY m.openid, m.template_id
		    ON CONFLICT (openid, app_id, template_id) DO UPDATE SET long_term = excluded.long_term, off_at = greatest(s.off_at, excluded.off_at), accepted_at = greatest(s.accepted_at, excluded.accepted_at), updated_at = now(),
		       available = CASE WHEN excluded.off_at >= coalesce(s.accepted_at, '-infinity') THEN excluded.available WHEN excluded.accepted_at < s.off_at THEN s.available
		                        WHEN excluded.long_term THEN greatest(s.available, excluded.available) ELSE s.available + excluded.available END,
		       fresh = CASE WHEN excluded.off_at >= coalesce(s.accepted_at, '-infinity') THEN excluded.fresh WHEN excluded.accepted_at < s.off_at THEN s.fresh
		                    WHEN excluded.long_term THEN greatest(s.fresh, excluded.fresh) ELSE s.fresh + excluded.fresh END,
		       suspect = CASE WHEN excluded.off_at >= coalesce(s.accepted_at, '-infinity') THEN 0 ELSE s.suspect END,
		       suspect_at = CASE WHEN excluded.off_at >= coalesce(s.accepted_at, '-infinity') THEN NULL ELSE s.suspect_at END)
		SELECT count(*) FROM added`, appID, ids, openIDs, templates, accepted, off, at).Scan(&added)
	return added, wrap(err, "insert subscriptions")
}

// Retried is what one page of RetrySuspects made available again.
type Retried struct {
	// Units are messages, OpenIDs the people whom they are of.
	Units   int
	OpenIDs []string
	// Last is where the next page begins; zero after the last one.
	Last int64
}

// RetrySuspects makes the units of an app available again that were set aside longer than age ago, of one template or of all where
// templateID is empty: those of at most limit counters with an id above after. A counter that is being written at this moment is left as it
// is, so that this waits for no send and no send for more than a page.
func (s *Store) RetrySuspects(ctx context.Context, appID int32, templateID string, age time.Duration, after int64, limit int) (Retried, error) {
	var r Retried
	var read int
	err := s.db(ctx).QueryRow(ctx, `
		WITH page AS MATERIALIZED (
		    SELECT id, suspect, template_id = $2 OR $2 = '' AS wanted, suspect_at <= clock_timestamp() - $3::interval AS old
		      FROM subscription WHERE app_id = $1 AND suspect > 0 AND id > $4 ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED),
		again AS (
		    UPDATE subscription s SET available = CASE WHEN s.long_term THEN 1 ELSE s.available + s.suspect END, suspect = 0, suspect_at = NULL, updated_at = now()
		      FROM page WHERE s.id = page.id AND page.wanted AND page.old RETURNING s.openid, page.suspect)
		SELECT (SELECT count(*) FROM page), (SELECT coalesce(max(id), 0) FROM page), coalesce(sum(suspect), 0), coalesce(array_agg(openid), '{}') FROM again`,
		appID, templateID, age, after, limit).Scan(&read, &r.Last, &r.Units, &r.OpenIDs)
	if read < limit {
		r.Last = 0
	}
	return r, wrap(err, "retry suspect units of app %d", appID)
}

// RealignSubscriptions makes the counters of a template follow its last change of long_term, where they have not yet: those of the next
// limit counters, of whatever template. How far it has come is in the template's row, so that whoever comes next goes on. It takes one template
// of the app (0: of any), and is false where there is none. Whoever has accepted a template that is a long-term one after all, and has neither
// turned it off since nor been refused, accepts it for good.
func (s *Store) RealignSubscriptions(ctx context.Context, appID int32, limit int) (some bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		WITH t AS MATERIALIZED (
		    SELECT app_id, template_id, long_term, realign_after FROM template
		     WHERE realign_after IS NOT NULL AND ($1 = 0 OR app_id = $1) ORDER BY app_id, template_id LIMIT 1 FOR NO KEY UPDATE),
		page AS MATERIALIZED (SELECT id FROM subscription WHERE id > (SELECT realign_after FROM t) ORDER BY id LIMIT $2),
		locked AS MATERIALIZED (
		    SELECT s.id FROM page JOIN subscription s ON s.id = page.id JOIN t ON s.app_id = t.app_id AND s.template_id = t.template_id
		     WHERE s.long_term <> t.long_term ORDER BY s.id FOR UPDATE OF s),
		aligned AS (
		    UPDATE subscription s SET long_term = t.long_term, fresh = 0, updated_at = now(),
		           available = CASE WHEN NOT t.long_term THEN s.available
		                            WHEN s.available > 0 OR s.suspect = 0 AND s.accepted_at > coalesce(s.off_at, '-infinity') THEN 1 ELSE 0 END
		      FROM locked, t WHERE s.id = locked.id),
		moved AS (
		    UPDATE template x SET realign_after = CASE WHEN n.read = $2 THEN n.last END
		      FROM t, (SELECT count(*) AS read, max(id) AS last FROM page) n WHERE x.app_id = t.app_id AND x.template_id = t.template_id)
		SELECT EXISTS (SELECT FROM t)`, appID, limit).Scan(&some)
	return some, wrap(err, "realign subscriptions")
}

// SubscriptionStock counts the units of an app by template: of those that it has, and of those for which the platform reported something.
func (s *Store) SubscriptionStock(ctx context.Context, appID int32) ([]push.TemplateStock, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT coalesce(t.template_id, n.template_id), coalesce(t.name, ''), coalesce(n.available, 0), coalesce(n.reserved, 0), coalesce(n.suspect, 0),
		       coalesce(n.used, 0), coalesce(n.long_term, 0), coalesce(n.users, 0)
		  FROM (SELECT template_id, name FROM template WHERE app_id = $1 AND channel = 'subscribe') t FULL JOIN (
		       SELECT template_id, sum(available) FILTER (WHERE NOT long_term) AS available, sum(reserved) AS reserved, sum(suspect) AS suspect, sum(used)::bigint AS used,
		              count(*) FILTER (WHERE long_term AND available > 0) AS long_term, count(*) FILTER (WHERE available > 0) AS users
		         FROM subscription WHERE app_id = $1 GROUP BY template_id) n ON n.template_id = t.template_id
		 ORDER BY 1`, appID)
	stock, err := pgx.CollectRows(rows, pgx.RowToStructByPos[push.TemplateStock])
	return stock, wrap(err, "subscription stock")
}

// inOrder locks the openids of calls in the order in which claims take them, whatever the order of the recipients is: whoever lets go of
// several while another claims them must not wait for it crosswise.
func inOrder(condition string) string {
	return `SELECT ctid FROM openid_call WHERE ` + condition + ` ORDER BY openid FOR UPDATE`
}

// letGo frees the openids of calls that have ended.
func letGo(condition string) string {
	return `DELETE FROM openid_call WHERE ctid = ANY (ARRAY(` + inOrder(condition) + `))`
}

// PurgeOpenIDCalls removes at most limit openids that are free again.
func (s *Store) PurgeOpenIDCalls(ctx context.Context, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM openid_call WHERE ctid = ANY (ARRAY(SELECT ctid FROM openid_call WHERE free_at < clock_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED))`, limit)
	return int(tag.RowsAffected()), wrap(err, "purge calls")
}

// PurgeSubscriptionReports forgets at most limit reports taken in before the time given: what is reported again after that counts again.
func (s *Store) PurgeSubscriptionReports(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM subscription_report WHERE ctid = ANY (ARRAY(
		    SELECT ctid FROM subscription_report WHERE reported_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit)
	return int(tag.RowsAffected()), wrap(err, "purge subscription reports")
}

// OpenIDsOf finds the openids of users of an app; one without an openid is left out.
func (s *Store) OpenIDsOf(ctx context.Context, appID int32, users []string) (map[string]string, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT u.user_id, u.openid FROM (SELECT DISTINCT n FROM unnest($2::text[]) n) n
		 CROSS JOIN LATERAL (SELECT u.user_id, u.openid FROM app_user u WHERE u.app_id = $1 AND u.user_id = n.n AND u.openid IS NOT NULL LIMIT 1) u`, appID, users)
	found := map[string]string{}
	var user, openID string
	_, err := pgx.ForEachRow(rows, []any{&user, &openID}, func() error { found[user] = openID; return nil })
	return found, wrap(err, "find openids")
}

// SubscribeTemplates says which of the ids are subscribe templates of an app.
func (s *Store) SubscribeTemplates(ctx context.Context, appID int32, ids []string) (map[string]bool, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT template_id FROM template WHERE app_id = $1 AND template_id = ANY ($2) AND channel = 'subscribe'`, appID, ids)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	found := map[string]bool{}
	for _, id := range list {
		found[id] = true
	}
	return found, wrap(err, "find templates")
}
