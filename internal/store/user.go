package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// UpsertUsers records who has which openid. The newest report wins: an openid that another user of the app holds is taken
// from them. Whoever loses an openid, to another user or by a report of their own, is kept in openid_move, so that the claim can
// tell that the person had the message already (invariant 7). Both slices are parallel; an empty openid means that the user is
// known and has none. A user id, and an openid, must stand in them once.
//
// Reports that change something run one after the other for each app. Those by which an openid leaves its user also hold the
// exclusive side of the lock whose shared side every claim takes: no claim straddles a move.
func (s *Store) UpsertUsers(ctx context.Context, appID int32, userIDs, openIDs []string) error {
	err := s.InTx(ctx, func(ctx context.Context) error {
		if changes, err := s.reportChanges(ctx, appID, userIDs, openIDs); err != nil || !changes {
			return err
		}
		if _, err := s.db(ctx).Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockReports, appID); err != nil {
			return err
		}
		if err := s.moveOpenIDs(ctx, appID, userIDs, openIDs); err != nil {
			return err
		}
		_, err := s.db(ctx).Exec(ctx, `
			INSERT INTO app_user AS u (app_id, user_id, openid, moved)
			SELECT $1, n.user_id, nullif(n.openid, ''),
			       EXISTS (SELECT FROM openid_move m WHERE m.app_id = $1 AND m.openid = n.openid AND m.user_id <> n.user_id)
			  FROM unnest($2::text[], $3::text[]) AS n(user_id, openid) ORDER BY n.user_id
			ON CONFLICT (app_id, user_id) DO UPDATE SET openid = excluded.openid, moved = excluded.moved, updated_at = now()
			 WHERE u.openid IS DISTINCT FROM excluded.openid`, appID, userIDs, openIDs)
		return err
	})
	return wrap(err, "upsert users")
}

// reportChanges says whether a report says anything new: most repeat what is known, and wait for nobody.
func (s *Store) reportChanges(ctx context.Context, appID int32, userIDs, openIDs []string) (changes bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS n(user_id, openid)
		  LEFT JOIN LATERAL (SELECT u.user_id, u.openid FROM app_user u WHERE u.app_id = $1 AND u.user_id = n.user_id LIMIT 1) u ON true
		 WHERE u.user_id IS NULL OR u.openid IS DISTINCT FROM nullif(n.openid, ''))`, appID, userIDs, openIDs).Scan(&changes)
	return changes, err
}

// leaving are the users who lose their openid by a report: to another user, or by what it says of themselves.
const leaving = `
	SELECT u.user_id, u.openid FROM unnest($2::text[], $3::text[]) AS n(user_id, openid)
	 CROSS JOIN LATERAL (SELECT u.user_id, u.openid FROM app_user u WHERE u.app_id = $1 AND u.openid = n.openid LIMIT 1) u
	 WHERE n.openid <> '' AND u.user_id <> n.user_id
	 UNION
	SELECT u.user_id, u.openid FROM unnest($2::text[], $3::text[]) AS n(user_id, openid)
	 CROSS JOIN LATERAL (SELECT u.user_id, u.openid FROM app_user u WHERE u.app_id = $1 AND u.user_id = n.user_id LIMIT 1) u
	 WHERE u.openid <> n.openid`

// moveOpenIDs takes openids from the users who lose them, and keeps who held them. Each is taken by its key, in a pipeline: a
// joined update that was planned while nobody was known would read all users, under a lock that all claims of the app wait for.
func (s *Store) moveOpenIDs(ctx context.Context, appID int32, userIDs, openIDs []string) error {
	var moves bool
	if err := s.db(ctx).QueryRow(ctx, `SELECT EXISTS (`+leaving+`)`, appID, userIDs, openIDs).Scan(&moves); err != nil || !moves {
		return err
	}
	if _, err := s.db(ctx).Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, lockMoves, appID); err != nil {
		return err
	}
	rows, _ := s.db(ctx).Query(ctx, `SELECT DISTINCT user_id, openid FROM (`+leaving+`) l ORDER BY 1`, appID, userIDs, openIDs)
	type holder struct{ UserID, OpenID string }
	gone, err := pgx.CollectRows(rows, pgx.RowToStructByPos[holder])
	if err != nil {
		return err
	}
	var batch pgx.Batch
	for _, g := range gone {
		batch.Queue(`UPDATE app_user SET openid = NULL, moved = false, updated_at = now() WHERE user_id = $1 AND app_id = $2`, g.UserID, appID)
		batch.Queue(`INSERT INTO openid_move (app_id, openid, user_id) VALUES ($1, $2, $3)`, appID, g.OpenID, g.UserID)
	}
	return s.db(ctx).SendBatch(ctx, &batch).Close()
}

// PurgeOpenIDMoves forgets at most limit moves made before the time given, oldest first, and returns how many. A task that was
// under way at the time of a move needs it: before must lie further back than any open task began.
func (s *Store) PurgeOpenIDMoves(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM openid_move WHERE ctid = ANY (ARRAY(
		    SELECT m.tid FROM (SELECT ctid AS tid, moved_at FROM openid_move ORDER BY id LIMIT $2) m WHERE m.moved_at < $1))`, before, limit)
	return int(tag.RowsAffected()), wrap(err, "purge moves of openids")
}

// lockMoves is the first key of the advisory lock between claims (shared) and moves of openids (exclusive); the app is the second.
const lockMoves = 0x6d70_0001

// lockReports is the first key of the advisory lock that keeps reports of users in a row; the app is the second.
const lockReports = 0x6d70_0006

// User finds a user of an app.
func (s *Store) User(ctx context.Context, appID int32, userID string) (push.User, error) {
	var u push.User
	err := s.db(ctx).QueryRow(ctx, `
		SELECT a.key, u.user_id, u.openid, u.created_at, u.updated_at
		  FROM app_user u JOIN app a ON a.id = u.app_id WHERE u.app_id = $1 AND u.user_id = $2`, appID, userID).
		Scan(&u.App, &u.UserID, &u.OpenID, &u.CreatedAt, &u.UpdatedAt)
	return u, wrap(err, "user")
}

// Users lists users by id, after the one given.
func (s *Store) Users(ctx context.Context, appID int32, after string, limit int) ([]push.User, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT a.key, u.user_id, u.openid, u.created_at, u.updated_at
		  FROM app_user u JOIN app a ON a.id = u.app_id
		 WHERE u.app_id = $1 AND u.user_id > $2 ORDER BY u.user_id LIMIT $3`, appID, after, limit)
	users, err := pgx.CollectRows(rows, pgx.RowToStructByPos[push.User])
	return users, wrap(err, "list users")
}
