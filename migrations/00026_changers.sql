-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE task ADD COLUMN changers text[] NOT NULL DEFAULT '{}';
UPDATE task SET changers = ARRAY[changed_by] WHERE changed_by IS NOT NULL AND planned_at IS NULL;
COMMENT ON COLUMN task.changers IS
    'Who changed its content or audience, or the template that it has not frozen or may still take anew, since it was last approved: none of them approves it.';

-- +goose Down
ALTER TABLE task DROP COLUMN changers;
