-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE account (
    id                  bigint      GENERATED ALWAYS AS IDENTITY,
    login               text        NOT NULL,
    name                text        NOT NULL,
    role                text        NOT NULL,
    app_ids             integer[],
    password_hash       text        NOT NULL,
    password_changed_at timestamptz NOT NULL DEFAULT now(),
    created_by          text        NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    last_login_at       timestamptz,
    disabled_at         timestamptz,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_login_unique UNIQUE (login),
    CONSTRAINT account_login_form CHECK (login ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    CONSTRAINT account_name_form CHECK (name <> '' AND length(name) <= 64),
    CONSTRAINT account_role_known CHECK (role IN ('viewer', 'author', 'approver', 'operator', 'admin'))
);
COMMENT ON TABLE account IS
    'People who log in to the console, with an argon2id hash (PHC string) of their password. app_ids NULL means all apps. A collector is a program and has a token.';

CREATE TABLE session (
    hash         bytea       NOT NULL,
    account_id   bigint      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (hash),
    CONSTRAINT session_account_fkey FOREIGN KEY (account_id) REFERENCES account (id) ON DELETE CASCADE
);
CREATE INDEX session_account_idx ON session (account_id);
CREATE INDEX session_expires_at_idx ON session (expires_at);
COMMENT ON TABLE session IS
    'Who is logged in: SHA-256 of the cookie. It ends at expires_at, and earlier if it has not been used for a while (last_used_at, written at most once a minute).';

CREATE TABLE login_attempt (
    subject bytea       NOT NULL,
    tries   integer     NOT NULL,
    since   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT login_attempt_pkey PRIMARY KEY (subject)
);
CREATE INDEX login_attempt_since_idx ON login_attempt (since);
COMMENT ON TABLE login_attempt IS
    'Attempts to log in that did not succeed, by SHA-256 of a login name and of an address, within a window that began at since. A login that does not exist is counted like one that does.';

CREATE TABLE audit_log (
    id       bigint      GENERATED ALWAYS AS IDENTITY,
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text        NOT NULL,
    actor_id text        NOT NULL DEFAULT '',
    action   text        NOT NULL,
    app_id   integer,
    object   text        NOT NULL DEFAULT '',
    detail   jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT audit_log_pkey PRIMARY KEY (id),
    CONSTRAINT audit_log_actor_given CHECK (actor <> ''),
    CONSTRAINT audit_log_action_form CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    CONSTRAINT audit_log_detail_object CHECK (jsonb_typeof(detail) = 'object')
);
CREATE INDEX audit_log_at_idx ON audit_log (at);
COMMENT ON TABLE audit_log IS
    'Who changed what, written in the transaction of the change. action is stable, such as account.add; object names what was changed, such as task:98.';

-- +goose Down
DROP TABLE audit_log, login_attempt, session, account;
