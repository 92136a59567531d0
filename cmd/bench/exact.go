package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// statsIdle is how long a backend of Postgres may sit on its table statistics once it is idle (10 s), and a little more.
const statsIdle = 11 * time.Second

const pollGone = 20 * time.Millisecond

// cost is what a run of (d) cost the database, all of it: minipush's statements, the queue's, the sweepers'.
type cost struct {
	Recipients int           `json:"recipients"`
	CPU        time.Duration `json:"serve_cpu_ns"` // of the serve process
	Database   time.Duration `json:"database_ns"`  // pg_stat_statements.total_exec_time: time on the clock, not of a processor
	Statements int64         `json:"statements"`   // pg_stat_statements.calls, BEGIN and COMMIT among them
	BufferHits int64         `json:"buffer_hits"`  // pg_stat_statements.shared_blks_hit
	BufferRead int64         `json:"buffer_reads"`
	// WALBytes is without full-page images and WALImages is those alone, both from the log itself (pg_walinspect);
	// WALStat is what pg_stat_wal says of the two together. 0 where the extension is missing.
	WALBytes  int64     `json:"wal_bytes"`
	WALImages int64     `json:"wal_image_bytes"`
	WALStat   int64     `json:"wal_stat_bytes"`
	Recipient tableCost `json:"recipient"`
	FormID    tableCost `json:"form_id"`
}

// tableCost is from pg_stat_user_tables.
type tableCost struct {
	Read    int64 `json:"tuples_read"` // seq_tup_read + idx_tup_fetch
	Updated int64 `json:"updated"`     // n_tup_upd
	HOT     int64 `json:"hot"`         // n_tup_hot_upd
}

func (t tableCost) minus(o tableCost) tableCost {
	return tableCost{Read: t.Read - o.Read, Updated: t.Updated - o.Updated, HOT: t.HOT - o.HOT}
}

// hotShare is in percent; 0 where nothing was updated.
func (t tableCost) hotShare() float64 {
	if t.Updated == 0 {
		return 0
	}
	return 100 * float64(t.HOT) / float64(t.Updated)
}

func (c cost) per(n int64) float64 { return float64(n) / float64(max(c.Recipients, 1)) }

// figures are the exact figures per recipient, beside their bars.
func (c cost) figures() []figure {
	all := []figure{
		atMost("statements a recipient", c.per(c.Statements), 0.05, "%.4f"),
		atMost("buffer hits a recipient", c.per(c.BufferHits), 40, "%.1f"),
	}
	if c.WALBytes > 0 {
		all = append(all, atMost("WAL bytes a recipient, without images", c.per(c.WALBytes), 1500, "%.0f"))
		all = append(all, plain("WAL image bytes a recipient", c.per(c.WALImages), "%.0f"))
	}
	return append(all,
		plain("WAL bytes a recipient by pg_stat_wal", c.per(c.WALStat), "%.0f"),
		atMost("tuples read a recipient", c.per(c.Recipient.Read+c.FormID.Read), 10, "%.2f"),
		plain("  of recipient", c.per(c.Recipient.Read), "%.2f"),
		plain("  of form_id", c.per(c.FormID.Read), "%.2f"),
		atLeast("HOT share of recipient, %", c.Recipient.hotShare(), 70, "%.1f"),
		plain("HOT share of form_id, %", c.FormID.hotShare(), "%.1f"),
		plain("processor time of serve a recipient, µs", c.per(c.CPU.Microseconds()), "%.1f"),
		plain("time in statements a recipient, µs", c.per(c.Database.Microseconds()), "%.1f"),
	)
}

// meter reads the counters around one run. Its pool is the superuser's, on the database of the run.
type meter struct {
	pool      *pgxpool.Pool
	lsn       string
	wal       int64
	recipient tableCost
	formID    tableCost
}

// begin sets the counters to zero, or notes where they stand. A checkpoint comes first, so that none falls into the run.
func begin(ctx context.Context, pool *pgxpool.Pool) (*meter, error) {
	m := &meter{pool: pool}
	if _, err := pool.Exec(ctx, `CHECKPOINT`); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if err := m.read(ctx); err != nil {
		return nil, err
	}
	err := pool.QueryRow(ctx, `SELECT pg_current_wal_flush_lsn()::text FROM pg_stat_statements_reset()`).Scan(&m.lsn)
	if err != nil {
		return nil, fmt.Errorf("reset statement counters: %w", err)
	}
	return m, nil
}

// read takes the counters that tables and the log have.
func (m *meter) read(ctx context.Context) error {
	if err := m.pool.QueryRow(ctx, `SELECT wal_bytes::bigint FROM pg_stat_wal`).Scan(&m.wal); err != nil {
		return fmt.Errorf("read log counters: %w", err)
	}
	rows, _ := m.pool.Query(ctx, `
		SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0), n_tup_upd, n_tup_hot_upd
		  FROM pg_stat_user_tables WHERE schemaname = 'public' AND relname IN ('recipient', 'form_id')`)
	var name string
	var t tableCost
	_, err := pgx.ForEachRow(rows, []any{&name, &t.Read, &t.Updated, &t.HOT}, func() error {
		if name == "recipient" {
			m.recipient = t
		} else {
			m.formID = t
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read table counters: %w", err)
	}
	return nil
}

// ended takes what is exact the moment the task is done: the statements of role, and the log.
func (m *meter) ended(ctx context.Context, role string, recipients int) (cost, error) {
	c := cost{Recipients: recipients}
	var millis float64
	err := m.pool.QueryRow(ctx, `
		SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(shared_blks_hit), 0)::bigint, coalesce(sum(shared_blks_read), 0)::bigint,
		       coalesce(sum(total_exec_time), 0)
		  FROM pg_stat_statements WHERE userid = $1::regrole`, role).Scan(&c.Statements, &c.BufferHits, &c.BufferRead, &millis)
	if err != nil {
		return c, fmt.Errorf("read statement counters: %w", err)
	}
	c.Database = time.Duration(millis * float64(time.Millisecond))
	var walk bool
	if err := m.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_walinspect')`).Scan(&walk); err != nil {
		return c, fmt.Errorf("look for pg_walinspect: %w", err)
	}
	if !walk {
		return c, nil
	}
	err = m.pool.QueryRow(ctx, `
		SELECT coalesce(sum(record_size), 0)::bigint, coalesce(sum(fpi_size), 0)::bigint
		  FROM pg_get_wal_stats($1::pg_lsn, pg_current_wal_flush_lsn())`, m.lsn).Scan(&c.WALBytes, &c.WALImages)
	if err != nil {
		return c, fmt.Errorf("read the log: %w", err)
	}
	return c, nil
}

// settled adds what is exact only when serve's connections are closed: the counters of the tables.
func (m *meter) settled(ctx context.Context, c *cost) error {
	if err := m.waitGone(ctx, serveRole); err != nil {
		return err
	}
	before := *m
	if err := m.read(ctx); err != nil {
		return err
	}
	c.WALStat = m.wal - before.wal
	c.Recipient, c.FormID = m.recipient.minus(before.recipient), m.formID.minus(before.formID)
	return nil
}

// waitGone waits until the last connection of a role has ended: a backend hands in its counters before it leaves the list.
func (m *meter) waitGone(ctx context.Context, role string) error {
	tick := time.NewTicker(pollGone)
	defer tick.Stop()
	for {
		var left int
		err := m.pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE usename = $1`, role).Scan(&left)
		if err != nil || left == 0 {
			if err != nil {
				return fmt.Errorf("look for connections: %w", err)
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d connections of %s are left: %w", left, role, context.Cause(ctx))
		}
	}
}

// statement is one of the dearest statements of a run.
type statement struct {
	Calls  int64   `json:"calls"`
	Millis float64 `json:"total_ms"`
	Hits   int64   `json:"buffer_hits"`
	WAL    int64   `json:"wal_bytes"`
	Query  string  `json:"query"`
}

// dearest lists where the time of the database went.
func (m *meter) dearest(ctx context.Context, role string, n int) ([]statement, error) {
	rows, _ := m.pool.Query(ctx, `
		SELECT calls, total_exec_time, shared_blks_hit, wal_bytes::bigint, left(regexp_replace(query, '\s+', ' ', 'g'), 110)
		  FROM pg_stat_statements WHERE userid = $1::regrole ORDER BY total_exec_time DESC LIMIT $2`, role, n)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[statement])
	if err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	return all, nil
}
