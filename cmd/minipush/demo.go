package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/config"
	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

const (
	demoApp   = "demo"
	demoAppID = "wxdemo"
)

func (c *cli) demoCommand() *cobra.Command {
	var once bool
	var seed uint64
	cmd := &cobra.Command{
		Use: "demo", Short: "See it work: 638 users, a simulated platform, the results", Args: cobra.NoArgs,
		Long: `Starts a private Postgres and a simulated platform, sends the original's task to 638 users, and shows what became of each:
560 sent (30 of them with their second formId, the first being dead), 30 without a permit, 20 without an openid, 8 whose
outcome is unknown because the platform's answer never came, 20 with dead formIds only. Then the API and the job pages stay up until Ctrl-C.

It has a data directory of its own, in "demo" under the data directory, and ignores MINIPUSH_DATABASE_URL: it touches nothing of
yours. It can be run again and again.`,
		Example: `  minipush demo
  minipush demo --once      end by itself; exit code 0 only if everybody ended as said, by the platform's ledger too`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demo(cmd.Context(), once, seed) },
	}
	cmd.Flags().BoolVar(&once, "once", false, "end by itself, and check the result against what the platform received")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "order of the users in the list")
	return cmd
}

// demo is one run: platform → database → daemon → task → watch → check.
func (c *cli) demo(ctx context.Context, once bool, seed uint64) (err error) {
	cfg, err := c.demoConfig()
	if err != nil {
		return err
	}
	log := config.NewLogger(cfg.Log, c.stderr, terminal(c.stderr))
	platform, err := startPlatform(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.stop()) }()
	c.say("simulated platform at %s (the phones: %s/sim/inbox)", platform.url, platform.url)
	db, err := c.openDatabase(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	if err := db.requireSchema(ctx); err != nil {
		return err
	}
	s, err := c.newSession(cfg, db, log)
	if err != nil {
		return err
	}
	s.actor = "demo"
	d, err := c.demoDaemon(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop(ctx)) }()
	run := &demoRun{cli: c, s: s, platform: platform, users: demoUsers(time.Now(), seed)}
	if err := run.send(ctx); err != nil {
		return err
	}
	problems, err := run.check(ctx)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("the demo did not end as it must:\n  %s", strings.Join(problems, "\n  "))
	}
	c.say("everybody ended as expected, and the platform's ledger agrees")
	if once {
		return nil
	}
	return c.leaveUp(ctx, s, d)
}

// demoConfig is the settings with what the demo must have for itself.
func (c *cli) demoConfig() (*config.Config, error) {
	loaded, err := c.load()
	if err != nil {
		return nil, err
	}
	cfg := loaded.Config
	dir, err := cfg.ResolveDataDir(runtime.GOOS, os.Geteuid(), c.environ)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	if cfg.Database.URL != "" {
		c.say("the demo has a database of its own and leaves the one of MINIPUSH_DATABASE_URL alone")
	}
	cfg.Database.URL, cfg.Database.DirectURL, cfg.SecretKey = "", "", ""
	cfg.DataDir = filepath.Join(dir, "demo")
	cfg.HTTP.OpsAddr = ""
	if cfg.Log.Level == "info" {
		cfg.Log.Level = "error" // dropped connections are part of the play
	}
	return &cfg, nil
}

// demoDaemon starts the daemon; where its port is taken it takes any other.
func (c *cli) demoDaemon(ctx context.Context, s *session) (*daemon, error) {
	d, err := startDaemon(ctx, s, "all")
	if !errors.Is(err, syscall.EADDRINUSE) {
		return d, err
	}
	taken := s.cfg.HTTP.Addr
	host, _, _ := net.SplitHostPort(taken) // checked with the settings
	s.cfg.HTTP.Addr = net.JoinHostPort(host, "0")
	d, err = startDaemon(ctx, s, "all")
	if err == nil {
		c.say("%s is taken; this demo is at %s", taken, d.web.Addr())
	}
	return d, err
}

// platform is the simulator within this process.
type platform struct {
	*sim.Sim
	url   string
	stop  func() error
	ended chan error
}

func startPlatform(ctx context.Context) (*platform, error) {
	s, err := sim.New(sim.Config{Faults: sim.Faults{LatencyMS: 20, JitterMS: 60}})
	if err != nil {
		return nil, err
	}
	ln, err := sim.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &platform{Sim: s, url: "http://" + ln.Addr().String(), ended: make(chan error, 1)}
	serving, hangUp := context.WithCancel(context.WithoutCancel(ctx)) // the daemon needs it to the last
	p.stop = func() error { hangUp(); return <-p.ended }
	go func() { p.ended <- s.Serve(serving, ln) }()
	return p, nil
}

// demoRun is one task of the demo.
type demoRun struct {
	cli      *cli
	s        *session
	platform *platform
	users    []demoUser
	task     push.Task
}

// send sets everything up by the calls that the API makes too, sends the task, and follows it to its end.
func (r *demoRun) send(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	task, err := r.s.dispatch.CreateTask(ctx, r.s.actor, demoSpec(demoApp))
	if err != nil {
		return fmt.Errorf("create task: %w", err)
	}
	up := dispatch.Upload{Body: strings.NewReader(demoList(r.users)), Filename: "users.txt"}
	audience, err := r.s.dispatch.UploadAudience(ctx, r.s.actor, task.ID, up)
	if err != nil {
		return fmt.Errorf("upload list: %w", err)
	}
	reach, err := r.s.dispatch.Reach(ctx, task.ID, time.Time{})
	if err != nil {
		return fmt.Errorf("count reach: %w", err)
	}
	r.cli.say("task %d: %d users uploaded, %d of them can be reached", task.ID, audience.Accepted, reach.Reachable)
	if _, err := r.s.dispatch.Send(ctx, r.s.actor, task.ID, nil); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := r.cli.watch(ctx, r.s, task.ID); err != nil {
		return err
	}
	if r.task, err = r.s.store.Task(ctx, task.ID); err != nil {
		return err
	}
	if !r.cli.json() { // a program has had the task from watch
		reasonTable(r.cli.stdout, r.task.Reasons)
		r.cli.say("")
	}
	return nil
}

// prepare registers app, product and template, reports users and formIds, and sets the faults. The formIds whose answer never
// comes are reported last: their time is short.
func (r *demoRun) prepare(ctx context.Context) error {
	spec := dispatch.AppSpec{Key: demoApp, AppID: demoAppID, Secret: "demo", BaseURL: r.platform.url}
	_, err := r.s.dispatch.AddApp(ctx, spec)
	if _, known := r.s.store.App(ctx, demoApp); err != nil && known == nil {
		_, err = r.s.dispatch.SetApp(ctx, spec) // an earlier run has made it
	}
	if err != nil {
		return fmt.Errorf("register app: %w", err)
	}
	if err := r.clearOld(ctx); err != nil {
		return err
	}
	if _, err := r.s.dispatch.PutProduct(ctx, demoProduct(demoApp)); err != nil {
		return fmt.Errorf("set product: %w", err)
	}
	if _, err := r.s.dispatch.PutTemplate(ctx, demoTemplate(demoApp)); err != nil {
		return fmt.Errorf("set template: %w", err)
	}
	if err := r.platform.SetFaults(r.faults()); err != nil {
		return fmt.Errorf("set faults: %w", err)
	}
	got, err := r.s.dispatch.ReportUsers(ctx, demoApp, demoReports(r.users))
	if err != nil || len(got.Rejected) > 0 {
		return fmt.Errorf("report users: %d rejected: %w", len(got.Rejected), err)
	}
	mint := func(openid string) string { return r.platform.Mint(demoAppID, []string{openid}, 1, 0)[0].FormID }
	got, err = r.s.dispatch.ReportFormIDs(ctx, demoApp, demoFormIDs(r.users, time.Now(), r.s.cfg.Send.PermitMargin, mint))
	if err != nil || len(got.Rejected) > 0 {
		return fmt.Errorf("report formIds: %d rejected: %w", len(got.Rejected), err)
	}
	r.cli.say("%d users reported, %d formIds collected", len(r.users), got.Accepted)
	return nil
}

// clearOld cancels what a run that was killed has left under way: its platform is gone.
func (r *demoRun) clearOld(ctx context.Context) error {
	tasks, err := r.s.store.Tasks(ctx, store.TaskFilter{Limit: 100})
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if t.State.Final() || t.State == push.TaskDraft || t.State == push.TaskMissed {
			continue
		}
		if _, err := r.s.dispatch.Cancel(ctx, r.s.actor, t.ID); err != nil {
			return fmt.Errorf("cancel task %d of an earlier run: %w", t.ID, err)
		}
	}
	return nil
}

// faults spoil every answer about the users whose outcome is to stay unknown: for every other one after the message was delivered.
func (r *demoRun) faults() sim.Faults {
	faults := r.platform.Faults()
	rules := []sim.Rule{{Kind: sim.Drop}, {Kind: sim.Drop, AfterDelivery: true}}
	n := 0
	for _, u := range r.users {
		if u.fate == fateUnknown {
			rules[n%2].OpenIDs = append(rules[n%2].OpenIDs, u.openid)
			n++
		}
	}
	faults.Rules = rules
	return faults
}

// leaveUp says where everything is, and waits for the end.
func (c *cli) leaveUp(ctx context.Context, s *session, d *daemon) error {
	name := "demo-" + time.Now().UTC().Format("20060102-150405.000")
	token, err := newToken(ctx, s.store, s.actor, name, "operator", nil)
	if err != nil {
		return err
	}
	base := "http://" + d.web.Addr()
	c.say("")
	pairs(c.stdout, [][2]string{
		{"API", base + "/api/v1/tasks   (Authorization: Bearer " + token + ")"},
		{"job pages", base + "/ops/jobs/   (any name, the token as password)"},
		{"metrics", base + "/metrics"},
	})
	c.say("Ctrl-C ends the demo.")
	return d.wait(ctx)
}
