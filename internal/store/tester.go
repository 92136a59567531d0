package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// InsertTest makes a draft, for one recipient, that says what a task says: its template as frozen or as it is, its texts, its product as
// taken. It is urgent: a person waits for it.
func (s *Store) InsertTest(ctx context.Context, taskID int64, by string) (int64, error) {
	var id int64
	err := s.db(ctx).QueryRow(ctx, `
		INSERT INTO task (kind, test_of, app_id, template_id, topic, caption, tips, product_code, product_title, product_price, product_on_shelf, product_taken_at,
		                  audience, priority, channel, template_name, template_page, template_fields, created_by, sent_by)
		SELECT 'test', t.id, t.app_id, t.template_id, t.topic, t.caption, t.tips, t.product_code, t.product_title, t.product_price, t.product_on_shelf, t.product_taken_at,
		       'list', 'urgent', coalesce(t.channel, tp.channel), coalesce(t.template_name, tp.name), coalesce(t.template_page, tp.page),
		       coalesce(t.template_fields, tp.fields), $2, $2
		  FROM task t JOIN template tp ON tp.app_id = t.app_id AND tp.template_id = t.template_id WHERE t.id = $1
		RETURNING id`, taskID, by).Scan(&id)
	return id, wrap(err, "insert test of task %d", taskID)
}

// Testers reads what users hold of the permits that a task could spend now. margin is how long before its expiry a formId is no longer
// claimed.
func (s *Store) Testers(ctx context.Context, t push.Task, users []string, margin time.Duration) ([]push.Tester, error) {
	k := permitsOf(t.Channel)
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT n.user_id, u.openid IS NOT NULL, f.n, nullif(f.until, 'infinity')
		  FROM unnest($2::text[]) WITH ORDINALITY n(user_id, ord)
		  LEFT JOIN LATERAL (SELECT u.openid FROM app_user u WHERE u.app_id = $1 AND u.user_id = n.user_id LIMIT 1) u ON true
		  CROSS JOIN LATERAL (SELECT coalesce(sum(`+k.units+`), 0)::bigint AS n, max(`+k.until+`) AS until FROM `+k.table+` f
		        WHERE u.openid IS NOT NULL AND $4::text IS NOT NULL AND `+k.usable("$1", "n.user_id", "u.openid", "$4", "now()", "$3")+`) f
		 ORDER BY n.ord`, t.AppID, users, margin, t.TemplateID)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r push.Tester, err error) {
		return r, row.Scan(&r.UserID, &r.Known, &r.Permits, &r.LastsUntil)
	})
	return list, wrap(err, "testers of task %d", t.ID)
}

// stuckTest says of a task that it is a test that stands still, or that was begun longer ago than an argument says.
func stuckTest(age string) string {
	return `kind = 'test' AND state IN ('sending', 'paused') AND (state = 'paused' OR started_at < clock_timestamp() - ` + age + `::interval)`
}

// StuckTests lists the tests that stand still, and those that were begun longer than age ago and have not ended.
func (s *Store) StuckTests(ctx context.Context, age time.Duration) ([]int64, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT id FROM task WHERE `+stuckTest("$1")+` ORDER BY id`, age)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, wrap(err, "list stuck tests")
}
