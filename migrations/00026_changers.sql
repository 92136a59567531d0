-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE task ADD COLUMN changers text[] NOT NULL DEFAULT '{}';
UPDATE task SET changers = ARRAY[changed_by] WHERE changed_by IS NOT NULL AND planned_at IS NULL;
COMMENT ON COLUMN task.changers IS
    'Who changed its content or audience, or the template that it has not frozen or may still take anew, since it was last approved: none of them approves it.';

ALTER TABLE audience_reject ADD COLUMN openid boolean NOT NULL DEFAULT false;
UPDATE audience_reject SET openid = true WHERE code = 'unknown_openid';
COMMENT ON COLUMN audience_reject.openid IS 'The row is of a list of openids: value is shown whole to those only who see openids.';

CREATE INDEX task_open_test_idx ON task (id) WHERE kind = 'test' AND state IN ('sending', 'paused');

-- +goose Down
DROP INDEX task_open_test_idx;
ALTER TABLE audience_reject DROP COLUMN openid;
ALTER TABLE task DROP COLUMN changers;
