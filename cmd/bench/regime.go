package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// regime is what the planner knows when a task begins. The exact figures must not depend on it.
type regime string

const (
	freshStats  regime = "fresh statistics"  // everything analysed after the import
	staleStats  regime = "stale statistics"  // an older list analysed, a new one just imported
	absentStats regime = "absent statistics" // never analysed, statements prepared on all but empty tables
)

func regimes() []regime { return []regime{freshStats, staleStats, absentStats} }

// The tasks that prepare statements on empty tables: many small ones, so that every connection of serve has met them.
const (
	tinyTasks = 24
	tinyUsers = 5
)

// regimeResult is the exact cost of one task in one regime.
type regimeResult struct {
	Regime  regime      `json:"regime"`
	Rate    float64     `json:"rate"`
	Cost    cost        `json:"cost"`
	Peak    int64       `json:"peak_memory_bytes"`
	Dearest []statement `json:"dearest"`
}

// runRegimes measures one task in each regime, with autovacuum off: it would analyse in the middle of a run, or not, as it
// pleases.
func (b *bench) runRegimes(ctx context.Context) (all []regimeResult, err error) {
	if err := b.pg.set(ctx, "autovacuum", "off"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.pg.set(context.WithoutCancel(ctx), "autovacuum", "on")) }()
	for i, name := range regimes() {
		r, err := b.runRegime(ctx, fmt.Sprintf("regime%d", i+1), name)
		if err != nil {
			return all, fmt.Errorf("%s: %w", name, err)
		}
		b.log.say("%s: %.0f/s", name, r.Rate)
		all = append(all, r)
	}
	return all, nil
}

func (b *bench) runRegime(ctx context.Context, dbName string, name regime) (res regimeResult, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, variantTime, errors.New("it took too long"))
	defer cancel()
	w := workload{Recipients: b.opt.regimeRecipients, PerUser: b.opt.perUser}
	known := w
	known.Recipients += tinyTasks * tinyUsers
	far, err := b.farEnd(ctx, minipush, known)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, far.stop()) }()
	db, err := b.pg.create(ctx, dbName)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, db.drop(context.WithoutCancel(ctx))) }()
	if name == absentStats {
		// Else the first five plans of a statement are made for its values, and the trap would be sprung by luck.
		_, err := b.pg.admin.Exec(ctx, `ALTER ROLE `+serveRole+` IN DATABASE `+dbName+` SET plan_cache_mode = force_generic_plan`)
		if err != nil {
			return res, fmt.Errorf("force generic plans: %w", err)
		}
	}
	r, err := b.newRun(ctx, db, far.url)
	if err != nil {
		return res, err
	}
	out, err := r.sendIn(ctx, name, w)
	if err = errors.Join(err, r.daemon.stop()); err != nil {
		return res, err
	}
	if err := r.meter.settled(ctx, &out.cost); err != nil {
		return res, err
	}
	return regimeResult{Regime: name, Rate: perSecond(w.Recipients, out.took), Cost: out.cost, Peak: out.peak, Dearest: out.dearest}, nil
}

// sendIn brings the statistics into the state that the regime asks for, and measures the task that follows.
func (r *run) sendIn(ctx context.Context, name regime, w workload) (result, error) {
	if name == absentStats {
		if err := r.sendTiny(ctx, workload{First: w.Recipients, Recipients: tinyTasks * tinyUsers, PerUser: 1}); err != nil {
			return result{}, err
		}
	}
	if err := r.collect(ctx, w); err != nil {
		return result{}, err
	}
	if name == staleStats {
		if _, err := r.importTask(ctx, w); err != nil {
			return result{}, err
		}
		if _, err := r.db.pool.Exec(ctx, `ANALYZE`); err != nil {
			return result{}, fmt.Errorf("analyse: %w", err)
		}
	}
	task, err := r.importTask(ctx, w)
	if err != nil {
		return result{}, err
	}
	if name == freshStats {
		if _, err := r.db.pool.Exec(ctx, `ANALYZE`); err != nil {
			return result{}, fmt.Errorf("analyse: %w", err)
		}
	}
	select { // until serve's idle connections have handed in their counters
	case <-time.After(r.b.opt.settle):
	case <-ctx.Done():
		return result{}, context.Cause(ctx)
	}
	return r.measure(ctx, task, w)
}

// sendTiny sends small tasks one after the other, four at a time, so that each connection prepares its statements.
func (r *run) sendTiny(ctx context.Context, w workload) error {
	if err := r.collect(ctx, w); err != nil {
		return err
	}
	const atATime = 4
	for i := 0; i < tinyTasks; i += atATime {
		tasks := make([]int64, atATime)
		for j := range tasks {
			part := workload{First: w.First + (i+j)*tinyUsers, Recipients: tinyUsers, PerUser: 1}
			var err error
			if tasks[j], err = r.importTask(ctx, part); err != nil {
				return err
			}
		}
		for _, task := range tasks {
			if err := r.daemon.send(ctx, task); err != nil {
				return err
			}
		}
		for _, task := range tasks {
			if _, err := r.wait(ctx, task); err != nil {
				return err
			}
		}
	}
	return nil
}
