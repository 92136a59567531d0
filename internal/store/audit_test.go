package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// audited is a task in every state that a row can have half-way: sent, sending, pending, ambiguous, skipped. It breaks no rule.
func (b *bundle) audited() (task, list int64) {
	b.t.Helper()
	b.users(3, "a", "A", "b", "B", "c", "C", "d", "D")
	b.users(0, "e", "E")
	task = b.sending(3, "a", "b", "c", "d", "e")
	run := b.run(task, 0)
	c := b.claim(run, 0, 3).Sending
	require.Len(b.t, c, 3)
	kept := store.Outcome{Seq: c[1].Seq, PermitID: c[1].PermitID, State: push.Pending, Ambiguous: true, Permit: store.PermitKept, AnsweredAt: sent(c[0]).AnsweredAt}
	b.record(run, sent(c[0]), kept)
	last := b.run(task, 1)
	require.Equal(b.t, 1, b.claim(last, 3, 5).Ended)
	return task, int64(b.count(`SELECT audience_id FROM task WHERE id = $1`, task))
}

// Each rule of the ledger that is broken by hand is found, by its name, and nothing else is (invariants 3, 4, 6, 7 and 8).
func TestAudit_FindsEachPlantedViolation(t *testing.T) {
	t.Parallel()
	const noChecks = `ALTER TABLE chunk DROP CONSTRAINT chunk_done_is_settled; ALTER TABLE chunk DROP CONSTRAINT chunk_counts_add_up; `
	for name, plant := range map[string]struct {
		sql  string
		want []string
	}{
		"nothing":                        {"SELECT 1", nil},
		"a reserved permit was freed":    {`UPDATE form_id SET state = 0 WHERE state = 1 AND seq = 2`, []string{"permit_not_reserved"}},
		"a reserved permit was used":     {`UPDATE form_id SET state = 2 WHERE state = 1 AND seq = 1`, []string{"permit_not_reserved", "permit_used_but_not_sent"}},
		"a reserved permit is gone":      {`DELETE FROM form_id WHERE state = 1 AND seq = 2`, []string{"permit_not_reserved"}},
		"a row in sending has no permit": {`UPDATE recipient SET permit_id = NULL WHERE state = 1 AND seq = 2`, []string{"permit_missing", "permit_reserved_for_nobody"}},
		"a permit too many is reserved": {`UPDATE form_id SET state = 1, audience_id = (SELECT max(audience_id) FROM form_id), seq = 0
			WHERE id = (SELECT max(id) FROM form_id WHERE state = 0 AND user_id = 'a')`, []string{"permit_reserved_for_nobody"}},
		"a permit of a recipient that does not exist": {`UPDATE form_id SET state = 1, audience_id = 999, seq = 7
			WHERE id = (SELECT max(id) FROM form_id WHERE state = 0)`, []string{"permit_reserved_for_nobody"}},
		"a permit was kept, not ambiguous": {`UPDATE recipient SET ambiguous = false WHERE seq = 1`, []string{"permit_kept_without_cause"}},
		"a sent one's permit is available": {`UPDATE form_id SET state = 0 WHERE state = 2`, []string{"sent_without_used_permit"}},
		"sent with the permit of another":  {`UPDATE form_id SET user_id = 'd' WHERE state = 2`, []string{"permit_of_another_user", "permit_used_but_not_sent"}},
		"a counter is wrong":               {`UPDATE chunk SET sent = sent + 1, pending = pending - 1 WHERE no = 0`, []string{"counters_differ_from_rows"}},
		"a reason is wrong":                {`UPDATE chunk SET reasons = '{"6": 1}' WHERE no = 1`, []string{"reasons_differ_from_rows"}},
		"an openid twice":                  {`UPDATE recipient SET openid = 'A' WHERE seq = 2`, []string{"openid_twice"}},
		"a lease that was never given":     {`UPDATE recipient SET lease = 9 WHERE seq = 2`, []string{"lease_never_given"}},
		"a hole between chunks":            {noChecks + `UPDATE chunk SET lo = 4, sending = sending - 1 WHERE no = 1`, []string{"chunks_do_not_cover_the_list", "lease_never_given"}},
		"done before its chunks are":       {`UPDATE task SET state = 'done', ended_at = now()`, []string{"task_done_with_open_chunks"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			task, _ := b.audited()
			b.exec(plant.sql)
			found, err := b.st.AuditTask(t.Context(), task)
			require.NoError(t, err)
			stray, err := b.st.AuditPermits(t.Context())
			require.NoError(t, err)
			checks := map[string]bool{}
			for _, v := range append(found, stray...) {
				require.Positive(t, v.Count)
				require.NotEmpty(t, v.Examples)
				require.Contains(t, v.String(), v.Check)
				checks[v.Check] = true
			}
			want := map[string]bool{}
			for _, c := range plant.want {
				want[c] = true
			}
			require.Equal(t, want, checks, "%v", found)
		})
	}
}

// A task that is being sent breaks no rule either, and one that is not there is said to be missing.
func TestAudit_OfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.st.AuditTask(t.Context(), 7)
	require.ErrorIs(t, err, push.ErrNotFound)
	draft := b.task("a")
	found, err := b.st.AuditTask(t.Context(), draft)
	require.NoError(t, err)
	require.Empty(t, found)
	ids, err := b.st.AuditedTasks(t.Context())
	require.NoError(t, err)
	require.Empty(t, ids)
	task, _ := b.audited()
	ids, err = b.st.AuditedTasks(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{task}, ids)
}
