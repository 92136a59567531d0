package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// variant is one way to send the same messages.
type variant string

const (
	constantLoop variant = "0"
	simLoop      variant = "a"
	theOriginal  variant = "b"
	jobEach      variant = "c"
	minipush     variant = "d"
)

// variants in the order of an odd pair. (a) and (d), which are compared most, are neighbours.
func variants() []variant { return []variant{constantLoop, simLoop, minipush, theOriginal, jobEach} }

// variantTime bounds one variant; the slowest, (b) with 100,000 recipients, takes some 70 s.
const variantTime = 10 * time.Minute

// pair is one round: each variant once, on a database of its own.
type pair struct {
	Rates      map[variant]float64 `json:"rates"` // messages a second
	PeakMemory int64               `json:"peak_memory_bytes,omitempty"`
	Cost       *cost               `json:"cost,omitempty"`
	Dearest    []statement         `json:"dearest,omitempty"`
}

// bench is the machinery of a run.
type bench struct {
	opt    options
	pg     *postgres
	binary string // minipush
	dir    string // of temporary files
	log    *progress
}

// runPair runs each chosen variant once.
func (b *bench) runPair(ctx context.Context, no int) (p pair, err error) {
	p.Rates = map[variant]float64{}
	order := slices.DeleteFunc(variants(), func(v variant) bool { return !b.opt.chosen(v) })
	if no%2 == 1 {
		slices.Reverse(order)
	}
	db, err := b.pg.create(ctx, fmt.Sprintf("pair%d", no+1))
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, db.drop(context.WithoutCancel(ctx))) }()
	if err := b.fill(ctx, db); err != nil {
		return p, err
	}
	for _, v := range order {
		if err := b.runVariant(ctx, db, v, &p); err != nil {
			return p, fmt.Errorf("(%s): %w", v, err)
		}
		b.log.say("pair %d (%s) %9.0f/s", no+1, v, p.Rates[v])
	}
	return p, nil
}

// fill makes the tables of (b) and (c) ahead of time, so that the variants follow each other closely.
func (b *bench) fill(ctx context.Context, db *database) error {
	if b.opt.chosen(theOriginal) {
		if err := loadOriginal(ctx, db.pool, b.opt.load()); err != nil {
			return err
		}
	}
	if b.opt.chosen(jobEach) {
		if err := loadPerJob(ctx, db.pool, b.opt.perJobLoad()); err != nil {
			return err
		}
	}
	if _, err := db.pool.Exec(ctx, `CHECKPOINT`); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func (b *bench) runVariant(ctx context.Context, db *database, v variant, p *pair) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, variantTime, errors.New("it took too long"))
	defer cancel()
	w := b.opt.load()
	if v == jobEach {
		w = b.opt.perJobLoad()
	}
	far, err := b.farEnd(ctx, v, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, far.stop()) }()
	var took time.Duration
	switch v {
	case constantLoop, simLoop:
		took, err = b.runLoop(ctx, far, w, v)
	case theOriginal:
		took, err = b.runOriginal(ctx, db, far)
	case jobEach:
		took, err = b.runPerJob(ctx, db, far, w)
	case minipush:
		took, err = b.runMinipush(ctx, db, far, w, p)
	}
	if err != nil {
		return err
	}
	p.Rates[v] = perSecond(w.Recipients, took)
	if v == constantLoop {
		return nil
	}
	return far.check(ctx, w.Recipients)
}

func (b *bench) runLoop(ctx context.Context, far *farEnd, w workload, v variant) (time.Duration, error) {
	client, err := newClient(ctx, far.url, b.opt.inFlight, v == simLoop)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return bareLoop(ctx, client, w, b.opt.inFlight)
}

func (b *bench) runOriginal(ctx context.Context, db *database, far *farEnd) (time.Duration, error) {
	client, err := newClient(ctx, far.url, originalThreads, true)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	pool, err := db.connect(ctx, originalThreads)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	o := &original{pool: pool, client: client}
	took, _, err := o.send(ctx)
	return took, err
}

func (b *bench) runPerJob(ctx context.Context, db *database, far *farEnd, w workload) (time.Duration, error) {
	client, err := newClient(ctx, far.url, b.opt.inFlight, true)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var pool *pgxpool.Pool
	if pool, err = db.connect(ctx, perJobConns); err != nil {
		return 0, err
	}
	defer pool.Close()
	return perJob(ctx, pool, client, w.Recipients, b.opt.inFlight)
}

// runMinipush is (d): everything is set up and imported, then the clock runs from the send request to the end of the task.
func (b *bench) runMinipush(ctx context.Context, db *database, far *farEnd, w workload, p *pair) (time.Duration, error) {
	r, err := b.newRun(ctx, db, far.url)
	if err != nil {
		return 0, err
	}
	res, err := r.sendFresh(ctx, w)
	if err = errors.Join(err, r.daemon.stop()); err != nil {
		return 0, err
	}
	if err := r.meter.settled(ctx, &res.cost); err != nil {
		return 0, err
	}
	p.PeakMemory, p.Cost, p.Dearest = res.peak, &res.cost, res.dearest
	return res.took, nil
}

// listFile writes the list of a task and returns its path.
func (b *bench) listFile(w workload) (string, error) {
	path := filepath.Join(b.dir, fmt.Sprintf("list-%d-%d.csv", w.First, w.Recipients))
	f, err := os.Create(path) //nolint:gosec // in the bench's own directory
	if err != nil {
		return "", fmt.Errorf("write list: %w", err)
	}
	err = writeList(f, w.Recipients, func(i int) int { return w.First + i })
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write list: %w", err)
	}
	return path, nil
}
