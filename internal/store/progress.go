package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"minipush/internal/push"
)

// Progress is what of a task moves while it is sent.
type Progress struct {
	State         push.TaskState
	Causes        []push.Cause
	Note          string
	RatePerSecond int
	StartAt       *time.Time
	StartedAt     *time.Time
	EndedAt       *time.Time
	Counts        push.Counts
	Reasons       []push.Count
}

// Progress reads what of a task moves, in one statement: those who watch a task have it read every second.
func (s *Store) Progress(ctx context.Context, taskID int64) (p Progress, err error) {
	var reasons map[string]int
	var channel push.Channel
	c := &p.Counts
	err = s.db(ctx).QueryRow(ctx, `
		SELECT t.state, t.causes, t.note, t.rate_per_second, t.start_at, t.started_at, t.ended_at,
		       c.total, c.pending, c.waiting, c.sending, c.sent, c.failed, c.skipped, c.unknown, r.reasons, coalesce(t.channel, '')
		  FROM task t
		 CROSS JOIN LATERAL (
		       SELECT coalesce(sum(hi - lo), (SELECT l.accepted FROM audience l WHERE l.id = t.audience_id), 0)::int AS total,
		              coalesce(sum(pending), (SELECT l.accepted FROM audience l WHERE l.id = t.audience_id), 0)::int AS pending,
		              coalesce(sum(waiting), 0)::int AS waiting, coalesce(sum(sending), 0)::int AS sending, coalesce(sum(sent), 0)::int AS sent,
		              coalesce(sum(failed), 0)::int AS failed, coalesce(sum(skipped), 0)::int AS skipped, coalesce(sum(unknown), 0)::int AS unknown
		         FROM chunk WHERE task_id = t.id) c
		 CROSS JOIN LATERAL (
		       SELECT coalesce(jsonb_object_agg(n.key, n.count), '{}') AS reasons
		         FROM (SELECT e.key, sum(e.value::int) AS count FROM chunk CROSS JOIN LATERAL jsonb_each_text(reasons) e WHERE task_id = t.id GROUP BY e.key) n) r
		 WHERE t.id = $1`, taskID).
		Scan(&p.State, &p.Causes, &p.Note, &p.RatePerSecond, &p.StartAt, &p.StartedAt, &p.EndedAt,
			&c.Total, &c.Pending, &c.Waiting, &c.Sending, &c.Sent, &c.Failed, &c.Skipped, &c.Unknown, &reasons, &channel)
	if err != nil {
		return Progress{}, wrap(err, "progress of task %d", taskID)
	}
	for key, n := range reasons {
		number, err := strconv.ParseInt(key, 10, 16)
		if err != nil {
			return Progress{}, wrap(err, "reasons of task %d", taskID)
		}
		text := push.Reason(number).Text()
		if push.Reason(number) == push.NoPermit {
			text.ZH = push.NoPermitZH(channel)
		}
		p.Reasons = append(p.Reasons, push.Count{Code: text.Code, Count: n, ZH: text.ZH, EN: text.EN})
	}
	slices.SortFunc(p.Reasons, func(a, b push.Count) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Code, b.Code)) })
	return p, nil
}

// Deliveries are what the platform reported later of the messages of a task that it had accepted; Silent are those of which it has not.
type Deliveries struct{ Delivered, Failed, Silent int }

// Deliveries counts the deliveries of a task. It reads all its recipients: no counter is kept of what comes by callback.
func (s *Store) Deliveries(ctx context.Context, taskID int64) (d Deliveries, err error) {
	err = s.db(ctx).QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE r.delivery = 1), count(*) FILTER (WHERE r.delivery = 2), count(*) FILTER (WHERE r.delivery IS NULL)
		  FROM recipient r WHERE r.audience_id = (SELECT audience_id FROM task WHERE id = $1) AND r.state = 2`, taskID).
		Scan(&d.Delivered, &d.Failed, &d.Silent)
	return d, wrap(err, "deliveries of task %d", taskID)
}
