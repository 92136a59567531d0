-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE schedule (
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    app_id     integer     NOT NULL,
    name       text        NOT NULL,
    cron       text        NOT NULL,
    time_zone  text        NOT NULL,
    list_id    bigint,
    task       jsonb       NOT NULL,
    next_at    timestamptz,
    note       text        NOT NULL DEFAULT '',
    created_by text        NOT NULL,
    enabled_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_pkey PRIMARY KEY (id),
    CONSTRAINT schedule_name_unique UNIQUE (app_id, name),
    CONSTRAINT schedule_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT schedule_list_fkey FOREIGN KEY (list_id) REFERENCES saved_list (id),
    CONSTRAINT schedule_runs_in_a_name CHECK (next_at IS NULL OR enabled_by IS NOT NULL)
);
CREATE INDEX schedule_due_idx ON schedule (next_at) WHERE next_at IS NOT NULL;
COMMENT ON TABLE schedule IS
    'What is sent again and again: a cron spec in a time zone, and the task (push.TaskSpec) that each tick makes, for all or for the newest version of a saved list.';
COMMENT ON COLUMN schedule.next_at IS 'The first tick that has not been dealt with. Null while it is paused.';
COMMENT ON COLUMN schedule.enabled_by IS 'Who let it run: the sender of its tasks.';

CREATE TABLE schedule_tick (
    schedule_id bigint      NOT NULL,
    tick        text        COLLATE "C" NOT NULL,
    at          timestamptz NOT NULL,
    outcome     text        NOT NULL DEFAULT 'missed',
    task_id     bigint,
    code        text        NOT NULL DEFAULT '',
    note        text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_tick_pkey PRIMARY KEY (schedule_id, tick),
    CONSTRAINT schedule_tick_schedule_fkey FOREIGN KEY (schedule_id) REFERENCES schedule (id) ON DELETE CASCADE,
    CONSTRAINT schedule_tick_task_fkey FOREIGN KEY (task_id) REFERENCES task (id),
    CONSTRAINT schedule_tick_task_unique UNIQUE (task_id),
    CONSTRAINT schedule_tick_outcome_known CHECK (outcome IN ('sent', 'refused', 'missed')),
    CONSTRAINT schedule_tick_sent_has_task CHECK ((outcome = 'sent') = (task_id IS NOT NULL))
);
CREATE INDEX schedule_tick_at_idx ON schedule_tick (schedule_id, at);
COMMENT ON TABLE schedule_tick IS
    'What became of each tick of a schedule, once: the task that it made, or why it made none. A tick is named by the time on the wall with its zone, or, for a spec of every hour, by the instant.';

-- +goose Down
DROP TABLE schedule_tick, schedule;
