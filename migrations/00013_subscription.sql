-- +goose Up
SET LOCAL lock_timeout = '5s';

-- Written twice a message, as form_id is: no index names what changes.
CREATE TABLE subscription (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    app_id      integer     NOT NULL,
    openid      text        COLLATE "C" NOT NULL,
    template_id text        NOT NULL,
    available   integer     NOT NULL DEFAULT 0,
    reserved    integer     NOT NULL DEFAULT 0,
    suspect     integer     NOT NULL DEFAULT 0,
    used        bigint      NOT NULL DEFAULT 0,
    long_term   boolean     NOT NULL DEFAULT false,
    accepted_at timestamptz,
    off_at      timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT subscription_pkey PRIMARY KEY (id),
    CONSTRAINT subscription_unique UNIQUE (openid, app_id, template_id),
    CONSTRAINT subscription_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT subscription_not_negative CHECK (least(available, reserved, suspect) >= 0 AND used >= 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE subscription IS
    'Permits of the subscribe channel: how many messages of a template a person has accepted and not yet had. They do not expire, and the platform cannot be asked for them.';
COMMENT ON COLUMN subscription.reserved IS 'Claimed by recipients that are sending, or whose outcome is not known.';
COMMENT ON COLUMN subscription.suspect IS
    'Set aside when the platform answered 43101 although units were left here: the person may have turned the messages off, or the count is wrong.';
COMMENT ON COLUMN subscription.long_term IS 'The template is a long-term one: available is 1 while the person accepts, and messages take nothing.';
COMMENT ON COLUMN subscription.off_at IS 'When the person turned the messages of the template off; what was allowed before is gone.';

CREATE TABLE subscription_report (
    app_id      integer     NOT NULL,
    id          text        COLLATE "C" NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT subscription_report_pkey PRIMARY KEY (app_id, id),
    CONSTRAINT subscription_report_app_fkey FOREIGN KEY (app_id) REFERENCES app (id)
);
CREATE INDEX subscription_report_age_idx ON subscription_report (reported_at);
COMMENT ON TABLE subscription_report IS 'Reports of subscriptions that were taken in, by their own ids, so that one that comes again counts once.';

-- The platform refuses a second call for an openid while one is in flight (43108), over all templates (invariant 7).
CREATE TABLE openid_call (
    openid      text    COLLATE "C" NOT NULL,
    app_id      integer NOT NULL,
    audience_id bigint  NOT NULL,
    seq         integer NOT NULL,
    free_at     timestamptz,
    CONSTRAINT openid_call_pkey PRIMARY KEY (openid, app_id)
) WITH (fillfactor = 70, vacuum_truncate = off, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX openid_call_recipient_idx ON openid_call (audience_id, seq);
COMMENT ON TABLE openid_call IS 'Openids for which a call of the subscribe channel is in flight, with the recipient that it is for.';
COMMENT ON COLUMN openid_call.free_at IS 'The process that made the call is dead: the openid is free from then on, when nobody can still have it under way.';

ALTER TABLE template ADD COLUMN long_term boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN template.long_term IS 'Subscribe channel: one acceptance is for good, so that messages are not counted.';

ALTER TABLE app ADD COLUMN permit_source text NOT NULL DEFAULT 'client';
ALTER TABLE app ADD CONSTRAINT app_permit_source_known CHECK (permit_source IN ('client', 'events'));
COMMENT ON COLUMN app.permit_source IS 'Who reports subscriptions: the mini-program by the API, or the platform by its events. Never both: each acceptance would count twice.';

ALTER TABLE app
    ADD COLUMN callback_mode   text NOT NULL DEFAULT '',
    ADD COLUMN callback_sealed bytea,
    ADD CONSTRAINT app_callback_mode_known CHECK (callback_mode IN ('', 'plain', 'compat', 'safe')),
    ADD CONSTRAINT app_callback_whole CHECK ((callback_mode = '') = (callback_sealed IS NULL));
COMMENT ON COLUMN app.callback_sealed IS 'Token and EncodingAESKey of the platform''s message push; callback_mode empty: none is taken.';

-- An inbox: an event may come before the outcome of its send is written, and is kept until it has found its recipient, or nobody can be it.
CREATE TABLE sent_event (
    msgid       bigint      NOT NULL,
    app_id      integer     NOT NULL,
    openid      text        COLLATE "C" NOT NULL,
    template_id text        NOT NULL,
    code        bigint      NOT NULL,
    at          timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    looked_at   timestamptz,
    settled_at  timestamptz,
    CONSTRAINT sent_event_pkey PRIMARY KEY (msgid, app_id),
    CONSTRAINT sent_event_app_fkey FOREIGN KEY (app_id) REFERENCES app (id)
);
CREATE INDEX sent_event_open_idx ON sent_event (received_at) WHERE settled_at IS NULL;
CREATE INDEX sent_event_open_openid_idx ON sent_event (openid, app_id) WHERE settled_at IS NULL;
COMMENT ON TABLE sent_event IS 'What the platform reported of messages that it had accepted: delivered (code 0) or not. settled_at: its recipient shows it, or there is none.';
-- Null for a formId message, so that its outcome stays a HOT update.
CREATE INDEX recipient_msgid_idx ON recipient (msgid) WHERE msgid IS NOT NULL;
COMMENT ON COLUMN recipient.delivery IS 'What the platform reported later of a message that it had accepted: 1 delivered, 2 failed (platform_code says why); null: nothing yet.';

-- +goose Down
DROP INDEX recipient_msgid_idx;
DROP TABLE sent_event;
ALTER TABLE app DROP COLUMN callback_mode, DROP COLUMN callback_sealed;
ALTER TABLE app DROP COLUMN permit_source;
ALTER TABLE template DROP COLUMN long_term;
DROP TABLE openid_call, subscription_report, subscription;
