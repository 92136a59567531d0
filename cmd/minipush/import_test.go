package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
)

// A line of many messages is one rejection, and no batch is larger than a call takes.
func TestReportLines_SplitsAndNamesTheLine(t *testing.T) {
	t.Parallel()
	line := func(user string, count int) subscriptionLine {
		return subscriptionLine{dispatch.SubscriptionReport{ID: user, UserID: user, Result: "accept"}, count}
	}
	lines := []subscriptionLine{line("a", 9_000), line("bad", 600), line("b", 500), line("c", 9_000)}
	var sizes []int
	ids := map[string]bool{}
	got, err := reportLines(lines, func(reports []dispatch.SubscriptionReport) (r dispatch.Received, err error) {
		sizes = append(sizes, len(reports))
		for i, u := range reports {
			require.False(t, ids[u.ID], u.ID)
			ids[u.ID] = true
			if u.UserID == "bad" {
				r.Rejected = append(r.Rejected, dispatch.Rejection{Index: i, Code: "x"})
				continue
			}
			r.Accepted++
		}
		return r, nil
	})
	require.NoError(t, err)
	require.Equal(t, []int{9_600, 9_500}, sizes)
	require.Equal(t, dispatch.Received{Accepted: 18_500, Rejected: []dispatch.Rejection{{Index: 1, Code: "x"}}}, got)
}
