package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// PlanChunks cuts a task's list into chunks of size and marks the task planned. The caller holds the task's lock.
func (s *Store) PlanChunks(ctx context.Context, taskID, audienceID int64, recipients, size int) error {
	count := push.ChunkCount(recipients, size)
	if _, err := s.db(ctx).Exec(ctx, `
		INSERT INTO chunk (task_id, no, lo, hi, pending)
		SELECT $1, g, g * $3, least((g + 1) * $3, $2), least((g + 1) * $3, $2) - g * $3 FROM generate_series(0, $4 - 1) g`,
		taskID, recipients, size, count); err != nil {
		return wrap(err, "plan chunks of task %d", taskID)
	}
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET audience_id = $2, chunk_size = $3, chunk_count = $4, planned_at = clock_timestamp(), updated_at = now() WHERE id = $1`,
		taskID, audienceID, size, count)
	return wrap(err, "plan task %d", taskID)
}

// PlanState is what the start job needs to know of a task.
type PlanState struct {
	State      push.TaskState
	Planned    bool
	AppID      int32
	Kind       push.AudienceKind
	AudienceID int64
	Recipients int
	Cursor     string
	// Filling says that the start job has begun to fill AudienceID, as far as Cursor.
	Filling   bool
	Product   *push.TaskProduct
	OnPrice   string
	Scheduled bool
	CreatedBy string
	AppPaused bool
	// SourceID is the version of a saved list to copy; 0 where there is none.
	SourceID int64
	// Channel and TemplateID are the task's.
	Channel    push.Channel
	TemplateID string
	// QuotaUntil is when the app's quota is tried again; nil while it lasts, and for the task that tries it.
	QuotaUntil *time.Time
}

// LockPlan locks a task against other transitions and reads what planning needs.
func (s *Store) LockPlan(ctx context.Context, id int64) (PlanState, error) {
	var p PlanState
	var code, title *string
	var price *int64
	err := s.db(ctx).QueryRow(ctx, `
		SELECT t.state, t.planned_at IS NOT NULL, t.app_id, t.audience, coalesce(t.audience_id, 0), coalesce(l.accepted, 0),
		       coalesce(t.fill_cursor, ''), t.fill_cursor IS NOT NULL, t.product_code, t.product_title, (t.product_price * 100)::bigint, t.on_price_change,
		       t.start_at IS NOT NULL, t.created_by, a.paused_at IS NOT NULL,
		       CASE WHEN a.quota_probe_task = t.id THEN NULL ELSE a.quota_until END, coalesce(t.source_id, 0), coalesce(t.channel, ''), t.template_id, `+boundTx+`
		  FROM task t JOIN app a ON a.id = t.app_id LEFT JOIN audience l ON l.id = t.audience_id WHERE t.id = $1 FOR NO KEY UPDATE OF t`, id).
		Scan(&p.State, &p.Planned, &p.AppID, &p.Kind, &p.AudienceID, &p.Recipients, &p.Cursor, &p.Filling, &code, &title, &price, &p.OnPrice,
			&p.Scheduled, &p.CreatedBy, &p.AppPaused, &p.QuotaUntil, &p.SourceID, &p.Channel, &p.TemplateID, nil)
	if code != nil {
		p.Product = &push.TaskProduct{Code: *code, Title: *title, Price: push.Price(*price), OnShelf: true}
	}
	return p, wrap(err, "task %d", id)
}

// SaveFill notes how far the filling of audience "all" has come: the version, its rows so far, and the last user looked at.
// It is false if the task is no longer sending: the filling ends there.
func (s *Store) SaveFill(ctx context.Context, taskID, audienceID int64, rows int, cursor string) (bool, error) {
	if _, err := s.db(ctx).Exec(ctx, `
		UPDATE audience SET total = $2, accepted = $2, updated_at = now() WHERE id = $1`, audienceID, rows); err != nil {
		return false, wrap(err, "save fill of task %d", taskID)
	}
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET audience_id = $2, fill_cursor = $3
		 WHERE id = $1 AND state = 'sending' AND planned_at IS NULL AND (audience_id = $2 OR fill_cursor IS NULL)`, taskID, audienceID, cursor)
	return tag.RowsAffected() == 1, wrap(err, "save fill of task %d", taskID)
}

// FinishFill marks the version filled.
func (s *Store) FinishFill(ctx context.Context, audienceID int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE audience SET state = 'ready', updated_at = now() WHERE id = $1`, audienceID)
	return wrap(err, "finish fill")
}

// QueuedChunk is a chunk for which a job is to be inserted, with the generation that the job carries.
type QueuedChunk struct {
	No         int32
	Generation int32
	// Priority is the task's.
	Priority string
}

// dueChunk is a chunk that a job could work on now. One in which all that is open waits for permits is not due: it holds no worker
// and no place in the window.
const dueChunk = `state = 'idle' AND (not_before IS NULL OR not_before <= clock_timestamp()) AND (pending + sending > 0 OR waiting = 0)`

// QueueChunks fills a task's window: it moves idle chunks to queued, the lowest numbers first, until window of them are queued
// or running. It moves none while the task is not sending or its app is paused: their jobs could only end and be queued again.
// canary is the window of a task whose first calls have not yet shown that its messages pass; one that finds out whether the app's quota
// is back has a window of one.
func (s *Store) QueueChunks(ctx context.Context, taskID int64, window, canary int) ([]QueuedChunk, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE chunk c SET state = 'queued', generation = c.generation + 1, queued_at = clock_timestamp(), not_before = NULL, updated_at = clock_timestamp()
		 WHERE c.task_id = $1 AND c.no = ANY (ARRAY(
		       SELECT no FROM chunk WHERE task_id = $1 AND `+dueChunk+`
		        ORDER BY no LIMIT greatest(0, (SELECT CASE WHEN t.canary_passed_at IS NULL THEN $3::bigint WHEN a.quota_probe_task = t.id THEN 1 ELSE $2::bigint END FROM task t JOIN app a ON a.id = t.app_id WHERE t.id = $1) - (SELECT count(*) FROM chunk WHERE task_id = $1 AND state <> 'done' AND state <> 'idle'))
		          FOR UPDATE SKIP LOCKED))
		   AND EXISTS (SELECT FROM task t JOIN app a ON a.id = t.app_id WHERE t.id = $1 AND t.state = 'sending' AND a.paused_at IS NULL)
		RETURNING c.no, c.generation, (SELECT priority FROM task WHERE id = $1)`, taskID, window, canary)
	queued, err := pgx.CollectRows(rows, pgx.RowToStructByPos[QueuedChunk])
	return queued, wrap(err, "queue chunks of task %d", taskID)
}

// Run is one run of a chunk under its lease.
type Run struct {
	TaskID     int64
	No         int32
	Lease      int32
	Lo, Hi     int32
	AudienceID int64
	AppID      int32
	// Channel is the task's, TemplateID its template: they say what a permit is.
	Channel    push.Channel
	TemplateID string
	// Left is how many rows a dead run left in sending: [Store.Recover] comes before any claim.
	Left int
	// Zone is the time zone of days, for the daily cap; the caller sets it. Empty is UTC.
	Zone string
	// Generation counts the jobs that were inserted for the chunk.
	Generation int32
	// Priority is the task's.
	Priority string
	// Waiting is how many rows waited for a permit when the lease was taken. Waits says that the task waits for permits.
	Waiting int
	Waits   bool
	// Resend says that a recipient whose outcome can no longer be learnt is sent to again with another permit, ResendAfter that was
	// found. The caller sets ResendAfter, so long that no call of an earlier attempt can still be made; it bounds also how long the
	// openids of a dead run's calls are kept from others.
	Resend      bool
	ResendAfter time.Duration
	// Canary says that the task's first calls are still to show that its messages pass.
	Canary Canary
	// PastCanary says that the run may only claim while the task's canary has passed: one that was told to begin another is to end. The
	// caller sets it.
	PastCanary bool
	// Probe says that the run knows that it is to find out, with one call, whether the app's quota is back. One that does not know may
	// claim nothing while its task does so. The caller sets it, before each claim.
	Probe bool
}

// QueueFreed queues a chunk that was freed, in the place in the window which its dead run had. ok is false if its task is not sending
// or its app is paused, or somebody else has queued it.
func (s *Store) QueueFreed(ctx context.Context, key ChunkKey) (queued QueuedChunk, ok bool, err error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE chunk c SET state = 'queued', generation = c.generation + 1, queued_at = clock_timestamp(), updated_at = clock_timestamp()
		  FROM task t JOIN app a ON a.id = t.app_id
		 WHERE c.task_id = $1 AND c.no = $2 AND c.state = 'idle' AND t.id = $1 AND t.state = 'sending' AND a.paused_at IS NULL
		RETURNING c.no, c.generation, t.priority`, key.TaskID, key.No)
	_, err = pgx.ForEachRow(rows, []any{&queued.No, &queued.Generation, &queued.Priority}, func() error { ok = true; return nil })
	return queued, ok, wrap(err, "queue freed chunk %d/%d", key.TaskID, key.No)
}

// TakeLease makes node the owner of a queued chunk, under a lease higher than any before. ok is false if there is nothing to
// do: the chunk is not queued with this generation.
func (s *Store) TakeLease(ctx context.Context, taskID int64, no, generation int32, node int64) (run Run, ok bool, err error) {
	run = Run{TaskID: taskID, No: no}
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE chunk c SET state = 'running', node_id = $4, lease = c.lease + 1, updated_at = clock_timestamp()
		  FROM task t WHERE c.task_id = $1 AND c.no = $2 AND c.generation = $3 AND c.state = 'queued' AND t.id = c.task_id
		RETURNING `+runColumns, taskID, no, generation, node)
	ok, err = scanRun(rows, &run)
	return run, ok, wrap(err, "take lease of chunk %d/%d", taskID, no)
}

// TakeLeaseOfTask is [Store.TakeLease] of whichever chunk of a task is queued. ok is false if none is, or others are taking them.
func (s *Store) TakeLeaseOfTask(ctx context.Context, taskID, node int64) (run Run, ok bool, err error) {
	run = Run{TaskID: taskID}
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE chunk c SET state = 'running', node_id = $2, lease = c.lease + 1, updated_at = clock_timestamp()
		  FROM task t WHERE c.task_id = $1 AND t.id = $1 AND t.state = 'sending'
		   AND c.no = (SELECT no FROM chunk WHERE task_id = $1 AND state = 'queued' ORDER BY no LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING `+runColumns, taskID, node)
	ok, err = scanRun(rows, &run)
	return run, ok, wrap(err, "take lease of a chunk of task %d", taskID)
}

const runColumns = `c.no, c.lease, c.lo, c.hi, t.audience_id, t.app_id, c.sending, c.generation, t.priority, c.waiting,
	t.wait_for_permit_until IS NOT NULL, t.on_unknown = 'resend', t.channel, t.template_id, ` + canaryColumns

func scanRun(rows pgx.Rows, run *Run) (ok bool, err error) {
	_, err = pgx.ForEachRow(rows, []any{
		&run.No, &run.Lease, &run.Lo, &run.Hi, &run.AudienceID, &run.AppID, &run.Left, &run.Generation, &run.Priority,
		&run.Waiting, &run.Waits, &run.Resend, &run.Channel, &run.TemplateID,
		&run.Canary.On, &run.Canary.Turn, &run.Canary.Probe, &run.Canary.Calls, &run.Canary.Sent, &run.Canary.Refused, &run.Canary.Unpermitted,
	}, func() error { ok = true; return nil })
	return ok, err
}

// RequeueChunk begins a new generation of a queued chunk, whose job goes to another one. ok is false if the chunk is not queued with
// this generation, or somebody is taking it.
func (s *Store) RequeueChunk(ctx context.Context, taskID int64, no, generation int32) (queued QueuedChunk, ok bool, err error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE chunk SET generation = generation + 1, queued_at = clock_timestamp(), updated_at = clock_timestamp()
		 WHERE task_id = $1 AND no = (SELECT no FROM chunk WHERE task_id = $1 AND no = $2 AND generation = $3 AND state = 'queued' FOR UPDATE SKIP LOCKED)
		RETURNING no, generation, (SELECT priority FROM task WHERE id = $1)`, taskID, no, generation)
	_, err = pgx.ForEachRow(rows, []any{&queued.No, &queued.Generation, &queued.Priority}, func() error { ok = true; return nil })
	return queued, ok, wrap(err, "queue chunk %d/%d again", taskID, no)
}

// WaitingTask is a task with a chunk that waits for a worker.
type WaitingTask struct {
	ID       int64
	Priority string
}

// WaitingTasks lists the tasks that are sending and have a chunk queued.
func (s *Store) WaitingTasks(ctx context.Context) ([]WaitingTask, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT t.id, t.priority FROM task t JOIN app a ON a.id = t.app_id
		 WHERE t.state = 'sending' AND a.paused_at IS NULL AND EXISTS (SELECT FROM chunk c WHERE c.task_id = t.id AND c.state = 'queued')`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[WaitingTask])
	return list, wrap(err, "list waiting tasks")
}

// Recover makes the rows that a dead run left in sending pending and ambiguous, with their permits; on a channel whose permits cannot
// tell whether a message got through, unknown, or, where run.Resend says so, pending for another permit after run.ResendAfter
// (invariant 5). The run that left them can write nothing more: its lease is gone (invariant 6).
func (s *Store) Recover(ctx context.Context, run Run) error {
	err := s.InTx(ctx, func(ctx context.Context) error {
		if held, err := s.fence(ctx, run); err != nil || !held {
			return errors.Join(err, ErrLeaseLost)
		}
		return s.recoverRows(ctx, run)
	})
	return wrap(err, "recover chunk %d/%d", run.TaskID, run.No)
}

// recoverRows is Recover in a transaction that holds the chunk's row.
func (s *Store) recoverRows(ctx context.Context, run Run) error {
	if run.Channel == push.ChannelSubscribe {
		return s.recoverUnsure(ctx, run)
	}
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE recipient SET state = 0, ambiguous = true, retry_at = NULL, updated_at = clock_timestamp()
		 WHERE audience_id = $1 AND seq >= $2 AND seq < $3 AND state = 1`, run.AudienceID, run.Lo, run.Hi)
	if err != nil {
		return err
	}
	_, err = s.db(ctx).Exec(ctx, `
		UPDATE chunk SET pending = pending + $3, sending = sending - $3 WHERE task_id = $1 AND no = $2`, run.TaskID, run.No, tag.RowsAffected())
	return err
}

// recoverUnsure is recoverRows where nothing but the platform's event can tell whether a message got through.
func (s *Store) recoverUnsure(ctx context.Context, run Run) error {
	_, err := s.db(ctx).Exec(ctx, `
		WITH p AS MATERIALIZED (
		    SELECT r.ctid AS rid, r.seq, r.permit_id, $5 AND r.permit_tries + 1 < $6 AS again FROM recipient r
		     WHERE r.audience_id = $1 AND r.seq >= $2 AND r.seq < $3 AND r.state = 1),
		left_over AS (
		    UPDATE recipient x SET state = CASE WHEN p.again THEN 0 ELSE 5 END, reason = CASE WHEN NOT p.again THEN 14 END, ambiguous = NOT p.again,
		           in_doubt = x.in_doubt OR p.again, permit_id = CASE WHEN NOT p.again THEN x.permit_id END,
		           permit_tries = x.permit_tries + CASE WHEN p.again THEN 1 ELSE 0 END,
		           retry_at = CASE WHEN p.again THEN clock_timestamp() + $7::interval END, updated_at = clock_timestamp()
		      FROM p WHERE x.ctid = p.rid),
		spent AS (UPDATE subscription SET `+subscriptionPermits.spend+` WHERE id = ANY (ARRAY(SELECT permit_id FROM p WHERE again)) AND `+subscriptionPermits.held+`),
		over AS (UPDATE openid_call SET free_at = clock_timestamp() + $7::interval
		          WHERE ctid = ANY (ARRAY(`+inOrder(`audience_id = $1 AND seq >= $2 AND seq < $3 AND free_at IS NULL`)+`))),
		n AS (SELECT count(*) FILTER (WHERE again) AS again, count(*) FILTER (WHERE NOT again) AS unsure FROM p)
		UPDATE chunk SET sending = sending - n.again - n.unsure, pending = pending + n.again, unknown = unknown + n.unsure,
		       reasons = add_reasons(reasons, jsonb_strip_nulls(jsonb_build_object('14', nullif(n.unsure, 0))))
		  FROM n WHERE task_id = $4 AND no = $8`,
		run.AudienceID, run.Lo, run.Hi, run.TaskID, run.Resend, push.MaxPermits, run.ResendAfter, run.No)
	return err
}

// fence updates the chunk's row under run's lease.
func (s *Store) fence(ctx context.Context, run Run) (held bool, err error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE chunk SET updated_at = clock_timestamp() WHERE task_id = $1 AND no = $2 AND lease = $3 AND state = 'running'
		RETURNING `+boundTx, run.TaskID, run.No, run.Lease)
	return tag.RowsAffected() == 1, err
}

// EndRun gives a chunk up: done if nothing in it is open, else idle for wait (zero: due at once). held is false if the lease is lost.
func (s *Store) EndRun(ctx context.Context, run Run, wait time.Duration) (held, done bool, err error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE chunk SET state = CASE WHEN pending + waiting + sending = 0 THEN 'done' ELSE 'idle' END, node_id = NULL,
		       not_before = clock_timestamp() + nullif($4::interval, interval '0'), updated_at = clock_timestamp()
		 WHERE task_id = $1 AND no = $2 AND lease = $3 AND state = 'running' RETURNING state = 'done', `+boundTx, run.TaskID, run.No, run.Lease, wait)
	var bound string
	_, err = pgx.ForEachRow(rows, []any{&done, &bound}, func() error { held = true; return nil })
	return held, done, wrap(err, "end run of chunk %d/%d", run.TaskID, run.No)
}

// ChunkKey names a chunk.
type ChunkKey struct {
	TaskID int64
	No     int32
}

// RunningOn lists the chunks that node owns, taken longer than age ago.
func (s *Store) RunningOn(ctx context.Context, node int64, age time.Duration) ([]ChunkKey, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT task_id, no FROM chunk WHERE state = 'running' AND node_id = $1 AND updated_at < clock_timestamp() - $2::interval`, node, age)
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ChunkKey])
	return keys, wrap(err, "list chunks of node %d", node)
}

// FreeChunk takes a chunk from a node that does not run it, or no longer lives. Its lease moves on, so that the run before
// can write nothing more, and the rows that it left in sending become pending and ambiguous, with their permits, in the same
// transaction (see [Store.Recover]; resendAfter is Run.ResendAfter): they do not wait for a worker. left is how many these were. A row that somebody holds at the moment is left for the next time.
func (s *Store) FreeChunk(ctx context.Context, key ChunkKey, node int64, resendAfter time.Duration) (freed bool, left int, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		run := Run{TaskID: key.TaskID, No: key.No, ResendAfter: resendAfter}
		var bound string
		err := s.db(ctx).QueryRow(ctx, `
			UPDATE chunk c SET state = 'idle', node_id = NULL, not_before = NULL, lease = c.lease + 1, updated_at = clock_timestamp()
			  FROM task t WHERE t.id = c.task_id
			   AND c.ctid = (SELECT ctid FROM chunk WHERE task_id = $1 AND no = $2 AND state = 'running' AND node_id = $3 FOR UPDATE SKIP LOCKED)
			RETURNING c.lease, c.lo, c.hi, t.audience_id, c.sending, t.channel, t.on_unknown = 'resend', `+boundTx, key.TaskID, key.No, node).
			Scan(&run.Lease, &run.Lo, &run.Hi, &run.AudienceID, &run.Left, &run.Channel, &run.Resend, &bound)
		if isNoRows(err) {
			return nil
		}
		freed, left = err == nil, run.Left
		if err != nil || left == 0 {
			return err
		}
		return s.recoverRows(ctx, run)
	})
	return freed && err == nil, left, wrap(err, "free chunk %d/%d", key.TaskID, key.No)
}

// FreeLostJobs makes queued chunks idle that have waited longer than age and whose job no longer lives: deleted, canceled or
// discarded by hand, ended by a run that did nothing, or running on a process that died before it took the lease. What is unfinished is said by this table, not by the job table.
func (s *Store) FreeLostJobs(ctx context.Context, age time.Duration) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE chunk c SET state = 'idle', updated_at = clock_timestamp()
		 WHERE c.state = 'queued' AND c.queued_at < clock_timestamp() - $1::interval
		   AND c.task_id IN (SELECT id FROM task WHERE state IN ('sending', 'paused', 'canceled'))
		   AND NOT EXISTS (SELECT FROM river.river_job j
		        WHERE j.kind = 'send_chunk' AND (j.state IN ('available', 'pending', 'retryable', 'scheduled') OR j.state = 'running' AND j.attempted_at > clock_timestamp() - $1::interval)
		          AND j.args @> jsonb_build_object('task_id', c.task_id, 'chunk', c.no, 'generation', c.generation))`, age)
	return int(tag.RowsAffected()), wrap(err, "free chunks without a job")
}
