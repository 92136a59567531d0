package dispatch_test

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// watchSQL makes the test's own database write down each move of a state, in the transaction that makes it, and whatever breaks an
// invariant at any commit, however short a time it lasts.
const watchSQL = `
CREATE TABLE watch_move (id bigint GENERATED ALWAYS AS IDENTITY, noun text, key bigint, before text, after text, ambiguous boolean, tries int);
CREATE TABLE watch_app AS SELECT * FROM app;
CREATE TABLE watch_wrong (id bigint GENERATED ALWAYS AS IDENTITY, what text);

CREATE FUNCTION watch_wrong(what text) RETURNS void LANGUAGE sql AS 'INSERT INTO watch_wrong (what) VALUES ($1)';

CREATE FUNCTION watch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> NEW.state THEN
        INSERT INTO watch_move (noun, key, before, after) VALUES ('task', NEW.id, OLD.state, NEW.state);
    END IF;
    IF NEW.state = 'done' AND EXISTS (SELECT FROM recipient WHERE audience_id = NEW.audience_id AND state IN (0, 1, 6)) THEN
        PERFORM watch_wrong(format('8: task %s is done with an open recipient', NEW.id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch_task AFTER UPDATE ON task FOR EACH ROW EXECUTE FUNCTION watch_task();

CREATE FUNCTION watch_recipient() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    row_name text := format('recipient %s/%s', NEW.audience_id, NEW.seq);
    app int := (SELECT app_id FROM task WHERE audience_id = NEW.audience_id);
    fenced boolean;
BEGIN
    IF OLD.state <> NEW.state THEN
        INSERT INTO watch_move (noun, key, before, after, ambiguous, tries) VALUES ('recipient', NEW.seq, OLD.state, NEW.state, OLD.ambiguous, OLD.permit_tries);
    END IF;
    IF OLD.ambiguous AND NEW.permit_id IS DISTINCT FROM OLD.permit_id AND NEW.platform_code IS DISTINCT FROM 41028 THEN
        PERFORM watch_wrong(format('5: %s, which is ambiguous, has lost its permit', row_name));
    END IF;
    IF OLD.permit_id IS NOT NULL AND NEW.permit_id IS NOT NULL AND NEW.permit_id <> OLD.permit_id AND (OLD.state IN (1, 5) OR OLD.ambiguous) THEN
        PERFORM watch_wrong(format('5: the permit of %s was exchanged', row_name));
    END IF;
    SELECT c.state = 'running' AND c.lease = (CASE WHEN NEW.state = 1 THEN NEW.lease ELSE OLD.lease END) INTO fenced
      FROM chunk c JOIN task t ON t.id = c.task_id WHERE t.audience_id = NEW.audience_id AND NEW.seq >= c.lo AND NEW.seq < c.hi;
    IF (NEW.state = 1 OR OLD.state = 1 AND (NEW.state IN (2, 3) OR NEW.state = 0 AND NOT NEW.ambiguous)) AND fenced IS NOT TRUE THEN
        PERFORM watch_wrong(format('6: %s went from %s to %s under a stale lease', row_name, OLD.state, NEW.state));
    END IF;
    IF OLD.state = 0 AND NEW.state = 4 AND NEW.reason = 3 AND EXISTS (SELECT FROM form_id
            WHERE app_id = app AND user_id = NEW.user_id AND state = 0 AND expires_at > clock_timestamp() + interval '11 min') THEN
        PERFORM watch_wrong(format('3: %s was skipped for want of a permit, and its user has one', row_name));
    END IF;
    IF NEW.state = 1 AND OLD.state <> 1 AND EXISTS (SELECT FROM recipient o WHERE o.audience_id = NEW.audience_id AND o.seq <> NEW.seq
            AND o.openid = NEW.openid AND (o.state IN (1, 2, 5) OR o.ambiguous)) THEN
        PERFORM watch_wrong(format('7: the openid of %s stands in another row of the task', row_name));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch_recipient AFTER UPDATE ON recipient FOR EACH ROW EXECUTE FUNCTION watch_recipient();

CREATE FUNCTION watch_permit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.state <> 0 OR OLD.expires_at > clock_timestamp() THEN
            PERFORM watch_wrong(format('3: permit %s was retired in state %s before its time', OLD.form_id, OLD.state));
        END IF;
        RETURN NULL;
    END IF;
    IF OLD.state <> NEW.state THEN
        INSERT INTO watch_move (noun, key, before, after) VALUES ('permit', NEW.id, OLD.state, NEW.state);
    END IF;
    IF OLD.state = 0 AND NEW.state = 1 AND NEW.expires_at < clock_timestamp() + interval '9 min' THEN
        PERFORM watch_wrong(format('3: permit %s was claimed after its expiry, or within the margin of it', NEW.form_id));
    END IF;
    IF OLD.state = 0 AND NEW.state = 1 AND EXISTS (SELECT FROM form_id WHERE app_id = NEW.app_id AND user_id = NEW.user_id AND state = 0
            AND expires_at < NEW.expires_at AND expires_at > clock_timestamp() + interval '11 min') THEN
        PERFORM watch_wrong(format('3: permit %s was claimed before one that expires earlier', NEW.form_id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch_permit AFTER UPDATE OR DELETE ON form_id FOR EACH ROW EXECUTE FUNCTION watch_permit();

CREATE FUNCTION watch_recipient_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    r recipient;
    permit smallint;
BEGIN
    SELECT * INTO r FROM recipient WHERE audience_id = NEW.audience_id AND seq = NEW.seq;
    SELECT state INTO permit FROM form_id WHERE id = r.permit_id AND audience_id = r.audience_id AND seq = r.seq;
    IF (r.state IN (1, 5) OR r.state = 0 AND r.ambiguous) AND permit IS DISTINCT FROM 1 THEN
        PERFORM watch_wrong(format('2: recipient %s/%s in state %s holds no reserved permit', r.audience_id, r.seq, r.state));
    ELSIF r.state = 2 AND permit IS DISTINCT FROM 2 THEN
        PERFORM watch_wrong(format('4: the permit of recipient %s/%s, which is sent, is not used', r.audience_id, r.seq));
    ELSIF r.state IN (0, 4, 6) AND NOT r.ambiguous AND r.permit_id IS NOT NULL THEN
        PERFORM watch_wrong(format('4: recipient %s/%s in state %s names a permit', r.audience_id, r.seq, r.state));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch_recipient_commit AFTER UPDATE ON recipient DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch_recipient_commit();

CREATE FUNCTION watch_permit_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    f form_id;
    holders int;
BEGIN
    SELECT * INTO f FROM form_id WHERE id = NEW.id;
    SELECT count(*) INTO holders FROM recipient WHERE permit_id = f.id AND (state IN (1, 5) OR state = 0 AND ambiguous);
    IF f.state = 1 AND holders <> 1 THEN
        PERFORM watch_wrong(format('3: permit %s is reserved, and %s recipients hold it', f.form_id, holders));
    ELSIF f.state <> 1 AND holders > 0 THEN
        PERFORM watch_wrong(format('4: permit %s is in state %s, and an open recipient holds it', f.form_id, f.state));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch_permit_commit AFTER UPDATE ON form_id DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch_permit_commit();

CREATE FUNCTION watch_chunk_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    c chunk;
    shown int[];
    there int[];
BEGIN
    SELECT * INTO c FROM chunk WHERE task_id = NEW.task_id AND no = NEW.no;
    shown := ARRAY[c.pending, c.sending, c.sent, c.failed, c.skipped, c.unknown, c.waiting];
    SELECT ARRAY(SELECT count(*) FILTER (WHERE r.state = s)::int FROM generate_series(0, 6) s LEFT JOIN recipient r ON r.audience_id = t.audience_id
            AND r.seq >= c.lo AND r.seq < c.hi GROUP BY s ORDER BY s) INTO there FROM task t WHERE t.id = c.task_id;
    IF shown <> there THEN
        PERFORM watch_wrong(format('8: chunk %s/%s shows %s, its rows say %s', c.task_id, c.no, shown, there));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch_chunk_commit AFTER INSERT OR UPDATE ON chunk DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch_chunk_commit();
`

// move is one move that the watch wrote down.
type move struct {
	ID            int64
	Noun          string
	Key           int64
	Before, After string
	Ambiguous     *bool
	Tries         *int32
}

// watched holds what the database wrote down since the last look against the arrows of design §3, and lets the model follow
// the tasks.
func (w *world) watched() {
	wrong := w.texts(`SELECT what FROM watch_wrong ORDER BY id`)
	require.Empty(w.r, wrong, "invariants that did not hold at a commit")
	rows, _ := w.st.Pool().Query(w.ctx, `DELETE FROM watch_move RETURNING id, noun, key, before, after, ambiguous, tries`)
	moves, err := pgx.CollectRows(rows, pgx.RowToStructByPos[move])
	require.NoError(w.r, err)
	slices.SortFunc(moves, func(a, b move) int { return int(a.ID - b.ID) })
	for _, m := range moves {
		switch m.Noun {
		case "task":
			w.followTask(m)
		case "recipient":
			before, after := push.RecipientState(number(m.Before)), push.RecipientState(number(m.After))
			require.True(w.r, recipientMay(before, after, m), "recipient %d went from %v to %v", m.Key, before, after)
		case "permit":
			before, after := push.PermitState(number(m.Before)), push.PermitState(number(m.After))
			require.True(w.r, permitMay(before, after), "permit %d went from %v to %v", m.Key, before, after)
		}
	}
}

func (w *world) followTask(m move) {
	task := w.byID[m.Key]
	require.NotNil(w.r, task, "task %d moved and is none of the model's", m.Key)
	before, after := push.TaskState(m.Before), push.TaskState(m.After)
	require.Equal(w.r, task.state, before, "task %d moved by another way", m.Key)
	require.True(w.r, before.CanMove(after), "task %d went from %s to %s", m.Key, before, after)
	if before == push.TaskDraft || before == push.TaskMissed || before == push.TaskScheduled && after == push.TaskSending {
		require.False(w.r, task.begun, "task %d began twice (invariant 1)", m.Key)
	}
	task.begun = task.begun || after == push.TaskSending
	task.state = after
}

// recipientMay are the arrows of design §3. Where the design has "sending, and ambiguous", a row that waits for its next attempt is
// stored as pending with its permit: it ends as one in sending would. So does one whose permit was dead and whose user has no other.
// One that waits for a permit is skipped in one step where its task is canceled.
func recipientMay(before, after push.RecipientState, m move) bool {
	if before == push.Pending && (*m.Ambiguous && after == push.Unknown || *m.Tries > 0 && after == push.Failed) {
		return true
	}
	if before == push.Waiting && after == push.Skipped {
		return true
	}
	return before.CanMove(after)
}

// permitMay are the arrows of a formId in design §3. Expired is not a state.
func permitMay(before, after push.PermitState) bool {
	switch before {
	case push.PermitAvailable:
		return after == push.PermitReserved
	case push.PermitReserved:
		return after != push.PermitReserved
	case push.PermitUsed, push.PermitInvalid:
		return false
	}
	return false
}

func number(text string) int16 {
	n, err := strconv.ParseInt(text, 10, 16)
	if err != nil {
		panic(fmt.Sprintf("state %q is no number", text))
	}
	return int16(n)
}
