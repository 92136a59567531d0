-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE node (
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    name       text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz,
    CONSTRAINT node_pkey PRIMARY KEY (id)
) WITH (fillfactor = 50);
COMMENT ON TABLE node IS
    'Daemons that run chunks. A live one updates beat_at every second on a connection that also holds an advisory lock on its id.';

CREATE TABLE sweeper (
    name            text        NOT NULL,
    last_started_at timestamptz NOT NULL DEFAULT now(),
    last_success_at timestamptz,
    last_error      text        NOT NULL DEFAULT '',
    last_error_at   timestamptz,
    CONSTRAINT sweeper_pkey PRIMARY KEY (name)
) WITH (fillfactor = 50);
COMMENT ON TABLE sweeper IS 'The cron entries and the upkeep of the daemons: when each last ran, and last succeeded, anywhere.';

-- +goose Down
DROP TABLE sweeper, node;
