-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE subscription
    ADD COLUMN fresh      integer NOT NULL DEFAULT 0,
    ADD COLUMN suspect_at timestamptz;
UPDATE subscription SET suspect_at = updated_at WHERE suspect > 0;
-- What a message changes is not named: only setting units aside, and taking them back, touches this index.
CREATE INDEX subscription_suspect_idx ON subscription (app_id, id) WHERE suspect > 0;
COMMENT ON COLUMN subscription.fresh IS
    'How many of the available units were reported after the last claim: a 43101 that answers that claim says nothing about them.';
COMMENT ON COLUMN subscription.suspect_at IS 'When units were last set aside; null where there are none.';

-- +goose Down
DROP INDEX subscription_suspect_idx;
ALTER TABLE subscription DROP COLUMN fresh, DROP COLUMN suspect_at;
