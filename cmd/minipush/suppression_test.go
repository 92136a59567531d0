package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
)

// What is on the list, or over the cap, is seen wherever an outcome is: reach, summary, counts, and the exported file.
func TestSuppression_ListAndReasons_SeenWhereverOutcomesAre(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	users := s.people(t, "u", 6)
	s.people(t, "u", 6) // a second formId each
	require.Equal(t, "u0 is on the list now\n", s.run(t, "suppression", "add", "--app", "shop", "--user-id", "u0", "--note", "电话投诉"))
	require.Equal(t, "u0 was on the list already\n", s.run(t, "suppression", "add", "--app", "shop", "--user-id", "u0"))
	require.Equal(t, "o-u1 is on the list now\n", s.run(t, "suppression", "add", "--app", "*", "--openid", "o-u1"))
	out := s.feed(t, "user_id,note\nu2,\nu0,again\nu 9,\n", "suppression", "import", "-", "--app", "shop")
	require.Contains(t, out, "suppressions: 1 accepted, 1 duplicate, 1 rejected")
	require.Contains(t, out, "line 4: user_id")
	list := s.run(t, "suppression", "list", "--app", "shop")
	for _, part := range []string{"u0", "电话投诉", "o-u1", "*", "u2"} {
		require.Contains(t, list, part)
	}
	require.NotContains(t, s.run(t, "suppression", "list", "--app", "*"), "u0")
	require.Equal(t, "u2 is off the list\n", s.run(t, "suppression", "remove", "--app", "shop", "--user-id", "u2"))
	code, _, stderr := s.try(t, "", "suppression", "remove", "--app", "shop", "--user-id", "u2")
	require.Equal(t, 1, code, stderr)
	code, _, stderr = s.try(t, "", "suppression", "add", "--app", "shop")
	require.Equal(t, 2, code, stderr)

	s.run(t, "app", "set", "--key", "shop", "--daily-cap", "1")
	d := s.serve(t)
	first := s.draft(t, d, users[:3])
	s.run(t, "task", "send", fmt.Sprint(first), "--wait")
	second := s.draft(t, d, users)
	reach := s.run(t, "task", "reach", fmt.Sprint(second), "--output", "json")
	var r push.Reach
	require.NoError(t, json.Unmarshal([]byte(reach), &r))
	require.Equal(t, []int{6, 3, 2, 1}, []int{r.Total, r.Reachable, r.Suppressed, r.Capped})
	s.run(t, "task", "send", fmt.Sprint(second), "--wait")
	task := s.task(t, d, second)
	require.Equal(t, 3, task.Counts.Sent)
	require.Equal(t, []push.Count{{Code: "suppressed", Count: 2, ZH: "在免打扰名单中", EN: "The user is on the suppression list"},
		{Code: "capped", Count: 1, ZH: "超过当日推送上限", EN: "The user has had the day's messages"}}, task.Reasons)
	show := s.run(t, "task", "show", fmt.Sprint(second))
	require.Contains(t, show, "在免打扰名单中")
	require.Contains(t, show, "超过当日推送上限")
	csv := s.run(t, "task", "export", fmt.Sprint(second))
	require.Equal(t, 2, strings.Count(csv, ",suppressed,"), csv)
	require.Equal(t, 1, strings.Count(csv, ",capped,"), csv)
	require.Equal(t, map[string]int{"o-u2": 1, "o-u3": 1, "o-u4": 1, "o-u5": 1}, s.received())
	require.Zero(t, d.stop(t))
}
