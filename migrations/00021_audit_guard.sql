-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE audit_log ADD COLUMN address text NOT NULL DEFAULT '';
COMMENT ON COLUMN audit_log.address IS 'Where the request came from, as the server saw it; empty for a command.';

-- Read newest first, page by page: all of it, what one did, and what was done to one thing.
DROP INDEX audit_log_at_idx;
CREATE INDEX audit_log_at_idx ON audit_log (at, id);
CREATE INDEX audit_log_actor_idx ON audit_log (actor, at, id);
CREATE INDEX audit_log_object_idx ON audit_log (object, at, id);

-- +goose StatementBegin
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
COMMENT ON TABLE audit_log IS
    'Who changed what, written in the transaction of the change; a trigger keeps entries as they are. action is stable, such as account.add; object names what was changed, such as task:98.';

-- +goose Down
DROP TRIGGER audit_log_only_added_to ON audit_log;
DROP FUNCTION refuse_audit_change();
DROP INDEX audit_log_object_idx;
DROP INDEX audit_log_actor_idx;
DROP INDEX audit_log_at_idx;
CREATE INDEX audit_log_at_idx ON audit_log (at);
ALTER TABLE audit_log DROP COLUMN address;
COMMENT ON TABLE audit_log IS
    'Who changed what, written in the transaction of the change. action is stable, such as account.add; object names what was changed, such as task:98.';
