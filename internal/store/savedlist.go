package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

const savedListSelect = `
	SELECT l.id, l.app_id, a.key, l.name, l.created_by, l.created_at, l.updated_at,
	       v.id, v.version, v.filename, v.columns, v.total, v.accepted, v.duplicate, v.rejected, v.created_by, v.created_at, v.updated_at
	  FROM saved_list l JOIN app a ON a.id = l.app_id LEFT JOIN audience v ON v.id = l.audience_id`

func scanSavedList(row pgx.CollectableRow) (push.SavedList, error) {
	var l push.SavedList
	var id *int64
	var version, total, accepted, duplicate, rejected *int
	var filename, by *string
	var columns []string
	var created, updated *time.Time
	err := row.Scan(&l.ID, &l.AppID, &l.App, &l.Name, &l.CreatedBy, &l.CreatedAt, &l.UpdatedAt,
		&id, &version, &filename, &columns, &total, &accepted, &duplicate, &rejected, &by, &created, &updated)
	if err == nil && id != nil {
		l.Newest = &push.ListVersion{ID: *id, Version: *version, Filename: *filename, Columns: columns, Total: *total, Accepted: *accepted,
			Duplicate: *duplicate, Rejected: *rejected, CreatedBy: *by, CreatedAt: *created, UpdatedAt: *updated}
	}
	return l, err
}

// SavedList finds a saved list by its name.
func (s *Store) SavedList(ctx context.Context, appID int32, name string) (push.SavedList, error) {
	rows, _ := s.db(ctx).Query(ctx, savedListSelect+` WHERE l.app_id = $1 AND l.name = $2`, appID, name)
	l, err := pgx.CollectExactlyOneRow(rows, scanSavedList)
	return l, wrap(err, "list %q", name)
}

// SavedListByID finds a saved list, and keeps its newest version from being replaced or removed until the transaction ends.
func (s *Store) SavedListByID(ctx context.Context, id int64) (push.SavedList, error) {
	if _, err := s.db(ctx).Exec(ctx, `SELECT FROM saved_list WHERE id = $1 FOR SHARE`, id); err != nil {
		return push.SavedList{}, wrap(err, "lock list %d", id)
	}
	rows, _ := s.db(ctx).Query(ctx, savedListSelect+` WHERE l.id = $1`, id) // after the lock, so that its newest version is found
	l, err := pgx.CollectExactlyOneRow(rows, scanSavedList)
	return l, wrap(err, "list %d", id)
}

// SavedLists lists the saved lists of an app that have a version, by name, after the one given.
func (s *Store) SavedLists(ctx context.Context, appID int32, after string, limit int) ([]push.SavedList, error) {
	rows, _ := s.db(ctx).Query(ctx, savedListSelect+`
		 WHERE l.app_id = $1 AND l.name > $2 AND l.audience_id IS NOT NULL ORDER BY l.name LIMIT $3`, appID, after, limit)
	lists, err := pgx.CollectRows(rows, scanSavedList)
	return lists, wrap(err, "list saved lists")
}

// ListVersions lists the versions of a saved list that are kept, the newest first.
func (s *Store) ListVersions(ctx context.Context, listID int64) ([]push.ListVersion, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT id, version, filename, columns, total, accepted, duplicate, rejected, created_by, created_at, updated_at
		  FROM audience WHERE list_id = $1 AND state = 'ready' ORDER BY version DESC LIMIT 1000`, listID)
	versions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[push.ListVersion])
	return versions, wrap(err, "versions of list %d", listID)
}

// ListVersion reads one version.
func (s *Store) ListVersion(ctx context.Context, id int64) (v push.ListVersion, list string, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT v.id, v.version, v.filename, v.columns, v.total, v.accepted, l.name FROM audience v JOIN saved_list l ON l.id = v.list_id
		 WHERE v.id = $1 AND v.state = 'ready'`, id).Scan(&v.ID, &v.Version, &v.Filename, &v.Columns, &v.Total, &v.Accepted, &list)
	return v, list, wrap(err, "version of a list")
}

// BeginListVersion opens a new version of a saved list, which is made if there is none of that name, to be filled by AddRecipients and
// put in force by FlipList. It returns the id of the version.
func (s *Store) BeginListVersion(ctx context.Context, appID int32, name, filename string, columns []string, by string) (int64, error) {
	if columns == nil {
		columns = []string{}
	}
	var id int64
	err := s.db(ctx).QueryRow(ctx, `
		WITH l AS (
		    INSERT INTO saved_list (app_id, name, created_by) VALUES ($1, $2, $5)
		    ON CONFLICT (app_id, name) DO UPDATE SET updated_at = now() RETURNING id)
		INSERT INTO audience (list_id, filename, columns, created_by) SELECT l.id, $3, $4, $5 FROM l RETURNING id`,
		appID, name, filename, columns, by).Scan(&id)
	return id, wrap(err, "begin version of list %q", name)
}

// FlipList makes a filled version the newest of its list. Two uploads that end together are numbered one after the other. A list that was
// deleted meanwhile is push.ErrNotFound.
func (s *Store) FlipList(ctx context.Context, a push.Audience) error {
	err := s.InTx(ctx, func(ctx context.Context) error {
		var list, before int64
		err := s.db(ctx).QueryRow(ctx, `
			SELECT l.id, coalesce(l.audience_id, 0), `+boundTx+` FROM saved_list l
			 WHERE l.id = (SELECT list_id FROM audience WHERE id = $1) FOR NO KEY UPDATE`, a.ID).Scan(&list, &before, nil)
		if err != nil {
			return err
		}
		tag, err := s.db(ctx).Exec(ctx, `
			UPDATE audience SET state = 'ready', total = $3, accepted = $4, duplicate = $5, rejected = $6, updated_at = now(),
			       version = 1 + (SELECT coalesce(max(version), 0) FROM audience WHERE list_id = $2)
			 WHERE id = $1 AND state = 'loading'`, a.ID, list, a.Total, a.Accepted, a.Duplicate, a.Rejected)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("its upload: %w", push.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if _, err := s.db(ctx).Exec(ctx, `UPDATE saved_list SET audience_id = $2, updated_at = now() WHERE id = $1`, list, a.ID); err != nil {
			return err
		}
		// The time counts from here until the purge takes the version before.
		_, err = s.db(ctx).Exec(ctx, `UPDATE audience SET updated_at = now() WHERE id = $1`, before)
		return err
	})
	return wrap(err, "put a version of a list in force")
}

// DeleteList removes a saved list with its versions; their rows are removed by the purge. inUse says that nothing was changed,
// because a schedule sends to it or a task has yet to take its rows.
func (s *Store) DeleteList(ctx context.Context, id int64) (inUse bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		if err := s.db(ctx).QueryRow(ctx, `SELECT `+boundTx+` FROM saved_list WHERE id = $1 FOR UPDATE`, id).Scan(nil); err != nil {
			return err
		}
		// After the lock, so that a schedule is seen whose making it waited for.
		err := s.db(ctx).QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM schedule WHERE list_id = $1) OR EXISTS (SELECT FROM audience a WHERE a.list_id = $1 AND `+yetToTake+`)`, id).Scan(&inUse)
		if err != nil || inUse {
			return err
		}
		for _, statement := range []string{
			`UPDATE saved_list SET audience_id = NULL WHERE id = $1`,
			`UPDATE audience SET state = 'dropped', list_id = NULL, version = NULL, updated_at = now() WHERE list_id = $1`,
			`DELETE FROM saved_list WHERE id = $1`,
		} {
			if _, err := s.db(ctx).Exec(ctx, statement, id); err != nil {
				return err
			}
		}
		return nil
	})
	if violates(err, "schedule_list_fkey") {
		return true, nil // a schedule took it at the same moment
	}
	return inUse, wrap(err, "delete list %d", id)
}

// yetToTake says that a task has still to copy the rows of version a.
const yetToTake = `EXISTS (SELECT FROM task t WHERE t.source_id = a.id AND t.state IN ('draft', 'scheduled', 'sending', 'paused', 'missed') AND t.planned_at IS NULL)`

// PurgeListVersions drops at most limit versions of saved lists that were replaced before the time given and that no task has yet to
// take, so that the purge of lists removes their rows.
func (s *Store) PurgeListVersions(ctx context.Context, replacedBefore time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE audience SET state = 'dropped', updated_at = now() WHERE id = ANY (ARRAY(
		    SELECT a.id FROM audience a JOIN saved_list l ON l.id = a.list_id
		     WHERE a.state = 'ready' AND a.id IS DISTINCT FROM l.audience_id AND a.updated_at < $1 AND NOT `+yetToTake+`
		     LIMIT $2 FOR NO KEY UPDATE OF a SKIP LOCKED))`, replacedBefore, limit)
	return int(tag.RowsAffected()), wrap(err, "purge versions of lists")
}

// SetTaskList says from which version of a saved list the start job of a task copies the recipients.
func (s *Store) SetTaskList(ctx context.Context, taskID, versionID int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE task SET source_id = $2, updated_at = now() WHERE id = $1`, taskID, versionID)
	return wrap(err, "set list of task %d", taskID)
}

// CopyRecipients appends the next rows of a version that is whole, from the number given, at most limit, to another one that is being
// filled, and keeps their numbers. It returns how many it copied; fewer than limit is the end. A source that was dropped is
// push.ErrNotFound.
func (s *Store) CopyRecipients(ctx context.Context, audienceID, sourceID int64, from, limit int) (int, error) {
	var copied int
	err := s.fill(ctx, audienceID, func(ctx context.Context) error {
		var there bool
		if err := s.db(ctx).QueryRow(ctx, `SELECT true FROM audience WHERE id = $1 AND state = 'ready' FOR SHARE`, sourceID).Scan(&there); err != nil {
			return err
		}
		tag, err := s.db(ctx).Exec(ctx, `
			INSERT INTO recipient (audience_id, seq, user_id, vars)
			SELECT $1, seq, user_id, vars FROM recipient WHERE audience_id = $2 AND seq >= $3 AND seq < $4`, audienceID, sourceID, from, from+limit)
		copied = int(tag.RowsAffected())
		return err
	})
	return copied, wrap(err, "copy recipients")
}

// ListRows reads rows of a version of a saved list that is whole, from the number given, at most limit. A version that was dropped is
// push.ErrNotFound.
func (s *Store) ListRows(ctx context.Context, versionID int64, from, limit int) ([]NewRecipient, error) {
	var batch []NewRecipient
	err := s.InTx(ctx, func(ctx context.Context) error {
		var there bool
		if err := s.db(ctx).QueryRow(ctx, `SELECT true FROM audience WHERE id = $1 AND state = 'ready' FOR SHARE`, versionID).Scan(&there); err != nil {
			return err
		}
		rows, _ := s.db(ctx).Query(ctx, `
			SELECT user_id, vars FROM recipient WHERE audience_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq`, versionID, from, from+limit)
		var err error
		batch, err = pgx.CollectRows(rows, pgx.RowToStructByPos[NewRecipient])
		return err
	})
	return batch, wrap(err, "read rows of a list")
}
