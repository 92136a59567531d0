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

ALTER TABLE app
    ADD COLUMN testers text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT app_testers_few CHECK (cardinality(testers) <= 50);
COMMENT ON COLUMN app.testers IS 'User ids to whom a task may be sent as a test, each with a permit of their own.';

ALTER TABLE task
    ADD COLUMN kind    text NOT NULL DEFAULT 'push',
    ADD COLUMN test_of bigint,
    ADD CONSTRAINT task_kind_known CHECK (kind IN ('push', 'test')),
    ADD CONSTRAINT task_test_is_of_a_task CHECK (test_of IS NULL OR kind = 'test'),
    ADD CONSTRAINT task_tested_task_fkey FOREIGN KEY (test_of) REFERENCES task (id) ON DELETE SET NULL;
CREATE INDEX task_test_of_idx ON task (test_of) WHERE test_of IS NOT NULL;
COMMENT ON COLUMN task.kind IS 'test: one message to a tester, a task of its own so that it is sent like any other. Lists leave it out.';
COMMENT ON COLUMN task.test_of IS 'The task whose content a test shows; null also once that was deleted.';

CREATE TABLE dry_run (
    task_id      bigint      NOT NULL,
    run          integer     NOT NULL DEFAULT 1,
    state        text        NOT NULL DEFAULT 'running',
    content_hash bytea       NOT NULL,
    at           timestamptz NOT NULL,
    cursor       text        COLLATE "C" NOT NULL DEFAULT '',
    total        integer     NOT NULL DEFAULT 0,
    would_send   integer     NOT NULL DEFAULT 0,
    would_wait   integer     NOT NULL DEFAULT 0,
    reasons      jsonb       NOT NULL DEFAULT '{}',
    examples     jsonb       NOT NULL DEFAULT '[]',
    note         text        NOT NULL DEFAULT '',
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    CONSTRAINT dry_run_pkey PRIMARY KEY (task_id),
    CONSTRAINT dry_run_task_fkey FOREIGN KEY (task_id) REFERENCES task (id) ON DELETE CASCADE,
    CONSTRAINT dry_run_state_known CHECK (state IN ('running', 'done', 'failed')),
    CONSTRAINT dry_run_ended CHECK ((state = 'running') = (ended_at IS NULL)),
    CONSTRAINT dry_run_not_negative CHECK (least(total, would_send, would_wait) >= 0)
);
COMMENT ON TABLE dry_run IS
    'What a task would have come to, found out page by page without claiming or spending anything: the last dry run of a task, apart from its recipients.';
COMMENT ON COLUMN dry_run.run IS 'Counts the dry runs of the task: whoever works on an earlier one stops.';
COMMENT ON COLUMN dry_run.cursor IS 'How far it has come: the next seq of the list, or the last user id.';
COMMENT ON COLUMN dry_run.reasons IS 'Recipients by reason: {"<reason>": count}.';

-- +goose Down
DROP TABLE dry_run;
DELETE FROM recipient WHERE audience_id IN (SELECT audience_id FROM task WHERE kind = 'test');
UPDATE audience SET state = 'dropped', task_id = NULL WHERE task_id IN (SELECT id FROM task WHERE kind = 'test');
DELETE FROM task WHERE kind = 'test';
ALTER TABLE task DROP CONSTRAINT task_test_is_of_a_task, DROP CONSTRAINT task_tested_task_fkey, DROP COLUMN test_of, DROP COLUMN kind;
ALTER TABLE app DROP COLUMN testers;
ALTER TABLE task DROP COLUMN changed_by, DROP COLUMN approval, DROP COLUMN approval_by, DROP COLUMN approval_at, DROP COLUMN approval_note, DROP COLUMN approval_hash;
ALTER TABLE app DROP COLUMN approval;
