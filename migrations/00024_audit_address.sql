-- +goose Up
SET LOCAL lock_timeout = '5s';
COMMENT ON COLUMN audit_log.address IS 'Where the change was asked for: an address, as the server saw it, or cli for a command; empty for what a daemon did by itself.';

-- +goose Down
COMMENT ON COLUMN audit_log.address IS 'Where the request came from, as the server saw it; empty for a command.';
