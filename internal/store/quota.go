package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// QuotaOut pauses all tasks of an app for its quota and notes when to try again: at until, or at retry if it was a probe that was
// refused: taskID is the app's, or probe says so. A time that lies later already stays. It is false if all this was so before.
func (s *Store) QuotaOut(ctx context.Context, appID int32, taskID int64, probe bool, until, retry time.Time, note string) (changed bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.db(ctx).Exec(ctx, `
			UPDATE app SET quota_until = CASE WHEN $5 OR quota_probe_task = $2 THEN least($3::timestamptz, $4::timestamptz) ELSE greatest(quota_until, $3::timestamptz) END, quota_probe_task = NULL
			 WHERE id = $1`, appID, taskID, until, retry, probe); err != nil {
			return err
		}
		tag, err := s.db(ctx).Exec(ctx, `
			UPDATE task SET state = 'paused', causes = causes || $2::text, note = $3::text, updated_at = now()
			 WHERE id = ANY (ARRAY(SELECT id FROM task WHERE app_id = $1 AND state IN ('sending', 'paused') AND NOT $2 = ANY (causes)
			                        ORDER BY id FOR NO KEY UPDATE))`, appID, string(push.CauseQuota), note)
		changed = tag.RowsAffected() > 0
		return err
	})
	return changed, wrap(err, "pause app %d for its quota", appID)
}

// BudgetUsedUp says whether the daily budget of an app is gone, by its setting as it is now.
func (s *Store) BudgetUsedUp(ctx context.Context, appID int32) (gone bool, err error) {
	if err := s.LockAppID(ctx, appID); err != nil {
		return false, err
	}
	err = s.db(ctx).QueryRow(ctx, `
		SELECT a.daily_budget > 0 AND coalesce(d.calls, 0) >= a.daily_budget
		  FROM app a LEFT JOIN app_day d ON d.app_id = a.id AND d.day = (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date
		 WHERE a.id = $1`, appID).Scan(&gone)
	return gone, wrap(err, "budget of app %d", appID)
}

// DueQuotas lists apps whose quota is to be tried again now.
func (s *Store) DueQuotas(ctx context.Context) ([]int32, error) {
	rows, _ := s.db(ctx).Query(ctx, `SELECT id FROM app WHERE quota_until <= clock_timestamp() AND paused_at IS NULL ORDER BY id`)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	return ids, wrap(err, "list due quotas")
}

// BeginQuotaProbe lets the oldest task of an app that waits for nothing but the quota go on, alone, and looks again after check. It
// returns the task, or 0 if there is none to do it with: then nobody waits, and the next task finds out.
func (s *Store) BeginQuotaProbe(ctx context.Context, appID int32, check time.Duration) (probe int64, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		var due bool
		var under int64
		err := s.db(ctx).QueryRow(ctx, `
			SELECT coalesce(a.quota_until <= clock_timestamp(), false), coalesce((SELECT t.id FROM task t WHERE t.id = a.quota_probe_task AND t.state = 'sending'), 0)
			  FROM app a WHERE a.id = $1 FOR NO KEY UPDATE OF a`, appID).Scan(&due, &under)
		if err != nil || !due {
			return err
		}
		if probe = under; probe == 0 {
			err = s.db(ctx).QueryRow(ctx, `
				UPDATE task SET state = 'sending', causes = '{}', note = '', updated_at = now()
				 WHERE id = (SELECT id FROM task WHERE app_id = $1 AND state = 'paused' AND causes = ARRAY[$2::text] AND started_at IS NOT NULL
				              ORDER BY id LIMIT 1 FOR NO KEY UPDATE) RETURNING id`,
				appID, string(push.CauseQuota)).Scan(&probe)
		}
		if isNoRows(err) {
			_, err = s.db(ctx).Exec(ctx, `UPDATE app SET quota_until = NULL, quota_probe_task = NULL WHERE id = $1`, appID)
			if err == nil {
				_, err = s.ResumeTasksOfApp(ctx, appID, push.CauseQuota)
			}
			return err
		}
		if err != nil {
			return err
		}
		_, err = s.db(ctx).Exec(ctx, `UPDATE app SET quota_probe_task = $2, quota_until = clock_timestamp() + $3::interval WHERE id = $1`, appID, probe, check)
		return err
	})
	return probe, wrap(err, "probe the quota of app %d", appID)
}

// TryQuotaNow makes the quota of an app due, if it is used up: its tasks are tried again within a second.
func (s *Store) TryQuotaNow(ctx context.Context, appID int32) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE app SET quota_until = clock_timestamp() WHERE id = $1 AND quota_until IS NOT NULL AND quota_probe_task IS NULL`, appID)
	return wrap(err, "try quota of app %d", appID)
}

// ProbeQuota makes a task that a person has resumed the probe of its app, if the quota of that is used up, and looks after it after check.
func (s *Store) ProbeQuota(ctx context.Context, taskID int64, check time.Duration) error {
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE app SET quota_probe_task = $1, quota_until = clock_timestamp() + $2::interval
		 WHERE id = (SELECT app_id FROM task WHERE id = $1) AND quota_until IS NOT NULL`, taskID, check)
	return wrap(err, "probe the quota with task %d", taskID)
}

// QuotaBack notes that the probe of an app was not refused. It is false if the task is not its probe any more.
func (s *Store) QuotaBack(ctx context.Context, appID int32, taskID int64) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `UPDATE app SET quota_until = NULL, quota_probe_task = NULL WHERE id = $1 AND quota_probe_task = $2`, appID, taskID)
	return tag.RowsAffected() == 1, wrap(err, "quota of app %d is back", appID)
}

// QuotaToAsk is an app that sends and whose quotas have not been asked for lately.
type QuotaToAsk struct {
	AppID int32
	Key   string
	// TaskID is one of its tasks.
	TaskID int64
	// FormIDOpen and SubscribeOpen are how many recipients are open in its tasks of a channel; nil where it has none of that channel.
	FormIDOpen, SubscribeOpen *int64
}

// QuotasToAsk lists the apps with a task that is sending whose quotas were last asked for longer than age ago, or never since that
// task began, and notes that they are asked for now.
func (s *Store) QuotasToAsk(ctx context.Context, age time.Duration) ([]QuotaToAsk, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		UPDATE app a SET quota_asked_at = clock_timestamp()
		  FROM (SELECT t.app_id, max(t.id) AS task_id, max(t.started_at) AS began,
		               sum(c.open) FILTER (WHERE t.channel = 'form_id')::bigint AS form_id, sum(c.open) FILTER (WHERE t.channel = 'subscribe')::bigint AS subscribe
		          FROM task t CROSS JOIN LATERAL (
		               SELECT coalesce(sum(pending + waiting + sending), 0) AS open FROM chunk c WHERE c.task_id = t.id AND c.state <> 'done') c
		         WHERE t.state = 'sending' AND t.planned_at IS NOT NULL GROUP BY t.app_id) t
		 WHERE a.id = t.app_id AND a.paused_at IS NULL
		   AND (a.quota_asked_at IS NULL OR a.quota_asked_at < clock_timestamp() - $1::interval OR a.quota_asked_at < t.began)
		RETURNING a.id, a.key, t.task_id, t.form_id, t.subscribe`, age)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[QuotaToAsk])
	return list, wrap(err, "list quotas to ask for")
}

// SaveQuota keeps what the platform said of an app's quota: the limit of a day (0: none), and what of it is used; of an app that sends in
// several channels, that of the one which will be used up first.
func (s *Store) SaveQuota(ctx context.Context, appID int32, limit, used int64) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE app SET quota_limit = $2, quota_used = $3 WHERE id = $1`, appID, limit, used)
	return wrap(err, "save quota of app %d", appID)
}
