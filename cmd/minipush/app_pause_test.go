package main_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// The kill switch from the command line, which is a process beside the one that sends: no call arrives later than a second after it has
// returned, it says who turned it, and turned back everyone gets the message once.
func TestApp_PauseAllStopsEveryCall(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{LatencyMS: 100}, "MINIPUSH_SEND_IN_FLIGHT=10", "MINIPUSH_SEND_CHUNK_SIZE=50")
	web := s.serve(t)
	users := s.people(t, "u", 300)
	id := s.draft(t, web, users)
	s.run(t, "task", "send", strconv.FormatInt(id, 10))
	require.Eventually(t, func() bool { return s.platform.Stats().Messages > 20 }, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, s.run(t, "app", "pause", "--all"), "app shop is paused by cli:tester: no call is made")
	returned := time.Now()
	require.Contains(t, s.run(t, "app", "list"), "paused by cli:tester")
	require.Contains(t, s.run(t, "task", "show", strconv.FormatInt(id, 10)), "app_paused")
	require.Eventually(t, func() bool { return time.Since(returned) > 2*time.Second }, 10*time.Second, 50*time.Millisecond)
	for m := range s.platform.Ledger(sim.Filter{}) {
		require.Less(t, m.At.Sub(returned), time.Second)
	}
	require.Less(t, s.platform.Stats().Messages, int64(300))

	for _, wrong := range [][]string{{"app", "pause"}, {"app", "pause", "shop", "--all"}, {"app", "resume"}} {
		code, _, stderr := s.try(t, "", wrong...)
		require.Equal(t, 2, code, wrong)
		require.Contains(t, stderr, "--all")
	}
	require.Contains(t, s.run(t, "app", "resume", "--all"), "app shop is active")
	s.ended(t, web, id)
	s.requireOneEach(t, users)
}

// A queue that somebody paused in the job pages is what a task that stands still shows, and doctor.
func TestTask_ShowNamesAQueuePausedInTheJobPages(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	web := s.serve(t, "--role", "web")
	id := s.draft(t, web, s.people(t, "u", 3))
	s.run(t, "task", "send", strconv.FormatInt(id, 10))
	show := func() string { return s.run(t, "task", "show", strconv.FormatInt(id, 10)) }
	require.NotContains(t, show(), "/ops/jobs")
	conn, err := pgx.Connect(t.Context(), s.databaseURL)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `INSERT INTO river.river_queue (name, paused_at, updated_at) VALUES ('send', now(), now())`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.Contains(t, show(), "paused in the job pages: send; tasks stand still until it is resumed at /ops/jobs/queues")
	_, found, _ := s.try(t, "", "doctor")
	require.Regexp(t, `WARNING +job queues +paused in the job pages: send`, found)
	require.Regexp(t, `ok +breakers +none is open`, found)
}
