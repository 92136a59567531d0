package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// Account is a person who logs in to the console.
type Account struct {
	ID int64
	// Login is what the person types, in small letters; it tells accounts apart for ever.
	Login string
	// Name is what others read.
	Name string
	Role string
	// AppIDs are the apps that it may touch; nil is all.
	AppIDs []int32
	// PasswordHash is a PHC string.
	PasswordHash      string
	PasswordChangedAt time.Time
	CreatedBy         string
	CreatedAt         time.Time
	UpdatedAt         time.Time
	LastLoginAt       *time.Time
	// DisabledAt is when it was shut out; nil while it may log in.
	DisabledAt *time.Time
	// TOTPAt is since when a second factor is asked for; nil where the password is enough.
	TOTPAt *time.Time
}

// accountColumns are those of an Account, of the table account under its own name.
const accountColumns = `account.id, account.login, account.name, account.role, account.app_ids, account.password_hash, account.password_changed_at,
	account.created_by, account.created_at, account.updated_at, account.last_login_at, account.disabled_at,
	(SELECT confirmed_at FROM account_totp WHERE account_totp.account_id = account.id)`

// InsertAccount adds an account. A login that is taken, or is none, is an *push.InvalidError.
func (s *Store) InsertAccount(ctx context.Context, a Account) (Account, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		INSERT INTO account (login, name, role, app_ids, password_hash, created_by) VALUES ($1, $2, $3, $4, $5, $6) RETURNING `+accountColumns,
		a.Login, a.Name, a.Role, a.AppIDs, a.PasswordHash, a.CreatedBy)
	account, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Account])
	switch {
	case violates(err, "account_login_unique"):
		return Account{}, &push.InvalidError{Field: "login", Rule: "taken", Message: "is the login of another account"}
	case violates(err, "account_login_form"):
		return Account{}, &push.InvalidError{Field: "login", Rule: "bad_login", Message: "must be 1 to 64 of a-z, 0-9, and . _ @ - after the first"}
	case violates(err, "account_role_known"):
		return Account{}, &push.InvalidError{Field: "role", Rule: "unknown_value", Message: "must be viewer, author, approver, operator or admin"}
	}
	return account, wrap(err, "insert account %q", a.Login)
}

// AccountByLogin finds an account, also one that was disabled.
func (s *Store) AccountByLogin(ctx context.Context, login string) (Account, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+accountColumns+` FROM account WHERE login = $1`, login)
	account, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Account])
	return account, wrap(err, "account %q", login)
}

// AccountByID finds an account, also one that was disabled.
func (s *Store) AccountByID(ctx context.Context, id int64) (Account, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+accountColumns+` FROM account WHERE id = $1`, id)
	account, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Account])
	return account, wrap(err, "account %d", id)
}

// Accounts lists all accounts by their login.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+accountColumns+` FROM account ORDER BY login`)
	accounts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Account])
	return accounts, wrap(err, "list accounts")
}

// AccountsFor lists accounts that may log in, have one of the roles and may touch the app, but for some logins: those of the first role
// first, at most limit.
func (s *Store) AccountsFor(ctx context.Context, appID int32, roles, but []string, limit int) ([]Account, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+accountColumns+` FROM account
		 WHERE disabled_at IS NULL AND role = ANY ($2::text[]) AND (app_ids IS NULL OR $1 = ANY (app_ids)) AND NOT login = ANY ($3::text[])
		 ORDER BY array_position($2::text[], role), login LIMIT $4`, appID, roles, but, limit)
	accounts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Account])
	return accounts, wrap(err, "list accounts for app %d", appID)
}

// SetAccountPassword replaces the password of an account and ends its sessions, all but the one with the hash keep (nil: all).
func (s *Store) SetAccountPassword(ctx context.Context, id int64, passwordHash string, keep []byte) error {
	err := s.InTx(ctx, func(ctx context.Context) error {
		tag, err := s.db(ctx).Exec(ctx, `
			UPDATE account SET password_hash = $2, password_changed_at = now(), updated_at = now() WHERE id = $1`, id, passwordHash)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("account %d: %w", id, push.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return s.DeleteSessionsOf(ctx, id, keep)
	})
	return wrap(err, "set password of account %d", id)
}

// NoteLogin notes that an account has logged in.
func (s *Store) NoteLogin(ctx context.Context, id int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE account SET last_login_at = now() WHERE id = $1`, id)
	return wrap(err, "note login")
}

// SetAccountDisabled shuts an account out, and ends its sessions, or lets it in again. One that is as it should be is left as it is.
func (s *Store) SetAccountDisabled(ctx context.Context, login string, disabled bool) (account Account, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		rows, _ := s.db(ctx).Query(ctx, `
			UPDATE account SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END, updated_at = now() WHERE login = $1
			RETURNING `+accountColumns, login, disabled)
		if account, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Account]); err != nil || !disabled {
			return err
		}
		return s.DeleteSessionsOf(ctx, account.ID, nil)
	})
	return account, wrap(err, "account %q", login)
}
