package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// round is one task that was sent through a storm, and what the judge found.
type round struct {
	task       int64
	recipients int
	events     []*event
	took, tail time.Duration

	messages, lost, twice, strange           int
	sent, failed, skipped, unknown, inferred int
	attempts                                 int
	// used are the calls that were answered 41029: a repeat of one that had got through.
	used int64
	// violations are what the audit of the tables found.
	violations []string
}

// play sends one task to n users through a storm of faults.
func (s *storm) play(name string, n, faults int, apart time.Duration, missed bool) round {
	s.t.Helper()
	task := s.w.draft(s.t, name, n)
	after := s.w.platform.stats(s.t).Messages
	used := s.w.platform.stats(s.t).ByErrCode[41029]
	first := len(s.events)
	begun := time.Now()
	if missed {
		s.missStart(task)
		faults--
	} else {
		s.w.send(s.t, task, 0)
	}
	s.blow(faults, apart, func() bool {
		return s.w.pg.count(s.t, `SELECT count(*) FROM task WHERE id = $1 AND state = 'done'`, task) == 1
	})
	calm := time.Now()
	s.w.ended(s.t, task)
	r := round{task: task, recipients: n, events: s.events[first:], took: time.Since(begun), tail: time.Since(calm)}
	r.used = s.w.platform.stats(s.t).ByErrCode[41029] - used
	s.w.judge(s.t, &r, name, after)
	return r
}

// missStart lets the time of a scheduled task pass while both daemons are dead.
func (s *storm) missStart(task int64) {
	s.t.Helper()
	e := s.note(missedStart, "daemons")
	s.w.send(s.t, task, 1500*time.Millisecond)
	for _, d := range s.w.daemons {
		life, _, _ := d.now()
		life.kill()
	}
	time.Sleep(s.between(1600*time.Millisecond, 3*time.Second)) // the time passes
	for _, d := range s.w.daemons {
		s.must(d.start(context.Background()))
	}
	e.lasted = time.Since(e.at)
}

// ended waits until a task is done.
func (w *world) ended(t *testing.T, task int64) {
	t.Helper()
	var state, counts string
	patience := 3 * time.Minute
	if *longFlag {
		patience = 10 * time.Minute
	}
	deadline := time.Now().Add(patience)
	for state != "done" {
		require.True(t, time.Now().Before(deadline), "task %d does not end: %s %s", task, state, counts)
		w.pg.ask(t, `SELECT state || ' ' || array_to_string(causes, ',') || ' ' || note, coalesce((SELECT 'pending ' || sum(pending) || ' sending ' || sum(sending) FROM chunk WHERE task_id = t.id), '')
			FROM task t WHERE id = $1`, []any{task}, &state, &counts)
		if len(state) > 4 && state[:4] == "done" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// judge holds the task against the simulator's ledger, and its tables against the rules.
func (w *world) judge(t *testing.T, r *round, prefix string, after int64) {
	t.Helper()
	received, _ := w.platform.received(t, after)
	for i := range r.recipients {
		id := openID(prefix, i)
		got := received[id]
		delete(received, id)
		r.messages += got
		if got == 0 {
			r.lost++
		}
		if got > 1 {
			r.twice++
		}
	}
	for _, n := range received {
		r.strange += n
	}
	w.pg.ask(t, `
		SELECT count(*) FILTER (WHERE r.state = 2), count(*) FILTER (WHERE r.state = 3), count(*) FILTER (WHERE r.state = 4), count(*) FILTER (WHERE r.state = 5),
		       count(*) FILTER (WHERE r.inferred), coalesce(sum(r.attempt), 0)
		  FROM task t JOIN recipient r ON r.audience_id = t.audience_id WHERE t.id = $1`, []any{r.task}, &r.sent, &r.failed, &r.skipped, &r.unknown, &r.inferred, &r.attempts)
	r.violations = w.audit(t, r.task)
}

// audit runs minipush doctor --audit on a task.
func (w *world) audit(t *testing.T, task int64) (violations []string) {
	t.Helper()
	out, code := run(t, w.env, nil, "doctor", "--audit", "--task", strconv.FormatInt(task, 10), "--output", "json")
	var answer struct {
		Tasks      int
		Violations []struct {
			Check    string
			Count    int
			Examples []string
		}
	}
	require.NoError(t, json.Unmarshal(out, &answer), "%s", out)
	require.Equal(t, 1, answer.Tasks)
	for _, v := range answer.Violations {
		violations = append(violations, fmt.Sprintf("%s: %d %v", v.Check, v.Count, v.Examples))
	}
	require.Equal(t, code != 0, len(violations) > 0)
	return violations
}

// require is the verdict: everybody has one message, nothing is unknown, counts are the ledger's, and the tables are in order.
func (r *round) require(t *testing.T) {
	t.Helper()
	for _, e := range r.events {
		t.Log(e)
	}
	t.Logf("task %d: %d recipients, %d messages, %d lost, %d twice, %d sent (%d inferred), %d failed, %d skipped, %d unknown; %d attempts, %d calls answered 41029; %s, of which %s after the storm",
		r.task, r.recipients, r.messages, r.lost, r.twice, r.sent, r.inferred, r.failed, r.skipped, r.unknown, r.attempts, r.used, r.took.Round(time.Millisecond), r.tail.Round(time.Millisecond))
	require.Zero(t, r.lost, "lost")
	require.Zero(t, r.twice, "twice")
	require.Zero(t, r.strange, "messages to others")
	require.Zero(t, r.unknown, "unknown")
	require.Equal(t, r.messages, r.sent, "the counts of the task are not the ledger's")
	require.Equal(t, r.recipients, r.sent)
	require.Empty(t, r.violations)
	for _, e := range r.events {
		if e.kind == term {
			require.Less(t, e.exit, 15*time.Second, "exit after SIGTERM")
		}
	}
}
