package store

import "context"

// Unclaim puts back the rows that a claim of run wrote ahead although it seemed to fail: those in sending under its lease, but for
// calling, for which calls are being made. No call was made for the others, so each is as it was before the claim: its permit is
// free again, and its person's day has the message still to come, unless an earlier attempt keeps them. A claim that is still being committed is waited for. It returns how many rows
// there were; ErrLeaseLost if they are another run's by now.
func (s *Store) Unclaim(ctx context.Context, run Run, calling []int32) (n int, err error) {
	k := permitsOf(run.Channel)
	err = s.inBoundTx(ctx, func(ctx context.Context) error {
		held, err := s.fence(ctx, run)
		if err != nil {
			return err // the database is away: that says nothing about the lease
		}
		if !held {
			return ErrLeaseLost
		}
		var openIDs []string
		err = s.db(ctx).QueryRow(ctx, `
			WITH p AS MATERIALIZED (
			    SELECT ctid AS rid, seq, permit_id, ambiguous, openid, in_doubt FROM recipient
			     WHERE audience_id = $1 AND seq >= $2 AND seq < $3 AND state = 1 AND lease = $4 AND seq <> ALL ($5::int[])),
			back AS (
			    UPDATE recipient x SET state = 0, attempt = x.attempt - 1, permit_id = CASE WHEN x.ambiguous THEN x.permit_id END, updated_at = clock_timestamp()
			      FROM p WHERE x.ctid = p.rid RETURNING 1),
			freed AS (
			    UPDATE `+k.table+` SET `+k.free+` WHERE id = ANY (ARRAY(SELECT permit_id FROM p WHERE NOT ambiguous)) AND `+k.held+`),
			over AS (`+letGo(`audience_id = $1 AND seq = ANY (ARRAY(SELECT seq FROM p))`)+`),
			counted AS (
			    UPDATE chunk SET pending = pending + n.back, sending = sending - n.back FROM (SELECT count(*) AS back FROM back) n
			     WHERE task_id = $6 AND no = $7 AND n.back > 0)
			SELECT (SELECT count(*) FROM back), array_agg(openid) FILTER (WHERE NOT ambiguous AND NOT in_doubt) FROM p`,
			run.AudienceID, run.Lo, run.Hi, run.Lease, calling, run.TaskID, run.No).Scan(&n, &openIDs)
		if err != nil || len(openIDs) == 0 {
			return err
		}
		return s.uncount(ctx, run, openIDs)
	})
	return n, wrap(err, "put back claimed rows of chunk %d/%d", run.TaskID, run.No)
}
