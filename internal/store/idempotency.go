package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// StoredAnswer is the answer to a request that carried an Idempotency-Key.
type StoredAnswer struct {
	RequestHash []byte
	Status      int
	ContentType string
	Body        []byte
}

// ReserveIdempotencyKey claims a key for the transaction that ctx carries. It returns the stored answer if the key was used
// before, else nil. A second request with the same key waits until the first one's transaction has ended.
func (s *Store) ReserveIdempotencyKey(ctx context.Context, principal, key string, requestHash []byte) (*StoredAnswer, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		INSERT INTO idempotency_key (principal, key, request_hash, status, content_type, body) VALUES ($1, $2, $3, 0, '', '')
		ON CONFLICT (principal, key) DO NOTHING`, principal, key, requestHash)
	if err != nil || tag.RowsAffected() == 1 {
		return nil, wrap(err, "reserve idempotency key")
	}
	var a StoredAnswer
	err = s.db(ctx).QueryRow(ctx, `
		SELECT request_hash, status, content_type, body FROM idempotency_key WHERE principal = $1 AND key = $2`, principal, key).
		Scan(&a.RequestHash, &a.Status, &a.ContentType, &a.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.ReserveIdempotencyKey(ctx, principal, key, requestHash)
	}
	return &a, wrap(err, "read idempotency key")
}

// StoreAnswer keeps the answer of the request that reserved the key, in the same transaction.
func (s *Store) StoreAnswer(ctx context.Context, principal, key string, a StoredAnswer) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE idempotency_key SET status = $3, content_type = $4, body = $5 WHERE principal = $1 AND key = $2`,
		principal, key, a.Status, a.ContentType, a.Body)
	return wrap(err, "store answer")
}

// PurgeIdempotencyKeys removes keys made before the time given.
func (s *Store) PurgeIdempotencyKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
		    SELECT ctid FROM idempotency_key WHERE created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit)
	return int(tag.RowsAffected()), wrap(err, "purge idempotency keys")
}
