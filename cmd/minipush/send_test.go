package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store/storetest"
)

// Invariants 1 and 7: of twenty requests at the same instant, to two daemons, one sends, and everybody gets one message.
func TestSend_TwentyAtOnceToTwoDaemons_OneIsAccepted(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{}, "MINIPUSH_SEND_CHUNK_SIZE=20")
	daemons := []*daemon{s.serve(t), s.serve(t)}
	users := s.people(t, "u", 50)
	id := s.draft(t, daemons[0], append(slices.Clone(users), "nobody", "noone"))

	var ready, done sync.WaitGroup
	start := make(chan struct{})
	answers := make([]int, 20)
	problems := make([]struct{ Code string }, 20)
	for i := range answers {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			answers[i] = call(t, http.MethodPost, fmt.Sprintf("%s/api/v1/tasks/%d/send", daemons[i%2].url, id), s.token, map[string]any{}, &problems[i])
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	slices.Sort(answers)
	require.Equal(t, append([]int{http.StatusAccepted}, slices.Repeat([]int{http.StatusConflict}, 19)...), answers)
	for _, p := range problems {
		require.Contains(t, []string{"", "already_sent"}, p.Code)
	}

	task := s.ended(t, daemons[1], id)
	require.Equal(t, push.Counts{Total: 52, Sent: 50, Skipped: 2}, task.Counts)
	s.requireOneEach(t, users)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'start_task'`))
	require.Equal(t, 3, s.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'send_chunk'`), "one job a chunk")
	for _, d := range daemons {
		require.Zero(t, d.stop(t))
	}
}

func TestSend_OneWorkerSevenInFlight_NeverMore(t *testing.T) {
	t.Parallel()
	const people, chunk = 160, 40
	s := newStage(t, sim.Faults{LatencyMS: 20}, "MINIPUSH_SEND_WORKERS=1", "MINIPUSH_SEND_IN_FLIGHT=7", "MINIPUSH_SEND_CHUNK_SIZE="+strconv.Itoa(chunk))
	d := s.serve(t)
	users := s.people(t, "u", people)
	id := s.draft(t, d, users)
	s.run(t, "task", "send", strconv.FormatInt(id, 10))
	s.ended(t, d, id)
	s.requireOneEach(t, users)
	most := s.platform.Stats().MaxInFlight
	require.LessOrEqual(t, most, int64(7), "an eighth call at a time")
	require.Greater(t, most, int64(3), "the calls do run side by side")
	require.Equal(t, people/chunk, s.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'send_chunk'`))
	// With one worker a chunk is done before the next begins: in the order of arrival each chunk stands together.
	var order []int
	for m := range s.platform.Ledger(sim.Filter{}) {
		n, err := strconv.Atoi(strings.TrimPrefix(m.OpenID, "o-u"))
		require.NoError(t, err)
		if len(order) == 0 || order[len(order)-1] != n/chunk {
			order = append(order, n/chunk)
		}
	}
	require.Len(t, order, people/chunk, "chunks overlap: %v", order)
}

// Invariant 10: SIGTERM in the middle leaves no row that says sending, and what was open goes on after the next start.
func TestServe_StoppedInTheMiddle_LeavesNothingInDoubt(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{LatencyMS: 200}, "MINIPUSH_SEND_IN_FLIGHT=20", "MINIPUSH_SEND_CHUNK_SIZE=50")
	d := s.serve(t)
	users := s.people(t, "u", 200)
	id := s.draft(t, d, users)
	s.run(t, "task", "send", strconv.FormatInt(id, 10))
	require.Eventually(t, func() bool { return s.platform.Stats().Messages > 20 }, patience, 10*time.Millisecond)
	began := time.Now()
	require.Zero(t, d.stop(t))
	require.Less(t, time.Since(began), 15*time.Second)
	require.Zero(t, s.count(t, `SELECT count(*) FROM recipient WHERE state = 1`), "rows in doubt")
	require.Less(t, int(s.platform.Stats().Messages), 200, "it was stopped in the middle")
	s.ended(t, s.serve(t), id)
	s.requireOneEach(t, users)
}

// A task that is canceled in the middle has its final figures only when its calls in flight have ended: watch waits for them.
func TestCancel_InTheMiddle_WatchEndsWithTheFinalFigures(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{LatencyMS: 2000}, "MINIPUSH_SEND_IN_FLIGHT=20", "MINIPUSH_SEND_CHUNK_SIZE=50")
	d := s.serve(t)
	id := s.draft(t, d, s.people(t, "u", 100))
	text := strconv.FormatInt(id, 10)
	s.run(t, "task", "send", text)
	require.Eventually(t, func() bool { return s.platform.Stats().InFlight > 0 }, patience, 10*time.Millisecond)
	require.Contains(t, s.run(t, "task", "cancel", text, "--yes"), "being finished; the final figures")
	out := s.run(t, "task", "watch", text)
	task := s.task(t, d, id)
	require.Zero(t, task.Counts.Open())
	require.Equal(t, task.Counts.Summary()+"\n", out)
	require.Equal(t, int(s.platform.Stats().Messages), task.Counts.Sent)
}

// A second signal does not wait for a platform that hangs, and loses nobody: the call goes on in the next daemon.
func TestServe_SecondSignal_Kills(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{Rules: []sim.Rule{{Kind: sim.Hang, Count: 1}}}, "MINIPUSH_SEND_CALL_TIMEOUT=9s")
	d := s.serve(t)
	users := s.people(t, "u", 1)
	id := s.draft(t, d, users)
	s.run(t, "task", "send", strconv.FormatInt(id, 10))
	require.Eventually(t, func() bool { return s.platform.Stats().InFlight == 1 }, patience, 10*time.Millisecond)
	began := time.Now()
	require.Eventually(t, func() bool {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-d.done:
			return true
		default:
			return false
		}
	}, patience, 200*time.Millisecond)
	require.Less(t, time.Since(began), 5*time.Second, "it did not wait for the call")
	status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.True(t, status.Signaled(), "killed by the second signal")
	s.ended(t, s.serve(t), id)
	s.requireOneEach(t, users)
}

// Invariant 11: the cron entry finds a due task by the tables. Its job is gone.
func TestSchedule_DueTaskWithoutItsJob_Starts(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	d := s.serve(t)
	users := s.people(t, "u", 3)
	id := s.draft(t, d, users)
	s.run(t, "task", "send", strconv.FormatInt(id, 10), "--in", "3s")
	_, err := storetest.Connect(t, s.databaseURL).Exec(t.Context(), `DELETE FROM river.river_job WHERE kind = 'start_task'`)
	require.NoError(t, err)
	s.ended(t, d, id)
	s.requireOneEach(t, users)
}

// A task starts within a second of its time (p95), two at most, also after the other daemon was killed.
func TestSchedule_StartsInTime_AlsoAfterAKill(t *testing.T) {
	t.Parallel()
	const tasks = 20
	s := newStage(t, sim.Faults{})
	kept, killed := s.serve(t), s.serve(t)
	users := s.people(t, "u", tasks)
	var ids []int64
	for i := range tasks {
		ids = append(ids, s.draft(t, kept, users[i:i+1]))
	}
	first := time.Now().Add(3 * time.Second)
	for i, id := range ids {
		at := first.Add(time.Duration(i) * 250 * time.Millisecond)
		url := fmt.Sprintf("%s/api/v1/tasks/%d/send", killed.url, id)
		require.Equal(t, http.StatusAccepted, call(t, http.MethodPost, url, s.token, map[string]any{"at": at}, nil))
	}
	time.AfterFunc(time.Until(first), func() { _ = killed.cmd.Process.Kill() }) // as the first of them is due
	var late []time.Duration
	for _, id := range ids {
		task := s.ended(t, kept, id)
		late = append(late, task.StartedAt.Sub(*task.StartAt))
	}
	slices.Sort(late)
	require.GreaterOrEqual(t, late[0], time.Duration(0), "none starts before its time")
	require.LessOrEqual(t, late[tasks*95/100-1], time.Second, "p95 of %v", late)
	require.LessOrEqual(t, late[tasks-1], 2*time.Second, "the latest of %v", late)
	s.requireOneEach(t, users)
}

// The entry in the settings retires a formId within 4 s of its end: it leaves the stock, and is counted by day and source.
func TestCron_ExpireEntry_RetiresInTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{}, "MINIPUSH_CRON_EXPIRE_FORM_IDS=*/2 * * * * *")
	d := s.serve(t)
	expires := time.Now().Add(2 * time.Second)
	submitted := expires.Add(-7 * 24 * time.Hour).Format(time.RFC3339Nano)
	s.feed(t, "user_id,form_id,source,submitted_at\n42,short-lived,4,"+submitted+"\n43,long-lived,4,\n", "permit", "import", "-", "--app", "shop")
	stock := func() (available, expired int64) {
		var stock push.Stock
		require.Equal(t, http.StatusOK, call(t, http.MethodGet, d.url+"/api/v1/apps/shop/permits", s.token, nil, &stock))
		for _, b := range stock.BySource {
			if b.Source == 4 {
				available = b.Available
			}
		}
		for _, day := range stock.Daily {
			if day.Source == 4 {
				expired += day.Expired
			}
		}
		return available, expired
	}
	require.Eventually(t, func() bool { _, expired := stock(); return expired == 1 }, patience, 50*time.Millisecond)
	require.Less(t, time.Since(expires), 4*time.Second)
	available, expired := stock()
	require.EqualValues(t, 1, available, "the other one stays")
	require.EqualValues(t, 1, expired)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM form_id`), "the row is gone")
}
