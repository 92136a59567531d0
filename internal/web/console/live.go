package console

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// The live progress of a task. One goroutine of this process reads a task that is watched, one statement a second, and hands what it
// read to all who watch; it ends with the last of them. So what it costs does not hang on how many watch.

const (
	// liveEvery is how often a watched task is read.
	liveEvery = time.Second
	// liveHistory is how far back the chart of the rate goes, in samples.
	liveHistory = 600
	// rateOver and endOver are how far back the rate that is shown, and the one that the end is foretold by, look, in samples.
	rateOver, endOver = 5, 30
	// maxViewers bounds the open streams of this process.
	maxViewers = 2000
)

// sample is a task at a time.
type sample struct {
	at time.Time
	// calls are the recipients of whom the platform was asked, ended all with an outcome.
	calls, ended int
}

// rate is how many a second there were between two samples.
func rate(from, to sample, of func(sample) int) float64 {
	seconds := to.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return max(0, float64(of(to)-of(from))/seconds)
}

// back is the sample n before the last one, or the first.
func back(samples []sample, n int) sample { return samples[max(0, len(samples)-1-n)] }

// phase says what the page of a task was made for: once it is another one, the page is made anew.
func phase(state push.TaskState, counts push.Counts) string {
	if state.Final() && counts.Open() == 0 {
		return string(state) + "-settled"
	}
	return string(state)
}

// isLive says whether what a page of the task shows still moves.
func isLive(state push.TaskState, counts push.Counts) bool {
	return state == push.TaskSending || state == push.TaskPaused || state == push.TaskScheduled || state == push.TaskCanceled && counts.Open() > 0
}

// figures are the numbers of a task that move: the dot of the template figures.
type figures struct {
	store.Progress
	Bar     progress
	NotSent int
	Rows    []reasonRow
	// Rate is how many are sent a second; RateKnown: it was measured. Left is how long the rest will take; nil where nobody can tell.
	Rate      float64
	RateKnown bool
	Left      *time.Duration
	// Doubt: outcomes are unknown, and said so.
	Doubt bool
}

// Hours, Minutes and Seconds are the parts of the time that is left.
func (f figures) Hours() int   { return int(*f.Left / time.Hour) }
func (f figures) Minutes() int { return int(*f.Left / time.Minute % 60) }
func (f figures) Seconds() int { return int(*f.Left / time.Second % 60) }

func newFigures(p store.Progress) figures {
	f := figures{Progress: p, Bar: progressOf(p.Counts), NotSent: p.Counts.Total - p.Counts.Sent, Doubt: p.Counts.Unknown > 0}
	f.Bar.Legend = true
	for _, r := range p.Reasons {
		f.Rows = append(f.Rows, reasonRow{Code: r.Code, Text: both{r.ZH, r.EN}, Count: r.Count})
	}
	return f
}

// measured adds what the samples of a task that is sending say.
func (f *figures) measured(samples []sample) {
	if f.State != push.TaskSending || len(samples) < 2 {
		return
	}
	last := samples[len(samples)-1]
	f.Rate, f.RateKnown = rate(back(samples, rateOver), last, func(s sample) int { return s.calls }), true
	if ends := rate(back(samples, endOver), last, func(s sample) int { return s.ended }); ends > 0 {
		left := time.Duration(math.Ceil(float64(f.Counts.Open())/ends)) * time.Second
		f.Left = &left
	}
}

// update is what one look at a task tells those who watch it.
type update struct {
	phase string
	live  bool
	// messages are the events to write, by language.
	messages map[string][]byte
}

// viewer is one open stream.
type viewer struct {
	// updates holds the newest update that the viewer has not taken: one that is slow misses some, and holds nobody up.
	updates chan *update
	// first is written before: the history of the rate; nil if there is none.
	first []byte
}

// watch is a task that somebody watches.
type watch struct {
	viewers map[*viewer]struct{}
	samples []sample
	last    *update
	seen    store.Progress
	stop    context.CancelFunc
}

// lookout has the tasks that are watched.
type lookout struct {
	read  func(ctx context.Context, id int64) (store.Progress, error)
	write func(f figures, samples []sample) (map[string][]byte, error)
	log   *slog.Logger
	// zone is the time zone of the charts.
	zone *time.Location

	mu      sync.Mutex
	tasks   map[int64]*watch
	viewers int
	// ended is closed when the daemon stops: all streams end.
	ended chan struct{}
	once  sync.Once
}

func newLookout(k *Console) *lookout {
	return &lookout{read: k.store.Progress, write: k.liveMessages, log: k.log, zone: k.cfg.Location, tasks: map[int64]*watch{}, ended: make(chan struct{})}
}

// end ends all streams, and takes no more.
func (l *lookout) end() { l.once.Do(func() { close(l.ended) }) }

// join begins to watch a task; ok is false if too many watch already. The caller leaves.
func (l *lookout) join(id int64) (v *viewer, leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.viewers >= maxViewers {
		return nil, nil, false
	}
	l.viewers++
	v = &viewer{updates: make(chan *update, 1)}
	w := l.tasks[id]
	if w == nil {
		ctx, stop := context.WithCancel(context.Background())
		w = &watch{viewers: map[*viewer]struct{}{}, stop: stop}
		l.tasks[id] = w
		go l.follow(ctx, id, w)
	}
	w.viewers[v] = struct{}{}
	if w.last != nil {
		v.updates <- w.last
		v.first = history(w.samples)
	}
	return v, func() { l.leave(id, w, v) }, true
}

func (l *lookout) leave(id int64, w *watch, v *viewer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers--
	delete(w.viewers, v)
	if len(w.viewers) == 0 {
		w.stop()
		delete(l.tasks, id)
	}
}

// follow reads a task until nobody watches it, or the daemon stops.
func (l *lookout) follow(ctx context.Context, id int64, w *watch) {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for {
		look, cancel := context.WithTimeout(ctx, 5*time.Second)
		p, err := l.read(look, id)
		cancel()
		if err == nil {
			err = l.tell(w, p)
		}
		if err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "progress not read", slog.Any("task_id", id), slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-l.ended:
			return
		case <-tick.C:
		}
	}
}

// tell hands what was read to all who watch. What stands still is told once, but for a task that is sending: a rate of 0 is news.
func (l *lookout) tell(w *watch, p store.Progress) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.samples = append(w.samples, sample{at: time.Now().In(l.zone), calls: p.Counts.Sent + p.Counts.Failed + p.Counts.Unknown, ended: p.Counts.Total - p.Counts.Open()})
	if n := len(w.samples) - liveHistory; n > 0 {
		w.samples = w.samples[n:]
	}
	if w.last != nil && p.State != push.TaskSending && same(p, w.seen) {
		return nil
	}
	f := newFigures(p)
	f.measured(w.samples)
	messages, err := l.write(f, w.samples)
	if err != nil {
		return err
	}
	w.seen, w.last = p, &update{phase: phase(p.State, p.Counts), live: isLive(p.State, p.Counts), messages: messages}
	for v := range w.viewers {
		select {
		case <-v.updates: // it has not taken the one before
		default:
		}
		v.updates <- w.last
	}
	return nil
}

// same says whether nothing differs that the page of a task shows.
func same(a, b store.Progress) bool {
	if a.State != b.State || a.Counts != b.Counts || a.Note != b.Note || a.RatePerSecond != b.RatePerSecond {
		return false
	}
	return slices.Equal(a.Causes, b.Causes) && sameTime(a.StartAt, b.StartAt) && sameTime(a.StartedAt, b.StartedAt) && sameTime(a.EndedAt, b.EndedAt)
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// point is the rate at a time, for the chart: the time on the wall in milliseconds, for the chart knows no zones, and messages a second.
func point(samples []sample, i int) [2]float64 {
	from := samples[max(0, i-rateOver)]
	_, east := samples[i].at.Zone()
	return [2]float64{float64(samples[i].at.UnixMilli() + int64(east)*1000), math.Round(rate(from, samples[i], func(s sample) int { return s.calls })*10) / 10}
}

// history is the event that gives one who comes later the chart so far.
func history(samples []sample) []byte {
	points := make([][2]float64, len(samples))
	for i := range samples {
		points[i] = point(samples, i)
	}
	data, _ := json.Marshal(points) // numbers
	return event("history", data)
}

// event is one event of a stream. data is JSON, which has no line breaks.
func event(name string, data []byte) []byte {
	return bytes.Join([][]byte{[]byte("event: " + name + "\ndata: "), data, []byte("\n\n")}, nil)
}

// liveMessages writes the figures as an event in each language.
func (k *Console) liveMessages(f figures, samples []sample) (map[string][]byte, error) {
	messages := map[string][]byte{}
	for lang := range k.templates.texts {
		set, err := k.templates.of(lang, "task")
		if err != nil {
			return nil, err
		}
		var html bytes.Buffer
		if err := set.ExecuteTemplate(&html, "figures", f); err != nil {
			return nil, err
		}
		data, err := json.Marshal(map[string]any{"html": html.String(), "point": point(samples, len(samples)-1)})
		if err != nil {
			return nil, err
		}
		messages[lang] = event("figures", data)
	}
	return messages, nil
}
