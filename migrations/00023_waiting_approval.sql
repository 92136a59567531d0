-- +goose Up
SET LOCAL lock_timeout = '5s';

-- The console counts on each page of who may approve what waits for that. What has not begun is little beside what was sent.
CREATE INDEX task_unbegun_idx ON task (app_id, id) WHERE planned_at IS NULL AND kind = 'push' AND state IN ('draft', 'scheduled', 'missed', 'paused');

-- +goose Down
DROP INDEX task_unbegun_idx;
