package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// TOTP is the second factor of an account.
type TOTP struct {
	AccountID int64
	// Secret is sealed.
	Secret []byte
	// LastStep is the time step of the last code that was used.
	LastStep int64
	// ConfirmedAt is since when it counts; nil while it is being set up.
	ConfirmedAt *time.Time
	// CodesLeft is how many recovery codes are left.
	CodesLeft int
}

// TOTP finds the second factor of an account, also one that is being set up.
func (s *Store) TOTP(ctx context.Context, accountID int64) (TOTP, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT account_id, secret, last_step, confirmed_at, (SELECT count(*) FROM recovery_code r WHERE r.account_id = t.account_id)
		  FROM account_totp t WHERE account_id = $1`, accountID)
	t, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[TOTP])
	return t, wrap(err, "second factor of account %d", accountID)
}

// BeginTOTP keeps the sealed secret of a second factor that is being set up, in place of one that was begun before. It does nothing, and
// returns false, where one is in force.
func (s *Store) BeginTOTP(ctx context.Context, accountID int64, secret []byte) (begun bool, err error) {
	tag, err := s.db(ctx).Exec(ctx, `
		INSERT INTO account_totp AS t (account_id, secret) VALUES ($1, $2)
		ON CONFLICT (account_id) DO UPDATE SET secret = $2, created_at = now() WHERE t.confirmed_at IS NULL`, accountID, secret)
	return tag.RowsAffected() == 1, wrap(err, "begin second factor of account %d", accountID)
}

// ConfirmTOTP puts the second factor with the sealed secret in force, whose code of the time step was typed, with the hashes of its recovery
// codes. It does nothing, and returns false, where another was begun meanwhile, or it is in force already.
func (s *Store) ConfirmTOTP(ctx context.Context, accountID int64, secret []byte, step int64, codes [][]byte) (confirmed bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		// Whoever logs in by the password alone at this moment has done so before, or will not: see InsertSession.
		if _, err := s.db(ctx).Exec(ctx, `SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE`, accountID); err != nil {
			return err
		}
		tag, err := s.db(ctx).Exec(ctx, `
			UPDATE account_totp SET confirmed_at = now(), last_step = $3 WHERE account_id = $1 AND secret = $2 AND confirmed_at IS NULL`, accountID, secret, step)
		if confirmed = tag.RowsAffected() == 1; err != nil || !confirmed {
			return err
		}
		_, err = s.db(ctx).Exec(ctx, `INSERT INTO recovery_code (account_id, hash) SELECT $1, unnest($2::bytea[])`, accountID, codes)
		return err
	})
	return confirmed, wrap(err, "confirm second factor of account %d", accountID)
}

// SpendTOTPStep uses the code of a time step. It returns false where that step, or a later one, was used before: of two who type the same
// code at the same time one is refused.
func (s *Store) SpendTOTPStep(ctx context.Context, accountID int64, secret []byte, step int64) (spent bool, err error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE account_totp SET last_step = $3 WHERE account_id = $1 AND secret = $2 AND confirmed_at IS NOT NULL AND last_step < $3`, accountID, secret, step)
	return tag.RowsAffected() == 1, wrap(err, "use code of account %d", accountID)
}

// SpendRecoveryCode uses a recovery code, and says how many are left. It returns false where the account has no such code, or no longer.
func (s *Store) SpendRecoveryCode(ctx context.Context, accountID int64, hash []byte) (left int, spent bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		tag, err := s.db(ctx).Exec(ctx, `DELETE FROM recovery_code WHERE account_id = $1 AND hash = $2`, accountID, hash)
		if spent = tag.RowsAffected() == 1; err != nil || !spent {
			return err
		}
		return s.db(ctx).QueryRow(ctx, `SELECT count(*) FROM recovery_code WHERE account_id = $1`, accountID).Scan(&left)
	})
	return left, spent, wrap(err, "use recovery code of account %d", accountID)
}

// DeleteTOTP takes the second factor of an account away, with its recovery codes. It returns false where there was none in force.
func (s *Store) DeleteTOTP(ctx context.Context, accountID int64) (was bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `DELETE FROM account_totp WHERE account_id = $1 RETURNING confirmed_at IS NOT NULL`, accountID).Scan(&was)
	if isNoRows(err) {
		return false, nil
	}
	return was, wrap(err, "delete second factor of account %d", accountID)
}
