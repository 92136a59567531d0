-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE template ADD COLUMN realign_after bigint;
CREATE INDEX template_realign_idx ON template (app_id) WHERE realign_after IS NOT NULL;
COMMENT ON COLUMN template.realign_after IS
    'Subscriptions with an id above this have yet to follow the last change of long_term; null: all have.';
UPDATE template t SET realign_after = 0
 WHERE EXISTS (SELECT FROM subscription s WHERE s.app_id = t.app_id AND s.template_id = t.template_id AND s.long_term <> t.long_term);

ALTER TABLE task ADD COLUMN canary_unpermitted integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN task.canary_unpermitted IS 'Of canary_calls, those that were refused because the person allows no message.';

-- Whoever comes from a row of a list to its task has the list.
CREATE INDEX task_audience_idx ON task (audience_id) WHERE audience_id IS NOT NULL;
CREATE INDEX sent_event_settled_idx ON sent_event (settled_at) WHERE settled_at IS NOT NULL;

-- +goose Down
DROP INDEX sent_event_settled_idx;
DROP INDEX task_audience_idx;
ALTER TABLE task DROP COLUMN canary_unpermitted;
DROP INDEX template_realign_idx;
ALTER TABLE template DROP COLUMN realign_after;
