package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

const audienceColumns = `id, task_id, state, filename, columns, total, accepted, duplicate, rejected, created_by, created_at, updated_at`

// BeginAudience opens a new version of a task's list, to be filled by AddRecipients and put in force by FlipAudience. A task that
// was deleted is push.ErrNotFound.
func (s *Store) BeginAudience(ctx context.Context, taskID int64, filename string, columns []string, by string) (push.Audience, error) {
	if columns == nil {
		columns = []string{}
	}
	rows, _ := s.db(ctx).Query(ctx, `
		INSERT INTO audience (task_id, filename, columns, created_by) VALUES ($1, $2, $3, $4) RETURNING `+audienceColumns, taskID, filename, columns, by)
	a, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[push.Audience])
	if violates(err, "audience_task_fkey") {
		err = push.ErrNotFound // the task was deleted meanwhile
	}
	return a, wrap(err, "begin audience of task %d", taskID)
}

// NewRecipient is one row of a list on its way in. Vars is a JSON array of the further columns; nil where there are none.
type NewRecipient struct {
	UserID string
	Vars   []byte
}

// AddRecipients appends a batch, in its order, to a version that is being filled, numbering on from next, and leaves out
// users that stand in it already, in the version or earlier in the batch, and those of the task excluded (0 for none).
// It returns how many were added. One short transaction; no other caller fills the same version. A version that was purged is
// push.ErrNotFound.
func (s *Store) AddRecipients(ctx context.Context, audienceID int64, next int, excludeAudience int64, batch []NewRecipient) (int, error) {
	users, vars := make([]string, 0, len(batch)), make([][]byte, 0, len(batch))
	seen := make(map[string]struct{}, len(batch))
	for _, r := range batch {
		if _, twice := seen[r.UserID]; twice {
			continue
		}
		seen[r.UserID] = struct{}{}
		users, vars = append(users, r.UserID), append(vars, r.Vars)
	}
	var added int
	err := s.fill(ctx, audienceID, func(ctx context.Context) error {
		tag, err := s.db(ctx).Exec(ctx, addRecipients, audienceID, next, users, vars, excludeAudience)
		added = int(tag.RowsAffected())
		return err
	})
	return added, wrap(err, "add recipients")
}

var addRecipients = `
	INSERT INTO recipient (audience_id, seq, user_id, vars)
	SELECT $1, $2 - 1 + row_number() OVER (ORDER BY n.ord), n.user_id, n.vars
	  FROM unnest($3::text[], $4::jsonb[]) WITH ORDINALITY AS n(user_id, vars, ord)
	  LEFT JOIN LATERAL (SELECT true AS there FROM recipient r WHERE ` + userInList("r", "n.user_id", "$1") + ` LIMIT 1) d ON true
	  LEFT JOIN LATERAL (SELECT true AS there FROM recipient r WHERE $5::bigint <> 0 AND ` + userInList("r", "n.user_id", "$5::bigint") + ` LIMIT 1) x ON true
	 WHERE d.there IS NULL AND x.there IS NULL`

// fill runs fn while the version stays: the purge does not remove it meanwhile, and so finds the rows that fn adds, also to a
// version that was dropped.
func (s *Store) fill(ctx context.Context, audienceID int64, fn func(ctx context.Context) error) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		var there bool
		if err := s.db(ctx).QueryRow(ctx, `SELECT true FROM audience WHERE id = $1 FOR KEY SHARE`, audienceID).Scan(&there); err != nil {
			return err
		}
		return fn(ctx)
	})
}

// userInList finds the row of a user in a list: recipient.user_id = user AND recipient.audience_id = list. Written plainly, the
// unique index and the primary key would rival each other for it, and while the list is unknown to the statistics both look as
// good: the key would read the whole list for each row. A row comparison is served by the unique index only.
func userInList(recipient, user, list string) string {
	row := "(" + recipient + ".user_id, " + recipient + ".audience_id)"
	return recipient + ".user_id = " + user + " AND " + row + " >= (" + user + ", " + list + ") AND " + row + " <= (" + user + ", " + list + ")"
}

// UserIDsOf resolves openids to user ids; an openid that nobody has is the empty string.
func (s *Store) UserIDsOf(ctx context.Context, appID int32, openIDs []string) ([]string, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT coalesce(u.user_id, '') FROM unnest($2::text[]) WITH ORDINALITY AS n(openid, ord)
		  LEFT JOIN LATERAL (SELECT user_id FROM app_user u WHERE u.app_id = $1 AND u.openid = n.openid LIMIT 1) u ON true
		 ORDER BY n.ord`, appID, openIDs)
	users, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return users, wrap(err, "resolve openids")
}

// Reject is a row of an upload that was refused.
type Reject struct {
	Line  int
	Code  string
	Value string
	// Field and Rule are of the template's field that the row does not fit, ZH and EN say so; all empty where it is about something else.
	Field, Rule, ZH, EN string
	// OpenID: the row is of a list of openids.
	OpenID bool
}

// AddRejects keeps rows that were refused. A version that was purged is push.ErrNotFound.
func (s *Store) AddRejects(ctx context.Context, audienceID int64, rejects []Reject) error {
	err := s.fill(ctx, audienceID, func(ctx context.Context) error {
		_, err := s.db(ctx).CopyFrom(ctx, pgx.Identifier{"audience_reject"}, []string{"audience_id", "line", "code", "value", "field", "rule", "zh", "en", "openid"},
			pgx.CopyFromSlice(len(rejects), func(i int) ([]any, error) {
				r := &rejects[i]
				return []any{audienceID, r.Line, r.Code, r.Value, r.Field, r.Rule, r.ZH, r.EN, r.OpenID}, nil
			}))
		return err
	})
	return wrap(err, "add rejects")
}

// FlipAudience puts a filled version in force and drops the one before. It is false, and changes nothing, if the task is no draft,
// or has come to go to all while the list was uploaded.
func (s *Store) FlipAudience(ctx context.Context, a push.Audience) (flipped bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		tag, err := s.db(ctx).Exec(ctx, `UPDATE task SET audience_id = NULL, source_id = NULL, updated_at = now() WHERE id = $1 AND state = 'draft' AND audience = 'list'`, a.TaskID)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		flipped = true
		return s.putInForce(ctx, a)
	})
	return flipped, wrap(err, "flip audience of task %d", a.TaskID)
}

// putInForce makes a the task's only version.
func (s *Store) putInForce(ctx context.Context, a push.Audience) error {
	if _, err := s.db(ctx).Exec(ctx, `UPDATE audience SET state = 'dropped', updated_at = now() WHERE task_id = $1 AND id <> $2 AND state = 'ready'`, a.TaskID, a.ID); err != nil {
		return err
	}
	if _, err := s.db(ctx).Exec(ctx, `
		UPDATE audience SET state = 'ready', total = $2, accepted = $3, duplicate = $4, rejected = $5, updated_at = now() WHERE id = $1`,
		a.ID, a.Total, a.Accepted, a.Duplicate, a.Rejected); err != nil {
		return err
	}
	_, err := s.db(ctx).Exec(ctx, `UPDATE task SET audience_id = $2, updated_at = now() WHERE id = $1`, a.TaskID, a.ID)
	return err
}

// DropAudience gives up a version that was being filled.
func (s *Store) DropAudience(ctx context.Context, id int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE audience SET state = 'dropped', updated_at = now() WHERE id = $1 AND state = 'loading'`, id)
	return wrap(err, "drop audience %d", id)
}

// dropAudiences detaches all versions of a task that is about to go: the purge finds their rows by the list of dropped ones.
func (s *Store) dropAudiences(ctx context.Context, taskID int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE audience SET state = 'dropped', task_id = NULL, updated_at = now() WHERE task_id = $1`, taskID)
	return err
}

// Audience reads the version of a task's list that is in force.
func (s *Store) Audience(ctx context.Context, taskID int64) (push.Audience, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+audienceColumns+` FROM audience WHERE id = (SELECT audience_id FROM task WHERE id = $1)`, taskID)
	a, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[push.Audience])
	return a, wrap(err, "audience of task %d", taskID)
}

// Rejects lists refused rows by line, after the one given.
func (s *Store) Rejects(ctx context.Context, audienceID int64, afterLine, limit int) ([]Reject, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT line, code, value, field, rule, zh, en, openid FROM audience_reject WHERE audience_id = $1 AND line > $2 ORDER BY line LIMIT $3`, audienceID, afterLine, limit)
	rejects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Reject])
	return rejects, wrap(err, "list rejects")
}

// FillFromPermits appends to a version the next users, by id, after the cursor, who have an openid and a permit that the task of p could use.
// It looks at limit users; done says that there are no more. margin is how long before its expiry a formId is no longer claimed.
func (s *Store) FillFromPermits(ctx context.Context, p PlanState, audienceID int64, next int, after string, limit int, margin time.Duration) (added int, last string, done bool, err error) {
	var seen int
	err = s.db(ctx).QueryRow(ctx, `
		WITH page AS MATERIALIZED (
		    SELECT user_id, openid FROM app_user WHERE app_id = $2 AND user_id > $4 ORDER BY user_id LIMIT $5),
		able AS (
		    SELECT p.user_id, row_number() OVER (ORDER BY p.user_id) AS n FROM page p
		      `+permitsOf(p.Channel).there("JOIN", "$2", "p.user_id", "p.openid", "$7", "$6")+`
		     WHERE p.openid IS NOT NULL),
		added AS (INSERT INTO recipient (audience_id, seq, user_id) SELECT $1, $3 - 1 + n, user_id FROM able RETURNING 1)
		SELECT (SELECT count(*) FROM added), (SELECT count(*) FROM page), coalesce((SELECT max(user_id) FROM page), $4)`,
		audienceID, p.AppID, next, after, limit, margin, p.TemplateID).Scan(&added, &seen, &last)
	return added, last, seen < limit, wrap(err, "fill audience %d", audienceID)
}

// abandoned is a version whose rows nobody will read: dropped, or left by an upload that ended without a word.
const abandoned = `(a.state = 'dropped' OR a.state = 'loading' AND a.updated_at < now() - interval '1 day'
	AND NOT EXISTS (SELECT FROM task t WHERE t.audience_id = a.id))`

// PurgeDroppedAudiences removes at most limit rows of abandoned versions, and the versions once they have none. The units that are kept for
// recipients whose outcome was never learnt count as used from then on: nobody can settle them any more.
func (s *Store) PurgeDroppedAudiences(ctx context.Context, limit int) (int, error) {
	removed := 0
	for _, table := range []string{"recipient", "audience_reject"} {
		rows := `
			DELETE FROM ` + table + ` WHERE ctid = ANY (ARRAY(
			    SELECT r.tid FROM audience a CROSS JOIN LATERAL (SELECT ctid AS tid FROM ` + table + ` r WHERE r.audience_id = a.id LIMIT $1) r
			     WHERE ` + abandoned + ` LIMIT $1))`
		if table == "recipient" {
			rows = `
			WITH gone AS (` + rows + ` RETURNING permit_id, state, called_at),
			kept AS MATERIALIZED (
			    SELECT s.id, n.n FROM (SELECT permit_id, count(*) AS n FROM gone WHERE state = 5 AND called_at IS NOT NULL AND permit_id IS NOT NULL GROUP BY 1) n
			      JOIN subscription s ON s.id = n.permit_id ORDER BY s.id FOR NO KEY UPDATE OF s),
			spent AS (
			    UPDATE subscription s SET reserved = s.reserved - k.n, used = s.used + k.n, updated_at = now() FROM kept k WHERE s.id = k.id)
			SELECT FROM gone`
		}
		tag, err := s.db(ctx).Exec(ctx, rows, limit)
		if err != nil {
			return removed, wrap(err, "purge dropped audiences")
		}
		removed += int(tag.RowsAffected())
	}
	if removed > 0 {
		return removed, nil
	}
	return 0, wrap(s.purgeEmptyAudiences(ctx, limit), "purge dropped audiences")
}

// purgeEmptyAudiences removes abandoned versions that have no rows. It looks for rows once it holds the version, for until then
// an upload may add some; a version that an upload holds waits for the next time.
func (s *Store) purgeEmptyAudiences(ctx context.Context, limit int) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		rows, _ := s.db(ctx).Query(ctx, `SELECT a.id FROM audience a WHERE `+abandoned+` ORDER BY a.id LIMIT $1 FOR UPDATE SKIP LOCKED`, limit)
		held, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(held) == 0 {
			return err
		}
		_, err = s.db(ctx).Exec(ctx, `
			DELETE FROM audience a WHERE a.id = ANY ($1)
			   AND NOT EXISTS (SELECT FROM recipient r WHERE r.audience_id = a.id)
			   AND NOT EXISTS (SELECT FROM audience_reject r WHERE r.audience_id = a.id)`, held)
		return err
	})
}

// PurgeTasks detaches the lists of at most limit tasks that ended before the time given, so that the purge of lists removes
// their rows; the tasks, their chunks and so their counts stay.
func (s *Store) PurgeTasks(ctx context.Context, endedBefore time.Time, limit int) (int, error) {
	var n int
	err := s.db(ctx).QueryRow(ctx, `
		WITH old AS (
		    SELECT id, audience_id FROM task WHERE ended_at < $1 AND audience_id IS NOT NULL
		     ORDER BY id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED),
		freed AS (UPDATE task t SET audience_id = NULL FROM old WHERE t.id = old.id),
		gone AS (UPDATE audience a SET state = 'dropped', updated_at = now() FROM old WHERE a.id = old.audience_id)
		SELECT count(*) FROM old`, endedBefore, limit).Scan(&n)
	return n, wrap(err, "purge tasks")
}
