package web

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"minipush/internal/store"
)

// tables is the part of the metrics that the tables say. It is read when it is scraped, and remembered for a while, so that
// several scrapers, or an impatient one, cost the database no more than one. A part that cannot be read is left out, and
// minipush_tables_up says so: a value that is old must not look like a new one.
type tables struct {
	probes []*probe
	up     *prometheus.Desc
}

// probe reads one part.
type probe struct {
	name string
	// keep is how long what was read is not read again; timeout bounds the reading.
	keep, timeout time.Duration
	descs         []*prometheus.Desc
	read          func(ctx context.Context) ([]prometheus.Metric, error)
	log           *slog.Logger

	mu    sync.Mutex
	until time.Time
	last  []prometheus.Metric
	err   error
}

// failedFor is how long a part that could not be read is not tried again.
const failedFor = 5 * time.Second

func newTables(st *store.Store, log *slog.Logger) *tables {
	return &tables{
		probes: []*probe{recipientProbe(st, log), permitProbe(st, log), queueProbe(st, log), sweeperProbe(st, log)},
		up:     prometheus.NewDesc("minipush_tables_up", "1 if this part of the metrics could be read from the database.", []string{"part"}, nil),
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func recipientProbe(st *store.Store, log *slog.Logger) *probe {
	count := desc("minipush_recipients", "Recipients of tasks by state.", "state")
	return &probe{
		name: "recipients", keep: 5 * time.Second, timeout: 3 * time.Second, descs: []*prometheus.Desc{count}, log: log,
		read: func(ctx context.Context) (all []prometheus.Metric, err error) {
			counts, err := st.CountRecipients(ctx)
			for state, n := range counts {
				all = append(all, gauge(count, float64(n), state.String()))
			}
			return all, err
		},
	}
}

// permitProbe reads all formIds and subscriptions, which takes seconds when there are millions: it is kept longer.
func permitProbe(st *store.Store, log *slog.Logger) *probe {
	count := desc("minipush_permits", "Permits by app, channel and state.", "app", "channel", "state")
	return &probe{
		name: "permits", keep: time.Minute, timeout: 10 * time.Second, descs: []*prometheus.Desc{count}, log: log,
		read: func(ctx context.Context) (all []prometheus.Metric, err error) {
			counts, err := st.CountPermits(ctx)
			for _, c := range counts {
				all = append(all, gauge(count, float64(c.Count), c.App, string(c.Channel), c.State))
			}
			return all, err
		},
	}
}

func queueProbe(st *store.Store, log *slog.Logger) *probe {
	depth := desc("minipush_queue_jobs", "Jobs that are not finished, by kind and state.", "kind", "state")
	age := desc("minipush_queue_oldest_seconds", "How long the oldest of them has been due.", "kind", "state")
	return &probe{
		name: "queue", keep: 5 * time.Second, timeout: 3 * time.Second, descs: []*prometheus.Desc{depth, age}, log: log,
		read: func(ctx context.Context) (all []prometheus.Metric, err error) {
			depths, err := st.QueueDepth(ctx)
			for _, q := range depths {
				all = append(all, gauge(depth, float64(q.Count), q.Kind, q.State), gauge(age, q.Oldest.Seconds(), q.Kind, q.State))
			}
			return all, err
		},
	}
}

func sweeperProbe(st *store.Store, log *slog.Logger) *probe {
	success := desc("minipush_sweeper_last_success_timestamp_seconds", "When a cron entry or sweeper last succeeded on any daemon; 0 is never.", "sweeper")
	failing := desc("minipush_sweeper_failing", "1 if the last run of a cron entry or sweeper failed.", "sweeper")
	return &probe{
		name: "sweepers", keep: 5 * time.Second, timeout: 3 * time.Second, descs: []*prometheus.Desc{success, failing}, log: log,
		read: func(ctx context.Context) (all []prometheus.Metric, err error) {
			sweepers, err := st.Sweepers(ctx)
			for _, s := range sweepers {
				at, bad := 0.0, 0.0
				if s.LastSuccessAt != nil {
					at = float64(s.LastSuccessAt.UnixMilli()) / 1000
				}
				if s.LastError != "" {
					bad = 1
				}
				all = append(all, gauge(success, at, s.Name), gauge(failing, bad, s.Name))
			}
			return all, err
		},
	}
}

// Describe lists the metrics.
func (t *tables) Describe(out chan<- *prometheus.Desc) {
	out <- t.up
	for _, p := range t.probes {
		for _, d := range p.descs {
			out <- d
		}
	}
}

// Collect reads all parts at the same time.
func (t *tables) Collect(out chan<- prometheus.Metric) {
	var all sync.WaitGroup
	for _, p := range t.probes {
		all.Go(func() {
			found, err := p.get()
			up := 1.0
			if err != nil {
				up = 0
			}
			out <- gauge(t.up, up, p.name)
			for _, m := range found {
				out <- m
			}
		})
	}
	all.Wait()
}

// get reads the part, or returns what was read not long ago. A failure is remembered too, so that a database in trouble is
// not asked by every scrape.
func (p *probe) get() ([]prometheus.Metric, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return p.last, p.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	p.last, p.err = p.read(ctx)
	if p.err != nil {
		p.last = nil
		p.log.WarnContext(ctx, "read metrics from tables", slog.String("part", p.name), slog.Any("err", p.err))
	}
	p.until = time.Now().Add(p.keep)
	if p.err != nil {
		p.until = time.Now().Add(min(p.keep, failedFor))
	}
	return p.last, p.err
}
