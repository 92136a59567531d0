package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// courtesy is what the claims for an app must look up beside permits. Where it has neither, they look up nothing.
type courtesy struct {
	// suppress says that somebody is on the suppression list of the app, or of all apps.
	suppress bool
	// cap is how many messages a person gets a day; 0 is no cap.
	cap int
}

// anySuppressed says whether anybody is suppressed in the app whose id the expression app gives. The order lets the index of scopes answer
// it, however many entries the table is thought to have; a range of one scope, and not the scope itself, keeps that order from being
// the one of the ids, along which all entries of other apps would be read.
func anySuppressed(app string) string {
	return `(SELECT true FROM (VALUES (0), (` + app + `)) w(scope)
		CROSS JOIN LATERAL (SELECT true FROM suppression s WHERE s.scope BETWEEN w.scope AND w.scope ORDER BY s.scope, s.id LIMIT 1) s LIMIT 1) IS TRUE`
}

// isSuppressed is a row if the user or the openid, each an expression, is suppressed in the app: up to four probes of unique keys.
// Where on is false nothing is read.
func isSuppressed(on, app, user, openID string) string {
	return `SELECT true AS there FROM (VALUES (0), (` + app + `)) w(scope) CROSS JOIN LATERAL (
		(SELECT true FROM suppression s WHERE s.user_id = ` + user + ` AND s.scope = w.scope LIMIT 1) UNION ALL
		(SELECT true FROM suppression s WHERE s.openid = ` + openID + ` AND s.scope = w.scope LIMIT 1)) s WHERE ` + on + ` LIMIT 1`
}

// isCapped is a row if the person has had as many messages on a day as the cap, without the one of the task itself. Where the cap
// is 0 nothing is read.
func isCapped(dayCap, app, openID, day, task string) string {
	return `SELECT true AS there FROM user_day n WHERE ` + dayCap + ` > 0 AND n.openid = ` + openID + ` AND n.app_id = ` + app + ` AND n.day = ` + day + `
		AND cardinality(array_remove(n.tasks, ` + task + `)) >= ` + dayCap + ` LIMIT 1`
}

// hadItAs says whether user u of the app had the message of the list already, as another user whose openid it was then.
// The look-up has the shape of the claim's, which no statistics turn into a scan of the list.
func hadItAs(list, app string) string {
	return `coalesce(u.moved, false) AND EXISTS (SELECT FROM openid_move m
		             CROSS JOIN LATERAL (SELECT o.openid, o.state, o.ambiguous OR o.in_doubt AS doubted FROM recipient o WHERE ` + userInList("o", "m.user_id", list) + ` LIMIT 1) o
		            WHERE m.app_id = ` + app + ` AND m.openid = u.openid AND o.openid = u.openid AND (o.state IN (1, 2, 5) OR o.doubted))`
}

// dayOf is the day of a time in the zone that the parameter names; an empty name is UTC.
func dayOf(at, zone string) string {
	return `(` + at + ` AT TIME ZONE coalesce(nullif(` + zone + `::text, ''), 'UTC'))::date`
}

func (s *Store) courtesyOf(ctx context.Context, appID int32) (c courtesy, err error) {
	err = s.db(ctx).QueryRow(ctx, `SELECT a.daily_cap, `+anySuppressed("a.id")+` FROM app a WHERE a.id = $1`, appID).Scan(&c.cap, &c.suppress)
	return c, err
}

// countDay counts the messages that were just claimed for their persons' day: each by one statement that takes a unit only where one
// is left, so that of two daemons one gets the last, and in the order of the key, so that they do not wait for each other. Rows that
// get none go back to pending, with their permits, and are returned.
func (s *Store) countDay(ctx context.Context, run Run, dayCap int, c *Claim) ([]miss, error) {
	openIDs := make([]string, len(c.Sending))
	for i, row := range c.Sending {
		openIDs[i] = row.OpenID
	}
	rows, _ := s.db(ctx).Query(ctx, `
		INSERT INTO user_day AS n (openid, app_id, day, tasks)
		SELECT o, $2, `+dayOf("now()", "$3")+`, ARRAY[$4::bigint] FROM unnest($1::text[]) o ORDER BY o COLLATE "C"
		ON CONFLICT (openid, app_id, day) DO UPDATE SET tasks = array_append(array_remove(n.tasks, $4::bigint), $4::bigint)
		 WHERE cardinality(array_remove(n.tasks, $4::bigint)) < $5
		RETURNING openid`, openIDs, run.AppID, run.Zone, run.TaskID, dayCap)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	counted := make(map[string]bool, len(got))
	for _, openID := range got {
		counted[openID] = true
	}
	var over []Claimed
	c.Sending = slices.DeleteFunc(c.Sending, func(row Claimed) bool {
		if !counted[row.OpenID] {
			over = append(over, row)
		}
		return !counted[row.OpenID]
	})
	for i := range c.Sending {
		c.Sending[i].Counted = true
	}
	return s.putBack(ctx, run, over)
}

// putBack undoes what the claim of the same transaction wrote ahead for rows over the cap.
func (s *Store) putBack(ctx context.Context, run Run, over []Claimed) ([]miss, error) {
	if len(over) == 0 {
		return nil, nil
	}
	misses, seqs, permits := make([]miss, len(over)), make([]int32, len(over)), make([]int64, len(over))
	counts := outcomeCounts{reasons: map[push.Reason]int{}}
	for i, row := range over {
		misses[i] = miss{row.Seq, row.UserID, row.Tries, push.Capped, row.InDoubt}
		seqs[i], permits[i] = row.Seq, row.PermitID
		counts.add(push.Sending, push.Pending, push.NoReason)
	}
	if _, err := s.db(ctx).Exec(ctx, `
		UPDATE recipient SET state = 0, attempt = attempt - 1, permit_id = NULL
		 WHERE audience_id = $1 AND seq >= $2 AND seq < $3 AND state = 1 AND lease = $4 AND seq = ANY ($5)`,
		run.AudienceID, slices.Min(seqs), slices.Max(seqs)+1, run.Lease, seqs); err != nil {
		return nil, err
	}
	k := permitsOf(run.Channel)
	if _, err := s.db(ctx).Exec(ctx, `
		WITH over AS (`+letGo(`audience_id = $1 AND seq = ANY ($3)`)+`)
		UPDATE `+k.table+` SET `+k.free+` WHERE id = ANY ($2) AND `+k.held, run.AudienceID, permits, seqs); err != nil {
		return nil, err
	}
	return misses, s.count(ctx, run, counts)
}

// uncounted are the persons to whom, by these outcomes, it is certain that nothing was sent although a message was counted.
func uncounted(outcomes []Outcome) []string {
	var openIDs []string
	for _, o := range outcomes {
		if o.CountedFor != "" && !o.Ambiguous && !o.InDoubt && o.Permit != PermitKept && (o.State == push.Pending || o.State == push.Failed) {
			openIDs = append(openIDs, o.CountedFor)
		}
	}
	return openIDs
}

// uncount takes messages out of their persons' days, whichever day that was. The rows are locked in the order of the key first.
func (s *Store) uncount(ctx context.Context, run Run, openIDs []string) error {
	if _, err := s.db(ctx).Exec(ctx, `
		SELECT FROM user_day WHERE openid = ANY ($1) AND app_id = $2 AND $3 = ANY (tasks) ORDER BY openid, day FOR UPDATE`,
		openIDs, run.AppID, run.TaskID); err != nil {
		return err
	}
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE user_day SET tasks = array_remove(tasks, $3) WHERE openid = ANY ($1) AND app_id = $2 AND $3 = ANY (tasks)`,
		openIDs, run.AppID, run.TaskID)
	return err
}

// PurgeUserDays removes at most limit counts of days that ended a day or longer before the time given, in the zone named.
func (s *Store) PurgeUserDays(ctx context.Context, zone string, now time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM user_day WHERE ctid = ANY (ARRAY(
		    SELECT ctid FROM user_day WHERE day < `+dayOf("$1::timestamptz", "$2")+` - 1 LIMIT $3 FOR UPDATE SKIP LOCKED))`, now, zone, limit)
	return int(tag.RowsAffected()), wrap(err, "purge days of users")
}
