package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"minipush/internal/intake"
	"minipush/internal/seal"
	"minipush/internal/store"
)

// Config holds the tunables. Zero values are replaced by the defaults named.
type Config struct {
	// ChunkSize is how many recipients a chunk holds, 1 to 1,000. Default 1,000.
	ChunkSize int
	// Workers is how many chunks this process runs at a time. Default 4.
	Workers int
	// InFlight is how many calls this process has in flight at a time. Default 500.
	InFlight int
	// Window is how many chunk jobs a task keeps queued or running, over all daemons. Default 16.
	Window int
	// CallTimeout bounds one call of the platform. Default 8 s.
	CallTimeout time.Duration
	// PermitMargin is how long before its expiry a formId is no longer claimed. Default 10 min; negative is none.
	PermitMargin time.Duration
	// LateGrace is how late a task or a tick whose policy is "late" may start; SkipGrace is how late one whose policy is "skip" still
	// counts as on time. Defaults 24 h and 1 min.
	LateGrace, SkipGrace time.Duration
	// CronStartDue, CronExpire and CronPurge are cron specs, seconds field optional. Defaults: every second, every minute, 03:17.
	CronStartDue, CronExpire, CronPurge string
	// Location is the zone of cron specs and days. Required.
	Location *time.Location
	// Key seals app secrets and tokens. Required.
	Key *seal.Key
	// DirectURL is a connection string that does not go through a pooler, for the heartbeat and the queue. Default: the store's own.
	DirectURL string
	// NodeName is how this process calls itself in table node. Default: "minipush".
	NodeName string
	// Canary and Breaker say when a task stops by itself.
	Canary    CanaryConfig
	Breaker   BreakerConfig
	Retention Retention
	// Import are the limits of uploads, BatchRows how many rows go into one transaction. Default 10,000.
	Import    intake.Limits
	BatchRows int
	// ResendWait is how long at least a recipient of channel subscribe waits whose outcome is not known and who is to be sent to again by the policy of the
	// task: the platform's event may settle it meanwhile. Default 1 min; less than a lease and a call is these.
	ResendWait time.Duration
	// ReachAtOnce is how long a list is at most whose reach is counted while the caller waits; a longer one is counted beside, and the figure
	// kept. Default 500: where fifty other tasks want the same permits, so many are probed for in the time that a page may take. ReachStale is
	// how old a kept figure is that is counted anew when it is read. Default 5 min.
	ReachAtOnce int
	ReachStale  time.Duration
	// FormIDDeny lists further values that are no formIds.
	FormIDDeny []string
}

// Retention says how long rows are kept. Zero values are replaced by the defaults named.
type Retention struct {
	// FormIDs: used and invalid formIds, after their expiry, and reports of subscriptions and of deliveries. Default 30 days.
	FormIDs time.Duration
	// Recipients: the rows of a task, after its end. Default 180 days.
	Recipients time.Duration
	// ListVersions: versions of saved lists, after a newer one replaced them. Default 30 days.
	ListVersions time.Duration
	// IdempotencyKeys. Default 24 h.
	IdempotencyKeys time.Duration
	// Jobs that are completed or canceled. Default 7 days.
	Jobs time.Duration
}

func (c *Config) fill() error {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	long := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	text := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&c.ChunkSize, 1000)
	def(&c.Workers, 4)
	def(&c.InFlight, 500)
	def(&c.Window, 16)
	def(&c.BatchRows, 10_000)
	long(&c.CallTimeout, 8*time.Second)
	long(&c.PermitMargin, 10*time.Minute)
	c.PermitMargin = max(c.PermitMargin, 0)
	long(&c.LateGrace, 24*time.Hour)
	long(&c.SkipGrace, time.Minute)
	long(&c.ResendWait, time.Minute)
	def(&c.ReachAtOnce, 500)
	long(&c.ReachStale, 5*time.Minute)
	long(&c.Retention.FormIDs, 30*24*time.Hour)
	long(&c.Retention.Recipients, 180*24*time.Hour)
	long(&c.Retention.ListVersions, 30*24*time.Hour)
	long(&c.Retention.IdempotencyKeys, 24*time.Hour)
	long(&c.Retention.Jobs, 7*24*time.Hour)
	text(&c.CronStartDue, "* * * * * *")
	text(&c.CronExpire, "0 * * * * *")
	text(&c.CronPurge, "0 17 3 * * *")
	text(&c.NodeName, "minipush")
	c.Canary.fill()
	c.Breaker.fill()
	if c.Location == nil || c.Key == nil {
		return errors.New("dispatch needs a location and a key")
	}
	return nil
}

// Dispatcher is the application over one store. All methods may be called concurrently.
type Dispatcher struct {
	cfg     Config
	st      *store.Store
	log     *slog.Logger
	river   *river.Client[pgx.Tx]
	clients *clients
	metrics *metrics
	breaker *breaker

	// The rest is of a working daemon: nil or unused before Start.
	slots    *slots
	shares   *shares
	gate     *gate
	node     *node
	runs     *runs
	callers  *callers
	jobsPool *pgxpool.Pool
	stop     context.CancelFunc
	// life ends when Stop has no more use for what runs beside the jobs.
	life    context.Context //nolint:containedctx // it is the daemon, not a call, that ends it
	tending sync.WaitGroup
	// counting ends as soon as Stop begins: nobody waits for a count. uncount ends it.
	counting context.Context //nolint:containedctx // as life
	uncount  context.CancelFunc
	// endpoints are the callbacks that were opened lately, by app key.
	endpoints sync.Map
	// chores are those under way, by chore.
	chores   sync.Map
	draining atomic.Bool
	// unanswered is the second in which it was last said that calls were not answered.
	unanswered atomic.Int64
	// wakeFrom is where the sweep of waiting rows goes on. Only that sweep touches it.
	wakeFrom store.ChunkKey
	wake     chan struct{}
	// ticking is held while this process deals with due schedules.
	ticking sync.Mutex
	// clockAhead shifts the database's clock for schedules: tests only.
	clockAhead atomic.Int64
}

// New makes a Dispatcher that can do everything but work jobs, which is for [Dispatcher.Start]. The caller closes the store.
func New(cfg Config, st *store.Store, log *slog.Logger) (*Dispatcher, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	d := &Dispatcher{cfg: cfg, st: st, log: log, metrics: newMetrics(), breaker: newBreaker(cfg.Breaker), slots: newSlots(cfg.InFlight), shares: newShares(cfg.Workers), runs: newRuns(), callers: newCallers(), wake: make(chan struct{}, 1)}
	d.clients = newClients(cfg, st, log)
	d.gate = newGate(d)
	client, err := newInserter(st.Pool(), log)
	if err != nil {
		return nil, fmt.Errorf("make queue client: %w", err)
	}
	d.river = client
	return d, nil
}

// ahead is how far the clock of schedules is before the database's: nothing, outside of tests.
func (d *Dispatcher) ahead() time.Duration { return time.Duration(d.clockAhead.Load()) }

// InFlight says how many calls this process has in flight.
func (d *Dispatcher) InFlight() int { return int(d.metrics.inFlightNow.Load()) }

// Key seals secrets before they are stored.
func (d *Dispatcher) Key() *seal.Key { return d.cfg.Key }

// River is the queue's client, for its pages. On a working daemon it is the one that works.
func (d *Dispatcher) River() *river.Client[pgx.Tx] { return d.river }
