package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"minipush/internal/wechat"
)

// (c) has the same two tables as minipush in the small, so that the difference is the job per recipient.
const (
	perJobSchema = `
CREATE SCHEMA per_job;
CREATE SCHEMA per_job_river;
CREATE TABLE per_job.recipient (
    id bigint PRIMARY KEY, user_id text COLLATE "C" NOT NULL, openid text COLLATE "C" NOT NULL, state smallint NOT NULL DEFAULT 0,
    permit_id bigint, platform_code int, updated_at timestamptz) WITH (fillfactor = 50);
CREATE TABLE per_job.form_id (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id text COLLATE "C" NOT NULL, form_id text COLLATE "C" NOT NULL UNIQUE,
    state smallint NOT NULL DEFAULT 0, expires_at timestamptz NOT NULL) WITH (fillfactor = 70);
CREATE INDEX ON per_job.form_id (user_id, expires_at)`

	perJobRiver      = "per_job_river"
	perJobBatch      = 10_000
	perJobFetchEvery = 10 * time.Millisecond // the default of 100 ms would bound it
)

// sendOneArgs is the job of one recipient: ids only, unique over all states.
type sendOneArgs struct {
	RecipientID int64 `json:"recipient_id" river:"unique"`
}

func (sendOneArgs) Kind() string { return "bench_send_one" }

func (sendOneArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()}}
}

// sendOneWorker claims and writes ahead in one statement, calls, and writes the outcome in the transaction that completes
// the job.
type sendOneWorker struct {
	river.WorkerDefaults[sendOneArgs]

	pool   *pgxpool.Pool
	client *wechat.Client
	data   []wechat.Field
	left   atomic.Int64
	done   chan struct{} // closed when nothing is left
}

func (w *sendOneWorker) Work(ctx context.Context, job *river.Job[sendOneArgs]) error {
	m := wechat.TemplateMessage{TemplateID: templateID, Page: page, Data: w.data}
	err := w.pool.QueryRow(ctx, `
		WITH claimed AS (
		    UPDATE per_job.form_id SET state = 1 WHERE id = (
		        SELECT f.id FROM per_job.form_id f JOIN per_job.recipient r ON r.user_id = f.user_id
		         WHERE r.id = $1 AND r.state = 0 AND f.state = 0 AND f.expires_at > now()
		         ORDER BY f.expires_at LIMIT 1 FOR UPDATE OF f SKIP LOCKED)
		    RETURNING id, form_id)
		UPDATE per_job.recipient r SET state = 1, permit_id = c.id FROM claimed c
		 WHERE r.id = $1 AND r.state = 0 RETURNING r.openid, c.form_id`, job.Args.RecipientID).Scan(&m.ToUser, &m.FormID)
	if err != nil {
		return fmt.Errorf("claim recipient: %w", err)
	}
	if res := w.client.SendTemplate(ctx, m); res.Class != wechat.ClassOK {
		return fmt.Errorf("send: class %s: %w", res.Class, res.Err)
	}
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			WITH sent AS (UPDATE per_job.recipient SET state = 2, platform_code = 0, updated_at = now() WHERE id = $1 AND state = 1 RETURNING permit_id)
			UPDATE per_job.form_id f SET state = 2 FROM sent WHERE f.id = sent.permit_id`, job.Args.RecipientID); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
	if err != nil {
		return fmt.Errorf("write outcome: %w", err)
	}
	if w.left.Add(-1) == 0 {
		close(w.done)
	}
	return nil
}

// perJob runs (c) and returns how long it took from the first insert to the last outcome.
func perJob(ctx context.Context, pool *pgxpool.Pool, client *wechat.Client, recipients, inFlight int) (time.Duration, error) {
	worker := &sendOneWorker{pool: pool, client: client, data: messageData(), done: make(chan struct{})}
	worker.left.Store(int64(recipients))
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	rc, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: perJobRiver, Workers: workers, FetchCooldown: perJobFetchEvery, FetchPollInterval: time.Second,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: inFlight}},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return 0, fmt.Errorf("make river client: %w", err)
	}
	begun := time.Now()
	for lo := 0; lo < recipients; lo += perJobBatch {
		batch := make([]river.InsertManyParams, 0, perJobBatch)
		for id := lo; id < min(lo+perJobBatch, recipients); id++ {
			batch = append(batch, river.InsertManyParams{Args: sendOneArgs{RecipientID: int64(id)}})
		}
		if _, err := rc.InsertMany(ctx, batch); err != nil {
			return 0, fmt.Errorf("insert jobs: %w", err)
		}
	}
	if err := rc.Start(ctx); err != nil {
		return 0, fmt.Errorf("start river: %w", err)
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), childStop)
		defer cancel()
		_ = rc.Stop(stopping)
	}()
	select {
	case <-worker.done:
		return time.Since(begun), nil
	case <-ctx.Done():
		return 0, errors.Join(fmt.Errorf("%d recipients are left", worker.left.Load()), context.Cause(ctx))
	}
}

// loadPerJob makes the tables of (c), its own River schema among them, and fills them.
func loadPerJob(ctx context.Context, pool *pgxpool.Pool, w workload) error {
	if _, err := pool.Exec(ctx, perJobSchema); err != nil {
		return fmt.Errorf("make tables of (c): %w", err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: perJobRiver, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return fmt.Errorf("migrate river of (c): %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate river of (c): %w", err)
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		err := copyRows(ctx, tx, pgx.Identifier{"per_job", "recipient"}, []string{"id", "user_id", "openid"}, w.Recipients,
			func(i int) []any { return []any{int64(i), userID(i), openID(i)} })
		if err != nil {
			return err
		}
		order := w.arrival()
		soon := time.Now().Add(24 * time.Hour)
		return copyRows(ctx, tx, pgx.Identifier{"per_job", "form_id"}, []string{"user_id", "form_id", "expires_at"}, len(order),
			func(i int) []any {
				user, nth := order[i]/w.PerUser, order[i]%w.PerUser
				return []any{userID(user), formID(user, nth), soon.Add(time.Duration(i) * time.Millisecond)}
			})
	})
}
