package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Session is a login that is in force, with the account as it is now.
type Session struct {
	Account    Account
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time
}

// InsertSession notes a login by the hash of its cookie, and that the account has logged in. It ends after lifetime. Nothing is written, and
// the error is push.ErrNotFound, where the account is no longer as it was when its person was asked: shut out, with another password, or,
// where no second factor was asked for (second), with one. So a login loses against any of these that happens at the same time.
func (s *Store) InsertSession(ctx context.Context, hash []byte, a Account, second bool, lifetime time.Duration) error {
	err := s.InTx(ctx, func(ctx context.Context) error {
		// The lock comes first: what is asked below it is seen as it is now.
		var id int64
		err := s.db(ctx).QueryRow(ctx, `
			SELECT id FROM account WHERE id = $1 AND password_changed_at = $2 AND disabled_at IS NULL FOR NO KEY UPDATE`, a.ID, a.PasswordChangedAt).Scan(&id)
		if err != nil {
			return err
		}
		err = s.db(ctx).QueryRow(ctx, `
			INSERT INTO session (hash, account_id, expires_at) SELECT $1, $2, now() + $3::interval
			 WHERE $4 OR NOT EXISTS (SELECT FROM account_totp WHERE account_id = $2 AND confirmed_at IS NOT NULL) RETURNING account_id`,
			hash, a.ID, lifetime, second).Scan(&id)
		if err != nil {
			return err
		}
		return s.NoteLogin(ctx, a.ID)
	})
	return wrap(err, "insert session")
}

// RenewSession gives a session another cookie, by its hash.
func (s *Store) RenewSession(ctx context.Context, old, hash []byte) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE session SET hash = $2 WHERE hash = $1`, old, hash)
	return wrap(err, "renew session")
}

// SessionByHash finds a session that is in force: not over, used within idle, of an account that may log in.
func (s *Store) SessionByHash(ctx context.Context, hash []byte, idle time.Duration) (Session, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+accountColumns+`, s.created_at, s.last_used_at, s.expires_at
		  FROM session s JOIN account ON account.id = s.account_id
		 WHERE s.hash = $1 AND s.expires_at > now() AND s.last_used_at > now() - $2::interval AND account.disabled_at IS NULL`, hash, idle)
	session, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (Session, error) {
		var n Session
		a := &n.Account
		return n, row.Scan(&a.ID, &a.Login, &a.Name, &a.Role, &a.AppIDs, &a.PasswordHash, &a.PasswordChangedAt, &a.CreatedBy, &a.CreatedAt,
			&a.UpdatedAt, &a.LastLoginAt, &a.DisabledAt, &a.TOTPAt, &n.CreatedAt, &n.LastUsedAt, &n.ExpiresAt)
	})
	return session, wrap(err, "session")
}

// TouchSession notes that a session is used.
func (s *Store) TouchSession(ctx context.Context, hash []byte) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE session SET last_used_at = now() WHERE hash = $1`, hash)
	return wrap(err, "touch session")
}

// DeleteSession ends one session; one that is not there is no error.
func (s *Store) DeleteSession(ctx context.Context, hash []byte) error {
	_, err := s.db(ctx).Exec(ctx, `DELETE FROM session WHERE hash = $1`, hash)
	return wrap(err, "delete session")
}

// DeleteSessionsOf ends the sessions of an account, all but the one with the hash keep (nil: all).
func (s *Store) DeleteSessionsOf(ctx context.Context, accountID int64, keep []byte) error {
	_, err := s.db(ctx).Exec(ctx, `DELETE FROM session WHERE account_id = $1 AND hash IS DISTINCT FROM $2`, accountID, keep)
	return wrap(err, "delete sessions of account %d", accountID)
}

// CountLogin counts an attempt to log in, before the password is looked at, and returns how many there were in the window that it
// falls into, this one included. Counting first makes the limit hold for attempts at the same time too.
func (s *Store) CountLogin(ctx context.Context, subject []byte, window time.Duration) (tries int, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		INSERT INTO login_attempt AS l (subject, tries) VALUES ($1, 1)
		ON CONFLICT (subject) DO UPDATE
		   SET tries = CASE WHEN l.since < now() - $2::interval THEN 1 ELSE l.tries + 1 END,
		       since = CASE WHEN l.since < now() - $2::interval THEN now() ELSE l.since END
		RETURNING tries`, subject, window).Scan(&tries)
	return tries, wrap(err, "count login")
}

// ForgetLogin takes back what an attempt that succeeded has counted: all attempts of the account, and this one of the address.
func (s *Store) ForgetLogin(ctx context.Context, account, address []byte) error {
	_, err := s.db(ctx).Exec(ctx, `DELETE FROM login_attempt WHERE subject = $1`, account)
	if err == nil {
		_, err = s.db(ctx).Exec(ctx, `UPDATE login_attempt SET tries = greatest(tries - 1, 0) WHERE subject = $1`, address)
	}
	return wrap(err, "forget login")
}

// PurgeSessions removes sessions that are over, and windows of attempts that began before the time given, some of them at a time.
func (s *Store) PurgeSessions(ctx context.Context, attemptsBefore time.Time, limit int) (int, error) {
	sessions, err := s.db(ctx).Exec(ctx, `
		DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE expires_at < now() ORDER BY expires_at LIMIT $1)`, limit)
	if err != nil {
		return 0, wrap(err, "purge sessions")
	}
	attempts, err := s.db(ctx).Exec(ctx, `
		DELETE FROM login_attempt WHERE subject IN (
		       SELECT subject FROM login_attempt WHERE since < $1 ORDER BY since LIMIT $2 FOR UPDATE SKIP LOCKED)`, attemptsBefore, limit)
	return int(max(sessions.RowsAffected(), attempts.RowsAffected())), wrap(err, "purge login attempts")
}
