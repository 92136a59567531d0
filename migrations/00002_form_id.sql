-- +goose Up
SET LOCAL lock_timeout = '5s';

-- No index names state, not even in a WHERE: it would end HOT updates of the claim and of the outcome.
CREATE TABLE form_id (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    app_id       integer     NOT NULL,
    user_id      text        COLLATE "C" NOT NULL,
    form_id      text        COLLATE "C" NOT NULL,
    source       smallint    NOT NULL,
    state        smallint    NOT NULL DEFAULT 0,
    submitted_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    audience_id  bigint,
    seq          integer,
    lease        integer,
    CONSTRAINT form_id_pkey PRIMARY KEY (id),
    CONSTRAINT form_id_unique UNIQUE (form_id, app_id),
    CONSTRAINT form_id_state_known CHECK (state BETWEEN 0 AND 3),
    CONSTRAINT form_id_reserved_for_someone CHECK (state = 0 OR audience_id IS NOT NULL),
    CONSTRAINT form_id_form CHECK (form_id <> '' AND length(form_id) <= 128)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX form_id_user_idx ON form_id (user_id, app_id, expires_at);
CREATE INDEX form_id_expires_idx ON form_id (expires_at);
COMMENT ON TABLE form_id IS
    'Permits of the form_id channel: each formId may carry one message to the user who submitted it, within seven days. Claimed earliest expiry first.';
COMMENT ON COLUMN form_id.state IS
    '0 available, 1 reserved, 2 used, 3 invalid. Expired is not a state: it is expires_at <= now(), tested in the claim; the cron entry removes expired ones and counts them in form_id_day.';
COMMENT ON COLUMN form_id.audience_id IS 'With seq: the recipient that it is, or was last, reserved for.';

CREATE TABLE form_id_day (
    app_id    integer  NOT NULL,
    day       date     NOT NULL,
    source    smallint NOT NULL,
    collected bigint   NOT NULL DEFAULT 0,
    expired   bigint   NOT NULL DEFAULT 0,
    CONSTRAINT form_id_day_pkey PRIMARY KEY (app_id, day, source),
    CONSTRAINT form_id_day_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT form_id_day_not_negative CHECK (collected >= 0 AND expired >= 0)
);
COMMENT ON TABLE form_id_day IS
    'Per app, day (in the configured time zone) and source: formIds collected, and formIds that expired unused.';

-- +goose Down
DROP TABLE form_id_day, form_id;
