package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"minipush/internal/wechat"
)

// The original's tables, with the keys and indexes that its article names, and its numbers.
const originalSchema = `
CREATE SCHEMA original;
CREATE TABLE original.t_user (
    user_id bigint PRIMARY KEY, openid varchar(64), create_time timestamp, update_time timestamp);
CREATE TABLE original.t_push_task (
    id int PRIMARY KEY, template_id varchar(64), task_name varchar(64), task_topic varchar(64), task_caption varchar(200),
    task_tips varchar(64), status int, goods_id int, goods_name varchar(64), price decimal(10,2), update_time timestamp);
CREATE TABLE original.t_push_task_user (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, task_id int, user_id int, form_id varchar(50), status int,
    create_time timestamp, update_time timestamp, note varchar(255));
CREATE INDEX ON original.t_push_task_user (task_id);
CREATE TABLE original.t_push_user_from_id_record (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint, form_id varchar(100), source smallint, status smallint,
    create_time timestamp, update_time timestamp);
CREATE INDEX ON original.t_push_user_from_id_record (user_id)`

const (
	originalThreads = 32
	originalSlice   = 100
	originalTask    = 98
)

// formRecord and taskUser are the rows that the original keeps in memory.
type formRecord struct {
	id, userID int64
	formID     string
	source     int16
	created    time.Time
}

type taskUser struct {
	id, taskID, userID int32
	created            time.Time
}

// original is (b): the algorithm of the service that minipush replaces, statement for statement. Left out is what would
// only slow it down: the Redis lock and the log lines.
type original struct {
	pool   *pgxpool.Pool
	client *wechat.Client
	forms  map[int64]*formRecord
	sent   atomic.Int64
}

// send runs the task and returns how long it took and how many messages were sent.
func (o *original) send(ctx context.Context) (time.Duration, int, error) {
	begun := time.Now()
	users, err := o.load(ctx)
	if err != nil {
		return 0, 0, err
	}
	slices := make(chan []taskUser, (len(users)+originalSlice-1)/originalSlice)
	for lo := 0; lo < len(users); lo += originalSlice {
		slices <- users[lo:min(lo+originalSlice, len(users))]
	}
	close(slices)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range originalThreads {
		wg.Go(func() {
			for slice := range slices {
				if err := o.sendSlice(ctx, slice); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begun), int(o.sent.Load()), context.Cause(ctx)
}

// load marks the task as sent and reads its users and every formId that is available.
func (o *original) load(ctx context.Context) ([]taskUser, error) {
	var status int
	if err := o.pool.QueryRow(ctx, `SELECT status FROM original.t_push_task WHERE id = $1`, originalTask).Scan(&status); err != nil {
		return nil, fmt.Errorf("read the original's task: %w", err)
	}
	if _, err := o.pool.Exec(ctx, `UPDATE original.t_push_task SET status = 2, update_time = now() WHERE id = $1`, originalTask); err != nil {
		return nil, fmt.Errorf("mark the original's task: %w", err)
	}
	rows, _ := o.pool.Query(ctx, `SELECT id, task_id, user_id, create_time FROM original.t_push_task_user WHERE task_id = $1`, originalTask)
	users, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (taskUser, error) {
		var u taskUser
		return u, row.Scan(&u.id, &u.taskID, &u.userID, &u.created)
	})
	if err != nil {
		return nil, fmt.Errorf("read the original's users: %w", err)
	}
	o.forms = make(map[int64]*formRecord, len(users))
	rows, _ = o.pool.Query(ctx, `SELECT id, user_id, form_id, source, create_time FROM original.t_push_user_from_id_record WHERE status = 1`)
	var f formRecord
	_, err = pgx.ForEachRow(rows, []any{&f.id, &f.userID, &f.formID, &f.source, &f.created}, func() error {
		record := f
		o.forms[f.userID] = &record
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the original's formIds: %w", err)
	}
	return users, nil
}

func (o *original) sendSlice(ctx context.Context, users []taskUser) error {
	data := messageData()
	for _, u := range users {
		if err := o.sendOne(ctx, u, data); err != nil {
			return err
		}
	}
	return nil
}

// sendOne is the body of the original's loop: three statements, each its own transaction, with every column that is not
// null written back as its mapper did.
func (o *original) sendOne(ctx context.Context, u taskUser, data []wechat.Field) error {
	var userID int64
	var openid string
	err := o.pool.QueryRow(ctx, `SELECT user_id, openid FROM original.t_user WHERE user_id = $1`, int64(u.userID)).Scan(&userID, &openid)
	if err != nil {
		return fmt.Errorf("read the original's user: %w", err)
	}
	f := o.forms[userID]
	if f == nil {
		return errors.New("the original found no formId for a user that has some")
	}
	res := o.client.SendTemplate(ctx, wechat.TemplateMessage{
		ToUser: openid, TemplateID: templateID, Page: page, FormID: f.formID, Data: data,
	})
	status, note := 3, "error"
	if res.Class == wechat.ClassOK {
		status, note = 1, "ok"
		o.sent.Add(1)
	}
	_, err = o.pool.Exec(ctx, `UPDATE original.t_push_user_from_id_record
		SET user_id = $2, form_id = $3, source = $4, status = 2, create_time = $5, update_time = $6 WHERE id = $1`,
		f.id, f.userID, f.formID, f.source, f.created, time.Now())
	if err != nil {
		return fmt.Errorf("update the original's formId: %w", err)
	}
	_, err = o.pool.Exec(ctx, `UPDATE original.t_push_task_user
		SET task_id = $2, user_id = $3, form_id = $4, status = $5, create_time = $6, update_time = $7, note = $8 WHERE id = $1`,
		u.id, u.taskID, u.userID, f.formID, status, u.created, time.Now(), note)
	if err != nil {
		return fmt.Errorf("update the original's recipient: %w", err)
	}
	return nil
}

// loadOriginal makes the original's tables and fills them.
func loadOriginal(ctx context.Context, pool *pgxpool.Pool, w workload) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, originalSchema); err != nil {
			return fmt.Errorf("make the original's tables: %w", err)
		}
		_, err := tx.Exec(ctx, `INSERT INTO original.t_push_task
			VALUES ($1, $2, $3, $4, $5, $6, 1, 1989, $7, 250, now())`, originalTask, templateID, templateName, topic, caption, tips, title)
		if err != nil {
			return fmt.Errorf("insert the original's task: %w", err)
		}
		now := time.Now()
		err = copyRows(ctx, tx, pgx.Identifier{"original", "t_user"}, []string{"user_id", "openid", "create_time", "update_time"},
			w.Recipients, func(i int) []any { return []any{userNumber(i), openID(i), now, now} })
		if err != nil {
			return err
		}
		err = copyRows(ctx, tx, pgx.Identifier{"original", "t_push_task_user"}, []string{"task_id", "user_id", "status", "create_time", "update_time"},
			w.Recipients, func(i int) []any { return []any{int32(originalTask), int32(userNumber(i)), int32(2), now, now} })
		if err != nil {
			return err
		}
		order := w.arrival()
		return copyRows(ctx, tx, pgx.Identifier{"original", "t_push_user_from_id_record"},
			[]string{"user_id", "form_id", "source", "status", "create_time", "update_time"}, len(order), func(i int) []any {
				user, nth := order[i]/w.PerUser, order[i]%w.PerUser
				return []any{userNumber(user), formID(user, nth), int16(1 + i%7), int16(1), now, now}
			})
	})
}
