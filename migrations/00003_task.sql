-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE task (
    id                    bigint        GENERATED ALWAYS AS IDENTITY,
    app_id                integer       NOT NULL,
    template_id           text          NOT NULL,
    topic                 text          NOT NULL DEFAULT '',
    caption               text          NOT NULL DEFAULT '',
    tips                  text          NOT NULL DEFAULT '',
    product_code          text,
    product_title         text,
    product_price         numeric(10,2),
    product_on_shelf      boolean,
    product_taken_at      timestamptz,
    audience              text          NOT NULL,
    audience_id           bigint,
    rate_per_second       integer       NOT NULL DEFAULT 0,
    misfire               text          NOT NULL DEFAULT 'late',
    not_after             timestamptz,
    priority              text          NOT NULL DEFAULT 'normal',
    on_unknown            text          NOT NULL DEFAULT 'leave',
    on_price_change       text          NOT NULL DEFAULT 'pause',
    wait_for_permit_until timestamptz,
    state                 text          NOT NULL DEFAULT 'draft',
    causes                text[]        NOT NULL DEFAULT '{}',
    note                  text          NOT NULL DEFAULT '',
    channel               text,
    template_name         text,
    template_page         text,
    template_fields       jsonb,
    start_at              timestamptz,
    chunk_size            integer,
    chunk_count           integer,
    fill_cursor           text          COLLATE "C",
    planned_at            timestamptz,
    started_at            timestamptz,
    ended_at              timestamptz,
    created_by            text          NOT NULL,
    sent_by               text,
    created_at            timestamptz   NOT NULL DEFAULT now(),
    updated_at            timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT task_pkey PRIMARY KEY (id),
    CONSTRAINT task_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT task_template_fkey FOREIGN KEY (app_id, template_id) REFERENCES template (app_id, template_id),
    CONSTRAINT task_audience_kind_known CHECK (audience IN ('list', 'all')),
    CONSTRAINT task_state_known CHECK (state IN ('draft', 'scheduled', 'sending', 'paused', 'done', 'missed', 'canceled')),
    CONSTRAINT task_causes_known CHECK (causes <@ ARRAY['operator', 'quota', 'breaker', 'quiet_hours', 'product_off_shelf',
        'product_changed', 'app_paused', 'restored']),
    CONSTRAINT task_paused_for_a_cause CHECK ((state = 'paused') = (cardinality(causes) > 0)),
    CONSTRAINT task_misfire_known CHECK (misfire IN ('late', 'skip')),
    CONSTRAINT task_priority_known CHECK (priority IN ('urgent', 'normal', 'bulk')),
    CONSTRAINT task_on_unknown_known CHECK (on_unknown IN ('leave', 'resend')),
    CONSTRAINT task_on_price_change_known CHECK (on_price_change IN ('pause', 'accept')),
    CONSTRAINT task_rate_not_negative CHECK (rate_per_second >= 0),
    CONSTRAINT task_channel_known CHECK (channel IN ('form_id', 'subscribe')),
    CONSTRAINT task_product_whole CHECK (num_nulls(product_code, product_title, product_price, product_on_shelf, product_taken_at) IN (0, 5)),
    CONSTRAINT task_frozen_once_sent CHECK (state = 'draft' OR num_nulls(channel, template_name, template_page, template_fields, sent_by) = 0),
    CONSTRAINT task_scheduled_has_time CHECK (state <> 'scheduled' OR start_at IS NOT NULL),
    CONSTRAINT task_planned_has_chunks CHECK (planned_at IS NULL OR num_nulls(chunk_size, chunk_count) = 0),
    CONSTRAINT task_ended_when_final CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'canceled')))
);
CREATE INDEX task_due_idx ON task (start_at) WHERE state = 'scheduled';
CREATE INDEX task_active_idx ON task (id) WHERE state IN ('sending', 'paused');
CREATE INDEX task_app_idx ON task (app_id, id);
COMMENT ON TABLE task IS
    'What to send: template, texts, product, audience, when. channel and template_* are the template as frozen at send or schedule; product_* as taken at creation, on request, and frozen with it.';
COMMENT ON COLUMN task.audience_id IS 'The version of its list in force. Null before there is one, and again once the purge has taken the rows of an old task.';
COMMENT ON COLUMN task.fill_cursor IS 'Audience "all": the last user id that was taken in, while the start job fills the audience.';
COMMENT ON COLUMN task.note IS 'Why it is paused or missed, and what to do.';

CREATE TABLE audience (
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    task_id    bigint,
    state      text        NOT NULL DEFAULT 'loading',
    filename   text        NOT NULL DEFAULT '',
    columns    text[]      NOT NULL DEFAULT '{}',
    total      integer     NOT NULL DEFAULT 0,
    accepted   integer     NOT NULL DEFAULT 0,
    duplicate  integer     NOT NULL DEFAULT 0,
    rejected   integer     NOT NULL DEFAULT 0,
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audience_pkey PRIMARY KEY (id),
    CONSTRAINT audience_task_fkey FOREIGN KEY (task_id) REFERENCES task (id),
    CONSTRAINT audience_state_known CHECK (state IN ('loading', 'ready', 'dropped')),
    CONSTRAINT audience_has_task CHECK (task_id IS NOT NULL OR state = 'dropped'),
    CONSTRAINT audience_counts_add_up CHECK (total = accepted + duplicate + rejected)
);
CREATE INDEX audience_task_idx ON audience (task_id);
ALTER TABLE task ADD CONSTRAINT task_audience_fkey FOREIGN KEY (audience_id) REFERENCES audience (id);
COMMENT ON TABLE audience IS
    'One version of a task''s list. An upload writes its rows under a new version; task.audience_id is moved to it in one statement when it is whole. Dropped versions are removed by the purge.';
COMMENT ON COLUMN audience.columns IS 'The names of the upload''s further columns, in the order of recipient.vars.';

CREATE TABLE audience_reject (
    audience_id bigint  NOT NULL,
    line        integer NOT NULL,
    code        text    NOT NULL,
    value       text    NOT NULL,
    CONSTRAINT audience_reject_pkey PRIMARY KEY (audience_id, line)
);
COMMENT ON TABLE audience_reject IS 'Rows of an upload that were refused: line, stable code, and what stood there.';

CREATE TABLE recipient_state (
    state smallint NOT NULL,
    name  text     NOT NULL,
    CONSTRAINT recipient_state_pkey PRIMARY KEY (state),
    CONSTRAINT recipient_state_name_unique UNIQUE (name)
);
INSERT INTO recipient_state (state, name) VALUES
    (0, 'pending'), (1, 'sending'), (2, 'sent'), (3, 'failed'), (4, 'skipped'), (5, 'unknown'), (6, 'waiting');
COMMENT ON TABLE recipient_state IS 'Names of recipient.state.';

CREATE TABLE reason (
    reason smallint NOT NULL,
    code   text     NOT NULL,
    state  text     NOT NULL,
    zh     text     NOT NULL,
    en     text     NOT NULL,
    CONSTRAINT reason_pkey PRIMARY KEY (reason),
    CONSTRAINT reason_code_unique UNIQUE (code)
);
INSERT INTO reason (reason, code, state, zh, en) VALUES
    (1,  'no_user',          'skipped', '用户不存在或者openid不存在', 'The user is not known'),
    (2,  'no_openid',        'skipped', '用户不存在或者openid不存在', 'The user has no openid'),
    (3,  'no_permit',        'skipped', '没有formid',               'The user has no usable permit'),
    (4,  'duplicate_openid', 'skipped', '同一用户重复',              'The same person is in the task already'),
    (5,  'suppressed',       'skipped', '在免打扰名单中',            'The user is on the suppression list'),
    (6,  'capped',           'skipped', '超过当日推送上限',          'The user has had the day''s messages'),
    (7,  'canceled',         'skipped', '任务已取消',               'The task was canceled'),
    (8,  'bad_openid',       'failed',  'openid无效',              'The platform does not know the openid'),
    (9,  'refused',          'failed',  '用户拒绝接收',             'The user refuses messages'),
    (10, 'permit_dead',      'failed',  '推送机会已失效',            'Every permit tried was dead'),
    (11, 'field_invalid',    'failed',  '内容不符合模板要求',        'A field does not fit the template'),
    (12, 'content_blocked',  'failed',  '内容含敏感词',             'The platform blocked the content'),
    (13, 'platform_error',   'failed',  '发送失败',                'The platform failed for good'),
    (14, 'unsure',           'unknown', '结果未知',                'Whether it arrived is not known');
COMMENT ON TABLE reason IS 'Why a recipient was not sent: stable codes with their texts (recipient.reason).';

-- Written twice a message: half of each page stays free, and no index names what changes, so that the updates are HOT.
-- user_id leads the unique index, so that it never rivals the primary key for a range of seq.
CREATE TABLE recipient (
    audience_id  bigint      NOT NULL,
    seq          integer     NOT NULL,
    user_id      text        COLLATE "C" NOT NULL,
    vars         jsonb,
    state        smallint    NOT NULL DEFAULT 0,
    attempt      smallint    NOT NULL DEFAULT 0,
    permit_tries smallint    NOT NULL DEFAULT 0,
    ambiguous    boolean     NOT NULL DEFAULT false,
    inferred     boolean     NOT NULL DEFAULT false,
    lease        integer     NOT NULL DEFAULT 0,
    reason       smallint,
    platform_code integer,
    permit_id    bigint,
    openid       text        COLLATE "C",
    rid          text,
    note         text,
    msgid        bigint,
    delivery     smallint,
    retry_at     timestamptz,
    sent_at      timestamptz,
    updated_at   timestamptz,
    CONSTRAINT recipient_pkey PRIMARY KEY (audience_id, seq),
    CONSTRAINT recipient_user_unique UNIQUE (user_id, audience_id),
    CONSTRAINT recipient_state_known CHECK (state BETWEEN 0 AND 6),
    CONSTRAINT recipient_sending_written_ahead CHECK (state <> 1 OR (openid IS NOT NULL AND attempt > 0)),
    CONSTRAINT recipient_reason_when_not_sent CHECK ((state IN (3, 4, 5)) = (reason IS NOT NULL)),
    CONSTRAINT recipient_ambiguous_keeps_openid CHECK (NOT ambiguous OR openid IS NOT NULL)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE recipient IS
    'One user of one task with its outcome. Keyed by the version of the list (task.audience_id), so that an upload in progress is apart from the list in force.';
COMMENT ON COLUMN recipient.vars IS 'The upload''s further columns, an array in the order of audience.columns.';
COMMENT ON COLUMN recipient.ambiguous IS
    'An earlier attempt may have reached the user. The row then keeps its permit, and is only ever sent again with that one (invariant 5).';

CREATE TABLE chunk (
    task_id    bigint      NOT NULL,
    no         integer     NOT NULL,
    lo         integer     NOT NULL,
    hi         integer     NOT NULL,
    state      text        NOT NULL DEFAULT 'idle',
    generation integer     NOT NULL DEFAULT 0,
    lease      integer     NOT NULL DEFAULT 0,
    node_id    bigint,
    not_before timestamptz,
    queued_at  timestamptz,
    pending    integer     NOT NULL,
    waiting    integer     NOT NULL DEFAULT 0,
    sending    integer     NOT NULL DEFAULT 0,
    sent       integer     NOT NULL DEFAULT 0,
    failed     integer     NOT NULL DEFAULT 0,
    skipped    integer     NOT NULL DEFAULT 0,
    unknown    integer     NOT NULL DEFAULT 0,
    reasons    jsonb       NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chunk_pkey PRIMARY KEY (task_id, no),
    CONSTRAINT chunk_task_fkey FOREIGN KEY (task_id) REFERENCES task (id) ON DELETE CASCADE,
    CONSTRAINT chunk_range_not_empty CHECK (lo < hi),
    CONSTRAINT chunk_state_known CHECK (state IN ('idle', 'queued', 'running', 'done')),
    CONSTRAINT chunk_running_has_owner CHECK ((state = 'running') = (node_id IS NOT NULL)),
    CONSTRAINT chunk_counts_add_up CHECK (pending + waiting + sending + sent + failed + skipped + unknown = hi - lo),
    CONSTRAINT chunk_counts_not_negative CHECK (least(pending, waiting, sending, sent, failed, skipped, unknown) >= 0),
    CONSTRAINT chunk_done_is_settled CHECK (state <> 'done' OR pending + waiting + sending = 0)
) WITH (fillfactor = 50);
CREATE INDEX chunk_open_idx ON chunk (task_id, no) WHERE state <> 'done';
COMMENT ON TABLE chunk IS
    'A contiguous range [lo, hi) of a task''s recipients: the unit of a job, and the ledger of their counts (invariant 8). What is unfinished is said here, not in the job table.';
COMMENT ON COLUMN chunk.generation IS 'Counts the jobs inserted for this chunk; a job of an older generation does nothing.';
COMMENT ON COLUMN chunk.lease IS 'Counts the runs of this chunk; each transaction of a run first updates this row under its own lease, or rolls back (invariant 6).';
COMMENT ON COLUMN chunk.reasons IS 'Recipients by reason: {"<reason>": count}.';

-- +goose StatementBegin
CREATE FUNCTION add_reasons(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_object_agg(key, n), '{}')
      FROM (SELECT key, sum(value::int) AS n FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) e GROUP BY key) s
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION add_reasons(jsonb, jsonb) IS 'Adds counts by reason.';

-- +goose StatementBegin
CREATE FUNCTION expect_rows(got bigint, want bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF got IS DISTINCT FROM want THEN
        RAISE EXCEPTION '% rows were to be written, % were there', want, got USING ERRCODE = 'MP001';
    END IF;
    RETURN true;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION expect_rows(bigint, bigint) IS 'Ends the statement, and so undoes it, unless it wrote as many rows as it was to write.';

CREATE VIEW task_recipient AS
SELECT t.id AS task_id, r.seq, r.user_id, r.openid, s.name AS state, e.code AS reason, r.attempt, r.ambiguous, r.inferred,
       r.permit_id, r.platform_code, r.rid, r.note, r.msgid, r.sent_at, r.updated_at
  FROM task t
  JOIN recipient r ON r.audience_id = t.audience_id
  JOIN recipient_state s ON s.state = r.state
  LEFT JOIN reason e ON e.reason = r.reason;
COMMENT ON VIEW task_recipient IS 'The recipients of each task with their states and reasons by name, for people who look at the tables.';

-- +goose Down
DROP VIEW task_recipient;
ALTER TABLE task DROP CONSTRAINT task_audience_fkey;
DROP FUNCTION expect_rows(bigint, bigint);
DROP FUNCTION add_reasons(jsonb, jsonb);
DROP TABLE chunk, recipient, reason, recipient_state, audience_reject, audience, task;
