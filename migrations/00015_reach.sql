-- +goose Up
SET LOCAL lock_timeout = '5s';

-- Derived state: everything in it can be counted again from the rows. It is kept only because counting a long list takes seconds.
CREATE TABLE reach (
    task_id     bigint      NOT NULL,
    audience_id bigint      NOT NULL,
    template_id text        NOT NULL,
    as_of       timestamptz NOT NULL,
    figures     jsonb       NOT NULL,
    CONSTRAINT reach_pkey PRIMARY KEY (task_id),
    CONSTRAINT reach_task_fkey FOREIGN KEY (task_id) REFERENCES task (id) ON DELETE CASCADE
);
CREATE INDEX reach_as_of_idx ON reach (as_of);
COMMENT ON TABLE reach IS
    'How many of a task''s long list could be reached when it was last counted. Derived, and kept only because the count takes seconds: losing a row costs a count.';
COMMENT ON COLUMN reach.audience_id IS 'The version of the list that was counted, 0 for all users. A figure of another list, or another template, than the task has now is not shown.';
COMMENT ON COLUMN reach.figures IS
    'Recipients by what stands against them; those with permits by the minute (in microseconds since 1970) in which their last one ends, so that any time of sending can be answered.';

-- +goose Down
DROP TABLE reach;
