package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// Received is what became of one user in one task.
type Received struct {
	TaskID       int64
	Topic        string
	TemplateName string
	TaskState    push.TaskState
	Channel      push.Channel
	// ListID is the version of the list that holds the user: the key of the page.
	ListID    int64
	State     push.RecipientState
	Reason    push.Reason
	Code      *int32
	Note      *string
	Delivery  *string
	UpdatedAt *time.Time
}

// History lists the tasks whose list in force holds a user, newest list first: those with a list below before (0: from the newest).
func (s *Store) History(ctx context.Context, appID int32, userID string, before int64, limit int) ([]Received, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT t.id, t.topic, coalesce(t.template_name, ''), t.state, coalesce(t.channel, ''), r.audience_id, r.state, coalesce(r.reason, 0), r.platform_code, r.note,
		       (ARRAY['delivered', 'failed'])[r.delivery], r.updated_at
		  FROM recipient r
		 CROSS JOIN LATERAL (SELECT t.* FROM audience l JOIN task t ON t.id = l.task_id WHERE l.id = r.audience_id AND t.audience_id = l.id AND t.app_id = $1 LIMIT 1) t
		 WHERE r.user_id = $2 AND ($3::bigint = 0 OR r.audience_id < $3) ORDER BY r.user_id DESC, r.audience_id DESC LIMIT $4`, appID, userID, before, limit)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Received])
	return list, wrap(err, "history of a user")
}

// HeldFormID is a formId of a user that can be used.
type HeldFormID struct {
	Source           int16
	LabelZH, LabelEN string
	SubmittedAt      time.Time
	ExpiresAt        time.Time
}

// HeldFormIDs lists the formIds of a user that can be used, the next to expire first, at most limit.
func (s *Store) HeldFormIDs(ctx context.Context, appID int32, userID string, limit int) ([]HeldFormID, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT f.source, coalesce(s.label_zh, ''), coalesce(s.label_en, ''), f.submitted_at, f.expires_at
		  FROM form_id f LEFT JOIN form_source s ON s.app_id = f.app_id AND s.source = f.source
		 WHERE f.user_id = $2 AND f.app_id = $1 AND f.expires_at > now() AND f.state = 0 ORDER BY f.expires_at LIMIT $3`, appID, userID, limit)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[HeldFormID])
	return list, wrap(err, "formIds of a user")
}

// HeldSubscription is what a person has accepted of a template.
type HeldSubscription struct {
	TemplateID   string
	TemplateName string
	Available    int
	Reserved     int
	Suspect      int
	Used         int64
	LongTerm     bool
	AcceptedAt   *time.Time
	OffAt        *time.Time
}

// HeldSubscriptions lists what a person has accepted, by template.
func (s *Store) HeldSubscriptions(ctx context.Context, appID int32, openID string) ([]HeldSubscription, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT n.template_id, coalesce(p.name, ''), n.available, n.reserved, n.suspect, n.used, n.long_term, n.accepted_at, n.off_at
		  FROM subscription n LEFT JOIN template p ON p.app_id = n.app_id AND p.template_id = n.template_id
		 WHERE n.openid = $2 AND n.app_id = $1 ORDER BY n.template_id LIMIT 100`, appID, openID)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[HeldSubscription])
	return list, wrap(err, "subscriptions of a user")
}

// IsSuppressed says whether a user is on the suppression list of an app, or of all apps, by its id or its openid; empty is none.
func (s *Store) IsSuppressed(ctx context.Context, appID int32, userID, openID string) (is bool, err error) {
	err = s.db(ctx).QueryRow(ctx, `SELECT EXISTS (`+isSuppressed("true", "$1::int", "$2::text", "nullif($3::text, '')")+`)`, appID, userID, openID).Scan(&is)
	return is, wrap(err, "look for a user on the suppression list")
}
