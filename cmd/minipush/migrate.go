package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"minipush/internal/config"
	"minipush/internal/store"
)

func (c *cli) migrateCommand() *cobra.Command {
	return group("migrate", "Bring the database to what this version needs", c.migrateUp(), c.migrateStatus(), c.migrateDown())
}

// onDatabase is a command that needs the database but not what is in it. A pooler in between is gone around: migrations hold
// a session lock.
func (c *cli) onDatabase(fn func(ctx context.Context, db *database) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) (err error) {
		loaded, err := c.load()
		if err != nil {
			return err
		}
		c.warnUnknown(loaded)
		cfg := &loaded.Config
		if cfg.Database.DirectURL != "" {
			cfg.Database.URL = cfg.Database.DirectURL
		}
		cfg.Log.Level = "warn"
		db, err := c.openDatabase(cmd.Context(), cfg, config.NewLogger(cfg.Log, c.stderr, terminal(c.stderr)))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.close(cmd.Context())) }()
		return fn(cmd.Context(), db)
	}
}

func (c *cli) migrateUp() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Apply every step that is missing", Args: cobra.NoArgs,
		Long: `Applies what is missing: the tables of the job queue, then ours. Two that run at the same time wait for each other, so every
container may run it before it starts.`,
		RunE: c.onDatabase(func(ctx context.Context, db *database) error {
			if err := store.MigrateUp(ctx, db.store.Pool()); err != nil {
				return err
			}
			return c.showMigrations(ctx, db)
		}),
	}
}

func (c *cli) migrateStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "List the steps, and which are missing", Args: cobra.NoArgs,
		RunE: c.onDatabase(c.showMigrations),
	}
}

func (c *cli) showMigrations(ctx context.Context, db *database) error {
	all, err := store.MigrateStatus(ctx, db.store.Pool())
	if err != nil {
		return err
	}
	return c.answer(map[string]any{"migrations": all}, func(w io.Writer) {
		missing := 0
		rows := make([][]string, len(all))
		for i, m := range all {
			applied := "missing"
			if m.AppliedAt == nil {
				missing++
			} else {
				applied = m.AppliedAt.UTC().Format("2006-01-02 15:04:05Z")
			}
			rows[i] = []string{m.Line, m.Name, applied}
		}
		table(w, []string{"LINE", "STEP", "APPLIED"}, rows)
		fmt.Fprintln(w, yesNo(missing == 0, "the schema is current", plural(missing, "step is", "steps are")+" missing: minipush migrate up"))
	})
}

func (c *cli) migrateDown() *cobra.Command {
	var to int64
	var yes bool
	cmd := &cobra.Command{
		Use: "down", Short: "Take our newest step back, or all above a version", Args: cobra.NoArgs,
		Long: `Takes the newest step back, or with --to all that are above a version; to 0 the tables of the job queue go too. What the tables
of a step hold is lost.`,
		RunE: c.onDatabase(func(ctx context.Context, db *database) error {
			if !yes {
				return usageError{"taking a step back loses what its tables hold; say that it is meant: --yes"}
			}
			target, err := downTarget(ctx, db, to)
			if err != nil {
				return err
			}
			if err := store.MigrateDown(ctx, db.store.Pool(), target); err != nil {
				return err
			}
			return c.showMigrations(ctx, db)
		}),
	}
	cmd.Flags().Int64Var(&to, "to", -1, "take back all above `VERSION`; without it the newest only")
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, lose what the tables hold")
	return cmd
}

// downTarget is the version to go back to: the one named, or the one before the newest that is applied.
func downTarget(ctx context.Context, db *database, to int64) (int64, error) {
	if to >= 0 {
		return to, nil
	}
	all, err := store.MigrateStatus(ctx, db.store.Pool())
	if err != nil {
		return 0, err
	}
	var newest, before int64
	for _, m := range all {
		if m.Line == "minipush" && m.AppliedAt != nil {
			before, newest = newest, m.Version
		}
	}
	if newest == 0 {
		return 0, errors.New("no step of ours is applied: there is nothing to take back")
	}
	return before, nil
}
