-- +goose Up
SET LOCAL lock_timeout = '5s';

-- Each look-up of the claim gives a whole unique key, so that no statistics can make a scan of it. scope stands for app_id, which
-- is null for all apps.
CREATE TABLE suppression (
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    app_id     integer,
    scope      integer     NOT NULL GENERATED ALWAYS AS (coalesce(app_id, 0)) STORED,
    user_id    text        COLLATE "C",
    openid     text        COLLATE "C",
    note       text        NOT NULL DEFAULT '',
    added_by   text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT suppression_pkey PRIMARY KEY (id),
    CONSTRAINT suppression_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT suppression_user_unique UNIQUE (user_id, scope),
    CONSTRAINT suppression_openid_unique UNIQUE (openid, scope),
    CONSTRAINT suppression_names_one CHECK (num_nonnulls(user_id, openid) = 1),
    CONSTRAINT suppression_user_id_form CHECK (user_id <> '' AND length(user_id) <= 64),
    CONSTRAINT suppression_openid_form CHECK (openid <> '' AND length(openid) <= 128)
);
CREATE INDEX suppression_scope_idx ON suppression (scope, id);
COMMENT ON TABLE suppression IS
    'Who gets no message (免打扰名单), by user id or by openid, of one app or (app_id null) of all. Looked up in the claim.';

CREATE TABLE user_day (
    openid text     COLLATE "C" NOT NULL,
    app_id integer  NOT NULL,
    day    date     NOT NULL,
    tasks  bigint[] NOT NULL,
    CONSTRAINT user_day_pkey PRIMARY KEY (openid, app_id, day)
) WITH (fillfactor = 70);
CREATE INDEX user_day_day_idx ON user_day (day);
COMMENT ON TABLE user_day IS
    'Messages of a person on a day (in the configured time zone) that count towards app.daily_cap. Written only while an app has a cap.';
COMMENT ON COLUMN user_day.tasks IS
    'The tasks whose message counts: taken in with the claim, and out again when it is certain that nothing was sent. A task stands in it once, so that neither can be done twice.';

-- +goose Down
DROP TABLE user_day, suppression;
