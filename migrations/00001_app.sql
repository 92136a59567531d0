-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE app (
    id            integer     GENERATED ALWAYS AS IDENTITY,
    key           text        NOT NULL,
    appid         text        NOT NULL,
    base_url      text        NOT NULL,
    secret_sealed bytea       NOT NULL,
    paused_at     timestamptz,
    paused_by     text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT app_pkey PRIMARY KEY (id),
    CONSTRAINT app_key_unique UNIQUE (key),
    CONSTRAINT app_appid_unique UNIQUE (appid, base_url),
    CONSTRAINT app_key_form CHECK (key ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    CONSTRAINT app_appid_given CHECK (appid <> ''),
    CONSTRAINT app_paused_by_given CHECK ((paused_at IS NULL) = (paused_by IS NULL))
);
COMMENT ON TABLE app IS 'One mini-program: its appid, its sealed secret and where its platform is reached.';
COMMENT ON COLUMN app.paused_at IS 'The kill switch: while it is set, no call is made for this app.';

CREATE TABLE app_token (
    app_id           integer     NOT NULL,
    version          integer     NOT NULL DEFAULT 0,
    token_sealed     bytea,
    expires_at       timestamptz,
    refreshing_until timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT app_token_pkey PRIMARY KEY (app_id),
    CONSTRAINT app_token_app_fkey FOREIGN KEY (app_id) REFERENCES app (id) ON DELETE CASCADE
);
COMMENT ON TABLE app_token IS
    'The platform''s access token of an app, shared by all daemons. One of them refreshes it at a time (refreshing_until); version counts the tokens, so that a token that failed is replaced once.';

-- Of the columns of an index, the one that tells rows apart comes first, here and in the tables of permits and recipients: two
-- indexes led by the app would rival each other for a look-up whenever the statistics do not know the app yet.
CREATE TABLE app_user (
    app_id     integer     NOT NULL,
    user_id    text        COLLATE "C" NOT NULL,
    openid     text        COLLATE "C",
    moved      boolean     NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT app_user_pkey PRIMARY KEY (user_id, app_id),
    CONSTRAINT app_user_openid_unique UNIQUE (openid, app_id),
    CONSTRAINT app_user_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT app_user_user_id_form CHECK (user_id <> '' AND length(user_id) <= 64),
    CONSTRAINT app_user_openid_form CHECK (openid <> '' AND length(openid) <= 128)
);
COMMENT ON TABLE app_user IS
    'Business user id to openid, per app. An openid belongs to one user of an app: the newest report wins (invariant 3).';
COMMENT ON COLUMN app_user.moved IS
    'The openid belonged to another user of the app before: the claim then looks at openid_move, so that nobody gets a task twice.';

CREATE TABLE openid_move (
    id       bigint      GENERATED ALWAYS AS IDENTITY,
    app_id   integer     NOT NULL,
    openid   text        COLLATE "C" NOT NULL,
    user_id  text        COLLATE "C" NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT openid_move_pkey PRIMARY KEY (id),
    CONSTRAINT openid_move_app_fkey FOREIGN KEY (app_id) REFERENCES app (id)
);
CREATE INDEX openid_move_openid_idx ON openid_move (openid, app_id);
COMMENT ON TABLE openid_move IS 'Who held an openid before it moved to another user of the app.';

CREATE TABLE form_source (
    app_id   integer  NOT NULL,
    source   smallint NOT NULL,
    label_zh text     NOT NULL,
    label_en text     NOT NULL,
    CONSTRAINT form_source_pkey PRIMARY KEY (app_id, source),
    CONSTRAINT form_source_app_fkey FOREIGN KEY (app_id) REFERENCES app (id) ON DELETE CASCADE,
    CONSTRAINT form_source_positive CHECK (source > 0)
);
COMMENT ON TABLE form_source IS
    'The places of a mini-program that yield formIds. Every app starts with the original''s seven; rows are added without a release.';

CREATE TABLE product (
    app_id     integer       NOT NULL,
    code       text          NOT NULL,
    title      text          NOT NULL,
    price      numeric(10,2) NOT NULL,
    on_shelf   boolean       NOT NULL,
    created_at timestamptz   NOT NULL DEFAULT now(),
    updated_at timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT product_pkey PRIMARY KEY (app_id, code),
    CONSTRAINT product_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT product_code_form CHECK (code <> '' AND length(code) <= 64),
    CONSTRAINT product_title_form CHECK (title <> '' AND length(title) <= 64),
    CONSTRAINT product_price_not_negative CHECK (price >= 0)
);
COMMENT ON TABLE product IS 'What a task advertises: code, title, price and whether it is on the shelf (上架).';

CREATE TABLE template (
    app_id      integer     NOT NULL,
    template_id text        NOT NULL,
    channel     text        NOT NULL,
    name        text        NOT NULL,
    page        text        NOT NULL,
    fields      jsonb       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT template_pkey PRIMARY KEY (app_id, template_id),
    CONSTRAINT template_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT template_channel_known CHECK (channel IN ('form_id', 'subscribe')),
    CONSTRAINT template_fields_array CHECK (jsonb_typeof(fields) = 'array')
);
COMMENT ON TABLE template IS
    'A platform template: its channel, its page, and its fields with a value expression each ([{"key","label","value","color"}]).';

CREATE TABLE api_token (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    name         text        NOT NULL,
    hash         bytea       NOT NULL,
    role         text        NOT NULL,
    app_ids      integer[],
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_token_pkey PRIMARY KEY (id),
    CONSTRAINT api_token_hash_unique UNIQUE (hash),
    CONSTRAINT api_token_name_given CHECK (name <> ''),
    CONSTRAINT api_token_role_known CHECK (role IN ('collector', 'viewer', 'author', 'approver', 'operator', 'admin'))
);
CREATE UNIQUE INDEX api_token_name_live_unique ON api_token (name) WHERE revoked_at IS NULL;
COMMENT ON TABLE api_token IS
    'Bearer tokens of the API, as SHA-256 of the token. app_ids NULL means all apps.';

CREATE TABLE idempotency_key (
    principal    text        NOT NULL,
    key          text        NOT NULL,
    request_hash bytea       NOT NULL,
    status       integer     NOT NULL,
    content_type text        NOT NULL,
    body         bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (principal, key),
    CONSTRAINT idempotency_key_length CHECK (length(key) BETWEEN 1 AND 255)
);
CREATE INDEX idempotency_key_created_at_idx ON idempotency_key (created_at);
COMMENT ON TABLE idempotency_key IS
    'The answer to a POST that carried an Idempotency-Key, written in the transaction of what it did.';

-- +goose Down
DROP TABLE idempotency_key, api_token, template, product, form_source, openid_move, app_user, app_token, app;
