package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"minipush/internal/config"
	"minipush/internal/web"
	"minipush/internal/web/auth"
)

// stopWithin bounds the stop of a daemon. It is below the grace of containers: what is left then is killed, and goes on elsewhere.
const stopWithin = 14 * time.Second

func (c *cli) serveCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the daemon: the HTTP API and the workers that send", Args: cobra.NoArgs,
		Long: `Runs the daemon until SIGTERM or Ctrl-C. Then nothing new starts, calls in flight finish and are recorded, and it ends within
15 seconds. A second signal kills it; whatever it was doing goes on in another daemon, or after the next start.

--role web serves the API only; --role worker sends and runs the cron entries, and serves health and metrics beside. Any number of
daemons of any role may run on one database.`,
		Example: `  minipush serve
  MINIPUSH_DATABASE_URL=postgres://… MINIPUSH_HTTP_ADDR=0.0.0.0:8080 minipush serve --role web`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role != "all" && role != "web" && role != "worker" {
				return usageError{fmt.Sprintf("--role is %q; it must be all, web or worker", role)}
			}
			return c.serve(cmd.Context(), role)
		},
	}
	cmd.Flags().StringVar(&role, "role", "all", "`ROLE` of this daemon: all, web or worker")
	return cmd
}

// serve is the composition root: settings → database → schema → application → HTTP, and back in the other direction.
func (c *cli) serve(ctx context.Context, role string) (err error) {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	log := config.NewLogger(loaded.Config.Log, c.stderr, terminal(c.stderr))
	c.tuneMemory()
	for _, name := range loaded.Unknown {
		log.WarnContext(ctx, "variable names no setting", slog.String("name", name))
	}
	var db *database
	err = step(ctx, log, "open database", func() error {
		db, err = c.openDatabase(ctx, &loaded.Config, log)
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, step(context.WithoutCancel(ctx), log, "close database", func() error { return db.close(ctx) }))
	}()
	if err := step(ctx, log, "check schema", func() error { return db.requireSchema(ctx) }); err != nil {
		return err
	}
	s, err := c.newSession(&loaded.Config, db, log)
	if err != nil {
		return err
	}
	if err := checkSecrets(ctx, db.store, s.dispatch.Key()); err != nil { // the other apps can be served
		log.ErrorContext(ctx, "app secrets cannot be opened", slog.Any("err", err))
	}
	d, err := startDaemon(ctx, s, role)
	if err != nil {
		return err
	}
	return errors.Join(d.wait(ctx), d.stop(ctx))
}

// gcPercent lets the heap grow to three times what is live before it is collected. A sending daemon's live heap is small, some
// tens of megabytes with 500 calls in flight, and a call allocates much that is soon dead: collecting half as often gives about
// a tenth of the processor back. GOGC in the environment wins.
const gcPercent = 200

func (c *cli) tuneMemory() {
	if !slices.ContainsFunc(c.environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		debug.SetGCPercent(gcPercent)
	}
}

// step does one part of the start or the stop, and logs how long it took.
func step(ctx context.Context, log *slog.Logger, what string, do func() error) error {
	start := time.Now()
	err := do()
	if err == nil {
		log.InfoContext(ctx, "step done", slog.String("step", what), slog.Duration("duration", time.Since(start)))
	}
	return err
}

// daemon is a running application: the workers, where its role has them, and the HTTP server.
type daemon struct {
	s      *session
	works  bool
	web    *web.Server
	hangUp context.CancelFunc
	ended  chan error
}

// startDaemon starts the workers and then the HTTP server: who reaches the port can be served.
func startDaemon(ctx context.Context, s *session, role string) (*daemon, error) {
	d := &daemon{s: s, works: role != "web", ended: make(chan error, 1)}
	// The signal must not reach the parts by their context: it would cut calls in flight. They are stopped by name, in order.
	ctx = context.WithoutCancel(ctx)
	server, err := web.New(webConfig(s, role), s.dispatch, s.store, s.log) //nolint:contextcheck // to open an address takes no time
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hintError{
			fmt.Errorf("the address is taken: %w", err),
			"Choose another, for example: MINIPUSH_HTTP_ADDR=127.0.0.1:8081 (port 0: the system picks one)",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	d.web = server
	if d.works {
		if err := step(ctx, s.log, "start workers", func() error { return s.dispatch.Start(ctx) }); err != nil {
			return nil, errors.Join(fmt.Errorf("start workers: %w", err), server.Close())
		}
	}
	serving, hangUp := context.WithCancel(ctx)
	d.hangUp = hangUp
	go func() { d.ended <- server.Serve(serving) }()
	s.log.InfoContext(ctx, "serving", slog.String("addr", server.Addr()), slog.String("role", role))
	return d, nil
}

// wait returns when the signal comes, or when the server has failed.
func (d *daemon) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		d.s.log.InfoContext(ctx, "daemon stopping", slog.Int("in_flight", d.s.dispatch.InFlight()))
		return nil
	case err := <-d.ended:
		d.ended <- err
		return fmt.Errorf("serve: %w", err)
	}
}

// stop ends the HTTP server (not ready first, then no new request, then the ones under way) and the workers side by side: an
// answer that is being written does not wait for a chunk, and a chunk not for an answer.
func (d *daemon) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	var parts errgroup.Group
	parts.Go(func() error {
		return step(ctx, d.s.log, "stop http", func() error {
			d.hangUp()
			select {
			case err := <-d.ended:
				return err
			case <-ctx.Done():
				return fmt.Errorf("stop http: %w", ctx.Err())
			}
		})
	})
	if d.works {
		parts.Go(func() error {
			return step(ctx, d.s.log, "stop workers", func() error { return d.s.dispatch.Stop(ctx) })
		})
	}
	return parts.Wait()
}

// webConfig is the settings in the words of package web. A worker serves no API: its address answers health and metrics.
func webConfig(s *session, role string) web.Config {
	return web.Config{
		Addr: s.cfg.HTTP.Addr, OpsAddr: s.cfg.HTTP.OpsAddr, OpsOnly: role == "worker", Location: s.clock.loc, MaxUpload: int64(s.cfg.Import.MaxFileBytes),
		ShutdownTimeout: stopWithin - 2*time.Second,
		OIDC: auth.OIDCConfig{
			Issuer: s.cfg.OIDC.Issuer, ClientID: s.cfg.OIDC.ClientID, ClientSecret: s.cfg.OIDC.ClientSecret.Reveal(),
			Scopes: strings.Fields(s.cfg.OIDC.Scopes), Label: strings.TrimSpace(s.cfg.OIDC.Label),
		},
	}
}
