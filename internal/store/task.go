package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// listAccepted is how many recipients task t has before it has chunks: those of its list, or of the saved list that its start would copy.
const listAccepted = `(SELECT l.accepted FROM audience l
	WHERE l.id = coalesce(t.audience_id, CASE WHEN t.state NOT IN ('done', 'canceled') THEN t.source_id END))`

// A task shows the template's name and channel as frozen, and the ones in force while it is a draft.
//
//nolint:gochecknoglobals // a statement in parts
var taskSelect = `
	SELECT t.id, t.app_id, a.key, t.template_id, t.topic, t.caption, t.tips, coalesce(t.product_code, ''), t.audience, t.rate_per_second,
	       t.misfire, t.not_after, t.priority, t.on_unknown, t.on_price_change, t.wait_for_permit_until, t.state, t.causes, t.note,
	       coalesce(t.template_name, tp.name), coalesce(t.channel, tp.channel),
	       t.product_title, (t.product_price * 100)::bigint, t.product_on_shelf, t.product_taken_at,
	       coalesce(t.audience_id, 0), coalesce(t.source_id, 0), t.start_at, t.started_at, t.ended_at, t.created_by, t.sent_by, t.created_at, t.updated_at,
	       c.total, c.pending, c.waiting, c.sending, c.sent, c.failed, c.skipped, c.unknown, t.source_task_id,
	       coalesce(t.changed_by, t.created_by), t.changers, encode(h.hash, 'hex'), t.test_of, ` + approvalColumns + `
	  FROM task t
	  JOIN app a ON a.id = t.app_id
	  JOIN template tp ON tp.app_id = t.app_id AND tp.template_id = t.template_id
	  CROSS JOIN LATERAL (SELECT ` + contentHash + ` AS hash) h
	  CROSS JOIN LATERAL (
	       SELECT coalesce(sum(c.hi - c.lo), ` + listAccepted + `, 0)::int AS total, coalesce(sum(pending), ` + listAccepted + `, 0)::int AS pending,
	              coalesce(sum(waiting), 0)::int AS waiting, coalesce(sum(sending), 0)::int AS sending, coalesce(sum(sent), 0)::int AS sent,
	              coalesce(sum(failed), 0)::int AS failed, coalesce(sum(skipped), 0)::int AS skipped, coalesce(sum(unknown), 0)::int AS unknown
	         FROM chunk c WHERE c.task_id = t.id) c`

func scanTask(row pgx.CollectableRow) (push.Task, error) {
	var t push.Task
	var title *string
	var price *int64
	var onShelf *bool
	var takenAt *time.Time
	err := row.Scan(&t.ID, &t.AppID, &t.App, &t.TemplateID, &t.Topic, &t.Caption, &t.Tips, &t.ProductCode, &t.Audience, &t.RatePerSecond,
		&t.Misfire, &t.NotAfter, &t.Priority, &t.OnUnknown, &t.OnPriceChange, &t.WaitForPermitUntil, &t.State, &t.Causes, &t.Note,
		&t.TemplateName, &t.Channel, &title, &price, &onShelf, &takenAt,
		&t.AudienceID, &t.SourceID, &t.StartAt, &t.StartedAt, &t.EndedAt, &t.CreatedBy, &t.SentBy, &t.CreatedAt, &t.UpdatedAt,
		&t.Counts.Total, &t.Counts.Pending, &t.Counts.Waiting, &t.Counts.Sending, &t.Counts.Sent, &t.Counts.Failed, &t.Counts.Skipped, &t.Counts.Unknown, &t.SourceTaskID,
		&t.ChangedBy, &t.Changers, &t.ContentHash, &t.TestOf, &t.Approval.State, &t.Approval.Required, &t.Approval.Awaited, &t.Approval.By, &t.Approval.At, &t.Approval.Note)
	if title != nil {
		t.Product = &push.TaskProduct{Code: t.ProductCode, Title: *title, Price: push.Price(*price), OnShelf: *onShelf, TakenAt: *takenAt}
	}
	t.Reasons = []push.Count{}
	return t, err
}

// InsertTask adds a draft with the product as it is now; p is nil where the task has none.
func (s *Store) InsertTask(ctx context.Context, appID int32, spec push.TaskSpec, p *push.Product, createdBy string) (int64, error) {
	var id int64
	err := s.db(ctx).QueryRow(ctx, `
		INSERT INTO task (app_id, template_id, topic, caption, tips, audience, rate_per_second, misfire, not_after, priority, on_unknown,
		                  on_price_change, wait_for_permit_until, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`,
		appID, spec.TemplateID, spec.Topic, spec.Caption, spec.Tips, spec.Audience, spec.RatePerSecond, spec.Misfire, spec.NotAfter,
		spec.Priority, spec.OnUnknown, spec.OnPriceChange, spec.WaitForPermitUntil, createdBy).Scan(&id)
	if err != nil {
		return 0, wrap(err, "insert task")
	}
	return id, s.SetTaskProduct(ctx, id, p)
}

// UpdateTask rewrites what a person decides about a draft, or a task that was missed. It is false if the task is neither. If the kind of the audience
// changes, the list goes, be it in force or one that the start would copy: the start job of a task to all would append to the one, or send to the other.
func (s *Store) UpdateTask(ctx context.Context, id int64, spec push.TaskSpec) (updated bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		tag, err := s.db(ctx).Exec(ctx, `
			UPDATE task SET template_id = $2, topic = $3, caption = $4, tips = $5, audience = $6, rate_per_second = $7, misfire = $8, not_after = $9,
			       priority = $10, on_unknown = $11, on_price_change = $12, wait_for_permit_until = $13, updated_at = now(),
			       audience_id = CASE WHEN audience = $6 THEN audience_id END, source_id = CASE WHEN audience = $6 THEN source_id END
			 WHERE id = $1 AND state IN ('draft', 'missed')`,
			id, spec.TemplateID, spec.Topic, spec.Caption, spec.Tips, spec.Audience, spec.RatePerSecond, spec.Misfire, spec.NotAfter,
			spec.Priority, spec.OnUnknown, spec.OnPriceChange, spec.WaitForPermitUntil)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		updated = true
		_, err = s.db(ctx).Exec(ctx, `
			UPDATE audience a SET state = 'dropped', updated_at = now() FROM task t
			 WHERE t.id = $1 AND a.task_id = t.id AND a.state = 'ready' AND a.id IS DISTINCT FROM t.audience_id`, id)
		return err
	})
	return updated, wrap(err, "update task %d", id)
}

// SetTaskRate changes the limit of a task. It is false if the task has ended.
func (s *Store) SetTaskRate(ctx context.Context, id int64, rate int) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET rate_per_second = $2, updated_at = now() WHERE id = $1 AND state NOT IN ('done', 'canceled')`, id, rate)
	return tag.RowsAffected() == 1, wrap(err, "set rate of task %d", id)
}

// SetTaskProduct copies the product into the task: title, price and shelf state as they are now. Nil clears it.
func (s *Store) SetTaskProduct(ctx context.Context, id int64, p *push.Product) error {
	var code, title *string
	var price *int64
	var onShelf *bool
	if p != nil {
		cents := int64(p.Price)
		code, title, price, onShelf = &p.Code, &p.Title, &cents, &p.OnShelf
	}
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE task SET product_code = $2, product_title = $3, product_price = $4::bigint / 100.0, product_on_shelf = $5,
		       product_taken_at = CASE WHEN $2::text IS NULL THEN NULL ELSE now() END, updated_at = now()
		 WHERE id = $1`, id, code, title, price, onShelf)
	return wrap(err, "set product of task %d", id)
}

// DeleteTask removes a draft with its lists; its rows are removed by the purge. It is false if the task is no draft.
func (s *Store) DeleteTask(ctx context.Context, id int64) (bool, error) {
	var deleted bool
	err := s.InTx(ctx, func(ctx context.Context) error {
		tag, err := s.db(ctx).Exec(ctx, `UPDATE task SET audience_id = NULL WHERE id = $1 AND state = 'draft'`, id)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		deleted = true
		if err := s.dropAudiences(ctx, id); err != nil {
			return err
		}
		_, err = s.db(ctx).Exec(ctx, `DELETE FROM task WHERE id = $1`, id)
		return err
	})
	return deleted, wrap(err, "delete task %d", id)
}

// Task reads a task with its counts and reasons.
func (s *Store) Task(ctx context.Context, id int64) (push.Task, error) {
	rows, _ := s.db(ctx).Query(ctx, taskSelect+` WHERE t.id = $1`, id)
	t, err := pgx.CollectExactlyOneRow(rows, scanTask)
	if err != nil {
		return push.Task{}, wrap(err, "task %d", id)
	}
	rows, _ = s.db(ctx).Query(ctx, `
		SELECT e.code, sum(r.value::int)::int, e.zh, e.en
		  FROM chunk c CROSS JOIN LATERAL jsonb_each_text(c.reasons) r JOIN reason e ON e.reason = r.key::smallint
		 WHERE c.task_id = $1 GROUP BY e.reason ORDER BY 2 DESC, e.reason`, id)
	t.Reasons, err = pgx.CollectRows(rows, pgx.RowToStructByPos[push.Count])
	for i, r := range t.Reasons {
		if r.Code == push.NoPermit.String() {
			t.Reasons[i].ZH = push.NoPermitZH(t.Channel)
		}
	}
	return t, wrap(err, "reasons of task %d", id)
}

// TaskFilter narrows a list of tasks.
type TaskFilter struct {
	// AppIDs are the apps to show; nil is all.
	AppIDs []int32
	State  push.TaskState
	// Search finds tasks by their number, by their product's code, by a part of their topic, or, where it is no number, by a part of their
	// product's title; empty is all.
	Search string
	// Approval narrows to what was said of them; empty is all.
	Approval push.ApprovalState
	// Awaiting narrows to those that wait for an approval; Judge to those that this person may approve, who neither made
	// them nor changed them since they were last approved; empty is all.
	Awaiting bool
	Judge    string
	// From and To bound created_at: From ≤ created_at < To.
	From, To *time.Time
	// Before lists tasks with a smaller id; 0 starts at the newest.
	Before int64
	Limit  int
}

// awaiting is a condition of its own, so that the statement can go by the index of what has not begun.
func (f TaskFilter) awaiting() string {
	if !f.Awaiting {
		return ""
	}
	return ` AND ` + awaitsApproval
}

// Tasks lists tasks, newest first, with their counts and without their reasons. Tests are not among them.
func (s *Store) Tasks(ctx context.Context, f TaskFilter) ([]push.Task, error) {
	rows, _ := s.db(ctx).Query(ctx, taskSelect+`
		 WHERE t.kind = 'push' AND ($1::int[] IS NULL OR t.app_id = ANY ($1)) AND ($2 = '' OR t.state = $2)
		   AND ($3::timestamptz IS NULL OR t.created_at >= $3) AND ($4::timestamptz IS NULL OR t.created_at < $4)
		   AND ($5::bigint = 0 OR t.id < $5::bigint)
		   AND ($7 = '' OR t.id::text = $7 OR t.product_code = $7 OR strpos(lower(t.topic), lower($7)) > 0
		        OR $7 !~ '^[0-9]+$' AND strpos(lower(t.product_title), lower($7)) > 0)
		   AND ($8 = '' OR `+approvalState+` = $8) AND ($9 = '' OR `+notBy("$9")+`)`+f.awaiting()+`
		 ORDER BY t.id DESC LIMIT $6`, f.AppIDs, string(f.State), f.From, f.To, f.Before, f.Limit, f.Search, string(f.Approval), f.Judge)
	tasks, err := pgx.CollectRows(rows, scanTask)
	return tasks, wrap(err, "list tasks")
}

// TasksToStart lists the scheduled tasks of some apps (nil is all) that start from a time up to another, at most limit, the first ones first.
func (s *Store) TasksToStart(ctx context.Context, appIDs []int32, from, to time.Time, limit int) ([]push.Task, error) {
	rows, _ := s.db(ctx).Query(ctx, taskSelect+`
		 WHERE t.state = 'scheduled' AND t.start_at >= $2 AND t.start_at < $3 AND ($1::int[] IS NULL OR t.app_id = ANY ($1))
		 ORDER BY t.start_at, t.id LIMIT $4`, appIDs, from, to, limit)
	tasks, err := pgx.CollectRows(rows, scanTask)
	return tasks, wrap(err, "list tasks to start")
}
