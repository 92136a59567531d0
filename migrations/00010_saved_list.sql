-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE saved_list (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    app_id      integer     NOT NULL,
    name        text        COLLATE "C" NOT NULL,
    audience_id bigint,
    created_by  text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT saved_list_pkey PRIMARY KEY (id),
    CONSTRAINT saved_list_name_unique UNIQUE (app_id, name),
    CONSTRAINT saved_list_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT saved_list_audience_fkey FOREIGN KEY (audience_id) REFERENCES audience (id)
);
COMMENT ON TABLE saved_list IS
    'A list with a name that many tasks use. Its versions are rows of audience; audience_id is the newest that is whole. A task copies the rows of a version.';

ALTER TABLE audience
    ADD COLUMN list_id bigint,
    ADD COLUMN version integer,
    DROP CONSTRAINT audience_has_task,
    ADD CONSTRAINT audience_has_owner CHECK (num_nonnulls(task_id, list_id) = 1 OR state = 'dropped'),
    ADD CONSTRAINT audience_version_is_of_list CHECK (version IS NULL OR list_id IS NOT NULL),
    ADD CONSTRAINT audience_version_unique UNIQUE (list_id, version),
    ADD CONSTRAINT audience_list_fkey FOREIGN KEY (list_id) REFERENCES saved_list (id);
COMMENT ON TABLE audience IS
    'One version of a list: of a task''s, or of a saved one. An upload writes its rows under a new version; task.audience_id or saved_list.audience_id is moved to it in one statement when it is whole. Dropped versions are removed by the purge.';
COMMENT ON COLUMN audience.version IS 'Counts the versions of a saved list, from 1. Null while it is uploaded, and for the list of a task.';

ALTER TABLE task
    ADD COLUMN source_id bigint,
    ADD CONSTRAINT task_source_fkey FOREIGN KEY (source_id) REFERENCES audience (id) ON DELETE SET NULL;
CREATE INDEX task_source_idx ON task (source_id) WHERE source_id IS NOT NULL;
COMMENT ON COLUMN task.source_id IS 'The version of a saved list whose rows the start job copies into the list of the task.';
COMMENT ON COLUMN task.fill_cursor IS
    'How far the start job has come with filling the list: the last user id taken in (audience "all"), or the last row copied (source_id).';

-- +goose Down
ALTER TABLE task DROP COLUMN source_id;
ALTER TABLE saved_list DROP CONSTRAINT saved_list_audience_fkey;
DELETE FROM recipient WHERE audience_id IN (SELECT id FROM audience WHERE list_id IS NOT NULL);
DELETE FROM audience_reject WHERE audience_id IN (SELECT id FROM audience WHERE list_id IS NOT NULL);
DELETE FROM audience WHERE list_id IS NOT NULL;
ALTER TABLE audience
    DROP CONSTRAINT audience_has_owner,
    DROP COLUMN list_id,
    DROP COLUMN version,
    ADD CONSTRAINT audience_has_task CHECK (task_id IS NOT NULL OR state = 'dropped');
DROP TABLE saved_list;
