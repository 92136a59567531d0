package dispatch

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"minipush/internal/wechat"
)

// metrics counts what this process sends.
type metrics struct {
	sends       *prometheus.CounterVec
	latency     prometheus.Histogram
	outcomes    *prometheus.CounterVec
	inFlight    prometheus.GaugeFunc
	inFlightNow atomic.Int64
}

func newMetrics() *metrics {
	m := &metrics{
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "minipush_sends_total",
			Help: "Calls of the platform that carried a message, by class of the answer and errcode (0 where the platform gave none).",
		}, []string{"class", "errcode"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "minipush_send_seconds",
			Help: "How long the platform took to answer.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 4, 8},
		}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "minipush_outcomes_total",
			Help: "Recipients whose outcome was written, by state.",
		}, []string{"state"}),
	}
	m.inFlight = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "minipush_in_flight",
		Help: "Calls of the platform in flight now.",
	}, func() float64 { return float64(m.inFlightNow.Load()) })
	return m
}

func (m *metrics) answered(r wechat.Result) {
	m.sends.WithLabelValues(r.Class.String(), strconv.Itoa(r.Code)).Inc()
	m.latency.Observe(r.Latency.Seconds())
}

// Collector is what this process counts, for a Prometheus registry.
func (d *Dispatcher) Collector() prometheus.Collector { return d.metrics }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.sends, m.latency, m.outcomes, m.inFlight} {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.sends, m.latency, m.outcomes, m.inFlight} {
		c.Collect(ch)
	}
}
