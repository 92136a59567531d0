package dispatch_test

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

// What the daemons do: jobs in any order, runs that die half-way, and what looks after them.

// job is a row of the job table.
type job struct {
	ID   int64
	Kind string
	Args []byte
}

type jobArgs struct {
	TaskID     int64 `json:"task_id"`
	Chunk      int32 `json:"chunk"`
	Generation int32 `json:"generation"`
}

const (
	dueJobs   = `state IN ('available', 'retryable') OR state = 'scheduled' AND scheduled_at <= now()`
	endedJobs = `state IN ('completed', 'discarded')`
)

func (w *world) jobs(where string) []job {
	rows, _ := w.st.Pool().Query(w.ctx, `SELECT id, kind, args FROM river.river_job WHERE `+where+` ORDER BY id`)
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	require.NoError(w.r, err)
	return jobs
}

func (j job) args() (a jobArgs) {
	_ = json.Unmarshal(j.Args, &a) // written by the code itself
	return a
}

// work has daemons do some of the jobs that are due, in any order.
func (w *world) work() {
	for range rapid.IntRange(1, 5).Draw(w.t, "jobs") {
		jobs := w.jobs(dueJobs)
		if len(jobs) == 0 {
			return
		}
		w.run(w.daemon(), jobs[rapid.IntRange(0, 99).Draw(w.t, "job")%len(jobs)])
	}
}

// run does one job as the queue would, and ends it.
func (w *world) run(d *dispatch.Dispatcher, j job) {
	a, ran := j.args(), true
	var err error
	if j.Kind == "start_task" {
		err = d.RunStartJob(w.ctx, a.TaskID)
	} else {
		ran, err = d.RunChunkJob(w.ctx, a.TaskID, a.Chunk, a.Generation)
	}
	if !errors.Is(err, store.ErrLeaseLost) {
		require.NoError(w.r, err, "%s %s", j.Kind, j.Args)
	}
	if ran {
		w.exec(`UPDATE river.river_job SET state = 'completed', finalized_at = now() WHERE id = $1`, j.ID)
	}
}

// workDisturbed is one job, at one of whose calls something else happens.
func (w *world) workDisturbed() {
	jobs := slices.DeleteFunc(w.jobs(dueJobs), func(j job) bool { return j.Kind != "send_chunk" })
	if len(jobs) == 0 {
		w.t.Skip("nothing to send")
	}
	_, act := w.disturbance()
	d, other := w.daemons[0], w.daemons[1]
	require.NoError(w.r, errors.Join(d.Beat(w.ctx), other.Beat(w.ctx)))
	w.platform.disturb(rapid.IntRange(1, 3).Draw(w.t, "at call"), rapid.Bool().Draw(w.t, "after delivery"), func() error { return act(other) })
	w.run(d, jobs[rapid.IntRange(0, 99).Draw(w.t, "job")%len(jobs)])
	w.platform.calm()
	w.appPaused = w.count(`SELECT count(*) FROM app WHERE paused_at IS NOT NULL`) > 0
	w.noteMoves()
}

// takeOver takes every chunk that is being run from its run, and has d go on with it: the run before is stale, its calls are still
// on their way, and it can write nothing more (invariant 6).
func (w *world) takeOver(d *dispatch.Dispatcher) error {
	rows, _ := w.st.Pool().Query(w.ctx, `SELECT task_id, no, node_id FROM chunk WHERE state = 'running'`)
	var key store.ChunkKey
	var node int64
	owners := map[store.ChunkKey]int64{}
	if _, err := pgx.ForEachRow(rows, []any{&key.TaskID, &key.No, &node}, func() error { owners[key] = node; return nil }); err != nil {
		return err
	}
	w.platform.takenOver()
	for key, node := range owners {
		freed, _, err := w.st.FreeChunk(w.ctx, key, node, 0)
		if err != nil {
			return err
		}
		if !freed {
			continue // somebody holds its row at the moment
		}
		w.lost[key] = true // the model itself rests until calm
		if err := d.TendAll(w.ctx); err != nil {
			return err
		}
		var generation int32
		err = w.st.Pool().QueryRow(w.ctx, `SELECT generation FROM chunk WHERE task_id = $1 AND no = $2`, key.TaskID, key.No).Scan(&generation)
		if err != nil {
			return err
		}
		if _, err := d.RunChunkJob(w.ctx, key.TaskID, key.No, generation); err != nil {
			return err
		}
	}
	return nil
}

// deleteJob takes a job out of the table, as somebody may on the job pages.
func (w *world) deleteJob() {
	jobs := w.jobs(`state <> 'running'`)
	if len(jobs) == 0 {
		w.t.Skip("no job")
	}
	w.exec(`DELETE FROM river.river_job WHERE id = $1`, jobs[rapid.IntRange(0, 99).Draw(w.t, "job")%len(jobs)].ID)
}

// runOldJob has a job run that has ended: it finds nothing to do.
func (w *world) runOldJob() {
	jobs := slices.DeleteFunc(w.jobs(endedJobs), func(j job) bool { return j.Kind != "send_chunk" })
	if len(jobs) == 0 {
		w.t.Skip("no old job")
	}
	j, d := jobs[rapid.IntRange(0, 99).Draw(w.t, "job")%len(jobs)], w.daemon()
	a := j.args()
	if w.count(`SELECT count(*) FROM chunk WHERE task_id = $1 AND no = $2 AND generation = $3 AND state = 'queued'`, a.TaskID, a.Chunk, a.Generation) > 0 {
		w.t.Skip("put off, and not old")
	}
	before := w.fingerprint()
	_, err := d.RunChunkJob(w.ctx, a.TaskID, a.Chunk, a.Generation)
	require.NoError(w.r, err)
	require.Equal(w.r, before, w.fingerprint(), "an old job does nothing")
}

// deadRun is a run whose process was killed, or stands still, at some call.
type deadRun struct {
	store.Run
	node    int64
	topic   string
	claimed []store.Claimed
}

// die begins a job in a process that is killed after its claim: some of its messages were delivered, none of the answers was written.
func (w *world) die() {
	jobs := slices.DeleteFunc(w.jobs(dueJobs), func(j job) bool { return j.Kind != "send_chunk" })
	if len(jobs) == 0 {
		w.t.Skip("nothing to send")
	}
	j := jobs[rapid.IntRange(0, 99).Draw(w.t, "job")%len(jobs)]
	a := j.args()
	node, err := w.st.InsertNode(w.ctx, "dead")
	require.NoError(w.r, err)
	run, ok, err := w.st.TakeLease(w.ctx, a.TaskID, a.Chunk, a.Generation, node)
	require.NoError(w.r, err)
	if !ok {
		w.exec(`UPDATE river.river_job SET state = 'discarded', finalized_at = now() WHERE id = $1`, j.ID)
		return
	}
	w.lost[store.ChunkKey{TaskID: run.TaskID, No: run.No}] = true
	dead := &deadRun{Run: run, node: node, topic: w.byID[a.TaskID].topic}
	w.dead = append(w.dead, dead)
	if run.Left > 0 {
		require.NoError(w.r, w.st.Recover(w.ctx, run))
	}
	var claim store.Claim
	if rapid.Bool().Draw(w.t, "ambiguous ones") {
		claim, err = w.st.ClaimAmbiguous(w.ctx, run, rapid.IntRange(1, 2).Draw(w.t, "how many"), modelMargin)
	} else {
		claim, err = w.st.Claim(w.ctx, run, run.Lo, run.Lo+int32(rapid.IntRange(1, int(run.Hi-run.Lo)).Draw(w.t, "how many")), modelMargin)
	}
	if !errors.Is(err, store.ErrClosed) {
		require.NoError(w.r, err)
	}
	for _, c := range claim.Sending {
		if rapid.Bool().Draw(w.t, "delivered") {
			w.late(c.OpenID, c.FormID, dead.topic)
		}
	}
	dead.claimed = claim.Sending
	w.exec(`UPDATE river.river_job SET state = 'discarded', finalized_at = now() WHERE id = $1`, j.ID)
}

// zombie wakes a dead run: it makes the calls that it was about to make, and tries to write, to claim and to end. If its chunk was taken
// it changes nothing (invariant 6), and what it sends is sent with the formId that everybody else uses (invariant 5).
func (w *world) zombie() {
	if len(w.dead) == 0 {
		w.t.Skip("nobody is dead")
	}
	z := rapid.SampledFrom(w.dead).Draw(w.t, "zombie")
	for _, c := range z.claimed {
		if rapid.Bool().Draw(w.t, "calls late") {
			w.late(c.OpenID, c.FormID, z.topic)
		}
	}
	if w.count(`SELECT count(*) FROM chunk WHERE task_id = $1 AND no = $2 AND lease = $3 AND state = 'running'`, z.TaskID, z.No, z.Lease) > 0 {
		return // nobody has taken it yet: it is alive, for all that anybody knows
	}
	before := w.fingerprint()
	outcomes := make([]store.Outcome, len(z.claimed))
	for i, c := range z.claimed {
		outcomes[i] = store.Outcome{Seq: c.Seq, PermitID: c.PermitID, State: push.Sent, Permit: store.PermitSpent, AnsweredAt: time.Now()}
		if rapid.Bool().Draw(w.t, "gives back") {
			outcomes[i].State, outcomes[i].Permit = push.Pending, store.PermitFreed
		}
	}
	if len(outcomes) > 0 {
		_, err := w.st.RecordOutcomes(w.ctx, z.Run, outcomes)
		require.ErrorIs(w.r, err, store.ErrLeaseLost)
	}
	_, err := w.st.Claim(w.ctx, z.Run, z.Lo, z.Hi, modelMargin)
	require.ErrorIs(w.r, err, store.ErrLeaseLost)
	_, err = w.st.ClaimAmbiguous(w.ctx, z.Run, 2, modelMargin)
	require.ErrorIs(w.r, err, store.ErrLeaseLost)
	require.ErrorIs(w.r, w.st.Recover(w.ctx, z.Run), store.ErrLeaseLost)
	held, _, err := w.st.EndRun(w.ctx, z.Run, 0)
	require.NoError(w.r, err)
	require.False(w.r, held)
	require.Equal(w.r, before, w.fingerprint(), "a stale run changes nothing (invariant 6)")
}

// bury lets the others see that the dead are dead.
func (w *world) bury() {
	w.exec(`UPDATE node SET stopped_at = now() WHERE name = 'dead'`)
	require.NoError(w.r, w.daemon().TendAll(w.ctx))
}

// tend is a round of everything that looks after what was left lying.
func (w *world) tend() {
	d := w.daemon()
	d.StartDue(w.ctx)
	require.NoError(w.r, d.TendAll(w.ctx))
}
