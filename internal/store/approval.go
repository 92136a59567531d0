package store

import (
	"context"

	"minipush/internal/push"
)

// contentHash is the hash of what task t with template tp would send, and to whom: its template as frozen, or as it is while nothing is
// frozen, its texts, its product as taken, its audience, and what decides whether people may be reached twice, at night, and how long after: its
// on_unknown, its priority, which overrules quiet hours, and until when it waits for permits. Of a list it takes the version and not the rows: rows are written under a version
// of their own and never changed once it is in force, and no version's id is ever given again, so that it stands for a million rows. The
// audience "all" has none before the start.
//
//nolint:gochecknoglobals // a statement in parts
var contentHash = `sha256(convert_to(jsonb_build_array(t.app_id, t.template_id, coalesce(t.channel, tp.channel), coalesce(t.template_name, tp.name),
	coalesce(t.template_page, tp.page), coalesce(t.template_fields, tp.fields), t.topic, t.caption, t.tips,
	t.product_code, t.product_title, t.product_price, t.product_on_shelf, t.on_unknown, t.priority, extract(epoch FROM t.wait_for_permit_until), t.audience,
	CASE WHEN t.audience = 'list' THEN coalesce(t.source_id, t.audience_id) END)::text, 'UTF8'))`

// approvalState is what was said of task t, whose hash is h.hash. It is void once the task would send something else; of a task that has
// begun nothing can be changed any more, and its list may be gone.
const approvalState = `CASE WHEN t.approval <> 'none' AND t.planned_at IS NULL AND t.approval_hash <> h.hash THEN 'void' ELSE t.approval END`

// approvalColumns are a push.Approval of task t in app a. A test needs none.
const approvalColumns = approvalState + `, a.approval AND t.kind = 'push', ` + awaitsApproval + `, t.approval_by, t.approval_at, t.approval_note`

// awaitsApproval says of task t in app a, whose hash is h.hash, that somebody has to look at it: it may begin once it is approved, it goes to
// somebody, and what was said of it, if anything, was said of something else. One that was rejected waits for its author. The first
// line is the predicate of task_unbegun_idx.
const awaitsApproval = `t.planned_at IS NULL AND t.kind = 'push' AND t.state IN ('draft', 'scheduled', 'missed', 'paused')
	AND a.approval AND (t.audience = 'all' OR t.audience_id IS NOT NULL OR t.source_id IS NOT NULL) AND ` + approvalState + ` IN ('none', 'void')`

// notBy says of task t that a person, who is named by an argument, neither made it nor changed it since it was last approved, and may thus approve it.
func notBy(arg string) string {
	return `t.created_by <> ` + arg + ` AND ` + arg + ` <> ALL (t.changers)`
}

// CountAwaiting counts the tasks of some apps (nil is all) that wait for the approval of a person, up to a limit.
func (s *Store) CountAwaiting(ctx context.Context, appIDs []int32, person string, limit int) (n int, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT count(*) FROM (
		       SELECT FROM task t JOIN app a ON a.id = t.app_id JOIN template tp ON tp.app_id = t.app_id AND tp.template_id = t.template_id
		        CROSS JOIN LATERAL (SELECT `+contentHash+` AS hash) h
		        WHERE ($1::int[] IS NULL OR t.app_id = ANY ($1)) AND `+notBy("$2")+` AND `+awaitsApproval+` LIMIT $3) w`,
		appIDs, person, limit).Scan(&n)
	return n, wrap(err, "count tasks that wait for an approval")
}

// Approval reads what was said of a task, held against what the task would send now. In the transaction that holds the task's lock it
// stays so.
func (s *Store) Approval(ctx context.Context, taskID int64) (push.Approval, error) {
	var a push.Approval
	err := s.db(ctx).QueryRow(ctx, `
		SELECT `+approvalColumns+`
		  FROM task t JOIN app a ON a.id = t.app_id JOIN template tp ON tp.app_id = t.app_id AND tp.template_id = t.template_id
		 CROSS JOIN LATERAL (SELECT `+contentHash+` AS hash) h
		 WHERE t.id = $1`, taskID).Scan(&a.State, &a.Required, &a.Awaited, &a.By, &a.At, &a.Note)
	return a, wrap(err, "approval of task %d", taskID)
}

// JudgeTask writes that somebody approved or rejected a task as it is: its hash is taken in the same statement. The caller holds its lock. It is
// false if the task no longer has the hash given. Who changed what was approved may approve what others change from then on; but where the
// template has moved on from what the task has frozen, it may yet come into the task, and those who changed it stay.
func (s *Store) JudgeTask(ctx context.Context, taskID int64, state push.ApprovalState, hash, by, note string) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		UPDATE task t SET approval = $2, approval_by = $3, approval_at = now(), approval_note = $4, approval_hash = `+contentHash+`, updated_at = now(),
		       changers = CASE WHEN $2 = 'approved' AND (t.channel IS NULL
		           OR (t.channel, t.template_name, t.template_page, t.template_fields) = (tp.channel, tp.name, tp.page, tp.fields)) THEN '{}' ELSE t.changers END
		  FROM template tp
		 WHERE t.id = $1 AND tp.app_id = t.app_id AND tp.template_id = t.template_id AND encode(`+contentHash+`, 'hex') = $5`,
		taskID, string(state), by, note, hash)
	return tag.RowsAffected() == 1, wrap(err, "judge task %d", taskID)
}

// SetTaskChanged notes who changed what a task sends, or to whom.
func (s *Store) SetTaskChanged(ctx context.Context, taskID int64, by string) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE task t SET changed_by = $2, changers = `+withChanger+` WHERE id = $1`, taskID, by)
	return wrap(err, "note change of task %d", taskID)
}

// withChanger are those who changed task t, and the person $2.
const withChanger = `CASE WHEN $2 = ANY (t.changers) THEN t.changers ELSE t.changers || $2::text END`

// NoteTemplateChange notes, before a template is written, who changes by that what the tasks send, or may come to send, that have not begun. The
// caller holds the app's row and writes the template in the same transaction.
func (s *Store) NoteTemplateChange(ctx context.Context, appID int32, t push.Template, by string) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE task t SET changers = `+withChanger+`
		  FROM template tp
		 WHERE tp.app_id = $1 AND tp.template_id = $3 AND (tp.channel, tp.name, tp.page, tp.fields) IS DISTINCT FROM ($4::text, $5::text, $6::text, $7::jsonb)
		   AND t.app_id = tp.app_id AND t.template_id = tp.template_id AND t.planned_at IS NULL AND t.kind = 'push'`,
		appID, by, t.TemplateID, t.Channel, t.Name, t.Page, t.Fields)
	return wrap(err, "note change of template %q", t.TemplateID)
}
