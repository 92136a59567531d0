-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE app ADD COLUMN approval boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN app.approval IS 'A task begins only once a second person has approved its content and audience as they are.';

ALTER TABLE task
    ADD COLUMN changed_by    text,
    ADD COLUMN approval      text NOT NULL DEFAULT 'none',
    ADD COLUMN approval_by   text,
    ADD COLUMN approval_at   timestamptz,
    ADD COLUMN approval_note text NOT NULL DEFAULT '',
    ADD COLUMN approval_hash bytea,
    ADD CONSTRAINT task_approval_known CHECK (approval IN ('none', 'approved', 'rejected')),
    ADD CONSTRAINT task_approval_whole CHECK (num_nulls(approval_by, approval_at, approval_hash) = CASE approval WHEN 'none' THEN 3 ELSE 0 END);
COMMENT ON COLUMN task.changed_by IS 'Who changed its content or audience last; null while nobody has since it was made.';
COMMENT ON COLUMN task.approval_hash IS
    'SHA-256 of the content and the audience that were approved or rejected. It holds only while the task still has that hash.';

-- +goose Down
ALTER TABLE task DROP COLUMN changed_by, DROP COLUMN approval, DROP COLUMN approval_by, DROP COLUMN approval_at, DROP COLUMN approval_note, DROP COLUMN approval_hash;
ALTER TABLE app DROP COLUMN approval;
