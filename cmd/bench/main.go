package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line. The exit code is 0 when everything was measured, whether or not a bar was missed, unless --check asks for that.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(errOut, "bench:", err)
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	var opt options
	root := &cobra.Command{
		Use:   "bench",
		Short: "Measure minipush against a bare loop, the original's algorithm and one job per recipient",
		Long: `Measures, on a fresh private Postgres and the simulator as a process of its own:
  (0) a bare loop of the client against a handler that answers a constant
  (a) the same loop against the simulator
  (b) the original's algorithm   (c) one River job per recipient
  (d) minipush serve, first task after its import
in pairs that take turns, and prints rates, ratios, memory, and the exact cost of a recipient in Postgres,
each beside its bar. Five pairs of 100,000 take about a quarter of an hour. Quiet machine, please.`,
		Example: `  go run ./cmd/bench --recipients 5000 --pairs 1
  go run ./cmd/bench --only a,d --json
  go run ./cmd/bench --pairs 0 --regimes
  go run ./cmd/bench import
  go run ./cmd/bench limits
  go run ./cmd/bench reach
  go run ./cmd/bench pages`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, opt, func(ctx context.Context, b *bench, r *report) error { return b.runSends(ctx, r) })
		},
	}
	f := root.Flags()
	f.IntVar(&opt.recipients, "recipients", 100_000, "recipients of the task")
	f.IntVar(&opt.perUser, "per-user", 3, "formIds a user; with one, nobody could be sent to twice")
	f.IntVar(&opt.inFlight, "in-flight", 500, "calls at a time of (0), (a), (c) and (d)")
	f.IntVar(&opt.perJobRecipients, "per-job-recipients", 20_000, "recipients of (c) at most: it is slow")
	f.StringSliceVar(&opt.only, "only", nil, "variants to run, for example a,d")
	f.BoolVar(&opt.regimes, "regimes", false, "also take the exact figures with fresh, stale and absent statistics")
	f.IntVar(&opt.regimeRecipients, "regime-recipients", 200_000, "recipients of --regimes")
	common(root, &opt, 5)
	root.AddCommand(importCommand(), limitsCommand(), reachCommand(), pagesCommand(), simulatorCommand(), constantCommand())
	return root
}

func importCommand() *cobra.Command {
	opt := options{recipients: 1, perUser: 1, inFlight: 500, perJobRecipients: 1, regimeRecipients: 1}
	cmd := &cobra.Command{
		Use: "import", Short: "Measure the import of a list against COPY of the same rows into the same table", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, opt, func(ctx context.Context, b *bench, r *report) (err error) {
				r.Imports, err = b.runImports(ctx)
				return err
			})
		},
	}
	cmd.Flags().IntVar(&opt.rows, "rows", 1_000_000, "rows of the CSV file")
	common(cmd, &opt, 3)
	return cmd
}

// common are the flags that both measurements have.
func common(cmd *cobra.Command, opt *options, pairs int) {
	f := cmd.Flags()
	f.IntVar(&opt.pairs, "pairs", pairs, "interleaved pairs")
	f.IntVar(&opt.statements, "statements", 12, "how many of the dearest statements to name")
	f.BoolVar(&opt.asJSON, "json", false, "print the report as JSON")
	f.BoolVar(&opt.verbose, "verbose", false, "pass on what the child processes log")
	f.StringVar(&opt.binary, "minipush", "", "measure this `PROGRAM` and not the working tree")
	f.DurationVar(&opt.settle, "settle", statsIdle, "wait this long for the counters of idle connections")
	f.DurationVar(&opt.timeout, "timeout", time.Hour, "give up after this long")
	if err := f.MarkHidden("settle"); err != nil {
		panic(err) // a flag that does not exist: a mistake of the programmer
	}
}

// measure sets up the machinery, runs what it is given, and prints the report, also of what was measured before an error.
func measure(cmd *cobra.Command, opt options, fn func(ctx context.Context, b *bench, r *report) error) (err error) {
	if err := opt.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), opt.timeout, errors.New("the time is up (--timeout)"))
	defer cancel()
	dir, err := opt.directory()
	if err != nil {
		return err
	}
	if opt.keep == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	b := &bench{opt: opt, dir: dir, binary: opt.binary, log: &progress{out: cmd.ErrOrStderr(), verbose: opt.verbose}}
	if b.binary == "" && opt.pages == nil && (opt.rows > 0 || opt.limits != nil || opt.chosen(minipush) || opt.regimes) {
		b.log.say("building minipush")
		b.binary = filepath.Join(dir, "minipush")
		if err := buildMinipush(ctx, b.binary); err != nil {
			return err
		}
	}
	if b.pg, err = startPostgres(ctx, filepath.Join(dir, "data"), opt.keepLog(), b.log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.pg.stop(context.WithoutCancel(ctx))) }()
	settings, err := b.pg.settings(ctx)
	if err != nil {
		return err
	}
	r := newReport(opt, settings)
	err = fn(ctx, b, r)
	r.judge()
	if opt.strict && r.missed() {
		err = errors.Join(err, errors.New("a bar was missed"))
	}
	if opt.asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return errors.Join(err, enc.Encode(r))
	}
	r.write(cmd.OutOrStdout())
	return err
}

// runSends runs the pairs, and the regimes where they are asked for.
func (b *bench) runSends(ctx context.Context, r *report) (err error) {
	for no := range b.opt.pairs {
		p, err := b.runPair(ctx, no)
		if err != nil {
			return fmt.Errorf("pair %d: %w", no+1, err)
		}
		r.Pairs = append(r.Pairs, p)
	}
	if b.opt.regimes {
		r.Regimes, err = b.runRegimes(ctx)
	}
	return err
}

func constantCommand() *cobra.Command {
	return &cobra.Command{
		Use: "constant", Short: "The handler of (0)", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveUntilEOF(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), constant())
		},
	}
}
