package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// A list is copied page by page, each page a short transaction that also notes how far it came: whoever copies may die, and
// another one goes on. The version is put in force when it is whole, as an upload is.

// Copy is a list that is being copied.
type Copy struct {
	AudienceID int64
	// TaskID is the draft that the list is for.
	TaskID int64
}

// SetTaskSource notes which task a draft was made from.
func (s *Store) SetTaskSource(ctx context.Context, id, source int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE task SET source_task_id = $2 WHERE id = $1`, id, source)
	return wrap(err, "note source of task %d", id)
}

// SetTaskNote writes what is to be known of a draft.
func (s *Store) SetTaskNote(ctx context.Context, id int64, note string) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE task SET note = $2, updated_at = now() WHERE id = $1 AND state = 'draft'`, id, note)
	return wrap(err, "note on task %d", id)
}

// BeginCopy opens a new version of the draft's list, to be filled from the list that source has in force: with its recipients
// that ended for one of reasons, or with all of them if there are none.
func (s *Store) BeginCopy(ctx context.Context, draft int64, source push.Task, reasons []push.Reason, by string) (Copy, error) {
	list, err := s.Audience(ctx, source.ID)
	if err != nil {
		return Copy{}, err
	}
	a, err := s.BeginAudience(ctx, draft, list.Filename, list.Columns, by)
	if err != nil {
		return Copy{}, err
	}
	numbers := make([]int16, len(reasons))
	for i, r := range reasons {
		numbers[i] = int16(r)
	}
	_, err = s.db(ctx).Exec(ctx, `
		INSERT INTO audience_copy (audience_id, source_id, task_id, reasons) VALUES ($1, $2, $3, $4)`, a.ID, list.ID, source.ID, numbers)
	return Copy{AudienceID: a.ID, TaskID: draft}, wrap(err, "begin copy of the list of task %d", source.ID)
}

// Copies lists the lists that are being copied.
func (s *Store) Copies(ctx context.Context) ([]Copy, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT c.audience_id, coalesce(a.task_id, 0) FROM audience_copy c JOIN audience a ON a.id = c.audience_id ORDER BY c.audience_id`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Copy])
	return list, wrap(err, "list copies")
}

// CopyOf finds the copy that is under way for a draft; ok is false if there is none.
func (s *Store) CopyOf(ctx context.Context, draft int64) (c Copy, ok bool, err error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT c.audience_id, a.task_id FROM audience_copy c JOIN audience a ON a.id = c.audience_id WHERE a.task_id = $1`, draft)
	_, err = pgx.ForEachRow(rows, []any{&c.AudienceID, &c.TaskID}, func() error { ok = true; return nil })
	return c, ok, wrap(err, "copy for task %d", draft)
}

// CopyResult is how a page of a copy ended.
type CopyResult int8

// The results of a page.
const (
	// CopyMore: there are further pages.
	CopyMore CopyResult = iota
	// CopyDone: the list is in force, or the draft no longer wants it.
	CopyDone
	// CopySourceGone: the source no longer has the list; what was copied is dropped.
	CopySourceGone
)

// CopyPage copies the recipients among the next span of the source, in one transaction, and puts the version in force after the
// last of them, unless the draft has a list by then. n is how many the version then has. While the transaction lasts the source
// keeps its list: neither an upload nor the purge takes it away.
func (s *Store) CopyPage(ctx context.Context, c Copy, span int32) (result CopyResult, n int, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		// The draft first: whoever deletes it or changes its list takes this lock before those of the versions.
		tag, err := s.db(ctx).Exec(ctx, `SELECT `+boundTx+` FROM task WHERE id = $1 FOR NO KEY UPDATE`, c.TaskID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			result = CopyDone
			return s.endCopy(ctx, c)
		}
		result, n, err = s.copyPage(ctx, c, span)
		if err != nil || result == CopyMore {
			return err
		}
		return s.endCopy(ctx, c)
	})
	return result, n, wrap(err, "copy a page of the list for task %d", c.TaskID)
}

// endCopy takes the copy out of the table, and drops its version unless that is in force.
func (s *Store) endCopy(ctx context.Context, c Copy) error {
	if _, err := s.db(ctx).Exec(ctx, `DELETE FROM audience_copy WHERE audience_id = $1`, c.AudienceID); err != nil {
		return err
	}
	return s.DropAudience(ctx, c.AudienceID)
}

func (s *Store) copyPage(ctx context.Context, c Copy, span int32) (CopyResult, int, error) {
	var source, sourceTask int64
	var reasons []int16
	var next int32
	rows, _ := s.db(ctx).Query(ctx, `SELECT source_id, task_id, reasons, next_seq FROM audience_copy WHERE audience_id = $1 FOR UPDATE`, c.AudienceID)
	tag, err := pgx.ForEachRow(rows, []any{&source, &sourceTask, &reasons, &next}, func() error { return nil })
	if err != nil || tag.RowsAffected() == 0 {
		return CopyDone, 0, err // another one has ended it
	}
	var rowsInSource int32
	err = s.db(ctx).QueryRow(ctx, `
		SELECT l.accepted FROM task t JOIN audience l ON l.id = t.audience_id WHERE t.id = $1 AND t.audience_id = $2 FOR SHARE OF t`, sourceTask, source).
		Scan(&rowsInSource)
	if isNoRows(err) {
		return CopySourceGone, 0, nil
	}
	if err != nil {
		return CopyDone, 0, err
	}
	var n int
	if err := s.db(ctx).QueryRow(ctx, `
		WITH added AS (
		    INSERT INTO recipient (audience_id, seq, user_id, vars)
		    SELECT $1, a.accepted - 1 + row_number() OVER (ORDER BY r.seq), r.user_id, r.vars
		      FROM audience a CROSS JOIN LATERAL (
		           SELECT r.seq, r.user_id, r.vars FROM recipient r
		            WHERE r.audience_id = $2 AND r.seq >= $3 AND r.seq < $4 AND ($5::smallint[] = '{}' OR r.reason = ANY ($5))) r
		     WHERE a.id = $1
		    RETURNING 1),
		noted AS (UPDATE audience_copy SET next_seq = $4 WHERE audience_id = $1)
		UPDATE audience SET total = total + n.n, accepted = accepted + n.n, updated_at = now() FROM (SELECT count(*)::int AS n FROM added) n
		 WHERE id = $1 RETURNING accepted`, c.AudienceID, source, next, next+span, reasons).Scan(&n); err != nil {
		return CopyDone, 0, err
	}
	if next+span < rowsInSource {
		return CopyMore, n, nil
	}
	return CopyDone, n, s.finishCopy(ctx, c)
}

// finishCopy puts the version in force if the draft still goes to a list and has none.
func (s *Store) finishCopy(ctx context.Context, c Copy) error {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+audienceColumns+` FROM audience WHERE id = $1 AND state = 'loading' AND accepted > 0
		   AND EXISTS (SELECT FROM task WHERE id = $2 AND state = 'draft' AND audience = 'list' AND audience_id IS NULL)`, c.AudienceID, c.TaskID)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[push.Audience])
	if err != nil || len(list) == 0 {
		return err
	}
	return s.putInForce(ctx, list[0])
}
