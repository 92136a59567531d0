package main_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
	"minipush/internal/store"
)

// The audit of a ledger in order says so; of one that a hand has broken it names the rule, the task and the row, and fails.
func TestDoctorAudit_SaysWhichRuleIsBroken(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	d := s.serve(t)
	users := s.people(t, "u", 3)
	id := s.draft(t, d, users)
	s.run(t, "task", "send", strconv.FormatInt(id, 10), "--wait")
	require.Contains(t, s.run(t, "doctor", "--audit"), "1 task audited, 0 rules broken")
	code, _, _ := s.try(t, "", "doctor", "--task", "1")
	require.Equal(t, 2, code)

	conn, err := pgx.Connect(t.Context(), s.databaseURL)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `UPDATE form_id SET state = 0 WHERE state = 2 AND seq = 1`)
	require.NoError(t, err)
	code, out, _ := s.try(t, "", "doctor", "--audit", "--task", strconv.FormatInt(id, 10), "--output", "json")
	require.Equal(t, 1, code)
	var answer struct {
		Tasks      int
		Violations []store.Violation
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer), out)
	require.Equal(t, 1, answer.Tasks)
	require.Len(t, answer.Violations, 1)
	require.Equal(t, "sent_without_used_permit", answer.Violations[0].Check)
	require.Equal(t, id, answer.Violations[0].TaskID)
	require.Contains(t, answer.Violations[0].Examples[0], "recipient 1,")
	code, out, _ = s.try(t, "", "doctor", "--audit")
	require.Equal(t, 1, code)
	require.Contains(t, out, "sent_without_used_permit")
}
