package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// APIToken is a bearer token of the API without its secret part.
type APIToken struct {
	ID   int64
	Name string
	Role string
	// AppIDs are the apps that it may touch; nil is all.
	AppIDs     []int32
	CreatedBy  string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	LastUsedAt *time.Time
	RevokedAt  *time.Time
}

//nolint:gosec // names of columns
const apiTokenColumns = `id, name, role, app_ids, created_by, created_at, updated_at, last_used_at, revoked_at`

// InsertAPIToken adds a token by the hash of its secret. A name that a live token has is an *push.InvalidError.
func (s *Store) InsertAPIToken(ctx context.Context, t APIToken, hash []byte) (APIToken, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		INSERT INTO api_token (name, hash, role, app_ids, created_by) VALUES ($1, $2, $3, $4, $5) RETURNING `+apiTokenColumns,
		t.Name, hash, t.Role, t.AppIDs, t.CreatedBy)
	token, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[APIToken])
	if violates(err, "api_token_name_live_unique") {
		return APIToken{}, &push.InvalidError{Field: "name", Rule: "taken", Message: "is the name of another token; revoke that one first"}
	}
	if violates(err, "api_token_role_known") {
		return APIToken{}, &push.InvalidError{Field: "role", Rule: "unknown_value", Message: "must be collector, viewer, author, approver, operator or admin"}
	}
	return token, wrap(err, "insert token %q", t.Name)
}

// APITokenByHash finds a token that is not revoked.
func (s *Store) APITokenByHash(ctx context.Context, hash []byte) (APIToken, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+apiTokenColumns+` FROM api_token WHERE hash = $1 AND revoked_at IS NULL`, hash)
	token, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[APIToken])
	return token, wrap(err, "token")
}

// APITokens lists all tokens, live and revoked, newest first.
func (s *Store) APITokens(ctx context.Context) ([]APIToken, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT `+apiTokenColumns+` FROM api_token ORDER BY id DESC`)
	tokens, err := pgx.CollectRows(rows, pgx.RowToStructByPos[APIToken])
	return tokens, wrap(err, "list tokens")
}

// RevokeAPIToken ends the live token of that name.
func (s *Store) RevokeAPIToken(ctx context.Context, name string) error {
	tag, err := s.db(ctx).Exec(ctx, `UPDATE api_token SET revoked_at = now(), updated_at = now() WHERE name = $1 AND revoked_at IS NULL`, name)
	if err == nil && tag.RowsAffected() == 0 {
		return fmt.Errorf("token %q: %w", name, push.ErrNotFound)
	}
	return wrap(err, "revoke token %q", name)
}

// TouchAPIToken notes that a token was used.
func (s *Store) TouchAPIToken(ctx context.Context, id int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE api_token SET last_used_at = now() WHERE id = $1`, id)
	return wrap(err, "touch token")
}
