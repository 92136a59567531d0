package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// repeatEvery: each hundredth row of the imported list is a row that came before.
	repeatEvery = 100
	// copiedAudience is the list that COPY writes; no task has it.
	copiedAudience = int64(1) << 40
	nowhere        = "http://127.0.0.1:9" // the platform of an app that sends nothing
)

// importPair is one import beside COPY of the same rows.
type importPair struct {
	Rows       int           `json:"rows"` // of the file
	Distinct   int           `json:"distinct"`
	Import     time.Duration `json:"import_ns"`
	Copy       time.Duration `json:"copy_ns"`
	PeakMemory int64         `json:"peak_memory_bytes"` // of the importing serve
	CPU        time.Duration `json:"serve_cpu_ns"`      // of the importing serve
	Dearest    []statement   `json:"dearest"`           // of the import
}

func (p importPair) ratio() float64 { return p.Import.Seconds() / p.Copy.Seconds() }

// importList is the order of users in the list: random, with a repetition every so often. Element i of distinct is the
// ith user who is new.
type importList struct {
	rows     int
	distinct []int32
}

func newImportList(rows int) importList {
	n := rows - rows/repeatEvery
	order := rand.New(rand.NewPCG(98, uint64(rows))).Perm(n) //nolint:gosec // an order, not a secret
	l := importList{rows: rows, distinct: make([]int32, n)}
	for i, user := range order {
		l.distinct[i] = int32(user) //nolint:gosec // far below
	}
	return l
}

// user is who stands in row i of the file.
func (l importList) user(i int) int {
	before := i / repeatEvery // repetitions before this row: rows 99, 199, …
	if i%repeatEvery == repeatEvery-1 {
		return int(l.distinct[i/2-before/2])
	}
	return int(l.distinct[i-before])
}

// runImports measures the import through the API of a serve process against COPY into the same table.
func (b *bench) runImports(ctx context.Context) ([]importPair, error) {
	list := newImportList(b.opt.rows)
	path := filepath.Join(b.dir, "import.csv")
	f, err := os.Create(path) //nolint:gosec // in the bench's own directory
	if err != nil {
		return nil, fmt.Errorf("write list: %w", err)
	}
	if err := errors.Join(writeList(f, list.rows, list.user), f.Close()); err != nil {
		return nil, fmt.Errorf("write list: %w", err)
	}
	var all []importPair
	for no := range b.opt.pairs {
		p, err := b.runImport(ctx, no, list, path)
		if err != nil {
			return all, err
		}
		b.log.say("import %d: %.1f s, COPY %.1f s", no+1, p.Import.Seconds(), p.Copy.Seconds())
		all = append(all, p)
	}
	return all, nil
}

func (b *bench) runImport(ctx context.Context, no int, list importList, path string) (p importPair, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, variantTime, errors.New("it took too long"))
	defer cancel()
	db, err := b.pg.create(ctx, fmt.Sprintf("import%d", no+1))
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, db.drop(context.WithoutCancel(ctx))) }()
	r, err := b.newRun(ctx, db, nowhere)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, r.daemon.stop()) }()

	p.Rows, p.Distinct = list.rows, len(list.distinct)
	steps := []func() error{
		func() error { return r.timeImport(ctx, list, path, &p) },
		func() (err error) { p.Copy, err = r.timeCopy(ctx, list); return err },
	}
	for i := range steps {
		// Each begins with an empty table and no checkpoint due.
		if _, err := db.pool.Exec(ctx, `TRUNCATE recipient`); err != nil {
			return p, fmt.Errorf("empty table: %w", err)
		}
		if r.meter, err = begin(ctx, db.pool); err != nil {
			return p, err
		}
		if err := steps[(i+no)%len(steps)](); err != nil {
			return p, err
		}
	}
	p.PeakMemory, err = peakMemory(r.daemon.serve.cmd.Process.Pid)
	return p, err
}

func (r *run) timeImport(ctx context.Context, list importList, path string, p *importPair) error {
	task, err := r.daemon.createTask(ctx)
	if err != nil {
		return err
	}
	f, err := os.Open(path) //nolint:gosec // the bench wrote it
	if err != nil {
		return fmt.Errorf("read list: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	pid := r.daemon.serve.cmd.Process.Pid
	cpu, err := cpuTime(pid)
	if err != nil {
		return err
	}
	begun := time.Now()
	got, err := r.daemon.upload(ctx, task, io.NopCloser(f))
	if err != nil {
		return err
	}
	p.Import = time.Since(begun)
	if p.CPU, err = cpuTime(pid); err != nil {
		return err
	}
	p.CPU -= cpu
	if p.Dearest, err = r.meter.dearest(ctx, serveRole, r.b.opt.statements); err != nil {
		return err
	}
	want := imported{Total: list.rows, Accepted: len(list.distinct), Duplicate: list.rows - len(list.distinct)}
	if got != want {
		return fmt.Errorf("the import took %+v of %+v", got, want)
	}
	return nil
}

// timeCopy writes the same rows, without the repetitions that the table would refuse.
func (r *run) timeCopy(ctx context.Context, list importList) (time.Duration, error) {
	begun := time.Now()
	err := pgx.BeginFunc(ctx, r.db.pool, func(tx pgx.Tx) error {
		return copyRows(ctx, tx, pgx.Identifier{"recipient"}, []string{"audience_id", "seq", "user_id"}, len(list.distinct),
			func(i int) []any { return []any{copiedAudience, int32(i), userID(int(list.distinct[i]))} }) //nolint:gosec // far below
	})
	return time.Since(begun), err
}

// judgeImports compares the medians.
func (r *report) judgeImports() {
	var all []float64
	var peak int64
	for _, p := range r.Imports {
		all = append(all, p.ratio())
		peak = max(peak, p.PeakMemory)
	}
	last := r.Imports[len(r.Imports)-1]
	r.Exact = append(r.Exact, exactReport{Of: "the last import", Dearest: last.Dearest, Figures: []figure{
		plain("processor time of serve a row, µs", float64(last.CPU.Microseconds())/float64(last.Rows), "%.2f"),
	}})
	r.Figures = append(r.Figures,
		atMost("import / COPY of the same rows", median(all), 3, "%.2f"),
		atMost("peak memory of the importing serve, MB", float64(peak)/megabyte, 100, "%.1f"))
}

func (r *report) writeImports(w io.Writer) {
	if len(r.Imports) == 0 {
		return
	}
	fmt.Fprintf(w, "\n  %-6s %10s %10s %10s %10s %10s\n", "pair", "rows", "distinct", "import", "COPY", "ratio")
	for i, p := range r.Imports {
		fmt.Fprintf(w, "  %-6d %10d %10d %9.2fs %9.2fs %10.2f\n", i+1, p.Rows, p.Distinct, p.Import.Seconds(), p.Copy.Seconds(), p.ratio())
	}
}
