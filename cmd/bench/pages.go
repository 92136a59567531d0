package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

// pageOptions are the flags of pages.
type pageOptions struct {
	tasks, each, viewers int
	watch                time.Duration
	only                 string
}

const (
	pageBar    = 100 * time.Millisecond // of the 95th percentile of every page
	viewersBar = 2.0                    // statements a second a task that is watched
)

// pageResult is one page, asked several times.
type pageResult struct {
	Route string `json:"route"`
	// Of says which of the pages of the route it is, where it has several.
	Of     string `json:"of,omitempty"`
	Regime regime `json:"regime"`
	Asked  int    `json:"asked"`
	// Begins: it is a download, measured up to its first byte, and no page.
	Begins bool          `json:"begins,omitempty"`
	P50    time.Duration `json:"p50_ns"`
	P95    time.Duration `json:"p95_ns"`
	Max    time.Duration `json:"max_ns"`
	// Processor is the time of processors that one page takes, asker, server and Postgres together: what it would take at best. It does not hang
	// on what else the machine does; 0 where it cannot be read.
	Processor time.Duration `json:"processor_ns"`
	// Statements is how many one page takes, Dearest the dearest of them, at DearestMillis each time.
	Statements    float64 `json:"statements"`
	Dearest       string  `json:"dearest"`
	DearestMillis float64 `json:"dearest_ms"`
}

func pagesCommand() *cobra.Command {
	pages := &pageOptions{}
	opt := options{perUser: 1, inFlight: 1, perJobRecipients: 1, regimeRecipients: 1, pages: pages}
	cmd := &cobra.Command{
		Use: "pages", Short: "Measure every page of the console over tables that are full, without statistics and with fresh ones", Args: cobra.NoArgs,
		Long: `Fills a fresh private Postgres with tasks, recipients, permits and all that belongs to them, starts the web server on it, logs in as each
role, and asks for every GET row of the route table of the console and the API: also for pages deep in a list, for searches with and without a hit, and
for filters that match nothing or everything. Then it opens many streams of one task's progress and counts the statements that they cost.`,
		Example: `  go run ./cmd/bench pages --check
  go run ./cmd/bench pages --tasks 20 --recipients 1000 --each 5
  go run ./cmd/bench pages --only /console/tasks`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if pages.tasks < stateMix || pages.each < 1 || pages.viewers < 0 {
				return fmt.Errorf("--tasks must be at least %d, --each positive", stateMix)
			}
			return measure(cmd, opt, func(ctx context.Context, b *bench, r *report) error { return b.runPages(ctx, r) })
		},
	}
	f := cmd.Flags()
	f.IntVar(&pages.tasks, "tasks", 100, "tasks in the tables")
	f.IntVar(&opt.recipients, "recipients", 100_000, "recipients of each task")
	f.IntVar(&pages.each, "each", 40, "how often to ask for each page")
	f.IntVar(&pages.viewers, "viewers", 200, "how many watch one task's progress")
	f.DurationVar(&pages.watch, "watch", 20*time.Second, "for how long they watch it")
	f.StringVar(&pages.only, "only", "", "only pages whose route begins with this")
	f.StringVar(&opt.keep, "keep", "", "keep the database in this `DIRECTORY`, and use the one that is there: to fill it takes minutes")
	f.BoolVar(&opt.strict, "check", false, "exit with 1 if a bar is missed")
	common(cmd, &opt, 1)
	return cmd
}

func (b *bench) runPages(ctx context.Context, r *report) (err error) {
	if err := b.pg.set(ctx, "autovacuum", "off"); err != nil {
		return err
	}
	db, err := b.pg.create(ctx, "pages")
	if err != nil {
		return err
	}
	defer func() {
		if b.opt.keep == "" {
			err = errors.Join(err, db.drop(context.WithoutCancel(ctx)))
		} else {
			db.pool.Close()
		}
	}()
	s, err := b.openSite(ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.stock(ctx); err != nil {
		return err
	}
	if err := s.serve(ctx); err != nil {
		return err
	}
	asked, err := s.questions(ctx)
	if err != nil {
		return err
	}
	for _, stats := range []regime{absentStats, freshStats} {
		if _, err := db.pool.Exec(ctx, map[regime]string{absentStats: `DELETE FROM pg_statistic`, freshStats: `ANALYZE`}[stats]); err != nil {
			return fmt.Errorf("bring about %s: %w", stats, err)
		}
		b.log.say("asking for %d pages %d times each, %s", len(asked), b.opt.pages.each, stats)
		results, err := s.askAll(ctx, asked, stats)
		r.Pages = append(r.Pages, results...)
		if err != nil {
			return fmt.Errorf("%s: %w", stats, err)
		}
	}
	if b.opt.pages.viewers == 0 {
		return nil
	}
	perSecond, err := s.watch(ctx, b.opt.pages.viewers, b.opt.pages.watch)
	if err != nil {
		return fmt.Errorf("watch a task: %w", err)
	}
	r.Figures = append(r.Figures, atMost(fmt.Sprintf("statements a second for %d who watch a task", b.opt.pages.viewers), perSecond, viewersBar, "%.2f"))
	return nil
}

// askAll asks each question several times. Pages take turns, so that none finds what it read a moment ago. Afterwards each is asked again a few
// times, which is not timed, but counted: how many statements it takes does not hang on the machine.
func (s *site) askAll(ctx context.Context, asked []question, stats regime) ([]pageResult, error) {
	results := make([]pageResult, len(asked))
	took := make([][]time.Duration, len(asked))
	for n := range s.b.opt.pages.each {
		for i, q := range asked {
			if q.begins && n >= downloads {
				continue
			}
			d, err := s.ask(ctx, q, n)
			if err != nil {
				return nil, err
			}
			took[i] = append(took[i], d)
		}
	}
	for i, q := range asked {
		slices.Sort(took[i])
		of := func(percent int) time.Duration { return took[i][(len(took[i])*percent+99)/100-1] }
		results[i] = pageResult{Route: q.route.Pattern, Of: q.of, Regime: stats, Asked: len(took[i]), Begins: q.begins, P50: of(50), P95: of(95), Max: of(100)}
		if q.begins {
			continue // what goes on after its first byte would be counted with the next page
		}
		if err := s.count(ctx, q, &results[i]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// downloads is how often a download is begun at most: it is no page, and some take seconds.
const downloads = 3

// countedAsks is how often a page is asked for at most to count its statements.
const countedAsks = 4

// count asks for a page again, and says what that cost the database.
func (s *site) count(ctx context.Context, q question, p *pageResult) error {
	if _, err := s.db.pool.Exec(ctx, `SELECT pg_stat_statements_reset()`); err != nil {
		return fmt.Errorf("reset statement counters: %w", err)
	}
	before, err := s.processor(ctx)
	if err != nil {
		return err
	}
	asks := min(countedAsks, p.Asked)
	for n := range asks {
		if _, err := s.ask(ctx, q, n); err != nil {
			return err
		}
	}
	n, err := s.statements(ctx)
	if err != nil {
		return err
	}
	after, err := s.processor(ctx)
	if err != nil {
		return err
	}
	p.Processor = max(0, after-before) / time.Duration(asks) // a connection that ended takes its time with it
	p.Statements = float64(n) / float64(asks)
	m := &meter{pool: s.db.pool}
	dearest, err := m.dearest(ctx, serveRole, 1)
	if err != nil {
		return err
	}
	for _, d := range dearest {
		p.Dearest, p.DearestMillis = strings.TrimSpace(d.Query), d.Millis/float64(max(d.Calls, 1))
	}
	return nil
}

// processor is the time of processors that this process and the server's connections have used.
func (s *site) processor(ctx context.Context) (total time.Duration, err error) {
	rows, _ := s.db.pool.Query(ctx, `SELECT pid FROM pg_stat_activity WHERE usename = $1`, serveRole)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return 0, fmt.Errorf("list connections: %w", err)
	}
	for _, pid := range append(pids, os.Getpid()) {
		ran, err := ranFor(pid)
		if err != nil {
			return 0, err
		}
		total += ran
	}
	return total, nil
}

// statements is how many statements the server has made since the counters were set to zero.
func (s *site) statements(ctx context.Context) (n int64, err error) {
	err = s.db.pool.QueryRow(ctx, `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE userid = $1::regrole`, serveRole).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read statement counters: %w", err)
	}
	return n, nil
}

// judgePages counts the pages of the console over the bar, and names the slowest. The calls of the API have none: they stand beside them.
func (r *report) judgePages() {
	for _, stats := range []regime{absentStats, freshStats} {
		var pages, calls []pageResult
		for _, p := range r.Pages {
			switch {
			case p.Regime != stats || p.Begins:
			case strings.HasPrefix(p.Route, "/api/"):
				calls = append(calls, p)
			default:
				pages = append(pages, p)
			}
		}
		if len(pages) > 0 {
			over, slowest := judged(pages)
			r.Figures = append(r.Figures,
				atMost(fmt.Sprintf("pages over %d ms, of %d, %s", pageBar.Milliseconds(), len(pages), stats), float64(over), 0, "%.0f"),
				plain("  p95 of the slowest, ms: "+slowest.name(), millis(slowest.P95), "%.1f"))
		}
		if len(calls) > 0 {
			over, slowest := judged(calls)
			r.Figures = append(r.Figures, plain(fmt.Sprintf("calls over %d ms, of %d, %s", pageBar.Milliseconds(), len(calls), stats), float64(over), "%.0f"),
				plain("  p95 of the slowest, ms: "+slowest.name(), millis(slowest.P95), "%.1f"))
		}
	}
}

// judged is how many are over the bar, and the slowest.
func judged(pages []pageResult) (over int, slowest pageResult) {
	for _, p := range pages {
		if p.P95 > pageBar {
			over++
		}
		if p.P95 >= slowest.P95 {
			slowest = p
		}
	}
	return over, slowest
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (p pageResult) name() string {
	if p.Of == "" {
		return p.Route
	}
	return p.Route + ", " + p.Of
}

func (r *report) writePages(w io.Writer) {
	if len(r.Pages) == 0 {
		return
	}
	fmt.Fprintf(w, "\n  %-18s %-78s %8s %8s %8s %8s %6s  %s\n", "statistics", "page", "p50, ms", "p95, ms", "max, ms", "cpu, ms", "stmts", "dearest statement, ms")
	for _, p := range r.Pages {
		mark := " "
		switch {
		case p.Begins:
			mark = "–" // a download: its first byte
		case p.P95 > pageBar:
			mark = "!"
		}
		fmt.Fprintf(w, "%s %-18s %-78s %8.1f %8.1f %8.1f %8.1f %6.1f  %.1f", mark, p.Regime, p.name(), millis(p.P50), millis(p.P95), millis(p.Max), millis(p.Processor), p.Statements, p.DearestMillis)
		if p.P95 > pageBar {
			fmt.Fprintf(w, " %s", p.Dearest)
		}
		fmt.Fprintln(w)
	}
}
