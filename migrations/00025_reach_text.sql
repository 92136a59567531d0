-- +goose Up
SET LOCAL lock_timeout = '5s';

-- A figure is read whole with each look at it, and nothing is ever looked for in it: jsonb would be written out anew each time.
ALTER TABLE reach ALTER COLUMN figures TYPE json USING figures::json;

-- +goose Down
ALTER TABLE reach ALTER COLUMN figures TYPE jsonb USING figures::jsonb;
