-- The schema public after all migrations, written by TestSchema_IsTheGoldenOne. To be read, not run.

CREATE TABLE account (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    login text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    app_ids integer[],
    password_hash text NOT NULL,
    password_changed_at timestamp with time zone NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    last_login_at timestamp with time zone,
    disabled_at timestamp with time zone,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_login_unique UNIQUE (login),
    CONSTRAINT account_login_form CHECK (login ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'::text),
    CONSTRAINT account_name_form CHECK (name <> ''::text AND length(name) <= 64),
    CONSTRAINT account_role_known CHECK (role = ANY (ARRAY['viewer'::text, 'author'::text, 'approver'::text, 'operator'::text, 'admin'::text]))
);
COMMENT ON TABLE account IS 'People who log in to the console, with an argon2id hash (PHC string) of their password. app_ids NULL means all apps. A collector is a program and has a token.';

CREATE TABLE account_identity (
    issuer text NOT NULL,
    subject text NOT NULL,
    account_id bigint NOT NULL,
    linked_by text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT account_identity_pkey PRIMARY KEY (issuer, subject),
    CONSTRAINT account_identity_one_each UNIQUE (account_id, issuer),
    CONSTRAINT account_identity_account_fkey FOREIGN KEY (account_id) REFERENCES account(id) ON DELETE CASCADE,
    CONSTRAINT account_identity_subject_form CHECK (subject <> ''::text AND length(subject) <= 255)
);
COMMENT ON TABLE account_identity IS 'Who a person is at an OpenID provider: the pair of iss and sub, which alone is unique and never given again, and the account that an administrator linked it to.';

CREATE TABLE account_totp (
    account_id bigint NOT NULL,
    secret bytea NOT NULL,
    last_step bigint NOT NULL DEFAULT 0,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    confirmed_at timestamp with time zone,
    CONSTRAINT account_totp_pkey PRIMARY KEY (account_id),
    CONSTRAINT account_totp_account_fkey FOREIGN KEY (account_id) REFERENCES account(id) ON DELETE CASCADE
);
COMMENT ON TABLE account_totp IS 'The second factor of an account (RFC 6238): its sealed secret. It counts from confirmed_at on, when one code has proved that the phone has it. last_step is the time step of the last code that was used; only later ones are taken.';

CREATE TABLE api_token (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    hash bytea NOT NULL,
    role text NOT NULL,
    app_ids integer[],
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_token_pkey PRIMARY KEY (id),
    CONSTRAINT api_token_hash_unique UNIQUE (hash),
    CONSTRAINT api_token_name_given CHECK (name <> ''::text),
    CONSTRAINT api_token_role_known CHECK (role = ANY (ARRAY['collector'::text, 'viewer'::text, 'author'::text, 'approver'::text, 'operator'::text, 'admin'::text]))
);
CREATE UNIQUE INDEX api_token_name_live_unique ON public.api_token USING btree (name) WHERE (revoked_at IS NULL);
COMMENT ON TABLE api_token IS 'Bearer tokens of the API, as SHA-256 of the token. app_ids NULL means all apps.';

CREATE TABLE app (
    id integer NOT NULL GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    appid text NOT NULL,
    base_url text NOT NULL,
    secret_sealed bytea NOT NULL,
    paused_at timestamp with time zone,
    paused_by text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    rate_per_second integer NOT NULL DEFAULT 0,
    ramp_from integer NOT NULL DEFAULT 0,
    ramp_minutes integer NOT NULL DEFAULT 0,
    daily_budget integer NOT NULL DEFAULT 0,
    quiet_from time without time zone,
    quiet_to time without time zone,
    daily_cap integer NOT NULL DEFAULT 0,
    quota_until timestamp with time zone,
    quota_probe_task bigint,
    quota_limit bigint,
    quota_used bigint,
    quota_asked_at timestamp with time zone,
    permit_source text NOT NULL DEFAULT 'client'::text,
    callback_mode text NOT NULL DEFAULT ''::text,
    callback_sealed bytea,
    approval boolean NOT NULL DEFAULT false,
    testers text[] NOT NULL DEFAULT '{}'::text[],
    CONSTRAINT app_pkey PRIMARY KEY (id),
    CONSTRAINT app_appid_unique UNIQUE (appid, base_url),
    CONSTRAINT app_key_unique UNIQUE (key),
    CONSTRAINT app_appid_given CHECK (appid <> ''::text),
    CONSTRAINT app_callback_mode_known CHECK (callback_mode = ANY (ARRAY[''::text, 'plain'::text, 'compat'::text, 'safe'::text])),
    CONSTRAINT app_callback_whole CHECK ((callback_mode = ''::text) = (callback_sealed IS NULL)),
    CONSTRAINT app_key_form CHECK (key ~ '^[a-z0-9][a-z0-9_-]{0,62}$'::text),
    CONSTRAINT app_limits_not_negative CHECK (LEAST(rate_per_second, ramp_from, ramp_minutes, daily_budget, daily_cap) >= 0),
    CONSTRAINT app_paused_by_given CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
    CONSTRAINT app_permit_source_known CHECK (permit_source = ANY (ARRAY['client'::text, 'events'::text])),
    CONSTRAINT app_quiet_both_or_neither CHECK ((quiet_from IS NULL) = (quiet_to IS NULL)),
    CONSTRAINT app_quiet_not_empty CHECK (quiet_from <> quiet_to),
    CONSTRAINT app_quota_probe_while_out CHECK (quota_probe_task IS NULL OR quota_until IS NOT NULL),
    CONSTRAINT app_ramp_both_or_neither CHECK ((ramp_from = 0) = (ramp_minutes = 0)),
    CONSTRAINT app_testers_few CHECK (cardinality(testers) <= 50)
);
COMMENT ON TABLE app IS 'One mini-program: its appid, its sealed secret and where its platform is reached.';
COMMENT ON COLUMN app.paused_at IS 'The kill switch: while it is set, no call is made for this app.';
COMMENT ON COLUMN app.rate_per_second IS 'Calls a second over all daemons; 0 is no limit.';
COMMENT ON COLUMN app.ramp_from IS 'Each task starts at this many calls a second and reaches the rate in ramp_minutes; 0 is no ramp.';
COMMENT ON COLUMN app.daily_budget IS 'Calls a day (the platform''s, from 00:00 Asia/Shanghai) over all tasks; 0 is no budget.';
COMMENT ON COLUMN app.quiet_from IS 'Quiet hours, from and to, in the configured time zone; they may span midnight. Only urgent tasks send in them.';
COMMENT ON COLUMN app.daily_cap IS 'Messages a user may get a day over all tasks; 0 is no cap.';
COMMENT ON COLUMN app.quota_until IS 'The platform''s quota, or the daily budget, is used up: the tasks of the app are paused, and one of them tries again at this time.';
COMMENT ON COLUMN app.quota_probe_task IS 'The task that tries whether the quota is there again, with one call.';
COMMENT ON COLUMN app.quota_limit IS 'The platform''s daily limit of sends as it last said, 0 for none; quota_used is what was used then.';
COMMENT ON COLUMN app.permit_source IS 'Who reports subscriptions: the mini-program by the API, or the platform by its events. Never both: each acceptance would count twice.';
COMMENT ON COLUMN app.callback_sealed IS 'Token and EncodingAESKey of the platform''s message push; callback_mode empty: none is taken.';
COMMENT ON COLUMN app.approval IS 'A task begins only once a second person has approved its content and audience as they are.';
COMMENT ON COLUMN app.testers IS 'User ids to whom a task may be sent as a test, each with a permit of their own.';

CREATE TABLE app_day (
    app_id integer NOT NULL,
    day date NOT NULL,
    calls bigint NOT NULL DEFAULT 0,
    CONSTRAINT app_day_pkey PRIMARY KEY (app_id, day),
    CONSTRAINT app_day_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT app_day_not_negative CHECK (calls >= 0)
) WITH (fillfactor=50);
COMMENT ON TABLE app_day IS 'Calls that were granted to an app with a daily budget, per day of the platform (Asia/Shanghai). They are granted in blocks; what a block does not use is given back.';

CREATE TABLE app_token (
    app_id integer NOT NULL,
    version integer NOT NULL DEFAULT 0,
    token_sealed bytea,
    expires_at timestamp with time zone,
    refreshing_until timestamp with time zone,
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT app_token_pkey PRIMARY KEY (app_id),
    CONSTRAINT app_token_app_fkey FOREIGN KEY (app_id) REFERENCES app(id) ON DELETE CASCADE
);
COMMENT ON TABLE app_token IS 'The platform''s access token of an app, shared by all daemons. One of them refreshes it at a time (refreshing_until); version counts the tokens, so that a token that failed is replaced once.';

CREATE TABLE app_user (
    app_id integer NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    openid text COLLATE "C",
    moved boolean NOT NULL DEFAULT false,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT app_user_pkey PRIMARY KEY (user_id, app_id),
    CONSTRAINT app_user_openid_unique UNIQUE (openid, app_id),
    CONSTRAINT app_user_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT app_user_openid_form CHECK (openid <> ''::text AND length(openid) <= 128),
    CONSTRAINT app_user_user_id_form CHECK (user_id <> ''::text AND length(user_id) <= 64)
);
COMMENT ON TABLE app_user IS 'Business user id to openid, per app. An openid belongs to one user of an app: the newest report wins (invariant 3).';
COMMENT ON COLUMN app_user.moved IS 'The openid belonged to another user of the app before: the claim then looks at openid_move, so that nobody gets a task twice.';

CREATE TABLE audience (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    task_id bigint,
    state text NOT NULL DEFAULT 'loading'::text,
    filename text NOT NULL DEFAULT ''::text,
    columns text[] NOT NULL DEFAULT '{}'::text[],
    total integer NOT NULL DEFAULT 0,
    accepted integer NOT NULL DEFAULT 0,
    duplicate integer NOT NULL DEFAULT 0,
    rejected integer NOT NULL DEFAULT 0,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    list_id bigint,
    version integer,
    CONSTRAINT audience_pkey PRIMARY KEY (id),
    CONSTRAINT audience_version_unique UNIQUE (list_id, version),
    CONSTRAINT audience_list_fkey FOREIGN KEY (list_id) REFERENCES saved_list(id),
    CONSTRAINT audience_task_fkey FOREIGN KEY (task_id) REFERENCES task(id),
    CONSTRAINT audience_counts_add_up CHECK (total = (accepted + duplicate + rejected)),
    CONSTRAINT audience_has_owner CHECK (num_nonnulls(task_id, list_id) = 1 OR state = 'dropped'::text),
    CONSTRAINT audience_state_known CHECK (state = ANY (ARRAY['loading'::text, 'ready'::text, 'dropped'::text])),
    CONSTRAINT audience_version_is_of_list CHECK (version IS NULL OR list_id IS NOT NULL)
);
CREATE INDEX audience_task_idx ON public.audience USING btree (task_id);
COMMENT ON TABLE audience IS 'One version of a list: of a task''s, or of a saved one. An upload writes its rows under a new version; task.audience_id or saved_list.audience_id is moved to it in one statement when it is whole. Dropped versions are removed by the purge.';
COMMENT ON COLUMN audience.columns IS 'The names of the upload''s further columns, in the order of recipient.vars.';
COMMENT ON COLUMN audience.version IS 'Counts the versions of a saved list, from 1. Null while it is uploaded, and for the list of a task.';

CREATE TABLE audience_copy (
    audience_id bigint NOT NULL,
    source_id bigint NOT NULL,
    task_id bigint NOT NULL,
    reasons smallint[] NOT NULL DEFAULT '{}'::smallint[],
    next_seq integer NOT NULL DEFAULT 0,
    CONSTRAINT audience_copy_pkey PRIMARY KEY (audience_id),
    CONSTRAINT audience_copy_audience_fkey FOREIGN KEY (audience_id) REFERENCES audience(id) ON DELETE CASCADE,
    CONSTRAINT audience_copy_progress_not_negative CHECK (next_seq >= 0)
);
COMMENT ON TABLE audience_copy IS 'Lists that are being copied from another task, page by page: whoever takes the row copies the next page. The row goes when the list is put in force or given up.';
COMMENT ON COLUMN audience_copy.source_id IS 'The version of the list of task_id that is copied. Once the task no longer has it in force, the copy is given up.';
COMMENT ON COLUMN audience_copy.reasons IS 'Only the recipients that ended for one of these reasons; empty is all.';
COMMENT ON COLUMN audience_copy.next_seq IS 'The first seq of the source that has not been looked at.';

CREATE TABLE audience_reject (
    audience_id bigint NOT NULL,
    line integer NOT NULL,
    code text NOT NULL,
    value text NOT NULL,
    field text NOT NULL DEFAULT ''::text,
    rule text NOT NULL DEFAULT ''::text,
    zh text NOT NULL DEFAULT ''::text,
    en text NOT NULL DEFAULT ''::text,
    openid boolean NOT NULL DEFAULT false,
    CONSTRAINT audience_reject_pkey PRIMARY KEY (audience_id, line)
);
COMMENT ON TABLE audience_reject IS 'Rows of an upload that were refused: line, stable code, and what stood there.';
COMMENT ON COLUMN audience_reject.field IS 'Code field_invalid: the field of the template whose value the platform would refuse, by which rule, and both in words.';
COMMENT ON COLUMN audience_reject.openid IS 'The row is of a list of openids: value is shown whole to those only who see openids.';

CREATE TABLE audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    at timestamp with time zone NOT NULL DEFAULT now(),
    actor text NOT NULL,
    actor_id text NOT NULL DEFAULT ''::text,
    action text NOT NULL,
    app_id integer,
    object text NOT NULL DEFAULT ''::text,
    detail jsonb NOT NULL DEFAULT '{}'::jsonb,
    address text NOT NULL DEFAULT ''::text,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id),
    CONSTRAINT audit_log_action_form CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$'::text),
    CONSTRAINT audit_log_actor_given CHECK (actor <> ''::text),
    CONSTRAINT audit_log_detail_object CHECK (jsonb_typeof(detail) = 'object'::text)
);
CREATE INDEX audit_log_actor_idx ON public.audit_log USING btree (actor, at, id);
CREATE INDEX audit_log_at_idx ON public.audit_log USING btree (at, id);
CREATE INDEX audit_log_object_idx ON public.audit_log USING btree (object, at, id);
CREATE TRIGGER audit_log_only_added_to BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
COMMENT ON TABLE audit_log IS 'Who changed what, written in the transaction of the change; a trigger keeps entries as they are. action is stable, such as account.add; object names what was changed, such as task:98.';
COMMENT ON COLUMN audit_log.address IS 'Where the change was asked for: an address, as the server saw it, or cli for a command; empty for what a daemon did by itself.';

CREATE TABLE breaker (
    app_id integer NOT NULL,
    reason text NOT NULL,
    probes integer NOT NULL DEFAULT 0,
    due_at timestamp with time zone NOT NULL,
    probe_task bigint,
    opened_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT breaker_pkey PRIMARY KEY (app_id),
    CONSTRAINT breaker_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT breaker_probe_is_task_fkey FOREIGN KEY (probe_task) REFERENCES task(id) ON DELETE SET NULL,
    CONSTRAINT breaker_probes_not_negative CHECK (probes >= 0)
);
CREATE INDEX breaker_probe_task_idx ON public.breaker USING btree (probe_task) WHERE (probe_task IS NOT NULL);
COMMENT ON TABLE breaker IS 'Apps whose platform does not answer: their tasks are paused until one call of probe_task, made at due_at, gets an answer. The row goes when one does.';
COMMENT ON COLUMN breaker.probes IS 'Probes without an answer; the wait doubles with each.';
COMMENT ON COLUMN breaker.due_at IS 'When the next probe is made; while probe_task is set, when it is given up.';

CREATE TABLE chunk (
    task_id bigint NOT NULL,
    no integer NOT NULL,
    lo integer NOT NULL,
    hi integer NOT NULL,
    state text NOT NULL DEFAULT 'idle'::text,
    generation integer NOT NULL DEFAULT 0,
    lease integer NOT NULL DEFAULT 0,
    node_id bigint,
    not_before timestamp with time zone,
    queued_at timestamp with time zone,
    pending integer NOT NULL,
    waiting integer NOT NULL DEFAULT 0,
    sending integer NOT NULL DEFAULT 0,
    sent integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    unknown integer NOT NULL DEFAULT 0,
    reasons jsonb NOT NULL DEFAULT '{}'::jsonb,
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT chunk_pkey PRIMARY KEY (task_id, no),
    CONSTRAINT chunk_task_fkey FOREIGN KEY (task_id) REFERENCES task(id) ON DELETE CASCADE,
    CONSTRAINT chunk_counts_add_up CHECK ((pending + waiting + sending + sent + failed + skipped + unknown) = (hi - lo)),
    CONSTRAINT chunk_counts_not_negative CHECK (LEAST(pending, waiting, sending, sent, failed, skipped, unknown) >= 0),
    CONSTRAINT chunk_done_is_settled CHECK (state <> 'done'::text OR (pending + waiting + sending) = 0),
    CONSTRAINT chunk_range_not_empty CHECK (lo < hi),
    CONSTRAINT chunk_running_has_owner CHECK ((state = 'running'::text) = (node_id IS NOT NULL)),
    CONSTRAINT chunk_state_known CHECK (state = ANY (ARRAY['idle'::text, 'queued'::text, 'running'::text, 'done'::text]))
) WITH (fillfactor=50);
CREATE INDEX chunk_open_idx ON public.chunk USING btree (task_id, no) WHERE (state <> 'done'::text);
COMMENT ON TABLE chunk IS 'A contiguous range [lo, hi) of a task''s recipients: the unit of a job, and the ledger of their counts (invariant 8). What is unfinished is said here, not in the job table.';
COMMENT ON COLUMN chunk.generation IS 'Counts the jobs inserted for this chunk; a job of an older generation does nothing.';
COMMENT ON COLUMN chunk.lease IS 'Counts the runs of this chunk; each transaction of a run first updates this row under its own lease, or rolls back (invariant 6).';
COMMENT ON COLUMN chunk.reasons IS 'Recipients by reason: {"<reason>": count}.';

CREATE TABLE database_identity (
    only_row boolean NOT NULL DEFAULT true,
    system_id bigint NOT NULL,
    timeline_id integer NOT NULL,
    database_id bigint NOT NULL,
    since timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT database_identity_pkey PRIMARY KEY (only_row),
    CONSTRAINT database_identity_one_row CHECK (only_row)
);
COMMENT ON TABLE database_identity IS 'The cluster, timeline and database that these rows were last used in. Another one than the server''s says that they were restored: what was sent since is not in them.';

CREATE TABLE dry_run (
    task_id bigint NOT NULL,
    run integer NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'running'::text,
    content_hash bytea NOT NULL,
    at timestamp with time zone NOT NULL,
    cursor text COLLATE "C" NOT NULL DEFAULT ''::text,
    total integer NOT NULL DEFAULT 0,
    would_send integer NOT NULL DEFAULT 0,
    would_wait integer NOT NULL DEFAULT 0,
    reasons jsonb NOT NULL DEFAULT '{}'::jsonb,
    examples jsonb NOT NULL DEFAULT '[]'::jsonb,
    note text NOT NULL DEFAULT ''::text,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    ended_at timestamp with time zone,
    CONSTRAINT dry_run_pkey PRIMARY KEY (task_id),
    CONSTRAINT dry_run_task_fkey FOREIGN KEY (task_id) REFERENCES task(id) ON DELETE CASCADE,
    CONSTRAINT dry_run_ended CHECK ((state = 'running'::text) = (ended_at IS NULL)),
    CONSTRAINT dry_run_not_negative CHECK (LEAST(total, would_send, would_wait) >= 0),
    CONSTRAINT dry_run_state_known CHECK (state = ANY (ARRAY['running'::text, 'done'::text, 'failed'::text]))
);
COMMENT ON TABLE dry_run IS 'What a task would have come to, found out page by page without claiming or spending anything: the last dry run of a task, apart from its recipients.';
COMMENT ON COLUMN dry_run.run IS 'Counts the dry runs of the task: whoever works on an earlier one stops.';
COMMENT ON COLUMN dry_run.cursor IS 'How far it has come: the next seq of the list, or the last user id.';
COMMENT ON COLUMN dry_run.reasons IS 'Recipients by reason: {"<reason>": count}.';

CREATE TABLE form_id (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    app_id integer NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    form_id text COLLATE "C" NOT NULL,
    source smallint NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    submitted_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    audience_id bigint,
    seq integer,
    lease integer,
    CONSTRAINT form_id_pkey PRIMARY KEY (id),
    CONSTRAINT form_id_unique UNIQUE (form_id, app_id),
    CONSTRAINT form_id_form CHECK (form_id <> ''::text AND length(form_id) <= 128),
    CONSTRAINT form_id_reserved_for_someone CHECK (state = 0 OR audience_id IS NOT NULL),
    CONSTRAINT form_id_state_known CHECK (state >= 0 AND state <= 3)
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.02);
CREATE INDEX form_id_expires_idx ON public.form_id USING btree (expires_at);
CREATE INDEX form_id_user_idx ON public.form_id USING btree (user_id, app_id, expires_at);
COMMENT ON TABLE form_id IS 'Permits of the form_id channel: each formId may carry one message to the user who submitted it, within seven days. Claimed earliest expiry first.';
COMMENT ON COLUMN form_id.state IS '0 available, 1 reserved, 2 used, 3 invalid. Expired is not a state: it is expires_at <= now(), tested in the claim; the cron entry removes expired ones and counts them in form_id_day.';
COMMENT ON COLUMN form_id.audience_id IS 'With seq: the recipient that it is, or was last, reserved for.';

CREATE TABLE form_id_day (
    app_id integer NOT NULL,
    day date NOT NULL,
    source smallint NOT NULL,
    collected bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    CONSTRAINT form_id_day_pkey PRIMARY KEY (app_id, day, source),
    CONSTRAINT form_id_day_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT form_id_day_not_negative CHECK (collected >= 0 AND expired >= 0)
);
COMMENT ON TABLE form_id_day IS 'Per app, day (in the configured time zone) and source: formIds collected, and formIds that expired unused.';

CREATE TABLE form_source (
    app_id integer NOT NULL,
    source smallint NOT NULL,
    label_zh text NOT NULL,
    label_en text NOT NULL,
    CONSTRAINT form_source_pkey PRIMARY KEY (app_id, source),
    CONSTRAINT form_source_app_fkey FOREIGN KEY (app_id) REFERENCES app(id) ON DELETE CASCADE,
    CONSTRAINT form_source_positive CHECK (source > 0)
);
COMMENT ON TABLE form_source IS 'The places of a mini-program that yield formIds. Every app starts with the original''s seven; rows are added without a release.';

CREATE TABLE idempotency_key (
    principal text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status integer NOT NULL,
    content_type text NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (principal, key),
    CONSTRAINT idempotency_key_length CHECK (length(key) >= 1 AND length(key) <= 255)
);
CREATE INDEX idempotency_key_created_at_idx ON public.idempotency_key USING btree (created_at);
COMMENT ON TABLE idempotency_key IS 'The answer to a POST that carried an Idempotency-Key, written in the transaction of what it did.';

CREATE UNLOGGED TABLE limiter (
    app_id integer NOT NULL,
    task_id bigint NOT NULL,
    next_at timestamp with time zone NOT NULL,
    slow_rate double precision,
    slow_base double precision,
    slow_at timestamp with time zone,
    virtual double precision NOT NULL DEFAULT 0,
    asked_at timestamp with time zone,
    CONSTRAINT limiter_pkey PRIMARY KEY (app_id, task_id),
    CONSTRAINT limiter_slow_positive CHECK (slow_rate > 0::double precision AND slow_base > 0::double precision),
    CONSTRAINT limiter_slow_whole CHECK (num_nulls(slow_rate, slow_base, slow_at) = ANY (ARRAY[0, 3]))
) WITH (fillfactor=10);
COMMENT ON TABLE limiter IS 'When the next call may start, per app (task_id 0) and per task with a limit of its own: the rate of both holds over all daemons together (invariant 9).';
COMMENT ON COLUMN limiter.slow_rate IS 'The platform asked to slow down (45011): the rate fell to slow_rate at slow_at, and grows by a tenth of slow_base every 10 s until it is slow_base again.';
COMMENT ON COLUMN limiter.virtual IS 'Of a task: calls granted so far, divided by the weight of its priority. Of the tasks that lack some, the one that is behind is served (weighted fair queueing). Of an app: where the one served last stood; a task that lacked nothing before begins there.';
COMMENT ON COLUMN limiter.asked_at IS 'When a task last got less than it wanted for want of its app''s rate; null once it got all, or is held up by its own limit.';

CREATE TABLE login_attempt (
    subject bytea NOT NULL,
    tries integer NOT NULL,
    since timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT login_attempt_pkey PRIMARY KEY (subject)
);
CREATE INDEX login_attempt_since_idx ON public.login_attempt USING btree (since);
COMMENT ON TABLE login_attempt IS 'Attempts to log in that did not succeed, by SHA-256 of a login name and of an address, within a window that began at since. A login that does not exist is counted like one that does.';

CREATE TABLE node (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    started_at timestamp with time zone NOT NULL DEFAULT now(),
    beat_at timestamp with time zone NOT NULL DEFAULT now(),
    stopped_at timestamp with time zone,
    CONSTRAINT node_pkey PRIMARY KEY (id)
) WITH (fillfactor=50);
COMMENT ON TABLE node IS 'Daemons that run chunks. A live one updates beat_at every second on a connection that also holds an advisory lock on its id.';

CREATE TABLE openid_call (
    openid text COLLATE "C" NOT NULL,
    app_id integer NOT NULL,
    audience_id bigint NOT NULL,
    seq integer NOT NULL,
    free_at timestamp with time zone,
    CONSTRAINT openid_call_pkey PRIMARY KEY (openid, app_id)
) WITH (fillfactor=70, vacuum_truncate=off, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0);
CREATE INDEX openid_call_recipient_idx ON public.openid_call USING btree (audience_id, seq);
COMMENT ON TABLE openid_call IS 'Openids for which a call of the subscribe channel is in flight, with the recipient that it is for.';
COMMENT ON COLUMN openid_call.free_at IS 'The process that made the call is dead: the openid is free from then on, when nobody can still have it under way.';

CREATE TABLE openid_move (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    app_id integer NOT NULL,
    openid text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    moved_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT openid_move_pkey PRIMARY KEY (id),
    CONSTRAINT openid_move_app_fkey FOREIGN KEY (app_id) REFERENCES app(id)
);
CREATE INDEX openid_move_openid_idx ON public.openid_move USING btree (openid, app_id);
COMMENT ON TABLE openid_move IS 'Who held an openid before it moved to another user of the app.';

CREATE TABLE product (
    app_id integer NOT NULL,
    code text NOT NULL,
    title text NOT NULL,
    price numeric(10,2) NOT NULL,
    on_shelf boolean NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT product_pkey PRIMARY KEY (app_id, code),
    CONSTRAINT product_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT product_code_form CHECK (code <> ''::text AND length(code) <= 64),
    CONSTRAINT product_price_not_negative CHECK (price >= 0::numeric),
    CONSTRAINT product_title_form CHECK (title <> ''::text AND length(title) <= 64)
);
COMMENT ON TABLE product IS 'What a task advertises: code, title, price and whether it is on the shelf (上架).';

CREATE TABLE reach (
    task_id bigint NOT NULL,
    audience_id bigint NOT NULL,
    template_id text NOT NULL,
    as_of timestamp with time zone NOT NULL,
    figures json NOT NULL,
    CONSTRAINT reach_pkey PRIMARY KEY (task_id),
    CONSTRAINT reach_task_fkey FOREIGN KEY (task_id) REFERENCES task(id) ON DELETE CASCADE
);
CREATE INDEX reach_as_of_idx ON public.reach USING btree (as_of);
COMMENT ON TABLE reach IS 'How many of a task''s long list could be reached when it was last counted. Derived, and kept only because the count takes seconds: losing a row costs a count.';
COMMENT ON COLUMN reach.audience_id IS 'The version of the list that was counted, 0 for all users. A figure of another list, or another template, than the task has now is not shown.';
COMMENT ON COLUMN reach.figures IS 'Recipients by what stands against them; those with permits by the minute (in microseconds since 1970) in which their last one ends, so that any time of sending can be answered.';

CREATE TABLE reason (
    reason smallint NOT NULL,
    code text NOT NULL,
    state text NOT NULL,
    zh text NOT NULL,
    en text NOT NULL,
    CONSTRAINT reason_pkey PRIMARY KEY (reason),
    CONSTRAINT reason_code_unique UNIQUE (code)
);
COMMENT ON TABLE reason IS 'Why a recipient was not sent: stable codes with their texts (recipient.reason).';

CREATE TABLE recipient (
    audience_id bigint NOT NULL,
    seq integer NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    vars jsonb,
    state smallint NOT NULL DEFAULT 0,
    attempt smallint NOT NULL DEFAULT 0,
    permit_tries smallint NOT NULL DEFAULT 0,
    ambiguous boolean NOT NULL DEFAULT false,
    inferred boolean NOT NULL DEFAULT false,
    lease integer NOT NULL DEFAULT 0,
    reason smallint,
    platform_code integer,
    permit_id bigint,
    openid text COLLATE "C",
    rid text,
    note text,
    msgid bigint,
    delivery smallint,
    retry_at timestamp with time zone,
    sent_at timestamp with time zone,
    updated_at timestamp with time zone,
    in_doubt boolean NOT NULL DEFAULT false,
    called_at timestamp with time zone,
    CONSTRAINT recipient_pkey PRIMARY KEY (audience_id, seq),
    CONSTRAINT recipient_user_unique UNIQUE (user_id, audience_id),
    CONSTRAINT recipient_ambiguous_keeps_openid CHECK (NOT ambiguous OR openid IS NOT NULL),
    CONSTRAINT recipient_reason_when_not_sent CHECK ((state = ANY (ARRAY[3, 4, 5])) = (reason IS NOT NULL)),
    CONSTRAINT recipient_sending_written_ahead CHECK (state <> 1 OR openid IS NOT NULL AND attempt > 0),
    CONSTRAINT recipient_state_known CHECK (state >= 0 AND state <= 6)
) WITH (fillfactor=50, autovacuum_vacuum_scale_factor=0.05);
CREATE INDEX recipient_msgid_idx ON public.recipient USING btree (msgid) WHERE (msgid IS NOT NULL);
COMMENT ON TABLE recipient IS 'One user of one task with its outcome. Keyed by the version of the list (task.audience_id), so that an upload in progress is apart from the list in force.';
COMMENT ON COLUMN recipient.vars IS 'The upload''s further columns, an array in the order of audience.columns.';
COMMENT ON COLUMN recipient.ambiguous IS 'An earlier attempt may have reached the user. The row then keeps its permit, and is only ever sent again with that one (invariant 5).';
COMMENT ON COLUMN recipient.delivery IS 'What the platform reported later of a message that it had accepted: 1 delivered, 2 failed (platform_code says why); null: nothing yet.';
COMMENT ON COLUMN recipient.in_doubt IS 'on_unknown "resend": an attempt with an earlier permit may have got through, and the row went on with another one. It ends sent or unknown, never failed or skipped, and may have reached the user twice.';
COMMENT ON COLUMN recipient.called_at IS 'When the last call was written ahead, on the channel subscribe: what tells an event that bears no known msgid which call it is about. Null on the channel form_id.';

CREATE TABLE recipient_state (
    state smallint NOT NULL,
    name text NOT NULL,
    CONSTRAINT recipient_state_pkey PRIMARY KEY (state),
    CONSTRAINT recipient_state_name_unique UNIQUE (name)
);
COMMENT ON TABLE recipient_state IS 'Names of recipient.state.';

CREATE TABLE recovery_code (
    account_id bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT recovery_code_pkey PRIMARY KEY (account_id, hash),
    CONSTRAINT recovery_code_totp_fkey FOREIGN KEY (account_id) REFERENCES account_totp(account_id) ON DELETE CASCADE
);
COMMENT ON TABLE recovery_code IS 'What is typed in place of a code of the phone that was lost, as SHA-256. One that is used is deleted.';

CREATE TABLE saved_list (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    app_id integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    audience_id bigint,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT saved_list_pkey PRIMARY KEY (id),
    CONSTRAINT saved_list_name_unique UNIQUE (app_id, name),
    CONSTRAINT saved_list_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT saved_list_audience_fkey FOREIGN KEY (audience_id) REFERENCES audience(id)
);
COMMENT ON TABLE saved_list IS 'A list with a name that many tasks use. Its versions are rows of audience; audience_id is the newest that is whole. A task copies the rows of a version.';

CREATE TABLE schedule (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    app_id integer NOT NULL,
    name text NOT NULL,
    cron text NOT NULL,
    time_zone text NOT NULL,
    list_id bigint,
    task jsonb NOT NULL,
    next_at timestamp with time zone,
    note text NOT NULL DEFAULT ''::text,
    created_by text NOT NULL,
    enabled_by text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT schedule_pkey PRIMARY KEY (id),
    CONSTRAINT schedule_name_unique UNIQUE (app_id, name),
    CONSTRAINT schedule_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT schedule_list_fkey FOREIGN KEY (list_id) REFERENCES saved_list(id),
    CONSTRAINT schedule_runs_in_a_name CHECK (next_at IS NULL OR enabled_by IS NOT NULL)
);
CREATE INDEX schedule_due_idx ON public.schedule USING btree (next_at) WHERE (next_at IS NOT NULL);
COMMENT ON TABLE schedule IS 'What is sent again and again: a cron spec in a time zone, and the task (push.TaskSpec) that each tick makes, for all or for the newest version of a saved list.';
COMMENT ON COLUMN schedule.next_at IS 'The first tick that has not been dealt with. Null while it is paused.';
COMMENT ON COLUMN schedule.enabled_by IS 'Who let it run: the sender of its tasks.';

CREATE TABLE schedule_tick (
    schedule_id bigint NOT NULL,
    tick text COLLATE "C" NOT NULL,
    at timestamp with time zone NOT NULL,
    outcome text NOT NULL DEFAULT 'missed'::text,
    task_id bigint,
    code text NOT NULL DEFAULT ''::text,
    note text NOT NULL DEFAULT ''::text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT schedule_tick_pkey PRIMARY KEY (schedule_id, tick),
    CONSTRAINT schedule_tick_task_unique UNIQUE (task_id),
    CONSTRAINT schedule_tick_schedule_fkey FOREIGN KEY (schedule_id) REFERENCES schedule(id) ON DELETE CASCADE,
    CONSTRAINT schedule_tick_task_fkey FOREIGN KEY (task_id) REFERENCES task(id),
    CONSTRAINT schedule_tick_outcome_known CHECK (outcome = ANY (ARRAY['sent'::text, 'refused'::text, 'missed'::text])),
    CONSTRAINT schedule_tick_sent_has_task CHECK ((outcome = 'sent'::text) = (task_id IS NOT NULL))
);
CREATE INDEX schedule_tick_at_idx ON public.schedule_tick USING btree (schedule_id, at);
COMMENT ON TABLE schedule_tick IS 'What became of each tick of a schedule, once: the task that it made, or why it made none. A tick is named by the time on the wall with its zone, or, for a spec of every hour, by the instant.';

CREATE TABLE sent_event (
    msgid bigint NOT NULL,
    app_id integer NOT NULL,
    openid text COLLATE "C" NOT NULL,
    template_id text NOT NULL,
    code bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    looked_at timestamp with time zone,
    settled_at timestamp with time zone,
    CONSTRAINT sent_event_pkey PRIMARY KEY (msgid, app_id),
    CONSTRAINT sent_event_app_fkey FOREIGN KEY (app_id) REFERENCES app(id)
);
CREATE INDEX sent_event_open_idx ON public.sent_event USING btree (received_at) WHERE (settled_at IS NULL);
CREATE INDEX sent_event_open_openid_idx ON public.sent_event USING btree (openid, app_id) WHERE (settled_at IS NULL);
CREATE INDEX sent_event_settled_idx ON public.sent_event USING btree (settled_at) WHERE (settled_at IS NOT NULL);
COMMENT ON TABLE sent_event IS 'What the platform reported of messages that it had accepted: delivered (code 0) or not. settled_at: its recipient shows it, or there is none.';

CREATE TABLE session (
    hash bytea NOT NULL,
    account_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    last_used_at timestamp with time zone NOT NULL DEFAULT now(),
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (hash),
    CONSTRAINT session_account_fkey FOREIGN KEY (account_id) REFERENCES account(id) ON DELETE CASCADE
);
CREATE INDEX session_account_idx ON public.session USING btree (account_id);
CREATE INDEX session_expires_at_idx ON public.session USING btree (expires_at);
COMMENT ON TABLE session IS 'Who is logged in: SHA-256 of the cookie. It ends at expires_at, and earlier if it has not been used for a while (last_used_at, written at most once a minute).';

CREATE TABLE subscription (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    app_id integer NOT NULL,
    openid text COLLATE "C" NOT NULL,
    template_id text NOT NULL,
    available integer NOT NULL DEFAULT 0,
    reserved integer NOT NULL DEFAULT 0,
    suspect integer NOT NULL DEFAULT 0,
    used bigint NOT NULL DEFAULT 0,
    long_term boolean NOT NULL DEFAULT false,
    accepted_at timestamp with time zone,
    off_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    fresh integer NOT NULL DEFAULT 0,
    suspect_at timestamp with time zone,
    CONSTRAINT subscription_pkey PRIMARY KEY (id),
    CONSTRAINT subscription_unique UNIQUE (openid, app_id, template_id),
    CONSTRAINT subscription_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT subscription_not_negative CHECK (LEAST(available, reserved, suspect) >= 0 AND used >= 0)
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0.02);
CREATE INDEX subscription_suspect_idx ON public.subscription USING btree (app_id, id) WHERE (suspect > 0);
COMMENT ON TABLE subscription IS 'Permits of the subscribe channel: how many messages of a template a person has accepted and not yet had. They do not expire, and the platform cannot be asked for them.';
COMMENT ON COLUMN subscription.reserved IS 'Claimed by recipients that are sending, or whose outcome is not known.';
COMMENT ON COLUMN subscription.suspect IS 'Set aside when the platform answered 43101 although units were left here: the person may have turned the messages off, or the count is wrong.';
COMMENT ON COLUMN subscription.long_term IS 'The template is a long-term one: available is 1 while the person accepts, and messages take nothing.';
COMMENT ON COLUMN subscription.off_at IS 'When the person turned the messages of the template off; what was allowed before is gone.';
COMMENT ON COLUMN subscription.fresh IS 'How many of the available units were reported after the last claim: a 43101 that answers that claim says nothing about them.';
COMMENT ON COLUMN subscription.suspect_at IS 'When units were last set aside; null where there are none.';

CREATE TABLE subscription_report (
    app_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    reported_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT subscription_report_pkey PRIMARY KEY (app_id, id),
    CONSTRAINT subscription_report_app_fkey FOREIGN KEY (app_id) REFERENCES app(id)
);
CREATE INDEX subscription_report_age_idx ON public.subscription_report USING btree (reported_at);
COMMENT ON TABLE subscription_report IS 'Reports of subscriptions that were taken in, by their own ids, so that one that comes again counts once.';

CREATE TABLE suppression (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    app_id integer,
    scope integer NOT NULL GENERATED ALWAYS AS (COALESCE(app_id, 0)) STORED,
    user_id text COLLATE "C",
    openid text COLLATE "C",
    note text NOT NULL DEFAULT ''::text,
    added_by text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT suppression_pkey PRIMARY KEY (id),
    CONSTRAINT suppression_openid_unique UNIQUE (openid, scope),
    CONSTRAINT suppression_user_unique UNIQUE (user_id, scope),
    CONSTRAINT suppression_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT suppression_names_one CHECK (num_nonnulls(user_id, openid) = 1),
    CONSTRAINT suppression_openid_form CHECK (openid <> ''::text AND length(openid) <= 128),
    CONSTRAINT suppression_user_id_form CHECK (user_id <> ''::text AND length(user_id) <= 64)
);
CREATE INDEX suppression_scope_idx ON public.suppression USING btree (scope, id);
COMMENT ON TABLE suppression IS 'Who gets no message (免打扰名单), by user id or by openid, of one app or (app_id null) of all. Looked up in the claim.';

CREATE TABLE sweeper (
    name text NOT NULL,
    last_started_at timestamp with time zone NOT NULL DEFAULT now(),
    last_success_at timestamp with time zone,
    last_error text NOT NULL DEFAULT ''::text,
    last_error_at timestamp with time zone,
    CONSTRAINT sweeper_pkey PRIMARY KEY (name)
) WITH (fillfactor=50);
COMMENT ON TABLE sweeper IS 'The cron entries and the upkeep of the daemons: when each last ran, and last succeeded, anywhere.';

CREATE TABLE task (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    app_id integer NOT NULL,
    template_id text NOT NULL,
    topic text NOT NULL DEFAULT ''::text,
    caption text NOT NULL DEFAULT ''::text,
    tips text NOT NULL DEFAULT ''::text,
    product_code text,
    product_title text,
    product_price numeric(10,2),
    product_on_shelf boolean,
    product_taken_at timestamp with time zone,
    audience text NOT NULL,
    audience_id bigint,
    rate_per_second integer NOT NULL DEFAULT 0,
    misfire text NOT NULL DEFAULT 'late'::text,
    not_after timestamp with time zone,
    priority text NOT NULL DEFAULT 'normal'::text,
    on_unknown text NOT NULL DEFAULT 'leave'::text,
    on_price_change text NOT NULL DEFAULT 'pause'::text,
    wait_for_permit_until timestamp with time zone,
    state text NOT NULL DEFAULT 'draft'::text,
    causes text[] NOT NULL DEFAULT '{}'::text[],
    note text NOT NULL DEFAULT ''::text,
    channel text,
    template_name text,
    template_page text,
    template_fields jsonb,
    start_at timestamp with time zone,
    chunk_size integer,
    chunk_count integer,
    fill_cursor text COLLATE "C",
    planned_at timestamp with time zone,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    created_by text NOT NULL,
    sent_by text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    canary_passed_at timestamp with time zone,
    canary_calls integer NOT NULL DEFAULT 0,
    canary_sent integer NOT NULL DEFAULT 0,
    canary_refused integer NOT NULL DEFAULT 0,
    breaker_heals boolean NOT NULL DEFAULT false,
    source_id bigint,
    source_task_id bigint,
    changed_by text,
    approval text NOT NULL DEFAULT 'none'::text,
    approval_by text,
    approval_at timestamp with time zone,
    approval_note text NOT NULL DEFAULT ''::text,
    approval_hash bytea,
    kind text NOT NULL DEFAULT 'push'::text,
    test_of bigint,
    changers text[] NOT NULL DEFAULT '{}'::text[],
    canary_unpermitted integer NOT NULL DEFAULT 0,
    CONSTRAINT task_pkey PRIMARY KEY (id),
    CONSTRAINT task_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT task_audience_fkey FOREIGN KEY (audience_id) REFERENCES audience(id),
    CONSTRAINT task_source_fkey FOREIGN KEY (source_id) REFERENCES audience(id) ON DELETE SET NULL,
    CONSTRAINT task_source_task_fkey FOREIGN KEY (source_task_id) REFERENCES task(id) ON DELETE SET NULL,
    CONSTRAINT task_template_fkey FOREIGN KEY (app_id, template_id) REFERENCES template(app_id, template_id),
    CONSTRAINT task_tested_task_fkey FOREIGN KEY (test_of) REFERENCES task(id) ON DELETE SET NULL,
    CONSTRAINT task_approval_known CHECK (approval = ANY (ARRAY['none'::text, 'approved'::text, 'rejected'::text])),
    CONSTRAINT task_approval_whole CHECK (num_nulls(approval_by, approval_at, approval_hash) =
CASE approval
    WHEN 'none'::text THEN 3
    ELSE 0
END),
    CONSTRAINT task_audience_kind_known CHECK (audience = ANY (ARRAY['list'::text, 'all'::text])),
    CONSTRAINT task_canary_not_negative CHECK (LEAST(canary_calls, canary_sent, canary_refused) >= 0),
    CONSTRAINT task_causes_known CHECK (causes <@ ARRAY['operator'::text, 'quota'::text, 'breaker'::text, 'quiet_hours'::text, 'product_off_shelf'::text, 'product_changed'::text, 'app_paused'::text, 'restored'::text]),
    CONSTRAINT task_channel_known CHECK (channel = ANY (ARRAY['form_id'::text, 'subscribe'::text])),
    CONSTRAINT task_ended_when_final CHECK ((ended_at IS NOT NULL) = (state = ANY (ARRAY['done'::text, 'canceled'::text]))),
    CONSTRAINT task_frozen_once_sent CHECK (state = 'draft'::text OR num_nulls(channel, template_name, template_page, template_fields, sent_by) = 0),
    CONSTRAINT task_heals_from_the_breaker CHECK (NOT breaker_heals OR ('breaker'::text = ANY (causes))),
    CONSTRAINT task_kind_known CHECK (kind = ANY (ARRAY['push'::text, 'test'::text])),
    CONSTRAINT task_misfire_known CHECK (misfire = ANY (ARRAY['late'::text, 'skip'::text])),
    CONSTRAINT task_on_price_change_known CHECK (on_price_change = ANY (ARRAY['pause'::text, 'accept'::text])),
    CONSTRAINT task_on_unknown_known CHECK (on_unknown = ANY (ARRAY['leave'::text, 'resend'::text])),
    CONSTRAINT task_paused_for_a_cause CHECK ((state = 'paused'::text) = (cardinality(causes) > 0)),
    CONSTRAINT task_planned_has_chunks CHECK (planned_at IS NULL OR num_nulls(chunk_size, chunk_count) = 0),
    CONSTRAINT task_priority_known CHECK (priority = ANY (ARRAY['urgent'::text, 'normal'::text, 'bulk'::text])),
    CONSTRAINT task_product_whole CHECK (num_nulls(product_code, product_title, product_price, product_on_shelf, product_taken_at) = ANY (ARRAY[0, 5])),
    CONSTRAINT task_rate_not_negative CHECK (rate_per_second >= 0),
    CONSTRAINT task_scheduled_has_time CHECK (state <> 'scheduled'::text OR start_at IS NOT NULL),
    CONSTRAINT task_state_known CHECK (state = ANY (ARRAY['draft'::text, 'scheduled'::text, 'sending'::text, 'paused'::text, 'done'::text, 'missed'::text, 'canceled'::text])),
    CONSTRAINT task_test_is_of_a_task CHECK (test_of IS NULL OR kind = 'test'::text)
);
CREATE INDEX task_active_idx ON public.task USING btree (id) WHERE (state = ANY (ARRAY['sending'::text, 'paused'::text]));
CREATE INDEX task_app_idx ON public.task USING btree (app_id, id);
CREATE INDEX task_audience_idx ON public.task USING btree (audience_id) WHERE (audience_id IS NOT NULL);
CREATE INDEX task_due_idx ON public.task USING btree (start_at) WHERE (state = 'scheduled'::text);
CREATE INDEX task_open_test_idx ON public.task USING btree (id) WHERE ((kind = 'test'::text) AND (state = ANY (ARRAY['sending'::text, 'paused'::text])));
CREATE INDEX task_source_idx ON public.task USING btree (source_id) WHERE (source_id IS NOT NULL);
CREATE INDEX task_source_task_idx ON public.task USING btree (source_task_id) WHERE (source_task_id IS NOT NULL);
CREATE INDEX task_test_of_idx ON public.task USING btree (test_of) WHERE (test_of IS NOT NULL);
CREATE INDEX task_unbegun_idx ON public.task USING btree (app_id, id) WHERE ((planned_at IS NULL) AND (kind = 'push'::text) AND (state = ANY (ARRAY['draft'::text, 'scheduled'::text, 'missed'::text, 'paused'::text])));
CREATE INDEX task_waits_idx ON public.task USING btree (app_id) WHERE ((state = 'sending'::text) AND (wait_for_permit_until IS NOT NULL));
COMMENT ON TABLE task IS 'What to send: template, texts, product, audience, when. channel and template_* are the template as frozen at send or schedule; product_* as taken at creation, on request, and frozen with it.';
COMMENT ON COLUMN task.audience_id IS 'The version of its list in force. Null before there is one, and again once the purge has taken the rows of an old task.';
COMMENT ON COLUMN task.note IS 'Why it is paused or missed, and what to do.';
COMMENT ON COLUMN task.fill_cursor IS 'How far the start job has come with filling the list: the last user id taken in (audience "all"), or the last row copied (source_id).';
COMMENT ON COLUMN task.canary_passed_at IS 'When its first calls had shown that its messages pass. Until then they are made one by one, from one chunk. Null again after a pause for breaker or restored.';
COMMENT ON COLUMN task.canary_calls IS 'Calls of the canary that ended runs have made; canary_sent of them were sent, and the last canary_refused in a row refused the recipient.';
COMMENT ON COLUMN task.breaker_heals IS 'Its cause breaker is that of its app (table breaker) and goes with it. False: a person has to mend something and resume it.';
COMMENT ON COLUMN task.source_id IS 'The version of a saved list whose rows the start job copies into the list of the task.';
COMMENT ON COLUMN task.source_task_id IS 'The task that this one was cloned from, or whose recipients it sends to again.';
COMMENT ON COLUMN task.changed_by IS 'Who changed its content or audience last; null while nobody has since it was made.';
COMMENT ON COLUMN task.approval_hash IS 'SHA-256 of the content and the audience that were approved or rejected. It holds only while the task still has that hash.';
COMMENT ON COLUMN task.kind IS 'test: one message to a tester, a task of its own so that it is sent like any other. Lists leave it out.';
COMMENT ON COLUMN task.test_of IS 'The task whose content a test shows; null also once that was deleted.';
COMMENT ON COLUMN task.changers IS 'Who changed its content or audience, or the template that it has not frozen or may still take anew, since it was last approved: none of them approves it.';
COMMENT ON COLUMN task.canary_unpermitted IS 'Of canary_calls, those that were refused because the person allows no message.';

CREATE VIEW task_recipient AS
 SELECT t.id AS task_id,
    r.seq,
    r.user_id,
    r.openid,
    s.name AS state,
    e.code AS reason,
    r.attempt,
    r.ambiguous,
    r.inferred,
    r.permit_id,
    r.platform_code,
    r.rid,
    r.note,
    r.msgid,
    r.sent_at,
    r.updated_at
   FROM task t
     JOIN recipient r ON r.audience_id = t.audience_id
     JOIN recipient_state s ON s.state = r.state
     LEFT JOIN reason e ON e.reason = r.reason;
COMMENT ON VIEW task_recipient IS 'The recipients of each task with their states and reasons by name, for people who look at the tables.';

CREATE TABLE template (
    app_id integer NOT NULL,
    template_id text NOT NULL,
    channel text NOT NULL,
    name text NOT NULL,
    page text NOT NULL,
    fields jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    long_term boolean NOT NULL DEFAULT false,
    synced_at timestamp with time zone,
    gone_at timestamp with time zone,
    realign_after bigint,
    CONSTRAINT template_pkey PRIMARY KEY (app_id, template_id),
    CONSTRAINT template_app_fkey FOREIGN KEY (app_id) REFERENCES app(id),
    CONSTRAINT template_channel_known CHECK (channel = ANY (ARRAY['form_id'::text, 'subscribe'::text])),
    CONSTRAINT template_fields_array CHECK (jsonb_typeof(fields) = 'array'::text)
);
CREATE INDEX template_realign_idx ON public.template USING btree (app_id) WHERE (realign_after IS NOT NULL);
COMMENT ON TABLE template IS 'A platform template: its channel, its page, and its fields with a value expression each ([{"key","label","value","color"}]).';
COMMENT ON COLUMN template.fields IS 'In the order of the card: [{"key","label","value","color","too_long","enum"}]. value is empty where the account named the field and nobody has written a value yet.';
COMMENT ON COLUMN template.long_term IS 'Subscribe channel: one acceptance is for good, so that messages are not counted.';
COMMENT ON COLUMN template.synced_at IS 'When it was last found in the app''s account at the platform; its fields are those of the account then. Null: never.';
COMMENT ON COLUMN template.gone_at IS 'Since when the account is known to have it no more. No new task may use it; what is scheduled or sending goes on as frozen.';
COMMENT ON COLUMN template.realign_after IS 'Subscriptions with an id above this have yet to follow the last change of long_term; null: all have.';

CREATE TABLE user_day (
    openid text COLLATE "C" NOT NULL,
    app_id integer NOT NULL,
    day date NOT NULL,
    tasks bigint[] NOT NULL,
    CONSTRAINT user_day_pkey PRIMARY KEY (openid, app_id, day)
) WITH (fillfactor=70);
CREATE INDEX user_day_day_idx ON public.user_day USING btree (day);
COMMENT ON TABLE user_day IS 'Messages of a person on a day (in the configured time zone) that count towards app.daily_cap. Written only while an app has a cap.';
COMMENT ON COLUMN user_day.tasks IS 'The tasks whose message counts: taken in with the claim, and out again when it is certain that nothing was sent. A task stands in it once, so that neither can be done twice.';

CREATE OR REPLACE FUNCTION public.add_reasons(a jsonb, b jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT coalesce(jsonb_object_agg(key, n), '{}')
      FROM (SELECT key, sum(value::int) AS n FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) e GROUP BY key) s
$function$

CREATE OR REPLACE FUNCTION public.expect_rows(got bigint, want bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
BEGIN
    IF got IS DISTINCT FROM want THEN
        RAISE EXCEPTION '% rows were to be written, % were there', want, got USING ERRCODE = 'MP001';
    END IF;
    RETURN true;
END
$function$

CREATE OR REPLACE FUNCTION public.ramped_rate(task_rate integer, app_rate integer, ramp_from integer, ramp_minutes integer, run_for interval)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT CASE WHEN ramp_minutes = 0 OR run_for IS NULL OR run_for >= make_interval(mins => ramp_minutes) THEN task_rate::double precision
                WHEN task_rate > 0 THEN least(task_rate, ramp.v) ELSE ramp.v END
      FROM (SELECT ramp_from + (app_rate - ramp_from) * extract(epoch FROM run_for)::double precision / (60.0 * ramp_minutes)) ramp(v)
$function$

CREATE OR REPLACE FUNCTION public.refuse_audit_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$function$

CREATE OR REPLACE FUNCTION public.slowed_rate(rate double precision, slow_rate double precision, slow_base double precision, slow_for interval)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT CASE WHEN slow_rate IS NULL OR slow_now.v >= slow_base THEN rate
                WHEN rate > 0 THEN least(rate, slow_now.v) ELSE slow_now.v END
      FROM (SELECT slow_rate + slow_base * 0.1 * floor(extract(epoch FROM slow_for) / 10)) slow_now(v)
$function$

CREATE OR REPLACE FUNCTION public.take_slots(the_app integer, the_task bigint, weight integer, want integer, unused integer, OUT first timestamp with time zone, OUT n integer, OUT gap double precision, OUT wait double precision, OUT used_up boolean, OUT now timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
DECLARE
    block   CONSTANT double precision := 0.05;
    share   CONSTANT double precision := 0.985;
    lead    CONSTANT interval := interval '200 ms';
    a       app%ROWTYPE;
    whole   limiter%ROWTYPE;
    own     limiter%ROWTYPE;
    due     timestamptz;
    rate    double precision;
    own_rate double precision;
    behind  double precision;
    lacks   boolean := false;
    granted bigint;
BEGIN
    n := 0; gap := 0; wait := 0; used_up := false;
    SELECT * INTO a FROM app WHERE id = the_app;
    -- The app's row first, then the task's: everyone locks in this order.
    SELECT * INTO whole FROM limiter l WHERE l.app_id = the_app AND l.task_id = 0 FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO limiter (app_id, task_id, next_at) VALUES (the_app, 0, clock_timestamp() + interval '1 s') ON CONFLICT DO NOTHING;
        now := clock_timestamp(); wait := 0.1;
        RETURN;
    END IF;
    now := clock_timestamp();
    SELECT * INTO own FROM limiter l WHERE l.app_id = the_app AND l.task_id = the_task FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO limiter (app_id, task_id, next_at) VALUES (the_app, the_task, now) RETURNING * INTO own;
    END IF;
    rate := slowed_rate(a.rate_per_second, whole.slow_rate, whole.slow_base, now - whole.slow_at);
    SELECT ramped_rate(t.rate_per_second, a.rate_per_second, a.ramp_from, a.ramp_minutes, now - t.started_at) INTO own_rate FROM task t WHERE t.id = the_task;
    -- A slot lies no further ahead than the last one given can: the clock was set back.
    own.next_at := least(own.next_at, now + lead + make_interval(secs => greatest(1, 1 / (nullif(own_rate, 0) * share))));
    IF whole.next_at > now + lead + make_interval(secs => greatest(1, 1 / (nullif(rate, 0) * share))) THEN
        whole.next_at := now + lead + make_interval(secs => greatest(1, 1 / (nullif(rate, 0) * share)));
        UPDATE limiter l SET next_at = whole.next_at WHERE l.app_id = the_app AND l.task_id = 0;
    END IF;

    n := want;
    first := now + interval '20 ms';
    IF own_rate > 0 AND rate > 0 AND own.next_at > now THEN
        n := 0; wait := extract(epoch FROM own.next_at - now);
    END IF;
    IF n > 0 AND rate > 0 THEN
        SELECT min(l.virtual) INTO behind FROM limiter l
         WHERE l.app_id = the_app AND l.task_id NOT IN (0, the_task) AND l.asked_at > now - interval '100 ms';
        IF own.asked_at IS NULL OR own.asked_at < now - interval '1 s' THEN
            own.virtual := greatest(own.virtual, whole.virtual);
        END IF;
        due := whole.next_at;
        first := greatest(due, first);
        gap := 1 / (rate * share);
        n := least(n, greatest(1, floor(rate * block)::integer));
        lacks := n < want;
        IF due >= now + lead THEN
            n := 0; wait := extract(epoch FROM due - now - lead) + 0.005; lacks := true;
        ELSIF own.virtual > behind + rate * block / 16 THEN
            n := 0; wait := 0.005; lacks := true;
        END IF;
    END IF;
    IF n > 0 AND own_rate > 0 THEN
        due := own.next_at;
        IF rate > 0 THEN
            IF n > greatest(1, floor(own_rate * 0.01)::integer) THEN
                n := greatest(1, floor(own_rate * 0.01)::integer); lacks := false;
            END IF;
            due := greatest(due, now - interval '20 ms');
        ELSE
            IF due >= now + lead THEN
                n := 0; wait := extract(epoch FROM due - now - lead) + 0.005;
            END IF;
            n := least(n, greatest(1, floor(own_rate * block)::integer));
            gap := 1 / (own_rate * share);
            due := greatest(due, first);
            first := due;
        END IF;
    END IF;
    IF a.daily_budget > 0 AND (n > 0 OR unused > 0) THEN
        INSERT INTO app_day AS d (app_id, day) VALUES (the_app, (now AT TIME ZONE 'Asia/Shanghai')::date) ON CONFLICT DO NOTHING;
        SELECT greatest(0, d.calls - unused) INTO granted FROM app_day d
         WHERE d.app_id = the_app AND d.day = (now AT TIME ZONE 'Asia/Shanghai')::date FOR UPDATE;
        used_up := n > 0 AND granted >= a.daily_budget;
        -- The nearer the end, the fewer at a time: what somebody holds unused is nobody else's.
        n := least(n, greatest(least(1, a.daily_budget - granted), (a.daily_budget - granted) / 4, 0));
        UPDATE app_day d SET calls = granted + n WHERE d.app_id = the_app AND d.day = (now AT TIME ZONE 'Asia/Shanghai')::date;
    END IF;

    IF n > 0 AND rate > 0 THEN
        UPDATE limiter l SET next_at = first + make_interval(secs => n * gap), virtual = greatest(l.virtual, own.virtual) WHERE l.app_id = the_app AND l.task_id = 0;
        own.virtual := own.virtual + n::double precision / weight;
    END IF;
    IF n > 0 AND own_rate > 0 THEN
        own.next_at := due + make_interval(secs => n / (own_rate * share));
    END IF;
    UPDATE limiter l SET next_at = own.next_at, virtual = own.virtual, asked_at = CASE WHEN lacks THEN now END WHERE l.app_id = the_app AND l.task_id = the_task;
    now := clock_timestamp();
END
$function$

