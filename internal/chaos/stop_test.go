package chaos_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// Stops in the middle of a task are clean (invariant 10), while the platform takes up to 2 s to answer: each exit within 15 s and
// with code 0, no row left in sending by the node that ended, and in the end as many calls as recipients: none was repeated.
func TestSIGTERM_AgainAndAgain_NoCallIsRepeated(t *testing.T) {
	t.Parallel()
	stops, recipients := 3, 1200
	if *longFlag {
		stops, recipients = 20, 8000
	}
	w := newWorld(t, 2, sim.Faults{LatencyMS: 400, JitterMS: 1500}, "MINIPUSH_SEND_IN_FLIGHT=100", "MINIPUSH_SEND_CHUNK_SIZE=100", "MINIPUSH_SEND_CALL_TIMEOUT=8s", "MINIPUSH_BREAKER_CANARY_SENT=0")
	task := w.draft(t, "t", recipients)
	w.send(t, task, 0)
	longest := time.Duration(0)
	for i := range stops {
		w.busy(t, 40) // a daemon that has just begun, and one that holds 100
		d := w.daemons[i%len(w.daemons)]
		life, node, _ := d.now()
		took, code := life.term()
		require.Zero(t, code, "exit code of stop %d", i)
		require.Less(t, took, 15*time.Second, "stop %d", i)
		longest = max(longest, took)
		require.Zero(t, w.pg.count(t, `SELECT count(*) FROM chunk WHERE node_id = $1`, node), "stop %d left a chunk in its name", i)
		require.Zero(t, w.pg.count(t, `
			SELECT count(*) FROM task t JOIN chunk c ON c.task_id = t.id JOIN recipient r ON r.audience_id = t.audience_id AND r.seq >= c.lo AND r.seq < c.hi
			 WHERE t.id = $1 AND r.state = 1 AND (c.state <> 'running' OR r.lease <> c.lease)`, task), "stop %d left rows in sending", i)
		require.NoError(t, d.start(context.Background()))
	}
	w.ended(t, task)
	r := round{task: task, recipients: recipients}
	w.judge(t, &r, "t", 0)
	r.require(t)
	require.Equal(t, recipients, r.attempts)
	require.Equal(t, int64(recipients), w.platform.stats(t).Calls, "calls were repeated")
	t.Logf("%d stops, the longest took %s; %d calls for %d recipients", stops, longest.Round(time.Millisecond), w.platform.stats(t).Calls, recipients)
}
