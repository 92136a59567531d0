package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// reachOptions are the flags of reach; the workload is that of the other measurements.
type reachOptions struct{ answers int }

const (
	reachCount  = 15 * time.Second       // the bar of a count
	reachAnswer = 300 * time.Millisecond // the bar of an answer
)

// reachStock fills an app with users, permits of both channels in an order that has nothing to do with that of the users, and two tasks to
// all of them. $1 stands for how many users, $2 for how many permits each: formIds, and counters of as many templates.
const reachStock = `
	INSERT INTO template (app_id, template_id, name, channel, page, fields) SELECT a.id, 'counted' || k, 'n', 'subscribe', '', '[]' FROM app a, generate_series(1, $2::int) k;
	INSERT INTO app_user (app_id, user_id, openid) SELECT a.id, 'u' || g * 7919 % $1, 'o' || md5((g * 7919 % $1)::text) FROM app a, generate_series(1, $1::bigint) g;
	INSERT INTO form_id (app_id, user_id, form_id, source, submitted_at, expires_at)
		SELECT a.id, 'u' || g * 104729 % $1, md5(g::text), 1, now(), now() + random() * interval '7 days' FROM app a, generate_series(1, $1::bigint * $2) g;
	INSERT INTO subscription (app_id, openid, template_id, available)
		SELECT a.id, 'o' || md5((g * 104729 % $1)::text), 'counted' || (g - 1) / $1 + 1, 2 FROM app a, generate_series(1, $1::bigint * $2) g;
	INSERT INTO task (app_id, template_id, audience, created_by) SELECT a.id, t, 'list', 'bench' FROM app a, unnest(ARRAY[(SELECT template_id FROM template WHERE channel = 'form_id'), 'counted1']) t;
	INSERT INTO audience (task_id, state, created_by, total, accepted) SELECT id, 'ready', 'bench', $1, $1 FROM task ORDER BY id;
	UPDATE task SET audience_id = (SELECT id FROM audience WHERE task_id = task.id);
	INSERT INTO recipient (audience_id, seq, user_id) SELECT a.id, g - 1, 'u' || g * 15485863 % $1 FROM audience a, generate_series(1, $1::bigint) g`

func reachCommand() *cobra.Command {
	opt := options{inFlight: 500, perJobRecipients: 1, regimeRecipients: 1, reach: &reachOptions{}}
	cmd := &cobra.Command{
		Use: "reach", Short: "Measure counting who can be reached, without statistics and with fresh ones, and the answers meanwhile", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, opt, func(ctx context.Context, b *bench, r *report) error { return b.runReach(ctx, r) })
		},
	}
	cmd.Flags().IntVar(&opt.recipients, "recipients", 1_000_000, "recipients of each task, all users of the app")
	cmd.Flags().IntVar(&opt.perUser, "per-user", 3, "formIds a user, and templates for which each has a counter")
	cmd.Flags().IntVar(&opt.reach.answers, "answers", 200, "answers to ask for while a count runs")
	common(cmd, &opt, 1)
	return cmd
}

func (b *bench) runReach(ctx context.Context, r *report) (err error) {
	if err := b.pg.set(ctx, "autovacuum", "off"); err != nil {
		return err
	}
	db, err := b.pg.create(ctx, "reach")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.drop(context.WithoutCancel(ctx))) }()
	run, err := b.newRun(ctx, db, nowhere)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.daemon.stop()) }()
	b.log.say("storing %d users, %d permits of each channel", b.opt.recipients, b.opt.recipients*b.opt.perUser)
	if err := run.stockReach(ctx); err != nil {
		return err
	}
	for _, stats := range []regime{absentStats, freshStats} {
		if stats == freshStats {
			if _, err := db.pool.Exec(ctx, `ANALYZE`); err != nil {
				return fmt.Errorf("analyse: %w", err)
			}
		}
		for task, channel := range []string{"form_id", "subscribe"} {
			count, p99, err := run.countReach(ctx, task+1)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", channel, stats, err)
			}
			name := fmt.Sprintf("%s, %s: ", channel, stats)
			r.Figures = append(r.Figures, atMost(name+"count, s", count.Seconds(), reachCount.Seconds(), "%.1f"),
				atMost(name+"answer meanwhile, p99, ms", p99.Seconds()*1000, reachAnswer.Seconds()*1000, "%.0f"))
		}
	}
	return nil
}

// stockReach runs reachStock: several statements, which take no parameters.
func (r *run) stockReach(ctx context.Context) error {
	numbers := strings.NewReplacer("$1", strconv.Itoa(r.b.opt.recipients), "$2", strconv.Itoa(r.b.opt.perUser))
	if _, err := r.db.pool.Exec(ctx, numbers.Replace(reachStock)); err != nil {
		return fmt.Errorf("store permits: %w", err)
	}
	return nil
}

// countReach asks for a count and, until it is there, for answers. It returns how long the count was in the asker's eyes, and the 99th
// percentile of the answers.
func (r *run) countReach(ctx context.Context, task int) (count, p99 time.Duration, err error) {
	path := fmt.Sprintf("/api/v1/tasks/%d/reach", task)
	begun := time.Now()
	if _, err := r.daemon.call(ctx, http.MethodPost, path, "application/json", nil); err != nil {
		return 0, 0, err
	}
	var took []time.Duration
	for counting := true; counting || len(took) < r.b.opt.reach.answers; {
		asked := time.Now()
		text, err := r.daemon.call(ctx, http.MethodGet, path, "", nil)
		if err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(asked))
		var answer struct {
			Counting  bool `json:"counting"`
			Total     int  `json:"total"`
			Reachable int  `json:"reachable"`
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return 0, 0, fmt.Errorf("read reach: %w", err)
		}
		if counting && !answer.Counting {
			count = time.Since(begun)
			if answer.Total != r.b.opt.recipients || answer.Reachable == 0 {
				return 0, 0, fmt.Errorf("%d of %d are reachable, of %d", answer.Reachable, answer.Total, r.b.opt.recipients)
			}
		}
		counting = answer.Counting
		time.Sleep(max(0, 20*time.Millisecond-time.Since(asked))) // fifty a second, as many people looking at once would ask
	}
	slices.Sort(took)
	return count, took[(len(took)*99-1)/100], nil
}
