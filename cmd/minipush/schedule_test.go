package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store/storetest"
)

var ( //nolint:gochecknoglobals // flags
	tickSeed      = flag.Int64("tick-seed", 0, "the seed of the kills among the ticks; 0 takes one of the clock")
	tickSchedules = flag.Int("tick-schedules", 30, "schedules of ten ticks each among the kills; 100 is the long form")
)

// The bar of recurring tasks: many ticks (1,000 in the long form), two daemons that are killed at random moments: each tick fires once. The
// rows say so, and so does the platform: each task's one message arrived once (invariants 1, 7 and 11).
func TestSchedule_ManyTicks_TwoDaemonsKilledAtRandom_EachFiresOnce(t *testing.T) {
	t.Parallel()
	const rounds = 10
	schedules := *tickSchedules
	seed := *tickSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("seed: -tick-seed=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // it must repeat
	s := newStage(t, sim.Faults{})
	user := s.people(t, "u", 1)[0]
	var permits strings.Builder
	permits.WriteString("user_id,form_id,source\n")
	for _, p := range s.platform.Mint("wxshop", []string{"o-" + user}, schedules*rounds, 0) {
		fmt.Fprintf(&permits, "%s,%s,1\n", user, p.FormID)
	}
	s.feed(t, permits.String(), "permit", "import", "-", "--app", "shop")
	s.run(t, "schedule", "create", "--app", "shop", "--name", "s1", "--cron", "0 0 1 1 *", "--template", testTemplate, "--topic", "s1", "--product", "1989")
	s.run(t, "schedule", "resume", "1")
	db := storetest.Connect(t, s.databaseURL)
	exec := func(query string, args ...any) {
		t.Helper()
		_, err := db.Exec(t.Context(), query, args...)
		require.NoError(t, err)
	}
	// On one connection: each look of the stage's own takes another.
	count := func(query string) (n int) {
		require.NoError(t, db.QueryRow(t.Context(), query).Scan(&n))
		return n
	}
	exec(`INSERT INTO schedule (app_id, name, cron, time_zone, task, next_at, created_by, enabled_by)
		SELECT app_id, 's' || n, cron, time_zone, jsonb_set(task, '{topic}', to_jsonb('s' || n)), next_at, created_by, enabled_by
		  FROM schedule, generate_series(2, $1::int) n`, schedules)

	daemons := []*daemon{s.serve(t), s.serve(t)}
	kills, base := 0, time.Now().Truncate(time.Minute)
	for round := range rounds {
		// Each schedule has one tick due, a minute before that of the round before.
		exec(`UPDATE schedule SET next_at = at, cron = to_char(at AT TIME ZONE time_zone, 'FMMI FMHH24 * * *')
			FROM (SELECT $1::timestamptz AS at) x`, base.Add(-time.Duration(round)*time.Minute))
		for range random.IntN(3) {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond) // the moment of the kill, not a wait for something
			i := random.IntN(len(daemons))
			daemons[i].kill()
			kills++
			daemons[i] = s.serve(t)
		}
		require.Eventually(t, func() bool { return count(`SELECT count(*) FROM schedule WHERE next_at <= now()`) == 0 }, patience, 20*time.Millisecond)
	}
	ticks := schedules * rounds
	require.Equal(t, ticks, count(`SELECT count(*) FROM schedule_tick WHERE outcome = 'sent'`))
	require.Equal(t, ticks, count(`SELECT count(*) FROM schedule_tick`))
	require.Equal(t, ticks, count(`SELECT count(DISTINCT task_id) FROM schedule_tick`))
	require.Equal(t, ticks, count(`SELECT count(*) FROM task`), "a task of each tick, and no other")
	require.Eventually(t, func() bool { return count(`SELECT count(*) FROM task WHERE state <> 'done'`) == 0 }, 2*patience, 100*time.Millisecond)
	byTopic := map[string]int{}
	for m := range s.platform.Ledger(sim.Filter{}) {
		byTopic[m.Data[0].Value]++
	}
	require.Len(t, byTopic, schedules)
	for topic, n := range byTopic {
		require.Equal(t, rounds, n, topic)
	}
	t.Logf("%d ticks, %d kills", ticks, kills)
}

// A list is saved and a schedule runs on it, all from the command line.
func TestSchedule_FromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	users := s.people(t, "u", 3)
	require.Contains(t, s.feed(t, "user_id\n"+strings.Join(users, "\n")+"\nbad id\n", "list", "upload", "vip", "-", "--app", "shop"),
		"list vip, version 1: 4 rows, 3 accepted, 0 duplicate, 1 rejected")
	require.Regexp(t, `(?m)^vip +1 +3 `, s.run(t, "list", "list", "--app", "shop"))
	require.Regexp(t, `(?m)^1 +4 +3 +0 +1 `, s.run(t, "list", "show", "vip", "--app", "shop"))

	created := s.run(t, "schedule", "create", "--app", "shop", "--name", "会员日", "--cron", "30 2 * * *", "--time-zone", "America/New_York",
		"--list", "vip", "--priority", "urgent", "--template", testTemplate, "--topic", "会员日", "--product", "1989")
	require.Contains(t, created, "schedule 1 created, paused")
	require.Len(t, regexp.MustCompile(`T0[23]:[03]0:00-0[45]:00`).FindAllString(created, -1), 5)
	require.Contains(t, s.run(t, "schedule", "resume", "1"), "runs 运行中")
	code, _, stderr := s.try(t, "", "schedule", "delete", "1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "计划正在运行,请先暂停")
	require.Contains(t, stderr, "minipush schedule pause 1")
	code, _, stderr = s.try(t, "", "list", "delete", "vip", "--app", "shop")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "in_use")
	code, _, stderr = s.try(t, "", "schedule", "create", "--app", "shop", "--name", "x", "--cron", "0 10 * * 7", "--template", testTemplate, "--topic", "t", "--product", "1989")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "Sunday is 0")
	code, _, stderr = s.try(t, "", "schedule", "create", "--app", "shop", "--name", "x", "--cron", "0 10 * * 8", "--template", testTemplate, "--topic", "t", "--product", "1989")
	require.Equal(t, 1, code)
	require.Equal(t, "minipush: --cron cannot be read: the weekday 8 does not exist: 0 (Sunday) to 6 (bad_cron)\n", stderr)
	code, _, stderr = s.try(t, "", "schedule", "create", "--app", "shop", "--name", "会员日", "--cron", "0 10 * * 1", "--template", testTemplate, "--topic", "t", "--product", "1989")
	require.Equal(t, 1, code)
	require.Equal(t, "minipush: --name is the name of another schedule of this app (taken)\n", stderr)

	db := storetest.Connect(t, s.databaseURL)
	_, err := db.Exec(t.Context(), `UPDATE schedule SET cron = to_char(now() AT TIME ZONE time_zone, 'FMMI FMHH24 * * *'), next_at = date_trunc('minute', now())`)
	require.NoError(t, err)
	s.serve(t)
	var shown struct {
		push.Schedule
		Ticks []push.ScheduleTick
	}
	require.Eventually(t, func() bool {
		require.NoError(t, json.Unmarshal([]byte(s.run(t, "schedule", "show", "1", "--output", "json")), &shown))
		return len(shown.Ticks) == 1
	}, patience, 200*time.Millisecond)
	require.Equal(t, push.TickSent, shown.Ticks[0].Outcome)
	require.Eventually(t, func() bool {
		var done int
		require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM task WHERE state = 'done'`).Scan(&done))
		return done == 1
	}, patience, 50*time.Millisecond)
	s.requireOneEach(t, users)
	detail := s.run(t, "schedule", "show", "1")
	require.Contains(t, detail, "sent")
	require.Regexp(t, `模板ID +`+testTemplate, detail)
	require.Regexp(t, `priority +urgent`, detail)
	require.NotContains(t, detail, "on-price-change")
	require.NotRegexp(t, `Z |\[`, detail, "its ticks are in its zone, as the runs to come are")
	require.Contains(t, s.run(t, "schedule", "pause", "1"), "paused 已暂停")
	require.Regexp(t, `(?m)^1 +shop +会员日 .* paused 已暂停 +–$`, s.run(t, "schedule", "list", "--app", "shop"))
	s.run(t, "schedule", "delete", "1")
	s.run(t, "list", "delete", "vip", "--app", "shop")
}
