package store

import (
	"context"

	"minipush/internal/push"
)

// Content is what a run needs to write the messages of a task: the template as frozen, the texts and the product as they
// stand in the task, and the names of the upload's further columns.
type Content struct {
	Template push.Template
	Task     push.Task
	Columns  []string
}

// Content reads the content of a task. A test says what its task would, the task's id included.
func (s *Store) Content(ctx context.Context, taskID int64) (Content, error) {
	var c Content
	var code, title *string
	var price *int64
	err := s.db(ctx).QueryRow(ctx, `
		SELECT coalesce(t.test_of, t.id), t.app_id, t.template_id, coalesce(t.channel, tp.channel), coalesce(t.template_name, tp.name), coalesce(t.template_page, tp.page),
		       coalesce(t.template_fields, tp.fields), t.topic, t.caption, t.tips, t.product_code, t.product_title, (t.product_price * 100)::bigint,
		       coalesce(l.columns, '{}')
		  FROM task t JOIN template tp ON tp.app_id = t.app_id AND tp.template_id = t.template_id
		  LEFT JOIN audience l ON l.id = t.audience_id WHERE t.id = $1`, taskID).
		Scan(&c.Task.ID, &c.Task.AppID, &c.Template.TemplateID, &c.Template.Channel, &c.Template.Name, &c.Template.Page, &c.Template.Fields,
			&c.Task.Topic, &c.Task.Caption, &c.Task.Tips, &code, &title, &price, &c.Columns)
	if err == nil && code != nil {
		c.Task.Product = &push.TaskProduct{Code: *code, Title: *title, Price: push.Price(*price)}
	}
	return c, wrap(err, "content of task %d", taskID)
}
