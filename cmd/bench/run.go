package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
)

// run is one serve process on one database.
type run struct {
	b      *bench
	db     *database
	daemon *daemon
	meter  *meter
}

// result is what one measured task gave.
type result struct {
	took    time.Duration
	peak    int64 // of serve, in bytes
	cost    cost  // without the counters of tables, which settle when serve has stopped
	dearest []statement
}

// newRun migrates the database and starts serve on it, with the app, the product and the template in place.
func (b *bench) newRun(ctx context.Context, db *database, platform string) (*run, error) {
	r := &run{b: b, db: db, daemon: newDaemon(b.binary, db.url, b.dir, b.opt.inFlight, b.log)}
	if _, err := r.daemon.run(ctx, "", "migrate", "up"); err != nil {
		return nil, err
	}
	if err := r.daemon.register(ctx, platform); err != nil {
		return nil, err
	}
	if err := r.daemon.start(ctx); err != nil {
		return nil, err
	}
	if err := r.daemon.describe(ctx); err != nil {
		return nil, errors.Join(err, r.daemon.stop())
	}
	return r, nil
}

// sendFresh collects the formIds, imports the list, and measures the task that follows.
func (r *run) sendFresh(ctx context.Context, w workload) (result, error) {
	if err := r.collect(ctx, w); err != nil {
		return result{}, err
	}
	task, err := r.importTask(ctx, w)
	if err != nil {
		return result{}, err
	}
	return r.measure(ctx, task, w)
}

// collect fills the users and their formIds, by COPY: their intake is not what is measured. It does so on a connection that
// ends, so that its counters are handed in before the meter begins.
func (r *run) collect(ctx context.Context, w workload) error {
	pool, err := r.db.connect(ctx, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var app int32
		if err := tx.QueryRow(ctx, `SELECT id FROM app WHERE key = $1`, appKey).Scan(&app); err != nil {
			return fmt.Errorf("find app: %w", err)
		}
		err := copyRows(ctx, tx, pgx.Identifier{"app_user"}, []string{"app_id", "user_id", "openid"}, w.Recipients,
			func(i int) []any { return []any{app, userID(w.First + i), openID(w.First + i)} })
		if err != nil {
			return err
		}
		order, now := w.arrival(), time.Now()
		return copyRows(ctx, tx, pgx.Identifier{"form_id"}, []string{"app_id", "user_id", "form_id", "source", "submitted_at", "expires_at"},
			len(order), func(i int) []any {
				user, nth := w.First+order[i]/w.PerUser, order[i]%w.PerUser
				at := now.Add(time.Duration(i-len(order)) * time.Millisecond)
				return []any{app, userID(user), formID(user, nth), int16(1 + i%7), at, at.Add(7 * 24 * time.Hour)}
			})
	})
}

// importTask makes a task and imports its list through the command: its process ends, so its statistics are written.
func (r *run) importTask(ctx context.Context, w workload) (int64, error) {
	path, err := r.b.listFile(w)
	if err != nil {
		return 0, err
	}
	task, err := r.daemon.createTask(ctx)
	if err != nil {
		return 0, err
	}
	return task, r.daemon.uploadFile(ctx, task, path)
}

// measure sends a task and waits for its end.
func (r *run) measure(ctx context.Context, task int64, w workload) (result, error) {
	var res result
	var err error
	if r.meter, err = begin(ctx, r.db.pool); err != nil {
		return res, err
	}
	pid := r.daemon.serve.cmd.Process.Pid
	cpu, err := cpuTime(pid)
	if err != nil {
		return res, err
	}
	begun := time.Now()
	if err := r.daemon.send(ctx, task); err != nil {
		return res, err
	}
	ended, err := r.wait(ctx, task)
	if err != nil {
		return res, err
	}
	res.took = ended.Sub(begun)
	if res.cost, err = r.meter.ended(ctx, r.db.pg.role, w.Recipients); err != nil {
		return res, err
	}
	if res.dearest, err = r.meter.dearest(ctx, r.db.pg.role, r.b.opt.statements); err != nil {
		return res, err
	}
	if res.peak, err = peakMemory(pid); err != nil {
		return res, err
	}
	used, err := cpuTime(pid)
	if err != nil {
		return res, err
	}
	res.cost.CPU = used - cpu
	return res, r.verify(ctx, task, w.Recipients)
}

// wait polls the task on the bench's own connection, whose statements are not counted, and returns when it ended.
func (r *run) wait(ctx context.Context, task int64) (time.Time, error) {
	tick := time.NewTicker(pollTask)
	defer tick.Stop()
	for {
		var state, note string
		var ended *time.Time
		err := r.db.pool.QueryRow(ctx, `SELECT state, note, ended_at FROM task WHERE id = $1`, task).Scan(&state, &note, &ended)
		switch {
		case err != nil:
			return time.Time{}, fmt.Errorf("poll task: %w", err)
		case ended != nil:
			return *ended, nil
		case state == "paused":
			return time.Time{}, fmt.Errorf("the task was paused: %s", note)
		}
		select {
		case <-tick.C:
		case <-r.daemon.serve.exited:
			return time.Time{}, fmt.Errorf("serve ended while it was sending: %w", r.daemon.serve.err)
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for task: %w", context.Cause(ctx))
		}
	}
}

// verify makes sure that the task did its work: a fast run that did less is worth nothing.
func (r *run) verify(ctx context.Context, task int64, recipients int) error {
	var sent, all int
	err := r.db.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FROM task_recipient WHERE task_id = $1`, task).Scan(&sent, &all)
	if err != nil {
		return fmt.Errorf("count recipients: %w", err)
	}
	if sent != recipients || all != recipients {
		return fmt.Errorf("of %d recipients the task has %d, %d of them sent", recipients, all, sent)
	}
	return nil
}

// writeList writes a CSV of n users, the ith being user(i).
func writeList(to io.Writer, n int, user func(i int) int) error {
	out := bufio.NewWriter(to)
	_, _ = out.WriteString("user_id\n") // bufio keeps the error for the end
	for i := range n {
		_, _ = out.WriteString(userID(user(i)) + "\n")
	}
	return out.Flush() //nolint:wrapcheck // the caller names it
}
