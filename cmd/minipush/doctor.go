package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"minipush/internal/config"
	"minipush/internal/push"
	"minipush/internal/store"
)

// finding is the result of one check.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// Warning says that nothing is broken, but that something is missing before messages go out.
	Warning bool   `json:"warning"`
	Detail  string `json:"detail"`
}

func (c *cli) doctorCommand() *cobra.Command {
	var audit bool
	var tasks []int64
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what would keep minipush from working", Args: cobra.NoArgs,
		Long: `Checks the settings, the database (reachable, schema, direct address, durability, clock), whether the secret key opens the app secrets, the workers, and whether the platform of
each app can be reached. It changes nothing. Exit code 1 if a check fails; a warning is no failure.

With --audit it holds the rows of the tasks against the rules of the ledger instead: a permit is reserved exactly for a recipient
that is under way or unknown, and used exactly by one that was sent; the counters of a chunk are its rows; nobody is in a task
twice. It may run beside daemons at work. Exit code 1 if a rule is broken.`,
		Example: `  minipush doctor
  minipush doctor --audit --task 98`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if audit {
				return c.session(func(ctx context.Context, s *session, _ []string) error { return c.audit(ctx, s, tasks) })(cmd, args)
			}
			if len(tasks) > 0 {
				return usageError{"--task is for --audit"}
			}
			findings := c.examine(cmd.Context())
			bad := 0
			rows := make([][]string, len(findings))
			for i, f := range findings {
				if !f.OK {
					bad++
				}
				rows[i] = []string{yesNo(f.OK, yesNo(f.Warning, "WARNING", "ok"), "FAILED"), f.Check, f.Detail}
			}
			if err := c.answer(map[string]any{"checks": findings}, func(w io.Writer) { table(w, []string{"", "CHECK", "DETAIL"}, rows) }); err != nil {
				return err
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d checks failed", bad, len(findings))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&audit, "audit", false, "hold the rows of the tasks against the rules of the ledger")
	cmd.Flags().Int64SliceVar(&tasks, "task", nil, "audit the task `ID` only; may be given several times")
	return cmd
}

// examine makes all checks. One that the next ones need ends it.
func (c *cli) examine(ctx context.Context) []finding {
	var all []finding
	note := func(check, detail string, err error) bool {
		if err != nil {
			detail = err.Error()
		}
		all = append(all, finding{Check: check, OK: err == nil, Detail: detail})
		return err == nil
	}
	loaded, err := c.load()
	if !note("settings", "valid", err) {
		return all
	}
	cfg := &loaded.Config
	cfg.Log.Level = "error"
	db, err := c.openDatabase(ctx, cfg, config.NewLogger(cfg.Log, c.stderr, terminal(c.stderr)))
	if !note("database", "reachable", err) {
		return all
	}
	defer func() { _ = db.close(ctx) }() // nothing was written
	if db.private != nil {
		note("private postgres", db.private.DataDir(), nil)
	}
	key, err := db.key()
	note("secret key", yesNo(cfg.SecretKey.Reveal() == "", "made here, beside the private postgres", "given"), err)
	if !note("schema", "current", db.requireSchema(ctx)) {
		return all
	}
	if key != nil {
		note("app secrets", "the secret key opens them", checkSecrets(ctx, db.store, key))
	}
	note("direct address", "reaches the same database", sameDatabase(ctx, db))
	note("durability", "fsync, synchronous_commit and full_page_writes are on", durable(ctx, db))
	skew, err := clockSkew(ctx, db)
	note("clock", fmt.Sprintf("%s apart from the database's", skew.Round(10*time.Microsecond)), err)
	workers, err := findWorkers(ctx, db.store)
	if note("workers", workers.text(), err) {
		all[len(all)-1].Warning = workers.live == 0
	}
	queues, err := db.store.PausedQueues(ctx)
	if note("job queues", queuesText(queues), err) {
		all[len(all)-1].Warning = len(queues) > 0
	}
	broken, err := db.store.Breakers(ctx)
	if note("breakers", breakersText(broken), err) {
		all[len(all)-1].Warning = len(broken) > 0
	}
	apps, err := db.store.Apps(ctx)
	if err != nil {
		note("platform", "", err)
	}
	if paused := pausedApps(apps); len(paused) > 0 {
		note("paused apps", strings.Join(paused, "; "), nil)
		all[len(all)-1].Warning = true
	}
	for _, app := range apps {
		note("platform of "+app.Key, app.BaseURL, reachable(ctx, app.BaseURL))
	}
	return all
}

// pausedApps says of each app whose kill switch is on how it goes on.
func pausedApps(apps []push.App) (texts []string) {
	for _, a := range apps {
		if a.PausedAt != nil {
			texts = append(texts, fmt.Sprintf("%s is %s; minipush app resume %s", a.Key, switchText(a), a.Key))
		}
	}
	return texts
}

// queuesText says which queues were paused in the pages of the job table: nothing else would say why their tasks stand still.
func queuesText(paused []string) string {
	if len(paused) == 0 {
		return "none is paused"
	}
	return fmt.Sprintf("paused in the job pages: %s; tasks stand still until it is resumed at /ops/jobs/queues", strings.Join(paused, ", "))
}

// breakersText says for how many apps the platform does not answer, and by what.
func breakersText(open []store.Breaker) string {
	if len(open) == 0 {
		return "none is open"
	}
	return fmt.Sprintf("%d open: the platform does not answer (%s); it is tried again by itself", len(open), open[0].Reason)
}

// sameDatabase checks that the direct address leads to the same database of the same cluster.
func sameDatabase(ctx context.Context, db *database) error {
	direct := db.cfg.Database.DirectURL.Reveal()
	if direct == "" {
		return nil
	}
	conn, err := pgx.Connect(ctx, direct)
	if err != nil {
		return errors.New("MINIPUSH_DATABASE_DIRECT_URL cannot be reached")
	}
	defer conn.Close(ctx)
	const who = `SELECT current_database() || ' ' || (SELECT oid FROM pg_database WHERE datname = current_database())
		|| ' ' || coalesce(pg_postmaster_start_time()::text, '')`
	var here, there string
	if err := errors.Join(db.store.Pool().QueryRow(ctx, who).Scan(&here), conn.QueryRow(ctx, who).Scan(&there)); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if here != there {
		return errors.New("MINIPUSH_DATABASE_DIRECT_URL leads to another database than MINIPUSH_DATABASE_URL")
	}
	return nil
}

// durable checks that a commit survives a crash: what was written before a call must be there after it (invariant 2).
func durable(ctx context.Context, db *database) error {
	var off []string
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := db.store.Pool().QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if value == "off" {
			off = append(off, name)
		}
	}
	if len(off) > 0 {
		return fmt.Errorf("%v is off: a crash of the database can lose what was written before a message went out", off)
	}
	return nil
}

// maxSkew is how far the clocks may be apart before times that people see mislead them.
const maxSkew = 2 * time.Second

func clockSkew(ctx context.Context, db *database) (time.Duration, error) {
	before := time.Now()
	var theirs time.Time
	if err := db.store.Pool().QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return 0, fmt.Errorf("read the database's clock: %w", err)
	}
	after := time.Now()
	skew := theirs.Sub(before.Add(after.Sub(before) / 2)).Abs()
	if skew > maxSkew {
		return skew, fmt.Errorf("this machine and the database are %s apart; set both by NTP", skew.Round(time.Millisecond))
	}
	return skew, nil
}

// reachable asks for any answer at all: what the platform says without a token does not matter.
func reachable(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return fmt.Errorf("its address is not valid: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("it cannot be reached: %w", err)
	}
	return resp.Body.Close()
}
