package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// claimAmbiguous looks permits up and updates them by ctid, as the claim of fresh rows does. A row whose permit can no longer
// decide is again if the policy has it sent with another one: the old permit is invalid then, never free, for it may have been used.
const claimAmbiguous = `
	WITH p AS MATERIALIZED (
	    SELECT r.ctid AS rid, r.seq, r.user_id, r.vars, r.attempt, r.permit_tries, r.in_doubt, r.openid, r.permit_id, f.form_id, f.expires_at,
	           f.fid, f.alive, NOT f.alive AND $7 AND r.permit_tries + 1 < $8 AS again
	      FROM recipient r
	      LEFT JOIN LATERAL (SELECT f.form_id, f.expires_at, f.ctid AS fid FROM form_id f WHERE f.id = r.permit_id LIMIT 1) l ON true
	     CROSS JOIN LATERAL (SELECT l.form_id, l.expires_at, l.fid, coalesce(l.expires_at > clock_timestamp() + $6::interval, false) AS alive) f
	     WHERE r.audience_id = $1 AND r.seq >= $2 AND r.seq < $3 AND r.state = 0 AND r.ambiguous
	       AND (r.retry_at IS NULL OR r.retry_at <= clock_timestamp()) ORDER BY r.seq LIMIT $5),
	ahead AS (
	    UPDATE recipient x SET state = CASE WHEN p.alive THEN 1 WHEN p.again THEN 0 ELSE 5 END,
	           reason = CASE WHEN NOT p.alive AND NOT p.again THEN 14 END,
	           attempt = x.attempt + CASE WHEN p.alive THEN 1 ELSE 0 END, lease = $4, updated_at = clock_timestamp(),
	           ambiguous = NOT p.again, in_doubt = x.in_doubt OR p.again, permit_id = CASE WHEN NOT p.again THEN x.permit_id END,
	           permit_tries = x.permit_tries + CASE WHEN p.again THEN 1 ELSE 0 END,
	           retry_at = CASE WHEN p.again THEN clock_timestamp() + $9::interval END
	      FROM p WHERE x.ctid = p.rid),
	died AS (UPDATE form_id f SET state = 3 FROM p WHERE p.again AND f.ctid = p.fid AND f.state = 1 AND f.audience_id = $1)
	SELECT seq, user_id, vars, attempt + 1, permit_tries, in_doubt, openid, coalesce(permit_id, 0), coalesce(form_id, ''),
	       coalesce(expires_at, 'epoch'), alive, again FROM p ORDER BY seq`

// ClaimAmbiguous takes at most limit pending, due rows of run's chunk that hold a permit from an attempt whose outcome is not
// known: each goes to sending again with that same permit. Those whose permit has come within margin of its expiry can no longer
// be decided and become unknown (invariant 5), or, where run.Resend says so, pending for another permit after run.ResendAfter.
func (s *Store) ClaimAmbiguous(ctx context.Context, run Run, limit int, margin time.Duration) (Claim, error) {
	var c Claim
	err := s.inBoundTx(ctx, func(ctx context.Context) error {
		look, err := s.fenceOpen(ctx, run)
		if err != nil {
			return err
		}
		rows, _ := s.db(ctx).Query(ctx, claimAmbiguous,
			run.AudienceID, run.Lo, run.Hi, run.Lease, limit, margin, run.Resend, push.MaxPermits, run.ResendAfter)
		row := Claimed{Ambiguous: true, Counted: look.cap > 0}
		var alive, again bool
		counts := outcomeCounts{reasons: map[push.Reason]int{}}
		_, err = pgx.ForEachRow(rows, []any{
			&row.Seq, &row.UserID, &row.Vars, &row.Attempt, &row.Tries, &row.InDoubt, &row.OpenID, &row.PermitID,
			&row.FormID, &row.ExpiresAt, &alive, &again,
		}, func() error {
			switch {
			case alive:
				c.Sending = append(c.Sending, row)
				counts.add(push.Pending, push.Sending, push.NoReason)
			case again:
				c.Ended++
			default:
				c.Ended++
				counts.add(push.Pending, push.Unknown, push.Unsure)
			}
			row.Vars = nil
			return nil
		})
		if err != nil || len(c.Sending)+c.Ended == 0 {
			return err
		}
		return s.count(ctx, run, counts)
	})
	if err != nil {
		return Claim{}, wrap(err, "claim ambiguous rows of chunk %d/%d", run.TaskID, run.No)
	}
	return c, nil
}
