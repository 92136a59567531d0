package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/config"
	"minipush/internal/dispatch"
	"minipush/internal/intake"
	"minipush/internal/store"
)

// session is what a command works with: the settings, the database and the application over it.
type session struct {
	cfg      config.Config
	log      *slog.Logger
	store    *store.Store
	dispatch *dispatch.Dispatcher
	clock    clock
	// actor is who is written down as the maker or sender of a task.
	actor string
	// action is what the command is called in the audit log; empty where it changes nothing.
	action string
}

// session makes the body of a command that needs the application: it opens all of it, runs fn, and closes it again.
func (c *cli) session(fn func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		ctx := cmd.Context()
		loaded, err := c.load()
		if err != nil {
			return err
		}
		c.warnUnknown(loaded)
		if level := loaded.Config.Log.Level; level == "info" || level == "warn" {
			loaded.Config.Log.Level = "error" // a command says what it did itself; serve is the one that logs
		}
		log := config.NewLogger(loaded.Config.Log, c.stderr, terminal(c.stderr))
		db, err := c.openDatabase(ctx, &loaded.Config, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.close(ctx)) }()
		if err := db.requireSchema(ctx); err != nil {
			return err
		}
		s, err := c.newSession(&loaded.Config, db, log)
		if err != nil {
			return err
		}
		s.action = auditAction(cmd)
		return fn(store.WithCaller(ctx, s.caller().Caller()), s, args)
	}
}

// newSession puts the application together over an open database.
func (c *cli) newSession(cfg *config.Config, db *database, log *slog.Logger) (*session, error) {
	loc, err := cfg.Location()
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	key, err := db.key()
	if err != nil {
		return nil, err
	}
	dc := dispatchConfig(cfg)
	dc.Location, dc.Key = loc, key
	dc.DirectURL = cmp.Or(cfg.Database.DirectURL.Reveal(), db.url)
	d, err := dispatch.New(dc, db.store, log)
	if err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	return &session{cfg: *cfg, log: log, store: db.store, dispatch: d, clock: clock{loc}, actor: c.actor()}, nil
}

// dispatchConfig is the settings in the words of package dispatch, which takes zero for "the default": where a setting allows
// zero to mean none, that is said with a negative.
func dispatchConfig(cfg *config.Config) dispatch.Config {
	margin := cfg.Send.PermitMargin
	if margin == 0 {
		margin = -time.Second
	}
	canary := cfg.Breaker.CanarySent
	if canary == 0 {
		canary = -1
	}
	host, err := os.Hostname()
	if err != nil {
		host = "minipush"
	}
	return dispatch.Config{
		ChunkSize: cfg.Send.ChunkSize, Workers: cfg.Send.Workers, InFlight: cfg.Send.InFlight, Window: cfg.Send.Window,
		CallTimeout: cfg.Send.CallTimeout, PermitMargin: margin, ResendWait: cfg.Send.ResendWait,
		LateGrace: cfg.Schedule.LateGrace, SkipGrace: cfg.Schedule.SkipGrace,
		Canary: dispatch.CanaryConfig{Sent: canary, Refused: cfg.Breaker.CanaryRefused},
		Breaker: dispatch.BreakerConfig{
			Window: cfg.Breaker.Window, FailedPercent: cfg.Breaker.FailedPercent, UnpermittedPercent: cfg.Breaker.UnpermittedPercent, Refused: cfg.Breaker.Refused,
			TroublePercent: cfg.Breaker.TroublePercent, TroubleFor: cfg.Breaker.TroubleFor,
			ProbeFirst: cfg.Breaker.ProbeFirst, ProbeMax: cfg.Breaker.ProbeMax, Used: cfg.Breaker.UsedFormIDs,
		},
		CronStartDue: cfg.Cron.StartDueTasks, CronExpire: cfg.Cron.ExpireFormIDs, CronPurge: cfg.Cron.Purge,
		NodeName: fmt.Sprintf("%s/%d", host, os.Getpid()),
		Retention: dispatch.Retention{
			FormIDs: cfg.Retention.FormIDs, Recipients: cfg.Retention.Recipients,
			ListVersions: cfg.Retention.ListVersions, IdempotencyKeys: cfg.Retention.IdempotencyKeys, Jobs: cfg.Retention.Jobs,
		},
		Import: intake.Limits{
			MaxFileBytes: int64(cfg.Import.MaxFileBytes), MaxUnpackedBytes: int64(cfg.Import.MaxUnpackedBytes),
			MaxColumns: cfg.Import.MaxColumns, MaxCellBytes: int(cfg.Import.MaxCellBytes),
		},
		BatchRows: cfg.Import.BatchRows,
	}
}

// actor is who is written down for what this command does: the account that runs it.
func (c *cli) actor() string {
	name := c.env("USER")
	if account, err := user.Current(); err == nil && name == "" {
		name = account.Username
	}
	return "cli:" + cmp.Or(name, "unknown")
}
