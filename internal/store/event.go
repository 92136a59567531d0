package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// SentEvent is what the platform reported of a message that it had accepted.
type SentEvent struct {
	MsgID              int64
	OpenID, TemplateID string
	// Code is 0 for a message that was delivered.
	Code int64
	// At is when, by the platform's clock.
	At time.Time
}

// SetCallback writes how the platform's message push of an app is verified. mode empty: none is taken.
func (s *Store) SetCallback(ctx context.Context, appID int32, mode string, sealed []byte) error {
	_, err := s.db(ctx).Exec(ctx, `UPDATE app SET callback_mode = $2, callback_sealed = $3, updated_at = now() WHERE id = $1`, appID, mode, sealed)
	return wrap(err, "set callback of app %d", appID)
}

// Callback reads how the message push of an app is verified. mode is empty where none is taken.
func (s *Store) Callback(ctx context.Context, key string) (app push.App, mode string, sealed []byte, err error) {
	err = s.db(ctx).QueryRow(ctx, `SELECT `+appColumns+`, callback_mode, callback_sealed FROM app WHERE key = $1`, key).
		Scan(append(appFields(&app), &mode, &sealed)...)
	return app, mode, sealed, wrap(err, "callback of app %q", key)
}

// InsertSentEvents keeps events; one that is known already is no error.
func (s *Store) InsertSentEvents(ctx context.Context, appID int32, events []SentEvent) error {
	var batch pgx.Batch
	for _, e := range events {
		batch.Queue(`
			INSERT INTO sent_event (msgid, app_id, openid, template_id, code, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (msgid, app_id) DO NOTHING`,
			e.MsgID, appID, e.OpenID, e.TemplateID, e.Code, e.At)
	}
	return wrap(s.db(ctx).SendBatch(ctx, &batch).Close(), "keep sent events")
}

// SettleSentEvents gives at most limit events to the recipients that bear their msgid, and returns how many it looked at. An event whose
// recipient is not there yet is looked at again after again.
func (s *Store) SettleSentEvents(ctx context.Context, again time.Duration, limit int) (looked int, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		WITH e AS MATERIALIZED (
		    SELECT e.ctid AS eid, e.code, r.rid FROM (
		           SELECT ctid, * FROM sent_event WHERE settled_at IS NULL AND (looked_at IS NULL OR looked_at < clock_timestamp() - $1::interval)
		            ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED) e
		      LEFT JOIN LATERAL (SELECT r.ctid AS rid FROM recipient r WHERE r.msgid = e.msgid AND r.openid = e.openid LIMIT 1) r ON true),
		shown AS (
		    UPDATE recipient r SET delivery = CASE WHEN e.code = 0 THEN 1 ELSE 2 END, platform_code = CASE WHEN e.code <> 0 THEN least(greatest(e.code, -2147483648), 2147483647)::int ELSE r.platform_code END,
		           updated_at = clock_timestamp() FROM e WHERE r.ctid = e.rid),
		looked AS (
		    UPDATE sent_event s SET looked_at = clock_timestamp(), settled_at = CASE WHEN e.rid IS NOT NULL THEN clock_timestamp() END FROM e WHERE s.ctid = e.eid)
		SELECT count(*) FROM e`, again, limit).Scan(&looked)
	return looked, wrap(err, "settle sent events")
}

// Claimant is a recipient whose message an event of an unknown msgid may be about: its call got no answer, so that its msgid is not known.
type Claimant struct {
	Event SentEvent
	AppID int32
	Chunk ChunkKey
	Seq   int32
	// Found is false where nobody can be it.
	Found bool
}

// UnclaimedEvents lists at most limit events that were received longer than wait ago, whose openid has no call in flight, so that the outcome of
// theirs is written, and that belong to no msgid that is known; with the recipient that each may be about: of its openid and template,
// unsettled, and called at that time: not later than the event but for skew, which is how far the platform's clock may be behind, and not longer than span
// before it. Of a recipient in doubt an earlier call may be meant, so that any time since the task's start will do. It counts who had the
// openid then, whoever of the app's users has it by now. Of several the one whose call began last is it.
// Each look-up is a probe of an index that no statistics can turn into a scan.
func (s *Store) UnclaimedEvents(ctx context.Context, wait, skew, span time.Duration, limit int) ([]Claimant, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT e.msgid, e.openid, e.template_id, e.code, e.at, e.app_id, coalesce(r.task_id, 0), coalesce(r.no, 0), coalesce(r.seq, 0), r.seq IS NOT NULL
		  FROM (SELECT * FROM sent_event e WHERE settled_at IS NULL AND received_at < clock_timestamp() - $1::interval
		           AND (SELECT true FROM openid_call c WHERE c.openid = e.openid AND c.app_id = e.app_id AND c.free_at IS NULL LIMIT 1) IS NULL
		           AND (SELECT true FROM recipient r WHERE r.msgid = e.msgid AND r.openid = e.openid LIMIT 1) IS NULL ORDER BY received_at LIMIT $4) e
		  LEFT JOIN LATERAL (
		       SELECT t.id AS task_id, (r.seq / t.chunk_size)::int AS no, r.seq FROM (
		              SELECT user_id FROM app_user WHERE app_id = e.app_id AND openid = e.openid UNION
		              SELECT user_id FROM openid_move WHERE app_id = e.app_id AND openid = e.openid) u
		        CROSS JOIN LATERAL (SELECT * FROM recipient WHERE user_id = u.user_id OFFSET 0) r
		        CROSS JOIN LATERAL (SELECT * FROM task WHERE audience_id = r.audience_id LIMIT 1) t
		        WHERE r.openid = e.openid AND t.app_id = e.app_id AND t.template_id = e.template_id
		          AND t.channel = 'subscribe' AND t.chunk_size IS NOT NULL AND r.msgid IS NULL AND (r.state = 5 OR r.state IN (0, 6) AND r.in_doubt)
		          AND e.at >= CASE WHEN r.in_doubt THEN t.started_at ELSE coalesce(r.called_at, r.updated_at) END - $2::interval
		          AND e.at <= coalesce(r.called_at, r.updated_at) + $3::interval
		        ORDER BY r.called_at > e.at + interval '1 s', abs(extract(epoch FROM r.called_at - e.at)) LIMIT 1) r ON true
		 ORDER BY e.received_at`, wait, skew, span, limit)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Claimant, err error) {
		return c, row.Scan(&c.Event.MsgID, &c.Event.OpenID, &c.Event.TemplateID, &c.Event.Code, &c.Event.At, &c.AppID, &c.Chunk.TaskID, &c.Chunk.No, &c.Seq, &c.Found)
	})
	return list, wrap(err, "list unclaimed events")
}

// ClaimEvents settles the recipients of events, all of one chunk, as sent, with the counters of the chunk, and the events with them. It takes the
// chunk's lock first, as a run does; settled are the events whose recipient was still unsettled, none if somebody holds the chunk.
func (s *Store) ClaimEvents(ctx context.Context, chunk ChunkKey, claims []Claimant) (settled []Claimant, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		var audienceID int64
		held := false
		rows, _ := s.db(ctx).Query(ctx, `
			SELECT t.audience_id, `+boundTx+` FROM chunk c JOIN task t ON t.id = c.task_id
			 WHERE c.task_id = $1 AND c.no = $2 AND t.audience_id IS NOT NULL FOR NO KEY UPDATE OF c SKIP LOCKED`, chunk.TaskID, chunk.No)
		if _, err := pgx.ForEachRow(rows, []any{&audienceID, nil}, func() error { held = true; return nil }); err != nil || !held {
			return err
		}
		var batch pgx.Batch
		for _, c := range claims {
			batch.Queue(claimEvent, audienceID, c.Seq, c.Event.MsgID, c.Event.Code, c.Event.At, chunk.TaskID, chunk.No).QueryRow(func(row pgx.Row) error {
				var ok bool
				err := row.Scan(&ok)
				if ok {
					settled = append(settled, c)
				}
				return err
			})
		}
		if err := s.db(ctx).SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		return s.DropEvents(ctx, settled)
	})
	if err != nil {
		return nil, wrap(err, "claim events for chunk %d/%d", chunk.TaskID, chunk.No)
	}
	return settled, nil
}

// DropEvents settles events whose recipient has them, and those that nobody can be: of messages that another system sent, or of
// recipients that were purged.
func (s *Store) DropEvents(ctx context.Context, events []Claimant) error {
	if len(events) == 0 {
		return nil
	}
	msgids, apps := make([]int64, len(events)), make([]int32, len(events))
	for i, e := range events {
		msgids[i], apps[i] = e.Event.MsgID, e.AppID
	}
	_, err := s.db(ctx).Exec(ctx, `
		UPDATE sent_event e SET settled_at = clock_timestamp() FROM unnest($1::bigint[], $2::int[]) n(msgid, app_id) WHERE e.msgid = n.msgid AND e.app_id = n.app_id`, msgids, apps)
	return wrap(err, "drop events")
}

// claimEvent settles one recipient. Its unit, where it still holds one, is spent; one that waits to be sent to again by the task's policy
// has spent it already. A chunk with nothing open left waits for nothing more: the run that looks at it next ends it.
//
//nolint:gochecknoglobals // a statement in parts
var claimEvent = `
	WITH p AS MATERIALIZED (
	    SELECT r.ctid AS rid, r.state, r.permit_id FROM recipient r
	     WHERE r.audience_id = $1 AND r.seq = $2 AND r.msgid IS NULL AND (r.state = 5 OR r.state IN (0, 6) AND r.in_doubt)),
	settled AS (
	    UPDATE recipient x SET state = 2, reason = NULL, ambiguous = false, in_doubt = false, msgid = $3, retry_at = NULL, sent_at = $5,
	           delivery = CASE WHEN $4::bigint = 0 THEN 1 ELSE 2 END, platform_code = CASE WHEN $4::bigint <> 0 THEN least(greatest($4::bigint, -2147483648), 2147483647)::int END, updated_at = clock_timestamp()
	      FROM p WHERE x.ctid = p.rid RETURNING p.state),
	spent AS (UPDATE subscription SET ` + subscriptionPermits.spend + ` WHERE id = ANY (ARRAY(SELECT permit_id FROM p)) AND ` + subscriptionPermits.held + `),
	counted AS (
	    UPDATE chunk c SET sent = c.sent + 1, unknown = c.unknown - CASE WHEN n.state = 5 THEN 1 ELSE 0 END, pending = c.pending - CASE WHEN n.state = 0 THEN 1 ELSE 0 END, waiting = c.waiting - CASE WHEN n.state = 6 THEN 1 ELSE 0 END,
	           not_before = CASE WHEN c.pending + c.waiting + c.sending > CASE WHEN n.state IN (0, 6) THEN 1 ELSE 0 END THEN c.not_before END, updated_at = clock_timestamp(),
	           reasons = CASE WHEN n.state = 5 THEN (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(add_reasons(c.reasons, '{"14": -1}')) WHERE value <> '0') ELSE c.reasons END
	      FROM settled n WHERE c.task_id = $6 AND c.no = $7)
	SELECT EXISTS (SELECT FROM settled)`

// PurgeSentEvents removes at most limit events that were settled before the time given.
func (s *Store) PurgeSentEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.db(ctx).Exec(ctx, `
		DELETE FROM sent_event WHERE ctid = ANY (ARRAY(SELECT ctid FROM sent_event WHERE settled_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`, before, limit)
	return int(tag.RowsAffected()), wrap(err, "purge sent events")
}
