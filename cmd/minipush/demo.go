package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/config"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

const (
	demoApp   = "demo"
	demoAppID = "wxdemo"
	// demoLogin is the login of the demo's account for the console.
	demoLogin = "demo"
)

func (c *cli) demoCommand() *cobra.Command {
	var once bool
	var seed uint64
	channel := string(push.ChannelFormID)
	cmd := &cobra.Command{
		Use: "demo", Short: "See it work: 638 users, a simulated platform, the results", Args: cobra.NoArgs,
		Long: `Starts a private Postgres and a simulated platform, sends the original's task to 638 users, and shows what became of each:
560 sent (30 of them with their second formId, the first being dead), 30 without a permit, 20 without an openid, 8 whose
outcome is unknown because the platform's answer never came, 20 with dead formIds only. Then the console, the API and the job pages stay up until Ctrl-C.

With --channel subscribe the same 638 users get a subscribe message, and the platform reports by signed events what it delivered: 560 sent and
delivered (30 of them known by the event only, the answer never having come), 30 without a permit, 20 without an openid, 8 unknown because
neither answer nor event came, 20 refused by the platform (43101) although a unit was left.

It has a data directory of its own, in "demo" under the data directory, and ignores MINIPUSH_DATABASE_URL: it touches nothing of
yours. It can be run again and again.`,
		Example: `  minipush demo
  minipush demo --once      end by itself; exit code 0 only if everybody ended as said, by the platform's ledger too
  minipush demo --channel subscribe --once`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, ok := plays()[push.Channel(channel)]
			if !ok {
				return usageError{fmt.Sprintf("--channel is %q; it must be form_id or subscribe", channel)}
			}
			return c.demo(cmd.Context(), p, once, seed)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end by itself, and check the result against what the platform received")
	cmd.Flags().StringVar(&channel, "channel", channel, "`CHANNEL` of the messages: form_id or subscribe")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "order of the users in the list")
	return cmd
}

// demo is one run: platform → database → daemon → task → watch → check.
func (c *cli) demo(ctx context.Context, p play, once bool, seed uint64) (err error) {
	cfg, release, err := c.demoConfig()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
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
	run := &demoRun{cli: c, s: s, platform: platform, play: p, address: "http://" + d.web.Addr(), users: demoUsers(time.Now(), seed)}
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

// demoConfig is the settings with what the demo must have for itself. The caller releases its directory.
func (c *cli) demoConfig() (_ *config.Config, release func() error, _ error) {
	loaded, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	cfg := loaded.Config
	dir, err := cfg.ResolveDataDir(runtime.GOOS, os.Geteuid(), c.environ)
	if err != nil {
		return nil, nil, fmt.Errorf("settings: %w", err)
	}
	if cfg.Database.URL != "" {
		c.say("the demo has a database of its own and leaves the one of MINIPUSH_DATABASE_URL alone")
	}
	cfg.Database.URL, cfg.Database.DirectURL, cfg.SecretKey = "", "", ""
	if cfg.DataDir, release, err = demoDir(dir); err != nil {
		return nil, nil, err
	}
	if filepath.Base(cfg.DataDir) != "demo" {
		c.say("another demo is running; this one has its data in %s", cfg.DataDir)
	}
	cfg.HTTP.OpsAddr = ""
	if cfg.Log.Level == "info" {
		cfg.Log.Level = "error" // dropped connections are part of the play
	}
	return &cfg, release, nil
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

// leaveUp says where everything is, and waits for the end.
func (c *cli) leaveUp(ctx context.Context, s *session, d *daemon) error {
	name := "demo-" + time.Now().UTC().Format("20060102-150405.000")
	token, err := newToken(ctx, s.store, s.actor, name, "operator", nil)
	if err != nil {
		return err
	}
	password, err := demoAccount(ctx, s)
	if err != nil {
		return err
	}
	base := "http://" + d.web.Addr()
	err = c.answer(map[string]string{"url": base, "token": token, "console": base + "/console/", "login": demoLogin, "password": password}, func(w io.Writer) {
		fmt.Fprintln(w)
		pairs(w, [][2]string{
			{"console", base + "/console/"},
			{"", "log in as " + demoLogin + " with the password " + password},
			{"API", base + "/api/v1/tasks"},
			{"job pages", base + "/ops/jobs/"},
			{"metrics", base + "/metrics"},
			{"login", "Authorization: Bearer " + token},
			{"", "for the job pages: any name, the token as password"},
		})
		fmt.Fprintln(w, "Ctrl-C ends the demo.")
	})
	return errors.Join(err, d.wait(ctx))
}

// demoAccount makes the account that may see and do everything in the console, or gives the one of an earlier run a new password.
func demoAccount(ctx context.Context, s *session) (password string, err error) {
	password = auth.NewPassword()
	_, err = s.store.AccountByLogin(ctx, demoLogin)
	if errors.Is(err, push.ErrNotFound) {
		_, err = auth.AddAccount(ctx, s.store, s.caller(), store.Account{Login: demoLogin, Name: "演示", Role: "admin"}, password)
		return password, err
	}
	if err != nil {
		return "", err
	}
	return password, auth.ResetPassword(ctx, s.store, s.caller(), demoLogin, password)
}
