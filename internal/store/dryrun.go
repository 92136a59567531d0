package store

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// BeginDryRun begins a dry run of a task in place of the one before, and returns its number. Whoever works on that one stops.
func (s *Store) BeginDryRun(ctx context.Context, taskID int64, at time.Time, by string) (int, error) {
	var run int
	err := s.db(ctx).QueryRow(ctx, `
		INSERT INTO dry_run AS d (task_id, content_hash, at, created_by)
		SELECT t.id, `+contentHash+`, $2, $3 FROM task t JOIN template tp ON tp.app_id = t.app_id AND tp.template_id = t.template_id WHERE t.id = $1
		ON CONFLICT (task_id) DO UPDATE SET run = d.run + 1, state = 'running', content_hash = excluded.content_hash, at = excluded.at, cursor = '', total = 0,
		       would_send = 0, would_wait = 0, reasons = '{}', examples = '[]', note = '', created_by = excluded.created_by, created_at = now(), updated_at = now(), ended_at = NULL
		RETURNING run`, taskID, at, by).Scan(&run)
	return run, wrap(err, "begin dry run of task %d", taskID)
}

// DryRun reads the last dry run of a task.
func (s *Store) DryRun(ctx context.Context, taskID int64) (push.DryRun, error) {
	var d push.DryRun
	var examples []byte
	err := s.db(ctx).QueryRow(ctx, `
		SELECT d.task_id, d.run, d.state, d.at, d.total, d.would_send, d.would_wait, d.examples, d.content_hash <> `+contentHash+` AND t.planned_at IS NULL, d.note,
		       d.created_by, d.created_at, d.created_at, d.updated_at, d.ended_at
		  FROM dry_run d JOIN task t ON t.id = d.task_id JOIN template tp ON tp.app_id = t.app_id AND tp.template_id = t.template_id
		 WHERE d.task_id = $1`, taskID).
		Scan(&d.TaskID, &d.Run, &d.State, &d.At, &d.Total, &d.WouldSend, &d.WouldWait, &examples, &d.Stale, &d.Note,
			&d.CreatedBy, &d.AsOf, &d.CreatedAt, &d.UpdatedAt, &d.EndedAt)
	if err == nil {
		err = json.Unmarshal(examples, &d.Examples)
	}
	if err != nil {
		return push.DryRun{}, wrap(err, "dry run of task %d", taskID)
	}
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT e.code, r.value::int, e.zh, e.en
		  FROM dry_run d CROSS JOIN LATERAL jsonb_each_text(d.reasons) r JOIN reason e ON e.reason = r.key::smallint
		 WHERE d.task_id = $1 ORDER BY 2 DESC, e.reason`, taskID)
	d.Reasons, err = pgx.CollectRows(rows, pgx.RowToStructByPos[push.Count])
	return d, wrap(err, "dry run of task %d", taskID)
}

// LockDryRun locks a dry run that is under way against everybody else who works on it, until the transaction ends, and says how far it has
// come. ok is false if it has ended, or another one was begun.
func (s *Store) LockDryRun(ctx context.Context, taskID int64, run int) (cursor string, at time.Time, ok bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT cursor, at, `+boundTx+` FROM dry_run WHERE task_id = $1 AND run = $2 AND state = 'running' FOR UPDATE`, taskID, run).Scan(&cursor, &at, nil)
	if isNoRows(err) {
		return "", at, false, nil
	}
	return cursor, at, err == nil, wrap(err, "lock dry run of task %d", taskID)
}

// SaveDryPage adds a page to a dry run that the caller has locked. Of the examples the first of each reason are kept.
func (s *Store) SaveDryPage(ctx context.Context, taskID int64, p push.DryPage, cursor string, done bool) error {
	reasons := map[string]int{}
	for r, n := range p.Reasons {
		reasons[strconv.Itoa(int(r))] = n
	}
	examples := p.Examples
	if examples == nil {
		examples = []push.DryExample{}
	}
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE dry_run SET cursor = $2, total = total + $3, would_send = would_send + $4, would_wait = would_wait + $5, reasons = add_reasons(reasons, $6),
		       examples = (SELECT coalesce(jsonb_agg(e ORDER BY ord), '[]') FROM (
		           SELECT e, ord, row_number() OVER (PARTITION BY e ->> 'reason' ORDER BY ord) AS n
		             FROM jsonb_array_elements(examples || $7::jsonb) WITH ORDINALITY x(e, ord)) k WHERE n <= $8),
		       state = CASE WHEN $9 THEN 'done' ELSE state END, ended_at = CASE WHEN $9 THEN clock_timestamp() END, updated_at = clock_timestamp()
		 WHERE task_id = $1`, taskID, cursor, p.Total, p.WouldSend, p.WouldWait, reasons, examples, push.MaxDryExamples, done)
	return wrap(err, "save page of dry run of task %d", taskID)
}

// FailDryRun ends a dry run that cannot go on.
func (s *Store) FailDryRun(ctx context.Context, taskID int64, run int, note string) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE dry_run SET state = 'failed', note = $3, ended_at = clock_timestamp(), updated_at = clock_timestamp()
		 WHERE task_id = $1 AND run = $2 AND state = 'running'`, taskID, run, note)
	return wrap(err, "end dry run of task %d", taskID)
}

// DryRow is a recipient as a claim would find it.
type DryRow struct {
	Seq    *int32
	UserID string
	Vars   []byte
	// Reason is the first thing that stands against it, in the order of the claim; NoReason if it could be sent to.
	Reason push.Reason
}

// DryQuery says of which list, and for when.
type DryQuery struct {
	Task push.Task
	// ListID is the version whose rows are looked at; 0 is everybody who has a permit.
	ListID int64
	At     time.Time
	Margin time.Duration
	Zone   string
}

// DryRows looks at rows of a list from a seq, or at users of the app after an id, at most limit of them, as a claim would, and takes nothing. Of users
// those alone are recipients whom the start would take in: who has an openid and a permit. last is the user that was looked at last, seen
// how many were.
func (s *Store) DryRows(ctx context.Context, q DryQuery, from int32, after string, limit int) (list []DryRow, last string, seen int, err error) {
	look, err := s.courtesyOf(ctx, q.Task.AppID)
	if err != nil {
		return nil, "", 0, wrap(err, "dry run of task %d", q.Task.ID)
	}
	page := `SELECT seq, user_id, vars FROM recipient WHERE audience_id = $1 AND seq >= $10 AND seq < $10 + $12 AND $11::text IS NOT NULL`
	if q.ListID == 0 {
		page = `(SELECT NULL::int AS seq, user_id, NULL::jsonb AS vars FROM app_user WHERE app_id = $2 AND user_id > $11 AND $10::int IS NOT NULL ORDER BY user_id LIMIT $12)`
	}
	k := permitsOf(q.Task.Channel)
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT r.seq, r.user_id, r.vars, u.user_id IS NOT NULL, u.openid IS NOT NULL,
		       EXISTS (`+isSuppressed("$5", "$2", "u.user_id", "u.openid")+`), `+hadItAs("$1", "$2")+`,
		       EXISTS (`+isCapped("$6::int", "$2", "u.openid", dayOf("greatest($3::timestamptz, now())", "$7"), "$8::bigint")+`), f.there IS TRUE
		  FROM (`+page+`) r
		  LEFT JOIN LATERAL (SELECT u.user_id, u.openid, u.moved FROM app_user u WHERE u.app_id = $2 AND u.user_id = r.user_id LIMIT 1) u ON true
		  LEFT JOIN LATERAL (SELECT true AS there FROM `+k.table+` f WHERE u.openid IS NOT NULL AND $9::text IS NOT NULL
		        AND `+k.usable("$2", "r.user_id", "u.openid", "$9", "greatest($3::timestamptz, now())", "$4")+` LIMIT 1) f ON true
		 ORDER BY r.seq, r.user_id`,
		q.ListID, q.Task.AppID, q.At, q.Margin, look.suppress, look.cap, q.Zone, q.Task.ID, q.Task.TemplateID, from, after, limit)
	var row DryRow
	var known, openID, suppressed, twice, capped, permit bool
	_, err = pgx.ForEachRow(rows, []any{&row.Seq, &row.UserID, &row.Vars, &known, &openID, &suppressed, &twice, &capped, &permit}, func() error {
		seen, last = seen+1, row.UserID
		if q.ListID == 0 && (!openID || !permit) {
			return nil
		}
		switch {
		case !known:
			row.Reason = push.NoUser
		case !openID:
			row.Reason = push.NoOpenID
		case suppressed:
			row.Reason = push.Suppressed
		case twice:
			row.Reason = push.DuplicateOpenID
		case capped:
			row.Reason = push.Capped
		case !permit:
			row.Reason = push.NoPermit
		}
		list = append(list, row)
		row = DryRow{}
		return nil
	})
	return list, last, seen, wrap(err, "dry run of task %d", q.Task.ID)
}
