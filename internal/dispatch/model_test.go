package dispatch_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

const (
	// modelChecks and modelSteps bound the run that is part of every test run; -rapid.checks and -rapid.steps make it longer.
	modelChecks, modelSteps = 12, 40
	modelUsers              = 6
	modelTasks              = 3
	modelMargin             = 10 * time.Minute
)

// world is the model of one check, and the daemons, database and platform that it is held against. It knows little: where each
// task stands, what each formId was when it was collected, and which runs are dead. All else is read and held against the rules.
type world struct {
	t        *rapid.T
	r        *reporter
	ctx      context.Context
	st       *store.Store
	sim      *sim.Sim
	platform *interposer
	// daemons share the tables, as processes would.
	daemons []*dispatch.Dispatcher

	// first is the last message in the platform's ledger before this check.
	first   int64
	users   []string
	tasks   []*modelTask
	byID    map[int64]*modelTask
	permits map[string]*modelPermit
	dead    []*deadRun
	// lost are the chunks that a run was taken from: only theirs may have rows in sending while nothing runs.
	lost map[store.ChunkKey]bool
	// moved are the users whose openid was another once.
	moved map[string]bool
	// faulty are the errcodes that the platform was told to answer in this check.
	faulty    map[int]bool
	appPaused bool
}

// modelTask is a task as the model sees it.
type modelTask struct {
	id    int64
	kind  push.AudienceKind
	topic string
	state push.TaskState
	// begun says that it was sending once: it begins once in its life (invariant 1).
	begun bool
	users []string
	// waits says that who has no permit waits for one.
	waits bool
}

// modelPermit is a formId as it was collected.
type modelPermit struct {
	user, openID string
	// dead is unknown to the platform, burned is known and used: neither can carry a message.
	dead, burned bool
}

// TestModel_RandomOrder drives tasks, permits, faults and daemons in random order against the model of design §3 and §4. After each
// command every invariant must hold, and at the end, with the platform in health, everyone who can be reached has been, once.
func TestModel_RandomOrder(t *testing.T) {
	t.Parallel()
	limitChecks()
	b := setupOn(t, sim.Config{}, func(c *dispatch.Config) {
		c.ChunkSize, c.InFlight, c.Window, c.NodeName, c.CallTimeout = 3, 4, 2, "model", 2*time.Second
	})
	p := interpose(t, b)
	b.exec(watchSQL)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, b, p)
		defer w.end()
		rt.Repeat(w.actions())
		w.drain()
	})
}

// limitChecks keeps the run short unless rapid's own flags say otherwise.
func limitChecks() {
	// The part of every test run is the same each time; new stories are for the long form, by -rapid.seed=0.
	short := map[string]string{"rapid.checks": fmt.Sprint(modelChecks), "rapid.steps": fmt.Sprint(modelSteps), "rapid.seed": "20261124"}
	flag.Visit(func(f *flag.Flag) { delete(short, f.Name) })
	for name, value := range short {
		_ = flag.Set(name, value) // a flag that rapid defines, and a number
	}
}

func newWorld(t *rapid.T, b *bundle, p *interposer) *world {
	w := &world{t: t, r: &reporter{T: t, real: b.t}, ctx: context.Background(), st: b.st, sim: b.sim, platform: p, first: b.sim.Stats().Messages, byID: map[int64]*modelTask{},
		permits: map[string]*modelPermit{}, lost: map[store.ChunkKey]bool{}, moved: map[string]bool{}, faulty: map[int]bool{}}
	w.exec(truncateSQL(w))
	w.exec(`UPDATE app SET (` + appColumns(w) + `) = (SELECT ` + appColumns(w) + ` FROM watch_app)`)
	w.platform.reset(w)
	require.NoError(w.r, w.sim.SetFaults(sim.Faults{}))
	for range 2 {
		d, err := dispatch.New(b.conf, b.st, slog.New(slog.NewTextHandler(w.r, nil)))
		require.NoError(w.r, err)
		require.NoError(w.r, d.Join(w.ctx))
		w.daemons = append(w.daemons, d)
	}
	for i := range modelUsers {
		w.users = append(w.users, fmt.Sprintf("u%d", i))
	}
	// Most of them are known and have permits from the start, so that most commands find something to do.
	reports := make([]dispatch.UserReport, 0, modelUsers)
	for _, u := range w.users[:modelUsers-1] {
		reports = append(reports, dispatch.UserReport{UserID: u, OpenID: openID(u)})
	}
	_, err := w.daemons[0].ReportUsers(w.ctx, appKey, reports)
	require.NoError(w.r, err)
	for _, u := range w.users[:modelUsers-2] {
		w.give(u, openID(u), goodPermit, 24*time.Hour)
		w.give(u, openID(u), goodPermit, 48*time.Hour)
	}
	return w
}

// truncateSQL empties every table but those that say what an app is, and the audit log, which nobody can empty.
func truncateSQL(w *world) string {
	return w.texts(`
		SELECT 'TRUNCATE river.river_job, ' || string_agg(format('%I', tablename), ', ') || ' CASCADE' FROM pg_tables
		 WHERE schemaname = 'public' AND tablename NOT IN ('app', 'app_token', 'form_source', 'product', 'template', 'reason', 'recipient_state', 'watch_app', 'audit_log')
		   AND tablename NOT LIKE 'goose%'`)[0]
}

// appColumns are those that a check may change.
func appColumns(w *world) string {
	return w.texts(`SELECT string_agg(format('%I', column_name), ', ') FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'app' AND column_name <> 'id'`)[0]
}

func (w *world) end() {
	w.platform.reset(nil)
	for _, d := range w.daemons {
		_ = d.Leave(w.ctx) // a check that failed has said so
	}
}

// actions are the commands. The platform's calls and the daemons' work stand for several, so that most steps get somewhere.
func (w *world) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){}
	add := func(name string, weight int, fn func()) {
		for i := range weight {
			actions[name+strings.Repeat("'", i)] = func(*rapid.T) { // it is the one of newWorld
				w.r.note("-- " + name)
				fn()
			}
		}
	}
	add("report a user", 1, w.reportUser)
	add("collect formIds", 2, w.collect)
	add("expire formIds", 1, w.expire)
	add("create task", 2, w.createTask)
	add("upload list", 1, w.uploadList)
	add("send", 3, w.send)
	add("send thrice at once", 1, w.sendAtOnce)
	add("schedule", 1, w.schedule)
	add("unschedule", 1, w.unschedule)
	add("pause", 1, w.pause)
	add("resume", 2, w.resume)
	add("cancel", 1, w.cancel)
	add("pause app", 1, w.pauseApp)
	add("resume app", 1, w.resumeApp)
	add("set faults", 2, w.setFaults)
	add("work", 6, w.work)
	add("work, disturbed", 3, w.workDisturbed)
	add("delete job", 1, w.deleteJob)
	add("run old job", 1, w.runOldJob)
	add("die in a run", 2, w.die)
	add("zombie", 2, w.zombie)
	add("bury", 1, w.bury)
	add("tend", 2, w.tend)
	add("pass time", 2, w.passTime)
	actions[""] = func(*rapid.T) { w.check() }
	return actions
}

// check holds everything that is at rest against the invariants.
func (w *world) check() {
	w.watched()
	require.Empty(w.t, w.platform.complaints())
	w.auditTables()
	w.auditLedger()
}

// daemon draws one of the processes, which beats first: it may have rested longer than a beat counts.
func (w *world) daemon() *dispatch.Dispatcher {
	d := w.daemons[rapid.IntRange(0, len(w.daemons)-1).Draw(w.t, "daemon")]
	require.NoError(w.t, d.Beat(w.ctx))
	return d
}

// task draws one of the tasks; the command is skipped if there is none.
func (w *world) task() *modelTask {
	if len(w.tasks) == 0 {
		w.t.Skip("no task")
	}
	return rapid.SampledFrom(w.tasks).Draw(w.t, "task")
}

func (t *modelTask) String() string { return t.topic }

func (w *world) exec(sql string, args ...any) {
	_, err := w.st.Pool().Exec(w.ctx, sql, args...)
	require.NoError(w.t, err)
}

func (w *world) texts(sql string, args ...any) []string {
	rows, _ := w.st.Pool().Query(w.ctx, sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	return list
}

func (w *world) count(sql string, args ...any) int {
	var n int
	require.NoError(w.t, w.st.Pool().QueryRow(w.ctx, sql, args...).Scan(&n))
	return n
}

// reporter shows the first failure as it happened, with the commands that led to it and what the daemons said. rapid itself shows the
// last run of the shortest sequence that it found, which may end well if the failure hangs on the order of two goroutines.
type reporter struct {
	*rapid.T
	real *testing.T

	mu    sync.Mutex
	notes []string
}

func (r *reporter) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, line)
}

// shownOnce is set once a failure was shown.
var shownOnce atomic.Bool //nolint:gochecknoglobals // of the test process

// Errorf implements require.TestingT.
func (r *reporter) Errorf(format string, args ...any) {
	if !shownOnce.Swap(true) {
		r.mu.Lock()
		r.real.Logf("as it happened first:\n%s\n%s", strings.Join(r.notes, "\n"), fmt.Sprintf(format, args...))
		r.mu.Unlock()
	}
	r.T.Errorf(format, args...)
}

// Write takes the daemons' log.
func (r *reporter) Write(p []byte) (int, error) {
	r.note(strings.TrimSpace(string(p)))
	return len(p), nil
}
