package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// QuietTask is what quiet hours need to know: of a task that has begun and not ended, whose app has them, or that is still paused by them; or, with ID 0,
// of an app that has them and no task under way.
type QuietTask struct {
	ID int64
	// Settings hold the quiet hours of its app.
	Settings push.AppSettings
	Urgent   bool
	// Paused says that quiet hours are among its causes.
	Paused bool
	Note   string
}

const quietSelect = `
	SELECT clock_timestamp(), coalesce(t.id, 0), to_char(a.quiet_from, 'HH24:MI:SS'), to_char(a.quiet_to, 'HH24:MI:SS'), coalesce(t.priority = 'urgent', false),
	       coalesce('quiet_hours' = ANY (t.causes), false), coalesce(t.note, '')
	  FROM app a LEFT JOIN task t ON t.app_id = a.id AND t.state IN ('sending', 'paused') AND t.started_at IS NOT NULL`

func (s *Store) quietTasks(ctx context.Context, sql string, args ...any) (now time.Time, tasks []QuietTask, err error) {
	rows, _ := s.db(ctx).Query(ctx, sql, args...)
	tasks, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (QuietTask, error) {
		var t QuietTask
		return t, row.Scan(&now, &t.ID, &t.Settings.QuietFrom, &t.Settings.QuietTo, &t.Urgent, &t.Paused, &t.Note)
	})
	return now, tasks, wrap(err, "read quiet hours")
}

// QuietTasks lists what quiet hours may change, with the database's time.
func (s *Store) QuietTasks(ctx context.Context) (now time.Time, tasks []QuietTask, err error) {
	return s.quietTasks(ctx, quietSelect+` WHERE a.quiet_from IS NOT NULL OR 'quiet_hours' = ANY (t.causes) ORDER BY t.id`)
}

// QuietTask is QuietTasks for one task that is under way; it has ID 0 if it is not.
func (s *Store) QuietTask(ctx context.Context, id int64) (now time.Time, task QuietTask, err error) {
	now, tasks, err := s.quietTasks(ctx, quietSelect+` WHERE t.id = $1`, id)
	if len(tasks) == 1 {
		task = tasks[0]
	}
	return now, task, err
}

// quietStale bounds the age of the look by which quiet hours are put on a task or taken off it: a process that was stopped in
// between must not act on what it saw then.
const quietStale = `clock_timestamp() < $2::timestamptz + interval '3 s'`

// PauseQuiet adds quiet hours to the causes of a task that has begun and is not urgent, as seen at the time given, and writes the
// note unless it says something about another cause. changed is false if it is so already.
func (s *Store) PauseQuiet(ctx context.Context, id int64, seen time.Time, note string) (changed bool, err error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET state = 'paused', causes = array_append(array_remove(causes, 'quiet_hours'), 'quiet_hours'),
		       note = CASE WHEN array_remove(causes, 'quiet_hours') = '{}' OR note = '' OR starts_with(note, $4) THEN $3 ELSE note END, updated_at = now()
		 WHERE id = $1 AND state IN ('sending', 'paused') AND started_at IS NOT NULL AND priority <> 'urgent' AND `+quietStale+`
		   AND (NOT 'quiet_hours' = ANY (causes)
		        OR note <> $3 AND (causes = '{quiet_hours}' OR note = '' OR starts_with(note, $4)))`, id, seen, note, push.QuietNote)
	return tag.RowsAffected() == 1, wrap(err, "pause task %d for quiet hours", id)
}

// ResumeQuiet takes quiet hours out of the causes of a task, as seen at the time given. sending says that no other cause is left.
func (s *Store) ResumeQuiet(ctx context.Context, id int64, seen time.Time) (changed, sending bool, err error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE task SET causes = array_remove(causes, 'quiet_hours'), note = CASE WHEN starts_with(note, $3) THEN '' ELSE note END, updated_at = now(),
		       state = CASE WHEN array_remove(causes, 'quiet_hours') = '{}' THEN 'sending' ELSE 'paused' END
		 WHERE id = $1 AND state = 'paused' AND 'quiet_hours' = ANY (causes) AND `+quietStale+` RETURNING state = 'sending'`, id, seen, push.QuietNote)
	_, err = pgx.ForEachRow(rows, []any{&sending}, func() error { changed = true; return nil })
	return changed, sending, wrap(err, "end quiet hours of task %d", id)
}
