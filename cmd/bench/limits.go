package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/sim"
)

// limitOptions are the flags of limits.
type limitOptions struct {
	rates, daemons []int
	work           time.Duration
	change         bool
}

// limitResult is one task under a rate, by the times at which its calls arrived.
type limitResult struct {
	Rate    int `json:"rate"` // after the change, where there was one
	Daemons int `json:"daemons"`
	Calls   int `json:"calls"`
	// Changed says that the rate was twice as much until 2 s before what is counted.
	Changed bool    `json:"changed,omitempty"`
	Average float64 `json:"average"`
	// Worst is the most calls in any second in which the simulator did not stall, WorstOfAll in any.
	Worst      int `json:"worst"`
	WorstOfAll int `json:"worst_of_all"`
	// Apart is the share of seconds that were set apart.
	Apart  float64 `json:"apart"`
	Stalls int     `json:"stalls"`
}

func limitsCommand() *cobra.Command {
	lim := &limitOptions{}
	opt := options{recipients: 1, perUser: 1, inFlight: 500, perJobRecipients: 1, regimeRecipients: 1, limits: lim}
	cmd := &cobra.Command{
		Use: "limits", Short: "Hold the rate of an app to its bar, by the times at which calls arrive, over several serve processes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range slices.Concat(lim.rates, lim.daemons) {
				if n < 1 {
					return errors.New("--rates and --daemons must be positive")
				}
			}
			return measure(cmd, opt, func(ctx context.Context, b *bench, r *report) error { return b.runLimits(ctx, r) })
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&lim.rates, "rates", []int{50, 1000, 5000}, "calls a second")
	f.IntSliceVar(&lim.daemons, "daemons", []int{1, 3}, "serve processes")
	f.DurationVar(&lim.work, "work", 30*time.Second, "how long the task lasts at its rate")
	f.BoolVar(&lim.change, "change", false, "halve the rate in the middle, and judge what arrives from 2 s after that")
	common(cmd, &opt, 1)
	return cmd
}

func (b *bench) runLimits(ctx context.Context, r *report) error {
	for _, rate := range b.opt.limits.rates {
		for _, daemons := range b.opt.limits.daemons {
			res, err := b.runLimit(ctx, rate, daemons)
			if err != nil {
				return fmt.Errorf("%d a second over %d daemons: %w", rate, daemons, err)
			}
			b.log.say("%s", res)
			r.Limits = append(r.Limits, res)
		}
	}
	return nil
}

// runLimit sends one task at a rate with several serve processes on one database.
func (b *bench) runLimit(ctx context.Context, rate, daemons int) (res limitResult, err error) {
	w := workload{Recipients: int(float64(rate) * b.opt.limits.work.Seconds()), PerUser: 1}
	c, url, err := helper(ctx, b.log, "simulator", "--recipients", strconv.Itoa(w.Recipients), "--per-user", "1", "--watch")
	if err != nil {
		return res, err
	}
	far := &farEnd{child: c, url: url}
	defer func() { err = errors.Join(err, far.stop()) }()
	db, err := b.pg.create(ctx, "limits")
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, db.drop(context.WithoutCancel(ctx))) }()
	r, err := b.newRun(ctx, db, far.url)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, r.daemon.stop()) }()
	for no := range daemons - 1 {
		dir := filepath.Join(b.dir, fmt.Sprintf("daemon-%d", no))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return res, fmt.Errorf("make directory: %w", err)
		}
		other := newDaemon(b.binary, db.url, dir, b.opt.inFlight, b.log)
		if err := other.start(ctx); err != nil {
			return res, err
		}
		defer func() { err = errors.Join(err, other.stop()) }()
	}
	if err := r.limit(ctx, rate); err != nil {
		return res, err
	}
	if err := r.collect(ctx, w); err != nil {
		return res, err
	}
	task, err := r.importTask(ctx, w)
	if err != nil {
		return res, err
	}
	if _, err := db.pool.Exec(ctx, `CHECKPOINT`); err != nil {
		return res, fmt.Errorf("checkpoint: %w", err)
	}
	return r.sendLimited(ctx, far, task, w, rate, daemons)
}

func (r *run) limit(ctx context.Context, rate int) error {
	_, err := r.daemon.run(ctx, "", "app", "set", "--key", appKey, "--rate", strconv.Itoa(rate))
	return err
}

// sendLimited sends the task, halving the rate half-way where that is asked for, and judges what arrived.
func (r *run) sendLimited(ctx context.Context, far *farEnd, task int64, w workload, rate, daemons int) (res limitResult, err error) {
	if err := r.daemon.send(ctx, task); err != nil {
		return res, err
	}
	var from time.Time
	if r.b.opt.limits.change {
		select {
		case <-time.After(r.b.opt.limits.work / 2):
		case <-ctx.Done():
			return res, context.Cause(ctx)
		}
		rate /= 2
		if err := r.limit(ctx, rate); err != nil {
			return res, err
		}
		from = time.Now().Add(2 * time.Second)
	}
	if _, err := r.wait(ctx, task); err != nil {
		return res, err
	}
	if err := errors.Join(r.verify(ctx, task, w.Recipients), far.check(ctx, w.Recipients)); err != nil {
		return res, err
	}
	arrived, stalls, err := far.arrivals(ctx)
	if err != nil {
		return res, err
	}
	arrived = slices.DeleteFunc(arrived, func(at time.Time) bool { return at.Before(from) })
	res = judgeArrivals(arrived, stalls)
	res.Rate, res.Daemons, res.Changed = rate, daemons, !from.IsZero()
	return res, nil
}

// arrivals asks the far end when each message arrived, and when it stood still itself.
func (f *farEnd) arrivals(ctx context.Context) (arrived []time.Time, stalls []sim.Stall, err error) {
	err = f.read(ctx, "/sim/ledger?format=ndjson", func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var m struct {
				At time.Time `json:"at"`
			}
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				return fmt.Errorf("read ledger: %w", err)
			}
			arrived = append(arrived, m.At)
		}
		return lines.Err() //nolint:wrapcheck // the caller names it
	})
	if err != nil {
		return nil, nil, err
	}
	var got struct {
		Stalls []sim.Stall `json:"stalls"`
	}
	err = f.read(ctx, "/sim/stalls", func(body io.Reader) error { return json.NewDecoder(body).Decode(&got) })
	slices.SortFunc(arrived, time.Time.Compare)
	return arrived, got.Stalls, err
}

func (f *farEnd) read(ctx context.Context, path string, fn func(body io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+path, nil)
	if err != nil {
		return fmt.Errorf("ask simulator: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask simulator: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if err := fn(resp.Body); err != nil {
		return fmt.Errorf("read %s of simulator: %w", path, err)
	}
	return nil
}

// judgeArrivals takes every second that begins with an arrival. Those that touch a stall are set apart.
func judgeArrivals(arrived []time.Time, stalls []sim.Stall) limitResult {
	res := limitResult{Calls: len(arrived), Stalls: len(stalls)}
	if len(arrived) < 2 {
		return res
	}
	res.Average = float64(len(arrived)-1) / arrived[len(arrived)-1].Sub(arrived[0]).Seconds()
	apart, hi, next := 0, 0, 0
	for lo, begin := range arrived {
		end := begin.Add(time.Second)
		for hi < len(arrived) && arrived[hi].Before(end) {
			hi++
		}
		for next < len(stalls) && stalls[next].To.Before(begin) {
			next++
		}
		res.WorstOfAll = max(res.WorstOfAll, hi-lo)
		if next < len(stalls) && stalls[next].From.Before(end) {
			apart++
			continue
		}
		res.Worst = max(res.Worst, hi-lo)
	}
	res.Apart = float64(apart) / float64(len(arrived))
	return res
}

// allowed is the most calls that a second may see: the rate and 2 %, or one call more.
func (l limitResult) allowed() int { return max(l.Rate+1, l.Rate*102/100) }

// String is a line of the report.
func (l limitResult) String() string {
	after := ""
	if l.Changed {
		after = ", from 2 s after it was halved"
	}
	return fmt.Sprintf("  %5d/s by %d: %6d calls, average %5.1f %%, worst second %d of %d (of all: %d), %d stalls set %.0f %% of seconds apart%s",
		l.Rate, l.Daemons, l.Calls, 100*l.Average/float64(l.Rate), l.Worst, l.allowed(), l.WorstOfAll, l.Stalls, 100*l.Apart, after)
}

func (r *report) judgeLimits() {
	for _, l := range r.Limits {
		name := fmt.Sprintf("%d/s by %d", l.Rate, l.Daemons)
		r.Figures = append(r.Figures,
			atLeast(name+": average, % of the rate", 100*l.Average/float64(l.Rate), 95, "%.1f"),
			atMost(name+": worst second, calls", float64(l.Worst), float64(l.allowed()), "%.0f"))
	}
}

func (r *report) writeLimits(w io.Writer) {
	if len(r.Limits) == 0 {
		return
	}
	fmt.Fprintln(w, "\nlimits, by arrival")
	for _, l := range r.Limits {
		fmt.Fprintln(w, l)
	}
}
