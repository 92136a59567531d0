-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE task
    ADD COLUMN canary_passed_at timestamptz,
    ADD COLUMN canary_calls     integer NOT NULL DEFAULT 0,
    ADD COLUMN canary_sent      integer NOT NULL DEFAULT 0,
    ADD COLUMN canary_refused   integer NOT NULL DEFAULT 0,
    ADD COLUMN breaker_heals    boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT task_canary_not_negative CHECK (least(canary_calls, canary_sent, canary_refused) >= 0),
    ADD CONSTRAINT task_heals_from_the_breaker CHECK (NOT breaker_heals OR 'breaker' = ANY (causes));
-- What is under way has shown already that it can be sent.
UPDATE task SET canary_passed_at = started_at WHERE planned_at IS NOT NULL;
COMMENT ON COLUMN task.canary_passed_at IS
    'When its first calls had shown that its messages pass. Until then they are made one by one, from one chunk. Null again after a pause for breaker or restored.';
COMMENT ON COLUMN task.canary_calls IS 'Calls of the canary that ended runs have made; canary_sent of them were sent, and the last canary_refused in a row refused the recipient.';
COMMENT ON COLUMN task.breaker_heals IS
    'Its cause breaker is that of its app (table breaker) and goes with it. False: a person has to mend something and resume it.';

CREATE TABLE breaker (
    app_id     integer     NOT NULL,
    reason     text        NOT NULL,
    probes     integer     NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL,
    probe_task bigint,
    opened_at  timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT breaker_pkey PRIMARY KEY (app_id),
    CONSTRAINT breaker_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT breaker_probe_is_task_fkey FOREIGN KEY (probe_task) REFERENCES task (id) ON DELETE SET NULL,
    CONSTRAINT breaker_probes_not_negative CHECK (probes >= 0)
);
CREATE INDEX breaker_probe_task_idx ON breaker (probe_task) WHERE probe_task IS NOT NULL;
COMMENT ON TABLE breaker IS
    'Apps whose platform does not answer: their tasks are paused until one call of probe_task, made at due_at, gets an answer. The row goes when one does.';
COMMENT ON COLUMN breaker.probes IS 'Probes without an answer; the wait doubles with each.';
COMMENT ON COLUMN breaker.due_at IS 'When the next probe is made; while probe_task is set, when it is given up.';

CREATE TABLE database_identity (
    only_row    boolean     NOT NULL DEFAULT true,
    system_id   bigint      NOT NULL,
    timeline_id integer     NOT NULL,
    database_id bigint      NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT database_identity_pkey PRIMARY KEY (only_row),
    CONSTRAINT database_identity_one_row CHECK (only_row)
);
COMMENT ON TABLE database_identity IS
    'The cluster, timeline and database that these rows were last used in. Another one than the server''s says that they were restored: what was sent since is not in them.';

-- +goose Down
DROP TABLE database_identity, breaker;
ALTER TABLE task DROP COLUMN canary_passed_at, DROP COLUMN canary_calls, DROP COLUMN canary_sent, DROP COLUMN canary_refused, DROP COLUMN breaker_heals;
