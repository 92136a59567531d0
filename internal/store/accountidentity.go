package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// AccountIdentity is who the person of an account is at an OpenID provider.
type AccountIdentity struct {
	// Issuer and Subject are the claims iss and sub: together they name one person for ever.
	Issuer, Subject string
	AccountID       int64
	LinkedBy        string
	CreatedAt       time.Time
}

// LinkAccount links an account to who its person is at a provider, in place of what it was linked to there. A subject that is linked to
// another account is an *push.InvalidError.
func (s *Store) LinkAccount(ctx context.Context, i AccountIdentity) error {
	_, err := s.db(ctx).Exec(ctx, `
		INSERT INTO account_identity (issuer, subject, account_id, linked_by) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id, issuer) DO UPDATE SET subject = $2, linked_by = $4, created_at = now()`, i.Issuer, i.Subject, i.AccountID, i.LinkedBy)
	if violates(err, "account_identity_pkey") {
		return &push.InvalidError{Field: "subject", Rule: "taken", Message: "is linked to another account"}
	}
	return wrap(err, "link account %d", i.AccountID)
}

// UnlinkAccount takes all links of an account away, and says how many there were.
func (s *Store) UnlinkAccount(ctx context.Context, accountID int64) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `DELETE FROM account_identity WHERE account_id = $1`, accountID)
	return int(tag.RowsAffected()), wrap(err, "unlink account %d", accountID)
}

// AccountByIdentity finds the account that a subject of an issuer is linked to, also one that was disabled.
func (s *Store) AccountByIdentity(ctx context.Context, issuer, subject string) (Account, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+accountColumns+` FROM account_identity i JOIN account ON account.id = i.account_id WHERE i.issuer = $1 AND i.subject = $2`, issuer, subject)
	account, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Account])
	return account, wrap(err, "account of a subject")
}

// AccountIdentities lists all links.
func (s *Store) AccountIdentities(ctx context.Context) ([]AccountIdentity, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT issuer, subject, account_id, linked_by, created_at FROM account_identity ORDER BY account_id, issuer`)
	identities, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AccountIdentity])
	return identities, wrap(err, "list links of accounts")
}
