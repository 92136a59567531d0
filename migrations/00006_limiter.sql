-- +goose Up
SET LOCAL lock_timeout = '5s';

-- Unlogged: a crash empties it, and the next take begins anew a second later. So it costs no WAL and no flush.
CREATE UNLOGGED TABLE limiter (
    app_id    integer          NOT NULL,
    task_id   bigint           NOT NULL,
    next_at   timestamptz      NOT NULL,
    slow_rate double precision,
    slow_base double precision,
    slow_at   timestamptz,
    virtual   double precision NOT NULL DEFAULT 0,
    asked_at  timestamptz,
    CONSTRAINT limiter_pkey PRIMARY KEY (app_id, task_id),
    CONSTRAINT limiter_slow_whole CHECK (num_nulls(slow_rate, slow_base, slow_at) IN (0, 3)),
    CONSTRAINT limiter_slow_positive CHECK (slow_rate > 0 AND slow_base > 0)
) WITH (fillfactor = 10);
COMMENT ON TABLE limiter IS
    'When the next call may start, per app (task_id 0) and per task with a limit of its own: the rate of both holds over all daemons together (invariant 9).';
COMMENT ON COLUMN limiter.virtual IS 'Of a task: calls granted so far, divided by the weight of its priority. Of the tasks that lack some, the one that is behind is served (weighted fair queueing). Of an app: where the one served last stood; a task that lacked nothing before begins there.';
COMMENT ON COLUMN limiter.asked_at IS 'When a task last got less than it wanted for want of its app''s rate; null once it got all, or is held up by its own limit.';
COMMENT ON COLUMN limiter.slow_rate IS 'The platform asked to slow down (45011): the rate fell to slow_rate at slow_at, and grows by a tenth of slow_base every 10 s until it is slow_base again.';

CREATE TABLE app_day (
    app_id integer NOT NULL,
    day    date    NOT NULL,
    calls  bigint  NOT NULL DEFAULT 0,
    CONSTRAINT app_day_pkey PRIMARY KEY (app_id, day),
    CONSTRAINT app_day_app_fkey FOREIGN KEY (app_id) REFERENCES app (id),
    CONSTRAINT app_day_not_negative CHECK (calls >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE app_day IS 'Calls that were granted to an app with a daily budget, per day of the platform (Asia/Shanghai). They are granted in blocks; what a block does not use is given back.';

ALTER TABLE app
    ADD COLUMN quota_until      timestamptz,
    ADD COLUMN quota_probe_task bigint,
    ADD COLUMN quota_limit      bigint,
    ADD COLUMN quota_used       bigint,
    ADD COLUMN quota_asked_at   timestamptz,
    ADD CONSTRAINT app_quota_probe_while_out CHECK (quota_probe_task IS NULL OR quota_until IS NOT NULL);
COMMENT ON COLUMN app.quota_until IS 'The platform''s quota, or the daily budget, is used up: the tasks of the app are paused, and one of them tries again at this time.';
COMMENT ON COLUMN app.quota_probe_task IS 'The task that tries whether the quota is there again, with one call.';
COMMENT ON COLUMN app.quota_limit IS 'The platform''s daily limit of sends as it last said, 0 for none; quota_used is what was used then.';

-- slowed_rate is the rate that is left of a limit (0: none) while the platform wants it slower; 0 is no limit.
-- +goose StatementBegin
CREATE FUNCTION slowed_rate(rate double precision, slow_rate double precision, slow_base double precision, slow_for interval) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN slow_rate IS NULL OR slow_now.v >= slow_base THEN rate
                WHEN rate > 0 THEN least(rate, slow_now.v) ELSE slow_now.v END
      FROM (SELECT slow_rate + slow_base * 0.1 * floor(extract(epoch FROM slow_for) / 10)) slow_now(v)
$$;
-- +goose StatementEnd

-- ramped_rate is what a task may send: its own limit, and what its app's ramp allows so long after its start; 0 is no limit.
-- +goose StatementBegin
CREATE FUNCTION ramped_rate(task_rate integer, app_rate integer, ramp_from integer, ramp_minutes integer, run_for interval) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ramp_minutes = 0 OR run_for IS NULL OR run_for >= make_interval(mins => ramp_minutes) THEN task_rate::double precision
                WHEN task_rate > 0 THEN least(task_rate, ramp.v) ELSE ramp.v END
      FROM (SELECT ramp_from + (app_rate - ramp_from) * extract(epoch FROM run_for)::double precision / (60.0 * ramp_minutes)) ramp(v)
$$;
-- +goose StatementEnd

-- take_slots reserves times at which calls of a task may start: n of them from first on, gap seconds apart, at most want. With n = 0
-- there is none for wait seconds. used_up says that the daily budget is gone; unused gives back calls of the budget that were
-- granted and not made. The rates are read here, so that a change holds at once.
--
-- Slots are even and disjoint over all daemons; time that nobody asked for is lost, so that there is no burst. They are given at
-- 0.985 of the rate: what a clock or a scheduler displaces stays within the limit's 2 %. Where the app has a limit, a task with one of
-- its own takes at most a hundredth of a second's calls at a time, at the app's gap, and a delay of up to 20 ms is made up for. The
-- tasks of an app share its rate by weight (weighted fair queueing): who is ahead of another that wants some too has to wait.
-- +goose StatementBegin
CREATE FUNCTION take_slots(the_app integer, the_task bigint, weight integer, want integer, unused integer,
                           OUT first timestamptz, OUT n integer, OUT gap double precision, OUT wait double precision,
                           OUT used_up boolean, OUT now timestamptz)
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    block   CONSTANT double precision := 0.05;
    share   CONSTANT double precision := 0.985;
    lead    CONSTANT interval := interval '200 ms';
    a       app%ROWTYPE;
    whole   limiter%ROWTYPE;
    own     limiter%ROWTYPE;
    due     timestamptz;
    rate    double precision;
    own_rate double precision;
    behind  double precision;
    lacks   boolean := false;
    granted bigint;
BEGIN
    n := 0; gap := 0; wait := 0; used_up := false;
    SELECT * INTO a FROM app WHERE id = the_app;
    -- The app's row first, then the task's: everyone locks in this order.
    SELECT * INTO whole FROM limiter l WHERE l.app_id = the_app AND l.task_id = 0 FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO limiter (app_id, task_id, next_at) VALUES (the_app, 0, clock_timestamp() + interval '1 s') ON CONFLICT DO NOTHING;
        now := clock_timestamp(); wait := 0.1;
        RETURN;
    END IF;
    now := clock_timestamp();
    SELECT * INTO own FROM limiter l WHERE l.app_id = the_app AND l.task_id = the_task FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO limiter (app_id, task_id, next_at) VALUES (the_app, the_task, now) RETURNING * INTO own;
    END IF;
    rate := slowed_rate(a.rate_per_second, whole.slow_rate, whole.slow_base, now - whole.slow_at);
    SELECT ramped_rate(t.rate_per_second, a.rate_per_second, a.ramp_from, a.ramp_minutes, now - t.started_at) INTO own_rate FROM task t WHERE t.id = the_task;
    -- A slot lies no further ahead than the last one given can: the clock was set back.
    own.next_at := least(own.next_at, now + lead + make_interval(secs => greatest(1, 1 / (nullif(own_rate, 0) * share))));
    IF whole.next_at > now + lead + make_interval(secs => greatest(1, 1 / (nullif(rate, 0) * share))) THEN
        whole.next_at := now + lead + make_interval(secs => greatest(1, 1 / (nullif(rate, 0) * share)));
        UPDATE limiter l SET next_at = whole.next_at WHERE l.app_id = the_app AND l.task_id = 0;
    END IF;

    n := want;
    first := now + interval '20 ms';
    IF own_rate > 0 AND rate > 0 AND own.next_at > now THEN
        n := 0; wait := extract(epoch FROM own.next_at - now);
    END IF;
    IF n > 0 AND rate > 0 THEN
        SELECT min(l.virtual) INTO behind FROM limiter l
         WHERE l.app_id = the_app AND l.task_id NOT IN (0, the_task) AND l.asked_at > now - interval '100 ms';
        IF own.asked_at IS NULL OR own.asked_at < now - interval '1 s' THEN
            own.virtual := greatest(own.virtual, whole.virtual);
        END IF;
        due := whole.next_at;
        first := greatest(due, first);
        gap := 1 / (rate * share);
        n := least(n, greatest(1, floor(rate * block)::integer));
        lacks := n < want;
        IF due >= now + lead THEN
            n := 0; wait := extract(epoch FROM due - now - lead) + 0.005; lacks := true;
        ELSIF own.virtual > behind + rate * block / 16 THEN
            n := 0; wait := 0.005; lacks := true;
        END IF;
    END IF;
    IF n > 0 AND own_rate > 0 THEN
        due := own.next_at;
        IF rate > 0 THEN
            IF n > greatest(1, floor(own_rate * 0.01)::integer) THEN
                n := greatest(1, floor(own_rate * 0.01)::integer); lacks := false;
            END IF;
            due := greatest(due, now - interval '20 ms');
        ELSE
            IF due >= now + lead THEN
                n := 0; wait := extract(epoch FROM due - now - lead) + 0.005;
            END IF;
            n := least(n, greatest(1, floor(own_rate * block)::integer));
            gap := 1 / (own_rate * share);
            due := greatest(due, first);
            first := due;
        END IF;
    END IF;
    IF a.daily_budget > 0 AND (n > 0 OR unused > 0) THEN
        INSERT INTO app_day AS d (app_id, day) VALUES (the_app, (now AT TIME ZONE 'Asia/Shanghai')::date) ON CONFLICT DO NOTHING;
        SELECT greatest(0, d.calls - unused) INTO granted FROM app_day d
         WHERE d.app_id = the_app AND d.day = (now AT TIME ZONE 'Asia/Shanghai')::date FOR UPDATE;
        used_up := n > 0 AND granted >= a.daily_budget;
        -- The nearer the end, the fewer at a time: what somebody holds unused is nobody else's.
        n := least(n, greatest(least(1, a.daily_budget - granted), (a.daily_budget - granted) / 4, 0));
        UPDATE app_day d SET calls = granted + n WHERE d.app_id = the_app AND d.day = (now AT TIME ZONE 'Asia/Shanghai')::date;
    END IF;

    IF n > 0 AND rate > 0 THEN
        UPDATE limiter l SET next_at = first + make_interval(secs => n * gap), virtual = greatest(l.virtual, own.virtual) WHERE l.app_id = the_app AND l.task_id = 0;
        own.virtual := own.virtual + n::double precision / weight;
    END IF;
    IF n > 0 AND own_rate > 0 THEN
        own.next_at := due + make_interval(secs => n / (own_rate * share));
    END IF;
    UPDATE limiter l SET next_at = own.next_at, virtual = own.virtual, asked_at = CASE WHEN lacks THEN now END WHERE l.app_id = the_app AND l.task_id = the_task;
    now := clock_timestamp();
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION take_slots(integer, bigint, integer, integer, integer);
DROP FUNCTION ramped_rate(integer, integer, integer, integer, interval);
DROP FUNCTION slowed_rate(double precision, double precision, double precision, interval);
ALTER TABLE app DROP COLUMN quota_until, DROP COLUMN quota_probe_task, DROP COLUMN quota_limit, DROP COLUMN quota_used, DROP COLUMN quota_asked_at;
DROP TABLE app_day, limiter;
