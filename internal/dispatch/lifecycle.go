package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/robfig/cron/v3"

	"minipush/internal/cronspec"
)

// Names of the cron entries, in table sweeper and in the settings.
const (
	sweeperDue       = "start_due_tasks"
	sweeperSchedules = "schedules"
	sweeperExpire    = "expire_form_ids"
	sweeperPurge     = "purge"
)

// queuePool is how many connections the queue has to itself: its listener, its elections and its fetches must not wait behind sends.
const queuePool = 6

// Start makes this process work: it registers a node, works jobs and runs the cron entries until Stop. ctx ends everything at once;
// for a clean end call Stop first.
func (d *Dispatcher) Start(ctx context.Context) error {
	url := d.cfg.DirectURL
	if url == "" {
		url = d.st.Pool().Config().ConnString()
	}
	pool, err := openQueuePool(ctx, url)
	if err != nil {
		return err
	}
	client, err := d.newWorker(pool)
	if err != nil {
		pool.Close()
		return fmt.Errorf("make queue worker: %w", err)
	}
	ctx, d.stop = context.WithCancel(ctx)
	d.life = ctx
	d.counting, d.uncount = context.WithCancel(ctx)
	entries, err := d.cronEntries(ctx)
	if err != nil {
		pool.Close()
		return err
	}
	if d.node, err = startNode(ctx, d.st, url, d.cfg.NodeName, d.log, d.checkIdentity); err != nil {
		pool.Close()
		return fmt.Errorf("start node: %w", err)
	}
	d.jobsPool, d.river = pool, client
	d.tending.Go(func() { d.node.run(ctx) })
	d.tending.Go(func() { d.gate.watch(ctx) })
	d.tending.Go(func() { d.tend(ctx) })
	d.tending.Go(func() { d.watchQuiet(ctx) })
	if err := client.Start(ctx); err != nil {
		return errors.Join(fmt.Errorf("start queue: %w", err), d.Stop(ctx))
	}
	entries.Start()
	d.tending.Go(func() {
		<-ctx.Done()
		<-entries.Stop().Done()
	})
	d.log.InfoContext(ctx, "worker started", slog.Any("node", d.node.id), slog.Any("workers", d.cfg.Workers), slog.Any("in_flight", d.cfg.InFlight), slog.Any("chunk_size", d.cfg.ChunkSize))
	return nil
}

func openQueuePool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the direct database url is not a valid Postgres connection string")
	}
	cfg.MaxConns, cfg.MinConns = queuePool, 1
	cfg.MaxConnLifetime = 30 * time.Minute
	cfg.ConnConfig.RuntimeParams["application_name"] = "minipush queue"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open queue pool: %w", err)
	}
	return pool, nil
}

// cronEntries makes the cron daemon with the entries of the settings. Every worker daemon runs them all: an entry only wakes a
// sweeper, which runs on one daemon at a time and reads the tables, so that a lost tick loses nothing (invariant 11).
func (d *Dispatcher) cronEntries(ctx context.Context) (*cron.Cron, error) {
	log := cronLog{d.log}
	c := cron.New(cron.WithLocation(d.cfg.Location), cron.WithLogger(log), cron.WithChain(cron.Recover(log)))
	for _, e := range []struct {
		name, spec string
		run        func()
	}{
		{sweeperDue, d.cfg.CronStartDue, func() {
			// Beside: a due task does not wait for a thousand ticks, nor they for it.
			d.tending.Go(func() { d.sweepSchedules(ctx, true) })
			d.sweepDue(ctx)
		}},
		{sweeperExpire, d.cfg.CronExpire, func() { d.sweep(ctx, sweeperExpire, d.expireFormIDs) }},
		{sweeperPurge, d.cfg.CronPurge, func() { d.sweep(ctx, sweeperPurge, d.purge) }},
	} {
		schedule, err := cronspec.Parse(e.spec, d.cfg.Location)
		if err != nil {
			return nil, fmt.Errorf("cron.%s: %w", e.name, err)
		}
		c.Schedule(schedule, cron.FuncJob(e.run))
	}
	return c, nil
}

// Stop ends this process's work cleanly (invariant 10): nothing new starts, calls in flight finish and are recorded, their
// chunks are queued for whoever is up. It may take as long as a call and the write of its outcome; ctx bounds it.
func (d *Dispatcher) Stop(ctx context.Context) error {
	if d.node == nil || d.draining.Swap(true) {
		return nil
	}
	begun := time.Now()
	d.uncount()
	err := d.river.Stop(ctx)
	if err != nil {
		err = fmt.Errorf("stop queue: %w", err)
	}
	stopped := err == nil
	d.stop()
	err = errors.Join(err, within(ctx, "sweepers", d.tending.Wait))
	if stopped {
		// Only who has no call in flight may say so: others take its chunks at once.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err = errors.Join(err, d.st.StopNode(after, d.node.id))
	}
	err = errors.Join(err, within(ctx, "pacers", d.gate.pacing.Wait), within(ctx, "calls", d.callers.close), within(ctx, "queue pool", d.jobsPool.Close))
	d.clients.close()
	d.log.InfoContext(ctx, "worker stopped", slog.Any("node", d.node.id), slog.Any("duration", time.Since(begun)))
	return err
}

// within waits for what cannot be told to stop, as long as ctx allows.
func within(ctx context.Context, what string, wait func()) error {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s did not stop in time: %w", what, context.Cause(ctx))
	}
}

// cronLog hands the cron daemon's messages to slog; only what went wrong is worth a line.
type cronLog struct {
	log interface {
		Error(msg string, args ...any)
	}
}

func (cronLog) Info(string, ...any) {}

func (l cronLog) Error(err error, _ string, args ...any) {
	l.log.Error("cron entry failed", append(args, slog.Any("err", err))...)
}
