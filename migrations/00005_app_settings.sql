-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE app
    ADD COLUMN rate_per_second integer NOT NULL DEFAULT 0,
    ADD COLUMN ramp_from       integer NOT NULL DEFAULT 0,
    ADD COLUMN ramp_minutes    integer NOT NULL DEFAULT 0,
    ADD COLUMN daily_budget    integer NOT NULL DEFAULT 0,
    ADD COLUMN quiet_from      time,
    ADD COLUMN quiet_to        time,
    ADD COLUMN daily_cap       integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT app_limits_not_negative CHECK (least(rate_per_second, ramp_from, ramp_minutes, daily_budget, daily_cap) >= 0),
    ADD CONSTRAINT app_quiet_both_or_neither CHECK ((quiet_from IS NULL) = (quiet_to IS NULL)),
    ADD CONSTRAINT app_quiet_not_empty CHECK (quiet_from <> quiet_to),
    ADD CONSTRAINT app_ramp_both_or_neither CHECK ((ramp_from = 0) = (ramp_minutes = 0));
COMMENT ON COLUMN app.rate_per_second IS 'Calls a second over all daemons; 0 is no limit.';
COMMENT ON COLUMN app.ramp_from IS 'Each task starts at this many calls a second and reaches the rate in ramp_minutes; 0 is no ramp.';
COMMENT ON COLUMN app.daily_budget IS 'Calls a day (the platform''s, from 00:00 Asia/Shanghai) over all tasks; 0 is no budget.';
COMMENT ON COLUMN app.quiet_from IS 'Quiet hours, from and to, in the configured time zone; they may span midnight. Only urgent tasks send in them.';
COMMENT ON COLUMN app.daily_cap IS 'Messages a user may get a day over all tasks; 0 is no cap.';

-- +goose Down
ALTER TABLE app
    DROP COLUMN rate_per_second, DROP COLUMN ramp_from, DROP COLUMN ramp_minutes, DROP COLUMN daily_budget,
    DROP COLUMN quiet_from, DROP COLUMN quiet_to, DROP COLUMN daily_cap;
