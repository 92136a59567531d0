package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"riverqueue.com/riverui"

	"minipush/internal/dispatch"
	"minipush/internal/store"
	"minipush/internal/web/api"
	"minipush/internal/web/auth"
	"minipush/internal/web/console"
)

// Config says where to listen and how to answer. Zero values are replaced by the defaults named.
type Config struct {
	// Addr is where everything is served, for example "127.0.0.1:8080"; port 0 lets the system pick one.
	Addr string
	// OpsAddr, where set, serves /healthz, /readyz and /metrics, which are then not served at Addr.
	OpsAddr string
	// OpsOnly serves /healthz, /readyz and /metrics and nothing else: for a daemon that only works.
	OpsOnly bool
	// Location is the time zone of times in answers. Default UTC.
	Location *time.Location
	// Now is the clock of the console. Default time.Now.
	Now func() time.Time
	// MaxUpload bounds an uploaded list, in bytes. Default 100 MiB.
	MaxUpload int64
	// CallTimeout bounds a call of the API that does not stream. Default 30 s.
	CallTimeout time.Duration
	// Stall is how long an upload or a download may stand still. Default 1 min.
	Stall time.Duration
	// ShutdownTimeout is how long requests in flight are waited for at the end. Default 20 s.
	ShutdownTimeout time.Duration
	// Tokens tunes the checking of tokens.
	Tokens auth.Config
	// Sessions tunes logins to the console. Its key is that of the dispatcher where it has none.
	Sessions auth.SessionConfig
	// OIDC is where people may sign in besides; without an issuer, nowhere.
	OIDC auth.OIDCConfig
}

// Server serves HTTP. Make it with New, then call Serve once.
type Server struct {
	cfg      Config
	d        *dispatch.Dispatcher
	store    *store.Store
	log      *slog.Logger
	api      *api.API
	console  *console.Console
	tokens   *auth.Tokens
	sessions *auth.Sessions
	jobs     *riverui.Handler
	metrics  *metrics
	pushes   *semaphore.Weighted
	schema   schemaCheck
	stopping atomic.Bool

	main, ops     *http.Server
	mainLn, opsLn net.Listener
}

// New opens the addresses, so that they are known and taken before anything is served, and builds the route table.
// After an error nothing is left open. Without a call of Serve, Close gives the addresses back.
func New(cfg Config, d *dispatch.Dispatcher, st *store.Store, log *slog.Logger) (*Server, error) {
	cfg.ShutdownTimeout = cmp.Or(cfg.ShutdownTimeout, 20*time.Second)
	cfg.CallTimeout = cmp.Or(cfg.CallTimeout, 30*time.Second)
	s := &Server{cfg: cfg, d: d, store: st, log: log, pushes: semaphore.NewWeighted(maxPushes)}
	s.tokens = auth.New(cfg.Tokens, st, log)
	s.api = api.New(api.Config{Location: cfg.Location, MaxUpload: cfg.MaxUpload, Timeout: cfg.CallTimeout, Stall: cfg.Stall}, d, st, s.tokens, log)
	s.metrics = newMetrics(d, st, log)
	cfg.Sessions.Key, cfg.OIDC.Key = cmp.Or(cfg.Sessions.Key, d.Key()), cmp.Or(cfg.OIDC.Key, d.Key())
	s.sessions = auth.NewSessions(cfg.Sessions, st, log)
	var err error
	if s.console, err = console.New(console.Config{Location: cfg.Location, Timeout: cfg.CallTimeout, MaxUpload: cfg.MaxUpload, Stall: cfg.Stall, Now: cfg.Now, OIDC: auth.NewOIDC(cfg.OIDC, log)}, d, st, s.sessions, log); err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	if s.jobs, err = newJobPages(d, log); err != nil {
		return nil, fmt.Errorf("make job pages: %w", err)
	}
	if s.mainLn, err = listen(cfg.Addr); err != nil {
		return nil, err
	}
	var routes []api.Route
	if !cfg.OpsOnly {
		routes = s.serviceRoutes()
	}
	if cfg.OpsAddr == "" {
		routes = append(routes, s.opsRoutes()...)
	} else {
		if s.opsLn, err = listen(cfg.OpsAddr); err != nil {
			_ = s.mainLn.Close()
			return nil, err
		}
		s.ops = s.newHTTPServer(s.opsRoutes())
	}
	s.main = s.newHTTPServer(routes)
	s.main.RegisterOnShutdown(s.console.EndStreams)
	return s, nil
}

func listen(addr string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // it says the address once more
		}
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln, nil
}

func (s *Server) newHTTPServer(routes []api.Route) *http.Server {
	return &http.Server{
		Handler: s.wrap(s.mux(routes)),
		// Reads and writes are bounded request by request in wrap: an upload may be long, but may not stand still.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Addr is the address that is served, with the port that the system picked.
func (s *Server) Addr() string { return s.mainLn.Addr().String() }

// OpsAddr is the address of health and metrics; Addr where they are not bound apart.
func (s *Server) OpsAddr() string {
	if s.opsLn == nil {
		return s.Addr()
	}
	return s.opsLn.Addr().String()
}

// Close gives the addresses back without having served.
func (s *Server) Close() error {
	err := s.mainLn.Close()
	if s.opsLn != nil {
		err = errors.Join(err, s.opsLn.Close())
	}
	return err
}

// Serve serves until ctx ends, then stops cleanly: /readyz says no, no connection is taken any more, requests in flight are
// waited for up to ShutdownTimeout and then cut off. It returns nil after a stop, and an error if it could not serve.
func (s *Server) Serve(ctx context.Context) error {
	jobsCtx, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJobs()
	if err := s.jobs.Start(jobsCtx); err != nil {
		return errors.Join(fmt.Errorf("start job pages: %w", err), s.Close())
	}
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(s.main, s.mainLn) })
	if s.ops != nil {
		group.Go(func() error { return serve(s.ops, s.opsLn) })
	}
	group.Go(func() error {
		<-failed.Done()
		return s.shutdown(context.WithoutCancel(ctx))
	})
	return group.Wait()
}

func serve(server *http.Server, ln net.Listener) error {
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// shutdown ends the main server first: health and metrics are answered to the last.
func (s *Server) shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ShutdownTimeout)
	defer cancel()
	started := time.Now()
	err := stop(ctx, s.main, s.log)
	if s.ops != nil {
		err = errors.Join(err, stop(ctx, s.ops, s.log))
	}
	s.log.InfoContext(ctx, "http stopped", slog.Duration("duration", time.Since(started)))
	return err
}

// stop waits for the requests of a server until ctx ends, and cuts off those that are left: a download that takes minutes
// must not make the stop of a daemon fail.
func stop(ctx context.Context, server *http.Server, log *slog.Logger) error {
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.WarnContext(ctx, "requests cut off at the stop")
		err = server.Close()
	}
	if err != nil {
		return fmt.Errorf("stop http: %w", err)
	}
	return nil
}
