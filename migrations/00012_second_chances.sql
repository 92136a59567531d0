-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE recipient ADD COLUMN in_doubt boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN recipient.in_doubt IS
    'on_unknown "resend": an attempt with an earlier permit may have got through, and the row went on with another one. It ends sent or unknown, never failed or skipped, and may have reached the user twice.';

ALTER TABLE task ADD COLUMN source_task_id bigint;
ALTER TABLE task ADD CONSTRAINT task_source_task_fkey FOREIGN KEY (source_task_id) REFERENCES task (id) ON DELETE SET NULL;
CREATE INDEX task_source_task_idx ON task (source_task_id) WHERE source_task_id IS NOT NULL;
CREATE INDEX task_waits_idx ON task (app_id) WHERE state = 'sending' AND wait_for_permit_until IS NOT NULL;
COMMENT ON COLUMN task.source_task_id IS 'The task that this one was cloned from, or whose recipients it sends to again.';

CREATE TABLE audience_copy (
    audience_id bigint     NOT NULL,
    source_id   bigint     NOT NULL,
    task_id     bigint     NOT NULL,
    reasons     smallint[] NOT NULL DEFAULT '{}',
    next_seq    integer    NOT NULL DEFAULT 0,
    CONSTRAINT audience_copy_pkey PRIMARY KEY (audience_id),
    CONSTRAINT audience_copy_audience_fkey FOREIGN KEY (audience_id) REFERENCES audience (id) ON DELETE CASCADE,
    CONSTRAINT audience_copy_progress_not_negative CHECK (next_seq >= 0)
);
COMMENT ON TABLE audience_copy IS
    'Lists that are being copied from another task, page by page: whoever takes the row copies the next page. The row goes when the list is put in force or given up.';
COMMENT ON COLUMN audience_copy.source_id IS 'The version of the list of task_id that is copied. Once the task no longer has it in force, the copy is given up.';
COMMENT ON COLUMN audience_copy.reasons IS 'Only the recipients that ended for one of these reasons; empty is all.';
COMMENT ON COLUMN audience_copy.next_seq IS 'The first seq of the source that has not been looked at.';

-- +goose Down
DROP TABLE audience_copy;
DROP INDEX task_waits_idx, task_source_task_idx;
ALTER TABLE task DROP CONSTRAINT task_source_task_fkey;
ALTER TABLE task DROP COLUMN source_task_id;
ALTER TABLE recipient DROP COLUMN in_doubt;
