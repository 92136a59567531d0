-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE recipient ADD COLUMN called_at timestamptz;
COMMENT ON COLUMN recipient.called_at IS
    'When the last call was written ahead, on the channel subscribe: what tells an event that bears no known msgid which call it is about. Null on the channel form_id.';

-- +goose Down
ALTER TABLE recipient DROP COLUMN called_at;
