package dispatch_test

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
)

// waitRounds is for how many rounds those who wait for a permit may go on waiting: they have been given one.
const waitRounds = 4

// drainRounds bounds the end of a check. A round does all that is due and lets the longest backoff pass.
const drainRounds = 40

// drain mends everything, lets the daemons work until nothing is open, and asks that everyone who could be reached was, once.
func (w *world) drain() {
	require.NoError(w.r, w.sim.SetFaults(sim.Faults{}))
	w.exec(`UPDATE node SET stopped_at = now() WHERE name = 'dead'`)
	_, err := w.daemons[0].ResumeApp(w.ctx, appKey)
	require.NoError(w.r, err)
	for _, user := range w.texts(`SELECT DISTINCT user_id FROM recipient WHERE state = 6 AND user_id <> 'ghost'`) {
		w.give(user, w.openIDOf(user), goodPermit, 48*time.Hour)
	}
	for round := 0; !w.settled(); round++ {
		if round == waitRounds {
			w.exec(`UPDATE task SET wait_for_permit_until = now() - interval '1 s'`)
		}
		require.Less(w.r, round, drainRounds, "still open: %v", w.texts(`
			SELECT format('%s %s %s; chunk %s %s, generation %s', t.topic, t.state, t.causes, c.no, c.state, c.generation)
			  FROM task t LEFT JOIN chunk c ON c.task_id = t.id AND c.state <> 'done' WHERE t.state NOT IN ('draft', 'missed')`))
		w.shift(2*time.Minute, false)
		w.exec(`UPDATE task SET start_at = now() WHERE state = 'scheduled'`)
		d := w.daemons[round%len(w.daemons)]
		require.NoError(w.r, d.Beat(w.ctx))
		for _, task := range w.tasks {
			if task.state == push.TaskPaused {
				_, err := d.Resume(w.ctx, "model", task.id)
				require.NoError(w.r, err)
			}
		}
		d.StartDue(w.ctx)
		require.NoError(w.r, d.TendAll(w.ctx))
		for _, j := range w.jobs(dueJobs) {
			require.NoError(w.r, d.Beat(w.ctx))
			w.run(d, j)
		}
		w.check()
	}
	w.allReached()
}

// settled says that no task is under way and no chunk open.
func (w *world) settled() bool {
	w.watched()
	resting := []push.TaskState{push.TaskDraft, push.TaskMissed, push.TaskDone, push.TaskCanceled}
	for _, task := range w.tasks {
		if !slices.Contains(resting, task.state) {
			return false
		}
	}
	return w.count(`SELECT count(*) FROM chunk WHERE state <> 'done'`) == 0
}

// allReached asks that each recipient of a task that is done has an end that the model knows a cause for (auditSent and the watch at
// each commit hold the causes), that nobody is left, and that no permit is held for nothing.
func (w *world) allReached() {
	for _, task := range w.tasks {
		open := w.texts(`
			SELECT format('%s is in state %s', r.user_id, r.state) FROM task t JOIN recipient r ON r.audience_id = t.audience_id
			 WHERE t.id = $1 AND t.state IN ('done', 'canceled') AND r.state IN (0, 1, 6)`, task.id)
		require.Empty(w.r, open, "task %s has lost somebody", task.topic)
		if task.kind == push.AudienceList && task.state == push.TaskDone {
			require.Equal(w.r, len(task.users), w.count(`SELECT count(*) FROM task t JOIN recipient r ON r.audience_id = t.audience_id WHERE t.id = $1`, task.id))
		}
	}
	require.Empty(w.r, w.texts(`
		SELECT f.form_id FROM form_id f WHERE f.state = 1 AND NOT EXISTS (SELECT FROM recipient r WHERE r.permit_id = f.id AND r.state = 5)`),
		"reserved for somebody who needs it no more")
}
