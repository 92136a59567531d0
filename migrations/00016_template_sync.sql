-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE template ADD COLUMN synced_at timestamptz, ADD COLUMN gone_at timestamptz;
COMMENT ON COLUMN template.synced_at IS 'When it was last found in the app''s account at the platform; its fields are those of the account then. Null: never.';
COMMENT ON COLUMN template.gone_at IS 'Since when the account is known to have it no more. No new task may use it; what is scheduled or sending goes on as frozen.';
COMMENT ON COLUMN template.fields IS
    'In the order of the card: [{"key","label","value","color","too_long","enum"}]. value is empty where the account named the field and nobody has written a value yet.';

ALTER TABLE audience_reject
    ADD COLUMN field text NOT NULL DEFAULT '',
    ADD COLUMN rule  text NOT NULL DEFAULT '',
    ADD COLUMN zh    text NOT NULL DEFAULT '',
    ADD COLUMN en    text NOT NULL DEFAULT '';
COMMENT ON COLUMN audience_reject.field IS 'Code field_invalid: the field of the template whose value the platform would refuse, by which rule, and both in words.';

-- +goose Down
ALTER TABLE audience_reject DROP COLUMN field, DROP COLUMN rule, DROP COLUMN zh, DROP COLUMN en;
COMMENT ON COLUMN template.fields IS NULL;
ALTER TABLE template DROP COLUMN synced_at, DROP COLUMN gone_at;
