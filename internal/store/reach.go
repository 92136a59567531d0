package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"minipush/internal/push"
)

// What stands against a recipient, in the order of the claim. The first that does is its class.
const (
	reachNoUser = iota + 1
	reachNoOpenID
	reachSuppressed
	reachTwice
	reachCapped
	reachFree
)

// ReachWay is how an audience is counted. Both ways yield the same figures.
type ReachWay int

const (
	// ReachProbed looks each recipient up: the cost is that of the audience, however much else the tables hold. The figures are exact.
	ReachProbed ReachWay = iota
	// ReachScanned reads the permits of the app once and joins them by hash: for a long audience, where a million probes of tables in
	// random order would take half a minute. Ends are rounded down to the minute.
	ReachScanned
)

// maxRivals bounds the other tasks that are looked at for permits that they want too: those that begin first.
const maxRivals = 50

// reachParts are what the two ways of counting differ in. Parameters: $1 list, $2 app, $3 margin, $4 whether anybody is suppressed, $5 cap,
// $6 zone, $7 task, $8 template, $9 lists of rivals, $10 how many rivals want everyone.
type reachParts struct{ user, suppressed, capped, from, rivals string }

func probed(k *permits) reachParts {
	return reachParts{
		// LIMIT keeps it a probe: joined plainly it is a hash of all users once the plan is made for a list of any length.
		user:       `LEFT JOIN LATERAL (SELECT u.user_id, u.openid, u.moved FROM app_user u WHERE u.app_id = $2 AND u.user_id = r.user_id LIMIT 1) u ON true`,
		suppressed: `EXISTS (` + isSuppressed("$4", "$2", "u.user_id", "u.openid") + `)`,
		capped:     `EXISTS (` + isCapped("$5::int", "$2", "u.openid", dayOf("now()", "$6"), "$7::bigint") + `)`,
		from: ` LEFT JOIN LATERAL (SELECT ` + k.stock + ` AS stock FROM ` + k.table + ` f WHERE u.openid IS NOT NULL AND $8::text IS NOT NULL
			AND ` + k.usable("$2", "u.user_id", "u.openid", "$8", "now()", "$3") + `) p ON true`,
		// One without a permit has none that others could want.
		rivals: `CASE WHEN p.stock IS NULL THEN 0 ELSE (SELECT count(*)::int FROM unnest($9::bigint[]) v(id) CROSS JOIN LATERAL (
			SELECT FROM recipient o WHERE o.user_id = r.user_id AND o.audience_id = v.id AND o.state IN (0, 6) LIMIT 1) o) END`,
	}
}

// scanned joins by hash what the other way probes. Each side is read once, whatever the statistics say (see scanWays).
func scanned(k *permits) reachParts {
	return reachParts{
		user:       `LEFT JOIN app_user u ON u.app_id = $2 AND u.user_id = r.user_id`,
		suppressed: `(su.user_id IS NOT NULL OR so.openid IS NOT NULL)`,
		capped:     `uc.openid IS NOT NULL`,
		from: `
		LEFT JOIN (SELECT DISTINCT user_id FROM suppression WHERE $4 AND scope IN (0, $2) AND user_id IS NOT NULL) su ON su.user_id = u.user_id
		LEFT JOIN (SELECT DISTINCT openid FROM suppression WHERE $4 AND scope IN (0, $2) AND openid IS NOT NULL) so ON so.openid = u.openid
		LEFT JOIN (SELECT openid FROM user_day WHERE $5::int > 0 AND app_id = $2 AND day = ` + dayOf("now()", "$6") + `
		           AND cardinality(array_remove(tasks, $7::bigint)) >= $5::int) uc ON uc.openid = u.openid
		LEFT JOIN (SELECT f.` + k.holder + ` AS holder, ` + k.stock + ` AS stock FROM ` + k.table + ` f WHERE $8::text IS NOT NULL
		           AND ` + k.usable("$2", "f.user_id", "f.openid", "$8", "now()", "$3") + ` GROUP BY 1) p ON p.holder = u.` + k.holder + ` AND u.openid IS NOT NULL
		LEFT JOIN (SELECT o.user_id, sum(cardinality(array_positions($9::bigint[], o.audience_id)))::int AS n FROM recipient o
		           WHERE o.audience_id = ANY ($9) AND o.state IN (0, 6) GROUP BY 1) rv ON rv.user_id = r.user_id`,
		rivals: `coalesce(rv.n, 0)`,
	}
}

// scanWays keep a scan what it is. Without statistics, as after an upload, the planner takes a list for short and would probe a million
// times; with them it would rather fetch three million permits in the order of an index than sort them, which takes twice as
// long (bitmaps of an index are still used). One process per count: the rest of the machine sends.
const scanWays = `SELECT set_config('enable_nestloop', 'off', true), set_config('enable_indexscan', 'off', true), set_config('work_mem', '64MB', true), set_config('jit', 'off', true),
	set_config('max_parallel_workers_per_gather', '0', true), set_config('plan_cache_mode', 'force_custom_plan', true)`

func reachSQL(t push.Task, way ReachWay) string {
	k := permitsOf(t.Channel)
	parts := probed(k)
	if way == ReachScanned {
		parts = scanned(k)
	}
	audience, all := `SELECT user_id FROM recipient WHERE audience_id = $1`, `true`
	if reachList(t) == 0 && t.Audience == push.AudienceAll {
		audience, all = `SELECT user_id FROM app_user WHERE app_id = $2 AND openid IS NOT NULL AND $1::bigint = 0`, `stock IS NOT NULL`
	}
	round := func(end string) string { return `coalesce(` + end + `, 'epoch')` }
	if way == ReachScanned {
		round = func(end string) string { return `coalesce(date_trunc('minute', ` + end + `), 'epoch')` }
	}
	// OFFSET 0: what stands above it is worked out once a recipient, and not wherever it is used.
	return `
		SELECT now(), class, GROUPING(last) = 0, coalesce(last, enough), count(*) FROM (
		SELECT class, CASE WHEN class >= 5 THEN ` + round(k.nth("0")) + ` ELSE 'epoch' END AS last,
		       CASE WHEN class >= 5 THEN ` + round(k.nth("rivals")) + ` ELSE 'epoch' END AS enough FROM (
		SELECT CASE WHEN u.user_id IS NULL THEN 1 WHEN u.openid IS NULL THEN 2 WHEN ` + parts.suppressed + ` THEN 3
		       WHEN ` + hadItAs("$1", "$2") + ` THEN 4
		       WHEN ` + parts.capped + ` THEN 5 ELSE 6 END AS class,
		       p.stock, $10::int + ` + parts.rivals + ` AS rivals
		  FROM (` + audience + `) r
		  ` + parts.user + parts.from + ` OFFSET 0) x
		 WHERE ` + all + ` OFFSET 0) x
		 GROUP BY GROUPING SETS ((class, last), (class, enough))`
}

// reachList is the list that is counted for a task: its own, or the version of a saved list that it has yet to take; 0 is none.
func reachList(t push.Task) int64 {
	if t.AudienceID == 0 {
		return t.SourceID
	}
	return t.AudienceID
}

// CountReach counts a task's audience by what is known now. For the audience "all", that is everyone with an openid and a usable permit
// now. Each recipient is counted for the first thing that stands against it, in the order of the claim; capped is by the day of now,
// in the zone named.
func (s *Store) CountReach(ctx context.Context, t push.Task, way ReachWay, margin time.Duration, zone string) (f push.ReachFigures, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		look, err := s.courtesyOf(ctx, t.AppID)
		if err != nil {
			return err
		}
		lists, everyone, err := s.rivalsOf(ctx, t)
		if err != nil {
			return err
		}
		if way == ReachScanned {
			if _, err := s.db(ctx).Exec(ctx, scanWays); err != nil {
				return err
			}
		}
		rows, _ := s.db(ctx).Query(ctx, reachSQL(t, way),
			reachList(t), t.AppID, margin, look.suppress, look.cap, zone, t.ID, t.TemplateID, lists, everyone)
		f, err = collectReach(rows)
		return err
	})
	return f, wrap(err, "count reach of task %d", t.ID)
}

func collectReach(rows pgx.Rows) (push.ReachFigures, error) {
	f := push.ReachFigures{Free: push.Ends{}, Capped: push.Ends{}, FreeEnough: push.Ends{}, CappedEnough: push.Ends{}}
	var class, n int
	var isLast bool
	var end pgtype.Timestamptz
	_, err := pgx.ForEachRow(rows, []any{&f.AsOf, &class, &isLast, &end, &n}, func() error {
		micros := end.Time.UnixMicro()
		if end.InfinityModifier == pgtype.Infinity {
			micros = push.EndNever
		}
		switch {
		case class == reachCapped && isLast:
			f.Capped[micros] += n
		case class == reachCapped:
			f.CappedEnough[micros] += n
		case class == reachFree && isLast:
			f.Free[micros] += n
		case class == reachFree:
			f.FreeEnough[micros] += n
		case !isLast:
		case class == reachNoUser:
			f.NoUser += n
		case class == reachNoOpenID:
			f.NoOpenID += n
		case class == reachSuppressed:
			f.Suppressed += n
		case class == reachTwice:
			f.DuplicateOpenID += n
		}
		return nil
	})
	return f, err
}

// rivalsOf are the other tasks that want permits of the same kind: their lists, and how many are to go to everyone who has a permit.
func (s *Store) rivalsOf(ctx context.Context, t push.Task) (lists []int64, everyone int, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT coalesce(array_agg(list) FILTER (WHERE list IS NOT NULL), '{}'), count(*) FILTER (WHERE list IS NULL)
		  FROM (SELECT CASE WHEN planned_at IS NOT NULL THEN audience_id WHEN audience = 'list' THEN coalesce(source_id, audience_id) END AS list
		          FROM task WHERE app_id = $1 AND id <> $2 AND state IN ('scheduled', 'sending', 'paused') AND channel = $3
		           AND (channel = 'form_id' OR template_id = $4)
		         ORDER BY state = 'scheduled', start_at, id LIMIT $5) r`, t.AppID, t.ID, t.Channel, t.TemplateID, maxRivals).Scan(&lists, &everyone)
	return lists, everyone, err
}

// alwaysProbed is up to how long a list is counted exactly, to the second: as many probes take 0.2 s at worst.
const alwaysProbed = 5000

// ReachWayOf chooses how to count a list of n. A probe costs as much as reading some twenty-five permits in a row, as measured; where nothing is
// known of the size of the tables, and where all users are asked about, they are read.
func (s *Store) ReachWayOf(ctx context.Context, t push.Task, n int) (ReachWay, error) {
	switch {
	case reachList(t) == 0:
		return ReachScanned, nil
	case n <= alwaysProbed:
		return ReachProbed, nil
	}
	var permits float64
	err := s.db(ctx).QueryRow(ctx, `SELECT reltuples FROM pg_class WHERE oid = $1::regclass`, permitsOf(t.Channel).table).Scan(&permits)
	if err != nil {
		return 0, wrap(err, "size of permits")
	}
	if float64(n)*25 < permits {
		return ReachProbed, nil
	}
	return ReachScanned, nil
}

// ReachSize is how many recipients a count of the task looks at, as far as limit+1.
func (s *Store) ReachSize(ctx context.Context, t push.Task, limit int) (n int, err error) {
	query, args := `SELECT coalesce((SELECT accepted FROM audience WHERE id = $1), 0)`, []any{reachList(t)}
	if reachList(t) == 0 && t.Audience == push.AudienceAll {
		query, args = `SELECT count(*) FROM (SELECT FROM app_user WHERE app_id = $1 LIMIT $2) u`, []any{t.AppID, limit + 1}
	}
	err = s.db(ctx).QueryRow(ctx, query, args...).Scan(&n)
	return n, wrap(err, "size of task %d", t.ID)
}

// KeepReach keeps the figures of a task, unless newer ones are kept or the task is gone.
func (s *Store) KeepReach(ctx context.Context, t push.Task, f push.ReachFigures) error {
	text, err := json.Marshal(f)
	if err != nil {
		return wrap(err, "keep reach of task %d", t.ID)
	}
	_, err = s.db(ctx).Exec(ctx, `
		INSERT INTO reach AS r (task_id, audience_id, template_id, as_of, figures)
		SELECT id, $2, $3, $4, $5 FROM task WHERE id = $1 FOR KEY SHARE
		ON CONFLICT (task_id) DO UPDATE SET audience_id = excluded.audience_id, template_id = excluded.template_id, as_of = excluded.as_of,
		       figures = excluded.figures WHERE r.as_of <= excluded.as_of`, t.ID, reachList(t), t.TemplateID, f.AsOf, text)
	return wrap(err, "keep reach of task %d", t.ID)
}

// KeptReach reads the figures that are kept of the task as it is now: of its list and its template. age is how old they are.
func (s *Store) KeptReach(ctx context.Context, t push.Task) (f push.ReachFigures, age time.Duration, kept bool, err error) {
	var text []byte
	var seconds float64
	err = s.db(ctx).QueryRow(ctx, `
		SELECT figures, extract(epoch FROM clock_timestamp() - as_of)::float8 FROM reach WHERE task_id = $1 AND audience_id = $2 AND template_id = $3`,
		t.ID, reachList(t), t.TemplateID).Scan(&text, &seconds)
	if isNoRows(err) {
		return f, 0, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	return f, time.Duration(seconds * float64(time.Second)), err == nil, wrap(err, "kept reach of task %d", t.ID)
}

// ReachJob says whether a count of the task is queued or under way.
func (s *Store) ReachJob(ctx context.Context, taskID int64) (there bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM river.river_job WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		   AND queue = 'count' AND args @> jsonb_build_object('task_id', $1::bigint))`, taskID).Scan(&there)
	return there, wrap(err, "find count of task %d", taskID)
}

// PurgeReach removes at most limit figures that are older than the time given.
func (s *Store) PurgeReach(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM reach WHERE task_id = ANY (ARRAY(SELECT task_id FROM reach WHERE as_of < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit)
	return int(tag.RowsAffected()), wrap(err, "purge reach")
}

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
