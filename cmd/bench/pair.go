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

// pair is one round: each variant once, each on a database of its own.
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
func (b *bench) runPair(ctx context.Context, no int) (pair, error) {
	p := pair{Rates: map[variant]float64{}}
	order := slices.DeleteFunc(variants(), func(v variant) bool { return !b.opt.chosen(v) })
	if no%2 == 1 {
		slices.Reverse(order)
	}
	for _, v := range order {
		if err := b.runVariant(ctx, v, &p); err != nil {
			return p, fmt.Errorf("(%s): %w", v, err)
		}
		b.log.say("pair %d (%s) %9.0f/s", no+1, v, p.Rates[v])
	}
	return p, nil
}

// prepare makes a database for one variant, with the tables of (b) or (c) where it is theirs; (d) fills its own. Afterwards the
// database is dropped: what one variant leaves to vacuum and to write out must not slow the next.
func (b *bench) prepare(ctx context.Context, v variant, w workload) (*database, error) {
	db, err := b.pg.create(ctx, "variant_"+string(v))
	if err != nil {
		return nil, err
	}
	switch v {
	case theOriginal:
		err = loadOriginal(ctx, db.pool, w)
	case jobEach:
		err = loadPerJob(ctx, db.pool, w)
	case constantLoop, simLoop, minipush:
	}
	if err == nil {
		_, err = db.pool.Exec(ctx, `CHECKPOINT`)
	}
	if err != nil {
		return nil, errors.Join(err, db.drop(context.WithoutCancel(ctx)))
	}
	return db, nil
}

func (b *bench) runVariant(ctx context.Context, v variant, p *pair) (err error) {
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
	db, err := b.prepare(ctx, v, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.drop(context.WithoutCancel(ctx))) }()
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
