package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is everything that one run measured.
type report struct {
	Date     time.Time         `json:"date"`
	Load     string            `json:"load"` // of the machine when the run began: 1, 5 and 15 minutes
	CPUs     int               `json:"cpus"`
	Go       string            `json:"go"`
	Settings map[string]string `json:"settings"` // of Postgres
	Workload string            `json:"workload"`
	Pairs    []pair            `json:"pairs,omitempty"`
	Regimes  []regimeResult    `json:"regimes,omitempty"`
	Imports  []importPair      `json:"imports,omitempty"`
	Limits   []limitResult     `json:"limits,omitempty"`
	Pages    []pageResult      `json:"pages,omitempty"`
	Figures  []figure          `json:"figures"` // the figures of pairs and imports, with their bars
	Exact    []exactReport     `json:"exact,omitempty"`
}

// exactReport is the exact figures of one kind of run.
type exactReport struct {
	Of      string      `json:"of"`
	Figures []figure    `json:"figures"`
	Dearest []statement `json:"dearest"`
}

func newReport(opt options, settings map[string]string) *report {
	return &report{
		Date: time.Now(), Load: load(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Settings: settings, Workload: opt.String(),
	}
}

// load is that of the machine, where it can be read.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

const megabyte = 1e6

// judge fills the figures from what was measured.
func (r *report) judge() {
	if len(r.Pairs) > 0 {
		r.judgePairs()
	}
	if len(r.Imports) > 0 {
		r.judgeImports()
	}
	r.judgeLimits()
	r.judgePages()
	for _, g := range r.Regimes {
		figures := append(g.Cost.figures(), atMost("peak memory of serve, MB", float64(g.Peak)/megabyte, 100, "%.1f"))
		r.Exact = append(r.Exact, exactReport{Of: string(g.Regime), Figures: figures, Dearest: g.Dearest})
	}
}

func (r *report) judgePairs() {
	compare := func(name string, above, below variant, bar float64) {
		all := ratios(r.Pairs, above, below)
		switch {
		case len(all) == 0:
		case bar == 0:
			r.Figures = append(r.Figures, plain(name, median(all), "%.3f"))
		default:
			r.Figures = append(r.Figures, atLeast(name, median(all), bar, "%.3f"))
		}
	}
	compare("(d)/(a) minipush / bare loop", minipush, simLoop, 0.50)
	compare("(d)/(b) minipush / the original", minipush, theOriginal, 5)
	compare("(d)/(c) minipush / a job each", minipush, jobEach, 0)
	compare("(a)/(0) simulator / constant", simLoop, constantLoop, 0.7)
	var peak int64
	var last *pair
	for i := range r.Pairs {
		peak = max(peak, r.Pairs[i].PeakMemory)
		if r.Pairs[i].Cost != nil {
			last = &r.Pairs[i]
		}
	}
	if last == nil {
		return
	}
	r.Figures = append(r.Figures, atMost("peak memory of serve, MB", float64(peak)/megabyte, 100, "%.1f"))
	r.Exact = append(r.Exact, exactReport{Of: "the last pair's (d)", Figures: last.Cost.figures(), Dearest: last.Dearest})
}

// missed says whether a bar was missed.
func (r *report) missed() bool {
	all := r.Figures
	for _, e := range r.Exact {
		all = append(all, e.Figures...)
	}
	for _, f := range all {
		if f.OK != nil && !*f.OK {
			return true
		}
	}
	return false
}

// write prints the report for a person.
func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "minipush bench, %s, load %s, %d CPUs, %s\n", r.Date.Format(time.RFC3339), r.Load, r.CPUs, r.Go)
	for _, name := range shownSettings() {
		fmt.Fprintf(w, "  %-26s %s\n", name, r.Settings[name])
	}
	fmt.Fprintf(w, "%s\n", r.Workload)
	r.writePairs(w)
	r.writeImports(w)
	r.writeLimits(w)
	r.writePages(w)
	fmt.Fprintln(w)
	for _, f := range r.Figures {
		fmt.Fprintln(w, f)
	}
	for _, e := range r.Exact {
		fmt.Fprintf(w, "\nexact, %s\n", e.Of)
		for _, f := range e.Figures {
			fmt.Fprintln(w, f)
		}
		fmt.Fprintf(w, "  %8s %10s %12s %12s  %s\n", "calls", "ms", "buffer hits", "WAL bytes", "dearest statements")
		for _, s := range e.Dearest {
			fmt.Fprintf(w, "  %8d %10.0f %12d %12d  %s\n", s.Calls, s.Millis, s.Hits, s.WAL, s.Query)
		}
	}
}

// writePairs is the table of rates.
func (r *report) writePairs(w io.Writer) {
	if len(r.Pairs) == 0 {
		return
	}
	columns := []variant{constantLoop, simLoop, theOriginal, jobEach, minipush}
	fmt.Fprintf(w, "\nmessages a second\n  %-6s", "pair")
	for _, v := range columns {
		fmt.Fprintf(w, " %9s", "("+v+")")
	}
	fmt.Fprintln(w)
	line := func(name string, value func(v variant) float64) {
		fmt.Fprintf(w, "  %-6s", name)
		for _, v := range columns {
			if x := value(v); x > 0 {
				fmt.Fprintf(w, " %9.0f", x)
			} else {
				fmt.Fprintf(w, " %9s", "–")
			}
		}
		fmt.Fprintln(w)
	}
	for i, p := range r.Pairs {
		line(fmt.Sprint(i+1), func(v variant) float64 { return p.Rates[v] })
	}
	line("median", func(v variant) float64 { return median(rates(r.Pairs, v)) })
}
