// Package store holds every SQL statement of minipush, one file per noun. Rows come back as types of package push.
//
// A method joins the transaction that its context carries, or runs on the pool: [Store.InTx] puts one there. So a caller
// composes methods, and a job insert of the queue, into one transaction without a second set of signatures.
//
// Statements on the send path (claim.go, outcome.go, chunk.go) are written so that their plan does not depend on statistics:
// ranges of the primary key with dense arrays, never a join with unnest or a CTE. No index of recipient or form_id names a
// column that they change, so their updates are HOT.
//
// pgx.ErrNoRows never leaves the package: what is not there is push.ErrNotFound.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"minipush/internal/push"
)

// Config says which database to use.
type Config struct {
	// URL is a Postgres connection string. Required.
	URL string
	// MaxConns bounds the pool; 0 is 20.
	MaxConns int32
	// Now is the clock for times that people see; nil is time.Now. Times that decide something are the database's.
	Now func() time.Time
}

// Store is the database. All methods may be called concurrently.
type Store struct {
	pool *pgxpool.Pool
	// plans bounds what holds a connection of the pool for long and needs another meanwhile.
	plans chan struct{}
}

// maxPlans is how many tasks are planned at a time in this process, and lists copied.
const maxPlans = 2

// DBTX is what a pool and a transaction have in common.
type DBTX interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

// Open connects and pings. The caller closes.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read database url: %w", redact(err))
	}
	pc.MaxConns = cfg.MaxConns
	if pc.MaxConns == 0 {
		pc.MaxConns = 20
	}
	pc.MaxConnLifetime = 30 * time.Minute
	pc.ConnConfig.RuntimeParams["application_name"] = "minipush"
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", redact(err))
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach database: %w", redact(err))
	}
	return New(pool), nil
}

// New makes a Store of a pool that the caller keeps and closes.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool, plans: make(chan struct{}, maxPlans)} }

// redact keeps a parse error from carrying the connection string, which may hold a password.
func redact(err error) error {
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		return errors.New("it is not a valid Postgres connection string")
	}
	return err
}

// Pool returns the pool, for the queue and for tests.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Close closes the pool.
func (s *Store) Close() { s.pool.Close() }

// Now is the database's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.db(ctx).QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, wrap(err, "read the clock")
}

// boundTx, selected in the first statement of a transaction that holds a lock others wait for, ends the transaction if its process
// freezes between two statements: the server then rolls it back and lets the lock go. It is set by the statement and not by the
// connection, for a pooler may stand in between.
const boundTx = `set_config('idle_in_transaction_session_timeout', '5s', true)`

type txKey struct{}

// beginBound begins a transaction that ends, and lets go of whatever it holds, if its process freezes or its machine is gone: a
// frozen daemon must not hold up the others for longer. It is more than the longest call of the platform, which some of them make.
const beginBound = `begin; set local idle_in_transaction_session_timeout = '15s'`

// InTx runs fn in a transaction, which fn's context carries. If ctx carries one already, fn joins it.
// The transaction is rolled back if fn returns an error.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.inTx(ctx, beginBound, fn)
}

// inBoundTx is InTx for a transaction whose first statement selects [boundTx] itself: on the send path, where statements count.
func (s *Store) inBoundTx(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.inTx(ctx, "begin", fn)
}

func (s *Store) inTx(ctx context.Context, begin string, fn func(ctx context.Context) error) error {
	if Tx(ctx) != nil {
		return fn(ctx)
	}
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
		return fn(context.WithValue(ctx, txKey{}, tx))
	})
}

// Attempt runs fn in a part of the transaction that ctx carries, which alone is undone if fn returns an error: what came before stands.
func (s *Store) Attempt(ctx context.Context, fn func(ctx context.Context) error) error {
	return pgx.BeginFunc(ctx, Tx(ctx), func(part pgx.Tx) error {
		return fn(context.WithValue(ctx, txKey{}, part))
	})
}

// Tx returns the transaction that ctx carries, or nil.
func Tx(ctx context.Context) pgx.Tx {
	tx, _ := ctx.Value(txKey{}).(pgx.Tx)
	return tx
}

// Apart is ctx without the transaction that it carries: for what must not be undone with it, or take its connection.
func Apart(ctx context.Context) context.Context { return context.WithValue(ctx, txKey{}, nil) }

func (s *Store) db(ctx context.Context) DBTX {
	if tx := Tx(ctx); tx != nil {
		return tx
	}
	return s.pool
}

// wrap names what was done, and turns "no rows" into push.ErrNotFound. A nil error stays nil, and so does what a person gave wrong: it
// names the field, and people read it.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if _, theirs := errors.AsType[*push.InvalidError](err); theirs {
		return err
	}
	what := fmt.Sprintf(format, args...)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, push.ErrNotFound)
	}
	return fmt.Errorf("%s: %w", what, readable(err))
}

// IsDeadlock says that a transaction was undone because it and another one waited for each other.
func IsDeadlock(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "40P01"
}

// violates says whether err is the violation of the constraint named.
func violates(err error, constraint string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.ConstraintName == constraint
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
