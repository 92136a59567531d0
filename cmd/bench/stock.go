package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

const (
	// stateMix is after how many tasks the mix of their states begins anew.
	stateMix = 20
	// shortList is a list whose reach is counted while its asker waits, at its longest.
	shortList = 500
)

// stockStep fills some tables with one set of statements. In them {tasks}, {each}, {users} and {entries} stand for how many tasks there are, how
// many recipients each, how many users of the first app, and how many entries of the audit log.
type stockStep struct{ what, sql string }

// siteStock is everything but the recipients of the tasks, and what is made of them. What marketing made is of the last 90 days.
func siteStock() []stockStep {
	return []stockStep{
		{"users", `
			INSERT INTO app_user (app_id, user_id, openid)
			SELECT 1, (10000000 + g)::text, CASE WHEN g % 20 > 0 OR g = 0 THEN 'o' || substr(md5(g::text), 1, 27) END FROM generate_series(0, {users}) g;
			INSERT INTO app_user (app_id, user_id, openid)
			SELECT a, (10000000 + g)::text, 'o' || substr(md5(a || '/' || g), 1, 27) FROM generate_series(2, 3) a, generate_series(0, {users} / 10) g`},
		{"templates and products", `
			INSERT INTO template (app_id, template_id, channel, name, page, fields)
			SELECT a.id, 'T' || lpad(k::text, 3, '0'), (ARRAY['form_id', 'subscribe'])[1 + k % 2], '活动加入成功提醒' || k, 'pages/goods/detail/detail?goodsId={{product.code}}',
			       '[{"key":"keyword1","label":"活动主题","value":"{{topic}}","color":"#EE0000"},{"key":"keyword2","label":"活动说明","value":"{{caption}}","color":"#EE0000"},
			         {"key":"keyword3","label":"商品标题","value":"{{product.title}}","color":"#EE0000"},{"key":"keyword4","label":"商品金额","value":"{{product.price}}海贝","color":"#EE0000"},
			         {"key":"keyword5","label":"温馨提示","value":"{{tips}}","color":"#EE0000"}]'
			  FROM app a, generate_series(1, 120) k;
			INSERT INTO product (app_id, code, title, price, on_shelf)
			SELECT a.id, (1000 + g)::text, '健康助利测试商品' || g, g % 1000, g % 9 > 0 FROM app a, generate_series(1, 5000) g`},
		{"accounts and tokens", `
			INSERT INTO account (login, name, role, password_hash, created_by)
			SELECT 'person' || g, '张' || g, (ARRAY['viewer', 'author', 'approver', 'operator', 'admin'])[1 + g % 5], 'none', 'bench' FROM generate_series(1, 100) g;
			INSERT INTO session (hash, account_id, expires_at)
			SELECT sha256(g::text::bytea), 1 + g % 100, now() + interval '1 day' FROM generate_series(1, 500) g;
			INSERT INTO api_token (name, hash, role, created_by) SELECT 'token' || g, sha256(g::text::bytea), 'collector', 'bench' FROM generate_series(1, 100) g`},
		{"permits", `
			INSERT INTO form_id (app_id, user_id, form_id, source, state, submitted_at, expires_at, audience_id, seq)
			SELECT CASE WHEN g % 10 < 8 THEN 1 ELSE 2 + g % 2 END, (10000000 + CASE WHEN g < 60 THEN 0 ELSE g * 104729 % {users} END)::text, md5(g::text), 1 + g % 7, s.state,
			       s.at, s.at + interval '7 days', CASE WHEN s.state > 0 THEN 1 + g % {tasks} END, CASE WHEN s.state > 0 THEN g % {each} END
			  FROM generate_series(1, {users}::bigint) g
			 CROSS JOIN LATERAL (SELECT CASE WHEN g % 20 < 12 THEN 0 WHEN g % 20 < 18 THEN 2 WHEN g % 20 = 18 THEN 1 ELSE 3 END AS state, now() - random() * interval '6 days' AS at) s;
			INSERT INTO form_id_day (app_id, day, source, collected, expired)
			SELECT a.id, current_date - d, s, 1000 + d, d FROM app a, generate_series(0, 120) d, generate_series(1, 7) s;
			INSERT INTO subscription (app_id, openid, template_id, available, used, suspect, suspect_at)
			SELECT 1, 'o' || substr(md5((g * 104729 % {users})::text), 1, 27), 'T' || lpad((1 + 2 * (g % 60))::text, 3, '0'), g % 3, g % 5, (g % 50 = 0)::int, CASE WHEN g % 50 = 0 THEN now() END
			  FROM generate_series(1, {users}::bigint / 2) g ON CONFLICT DO NOTHING`},
		{"suppressions", `
			INSERT INTO suppression (app_id, user_id, openid, note, added_by)
			SELECT CASE WHEN g % 10 > 0 THEN 1 + g % 3 END, CASE WHEN g % 4 > 0 THEN 'left' || g END, CASE WHEN g % 4 = 0 THEN 'oleft' || g END, '投诉', 'bench'
			  FROM generate_series(1, {users}::int / 5) g`},
		{"audit log", `
			INSERT INTO audit_log (at, actor, actor_id, action, app_id, object, detail, address)
			SELECT now() - ({entries} - g) * interval '5 minutes', 'person' || 1 + g % 50, 'account:' || 1 + g % 50,
			       (ARRAY['task.create', 'task.change', 'task.send', 'task.export', 'task.pause', 'list.upload', 'product.set'])[1 + g % 7], CASE WHEN g % 20 > 0 THEN 1 + g % 3 END,
			       'task:' || 1 + g % {tasks}, '{"before": {"topic": "旧主题", "rate_per_second": 10}, "after": {"topic": "新主题", "rate_per_second": 20}}', '10.0.0.1'
			  FROM generate_series(1, {entries}) g`},
		{"saved lists and schedules", `
			INSERT INTO saved_list (app_id, name, created_by) SELECT a.id, '会员' || lpad(g::text, 3, '0'), 'bench' FROM app a, generate_series(1, 60) g;
			INSERT INTO audience (list_id, version, state, filename, columns, total, accepted, created_by)
			SELECT l.id, v, 'ready', 'members.csv', '{姓名,城市}', 200, 200, 'bench' FROM saved_list l, generate_series(1, 3) v;
			UPDATE saved_list l SET audience_id = (SELECT id FROM audience WHERE list_id = l.id AND version = 3);
			INSERT INTO recipient (audience_id, seq, user_id, vars)
			SELECT a.id, i, (10000001 + (a.id * 977 + i) % {users})::text, '["张三", "上海"]' FROM audience a, generate_series(0, 199) i WHERE a.list_id IS NOT NULL;
			INSERT INTO audience_reject (audience_id, line, code, value) SELECT id, 100, 'blank', '' FROM audience;
			INSERT INTO schedule (app_id, name, cron, time_zone, list_id, task, next_at, created_by, enabled_by)
			SELECT l.app_id, '每日' || l.name, (ARRAY['0 10 * * *', '30 9 * * 1-5', '0 20 * * 0', '0 */6 * * *'])[1 + l.id % 4], 'Asia/Shanghai', l.id,
			       jsonb_build_object('app', a.key, 'template_id', 'T001', 'topic', '每日提醒', 'caption', '说明', 'tips', '提示', 'product_code', '1989', 'audience', 'list', 'misfire', 'late', 'priority', 'normal',
			                          'on_unknown', 'leave', 'on_price_change', 'pause', 'rate_per_second', 0), now() + l.id * interval '10 minutes', 'bench', 'bench'
			  FROM saved_list l JOIN app a ON a.id = l.app_id;
			INSERT INTO schedule_tick (schedule_id, tick, at, note)
			SELECT s.id, to_char(now() - d * interval '1 day', 'YYYY-MM-DD HH24:MI'), now() - d * interval '1 day', '没有后台进程' FROM schedule s, generate_series(1, 200) d`},
		{"finished jobs", `
			INSERT INTO river.river_job (state, attempt, max_attempts, attempted_at, finalized_at, priority, args, attempted_by, kind, queue)
			SELECT 'completed', 1, 5, now() - g * interval '30 seconds', now() - g * interval '30 seconds', 2, jsonb_build_object('task_id', 1 + g % {tasks}, 'no', g, 'generation', 1), '{bench}', 'chunk', 'send'
			  FROM generate_series(1, {entries} / 5) g`},
		// 65 of 100 done, 5 each sending, paused, scheduled, missed and canceled, 10 drafts.
		{"tasks", `
			INSERT INTO task (app_id, template_id, topic, caption, tips, product_code, product_title, product_price, product_on_shelf, product_taken_at, audience, state, causes, note,
			                  channel, template_name, template_page, template_fields, start_at, chunk_size, chunk_count, planned_at, started_at, ended_at, created_by, sent_by, created_at)
			SELECT t.app_id, t.template_id, '活动加入成功' || g, '您已成功加入健康步数兑换活动', '点击进入小程序查看详情', p.code, p.title, p.price, p.on_shelf, now(), 'list', x.state,
			       CASE WHEN x.state = 'paused' THEN '{operator}' ELSE '{}' END::text[], '', CASE WHEN x.sent THEN t.channel END, CASE WHEN x.sent THEN t.name END, CASE WHEN x.sent THEN t.page END,
			       CASE WHEN x.sent THEN t.fields END, CASE WHEN x.state IN ('scheduled', 'missed') THEN now() + (g % 25) * interval '1 day' END,
			       CASE WHEN x.planned THEN 500 END, CASE WHEN x.planned THEN ({each} + 499) / 500 END, CASE WHEN x.planned THEN x.at END, CASE WHEN x.planned THEN x.at END,
			       CASE WHEN x.state IN ('done', 'canceled') THEN x.at + interval '10 minutes' END, 'person' || 1 + g % 50, CASE WHEN x.sent THEN 'approver' END, x.at - interval '1 hour'
			  FROM generate_series(1, {tasks}) g
			 CROSS JOIN LATERAL (SELECT CASE WHEN g % 20 < 13 THEN 'done' ELSE (ARRAY['sending', 'paused', 'scheduled', 'draft', 'draft', 'missed', 'canceled'])[g % 20 - 12] END AS state) s
			 CROSS JOIN LATERAL (SELECT s.state, s.state <> 'draft' AS sent, s.state IN ('done', 'sending', 'paused', 'canceled') AS planned, now() - ({tasks} - g) * interval '90 days' / {tasks} AS at) x
			  JOIN template t ON t.app_id = CASE WHEN g % 10 < 7 THEN 1 WHEN g % 10 < 9 THEN 2 ELSE 3 END AND t.template_id = 'T' || lpad((1 + g % 30)::text, 3, '0')
			  JOIN product p ON p.app_id = t.app_id AND p.code = (1001 + g % 50)::text
			 ORDER BY g;
			INSERT INTO audience (task_id, state, filename, columns, total, accepted, duplicate, rejected, created_by, created_at)
			SELECT id, 'ready', 'list.csv', CASE WHEN id % 3 = 0 THEN '{姓名,城市}' ELSE '{}' END::text[], {each} + 150, {each}, 50, 100, created_by, created_at FROM task ORDER BY id;
			INSERT INTO audience_reject (audience_id, line, code, value) SELECT a.id, 10 * i, 'too_long', repeat('x', 65) FROM audience a, generate_series(1, 100) i WHERE a.task_id IS NOT NULL;
			UPDATE task SET audience_id = (SELECT id FROM audience WHERE task_id = task.id)`},
	}
}

// settledShare says how many of each {each} recipients of a task have an outcome, by its state.
const settledShare = `CASE t.state WHEN 'done' THEN {each} WHEN 'canceled' THEN {each} / 2 WHEN 'sending' THEN {each} * 2 / 5 WHEN 'paused' THEN {each} * 3 / 5 ELSE 0 END`

// siteRecipients fills the list of one task: of those who are done 88 % sent, 4 % failed, 7 % skipped, 1 % unknown, each for several
// reasons. The first is in every list.
const siteRecipients = `
	INSERT INTO recipient (audience_id, seq, user_id, vars, state, attempt, reason, platform_code, permit_id, openid, note, msgid, delivery, sent_at, updated_at)
	SELECT t.audience_id, i, CASE WHEN i = 0 THEN '10000000' ELSE (10000001 + (t.id * 15485863 + i * 7919::bigint) % {users})::text END, CASE WHEN t.id % 3 = 0 THEN '["张三", "上海"]'::jsonb END,
	       o.state, (o.state IN (1, 2, 3, 5))::int, o.reason, CASE o.reason WHEN 8 THEN 40003 WHEN 9 THEN 43101 WHEN 10 THEN 41028 WHEN 13 THEN 40037 END,
	       CASE WHEN o.state IN (1, 2) THEN 1 + (t.id * 31 + i) % {users} END, CASE WHEN o.state IN (1, 2, 3, 5) THEN 'o' || substr(md5(t.id || '/' || i), 1, 27) END,
	       CASE WHEN o.state = 3 THEN 'errcode of the platform' END, CASE WHEN o.state = 2 THEN t.id * 10000000 + i END,
	       CASE WHEN o.state = 2 AND t.channel = 'subscribe' AND i % 20 > 0 THEN 1 + (i % 20 = 1)::int END,
	       CASE WHEN o.state = 2 THEN t.started_at END, CASE WHEN o.state > 0 THEN t.started_at END
	  FROM task t
	 CROSS JOIN generate_series(0, {each} - 1) i
	 CROSS JOIN LATERAL (SELECT (i * 7919::bigint + t.id * 31) % 1000 AS h, i < ` + settledShare + ` AS settled) x
	 CROSS JOIN LATERAL (SELECT CASE WHEN NOT x.settled AND t.state = 'canceled' THEN 4 WHEN NOT x.settled AND t.state = 'sending' AND i < {each} * 2 / 5 + 100 THEN 1 WHEN NOT x.settled THEN 0
	                                 WHEN h < 880 THEN 2 WHEN h < 920 THEN 3 WHEN h < 990 THEN 4 ELSE 5 END AS state,
	                            CASE WHEN NOT x.settled AND t.state = 'canceled' THEN 7 WHEN NOT x.settled OR h < 880 THEN NULL WHEN h < 890 THEN 8 WHEN h < 900 THEN 9 WHEN h < 915 THEN 10
	                                 WHEN h < 920 THEN 13 WHEN h < 940 THEN 1 WHEN h < 950 THEN 2 WHEN h < 975 THEN 3 WHEN h < 985 THEN 5 WHEN h < 990 THEN 6 ELSE 14 END AS reason) o
	 WHERE t.id = $1`

// siteResults is what is made of the recipients: the chunks, kept figures of the reach, dry runs; and some tasks that are unlike the others.
func siteResults() []stockStep {
	return []stockStep{
		{"chunks", `
			INSERT INTO chunk (task_id, no, lo, hi, state, generation, lease, pending, sending, sent, failed, skipped, unknown, reasons)
			SELECT n.id, n.no, min(n.lo), max(n.hi), CASE WHEN sum(n.n) FILTER (WHERE n.state < 2) > 0 THEN 'idle' ELSE 'done' END, 1, 1,
			       coalesce(sum(n.n) FILTER (WHERE n.state = 0), 0), coalesce(sum(n.n) FILTER (WHERE n.state = 1), 0), coalesce(sum(n.n) FILTER (WHERE n.state = 2), 0),
			       coalesce(sum(n.n) FILTER (WHERE n.state = 3), 0), coalesce(sum(n.n) FILTER (WHERE n.state = 4), 0), coalesce(sum(n.n) FILTER (WHERE n.state = 5), 0),
			       coalesce(jsonb_object_agg(n.reason, n.n) FILTER (WHERE n.reason IS NOT NULL), '{}')
			  FROM (SELECT t.id, r.seq / 500 AS no, r.state, r.reason, min(r.seq) AS lo, max(r.seq) + 1 AS hi, count(*) AS n
			          FROM task t JOIN recipient r ON r.audience_id = t.audience_id WHERE t.planned_at IS NOT NULL GROUP BY 1, 2, 3, 4) n
			 GROUP BY 1, 2`},
		{"reach, dry runs and drafts of other kinds", `
			INSERT INTO reach (task_id, audience_id, template_id, as_of, figures)
			SELECT t.id, t.audience_id, t.template_id, now(), jsonb_build_object('as_of', now(), 'no_user', 100, 'no_openid', 50, 'Free', e.ends, 'Capped', '{}'::jsonb, 'FreeEnough', e.ends, 'CappedEnough', '{}'::jsonb)
			  FROM task t CROSS JOIN (SELECT jsonb_object_agg((extract(epoch FROM date_trunc('minute', now()) + k * interval '1 minute') * 1000000)::bigint::text, 1 + {each} / 10080) AS ends FROM generate_series(1, 10080) k) e
			 WHERE t.state IN ('draft', 'scheduled', 'missed');
			INSERT INTO dry_run (task_id, state, content_hash, at, total, would_send, reasons, created_by, ended_at)
			SELECT id, 'done', '', now(), {each}, {each} / 2, '{"1": 100, "3": 200, "5": 10}', 'bench', now() FROM task WHERE state IN ('draft', 'scheduled', 'missed');
			UPDATE app SET testers = ARRAY(SELECT (10000000 + g)::text FROM generate_series(0, 49) g);
			INSERT INTO task (app_id, template_id, topic, caption, tips, audience, created_by)
			SELECT 1, t, '短名单', '说明', '提示', 'list', 'bench' FROM unnest('{T001,T002}'::text[]) t;
			INSERT INTO audience (task_id, state, filename, total, accepted, created_by) SELECT id, 'ready', 'short.csv', s.n, s.n, 'bench' FROM task, (SELECT least({short}, {users}) AS n) s WHERE topic = '短名单';
			UPDATE task SET audience_id = (SELECT id FROM audience WHERE task_id = task.id) WHERE topic = '短名单';
			INSERT INTO recipient (audience_id, seq, user_id)
			SELECT t.audience_id, i, (10000001 + (t.id * 977 + i * 15485863::bigint) % {users})::text FROM task t JOIN audience a ON a.id = t.audience_id CROSS JOIN LATERAL generate_series(0, a.accepted - 1) i WHERE t.topic = '短名单';
			INSERT INTO task (app_id, template_id, topic, caption, tips, audience, created_by) VALUES (1, 'T001', '全部', '说明', '提示', 'all', 'bench');
			INSERT INTO task (kind, test_of, app_id, template_id, topic, caption, tips, audience, state, channel, template_name, template_page, template_fields, chunk_size, chunk_count, planned_at, started_at,
			                  ended_at, created_by, sent_by)
			SELECT 'test', t.id, t.app_id, t.template_id, t.topic, t.caption, t.tips, 'list', 'done', p.channel, p.name, p.page, p.fields, 500, 1, now(), now(), now(), 'bench', 'bench'
			  FROM task t JOIN template p ON p.app_id = t.app_id AND p.template_id = t.template_id WHERE t.state = 'draft' AND t.topic <> '全部';
			INSERT INTO audience (task_id, state, total, accepted, created_by) SELECT id, 'ready', 1, 1, 'bench' FROM task WHERE kind = 'test';
			UPDATE task SET audience_id = (SELECT id FROM audience WHERE task_id = task.id) WHERE kind = 'test';
			INSERT INTO recipient (audience_id, seq, user_id, state, attempt, openid, updated_at) SELECT audience_id, 0, '10000000', 2, 1, 'otester', now() FROM task WHERE kind = 'test';
			INSERT INTO chunk (task_id, no, lo, hi, state, pending, sent) SELECT id, 0, 0, 1, 'done', 0, 1 FROM task WHERE kind = 'test'`},
	}
}

// stock fills the tables, unless they were kept. The indexes of the big ones that are not in the order of their rows are made once they are full.
func (s *site) stock(ctx context.Context) error {
	var full bool
	if err := s.db.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM chunk)`).Scan(&full); err != nil {
		return fmt.Errorf("look for chunks: %w", err)
	}
	if full {
		s.b.log.say("the database is there already")
		return nil
	}
	indexes, err := s.dropIndexes(ctx)
	if err != nil {
		return err
	}
	for _, step := range siteStock() {
		if err := s.fill(ctx, step); err != nil {
			return err
		}
	}
	s.b.log.say("storing %d tasks of %d recipients", s.b.opt.pages.tasks, s.b.opt.recipients)
	for id := range s.b.opt.pages.tasks {
		if id > 0 && id%10 == 0 {
			s.b.log.say("  %d", id)
		}
		if _, err := s.db.pool.Exec(ctx, s.numbers(siteRecipients), id+1); err != nil {
			return fmt.Errorf("store recipients of task %d: %w", id+1, err)
		}
	}
	if err := s.fill(ctx, stockStep{"indexes", indexes}); err != nil {
		return err
	}
	for _, step := range siteResults() {
		if err := s.fill(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) fill(ctx context.Context, step stockStep) error {
	s.b.log.say("storing %s", step.what)
	// What the rows refer to is there: the triggers that look for it, row by row, take most of the time.
	if _, err := s.db.pool.Exec(ctx, `BEGIN; SET LOCAL session_replication_role = replica; `+s.numbers(step.sql)+`; COMMIT`); err != nil {
		return fmt.Errorf("store %s: %w", step.what, err)
	}
	return nil
}

// users is how many users the first app has: each is in ten lists, if there are as many tasks.
func (s *site) users() int {
	return max(s.b.opt.pages.tasks*s.b.opt.recipients/10, s.b.opt.recipients+1, stateMix*100)
}

// entries is how many entries the audit log has: 100,000 at full size.
func (s *site) entries() int {
	return min(max(s.b.opt.pages.tasks*s.b.opt.recipients/100, 1000), 100_000)
}

func (s *site) numbers(sql string) string {
	return strings.NewReplacer("{tasks}", strconv.Itoa(s.b.opt.pages.tasks), "{each}", strconv.Itoa(s.b.opt.recipients), "{users}", strconv.Itoa(s.users()), "{entries}", strconv.Itoa(s.entries()),
		"{short}", strconv.Itoa(shortList)).Replace(sql)
}

// dropIndexes drops the indexes of the big tables but their keys, and returns the statements that make them again.
func (s *site) dropIndexes(ctx context.Context) (again string, err error) {
	var drop string
	err = s.db.pool.QueryRow(ctx, `
		SELECT string_agg(CASE WHEN c.conname IS NULL THEN 'DROP INDEX ' || i.indexrelid::regclass ELSE 'ALTER TABLE ' || i.indrelid::regclass || ' DROP CONSTRAINT ' || c.conname END, '; '),
		       string_agg(coalesce('ALTER TABLE ' || i.indrelid::regclass || ' ADD CONSTRAINT ' || c.conname || ' ' || pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid)), '; ')
		  FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'u'
		 WHERE i.indrelid IN ('recipient'::regclass, 'form_id'::regclass, 'app_user'::regclass) AND NOT i.indisprimary`).Scan(&drop, &again)
	if err == nil {
		_, err = s.db.pool.Exec(ctx, drop)
	}
	if err != nil {
		return "", fmt.Errorf("drop indexes: %w", err)
	}
	return again, nil
}
