package main_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store/storetest"
)

// A task that did not reach all: what is unknown is named beside the summary line, settled by hand, and those without a permit are sent to
// again by a task made of them, once they have one.
func TestTask_ResolveResendClone(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable, OpenIDs: []string{"o-u1"}}}})
	d := s.serve(t)
	users := append(s.people(t, "u", 4), "u9")
	s.feed(t, "user_id,openid\nu9,o-u9\n", "user", "import", "-", "--app", "shop")
	id := s.draft(t, d, users)
	task := strconv.FormatInt(id, 10)
	s.run(t, "task", "send", task)
	require.Eventually(t, func() bool { return s.count(t, `SELECT count(*) FROM recipient WHERE ambiguous`) == 1 }, patience, patience/1000)
	_, err := storetest.Connect(t, s.databaseURL).Exec(t.Context(), `UPDATE form_id SET expires_at = now() WHERE user_id = 'u1'`)
	require.NoError(t, err)
	ended := s.ended(t, d, id)
	require.Equal(t, push.Counts{Total: 5, Sent: 3, Skipped: 1, Unknown: 1}, ended.Counts)
	_, stdout, stderr := s.try(t, "", "task", "watch", task)
	require.Equal(t, "总发送数量=5,发送成功数量=3,发送失败数量=2\n", stdout, "the summary line stands alone")
	require.Contains(t, stderr, "结果未知=1")
	require.Contains(t, s.run(t, "task", "list"), "未知1")
	require.Contains(t, s.run(t, "task", "show", task), "结果未知=1")

	for _, wrong := range [][]string{{"--as", "sent"}, {"--as", "sent", "--all", "--seq", "1"}, {"--all"}} {
		code, _, _ := s.try(t, "", append([]string{"task", "resolve", task}, wrong...)...)
		require.Equal(t, 2, code, wrong)
	}
	code, _, stderr := s.try(t, "", "task", "resolve", task, "--as", "failed", "--seq", "0")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "not unknown")
	require.Contains(t, s.run(t, "task", "resolve", task, "--as", "sent", "--seq", "1"), "1 recipient of task")
	require.Equal(t, 4, s.task(t, d, id).Counts.Sent)

	code, _, stderr = s.try(t, "", "task", "resend", task, "--reason", "nonsense")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "no_permit")
	require.Contains(t, s.run(t, "task", "clone", task), "5 recipients")
	require.Contains(t, s.run(t, "task", "resend", task, "--reason", "no_permit"), "created, 1 recipient\n")
	next := int64(s.count(t, `SELECT max(id) FROM task`))
	require.Equal(t, id, *s.task(t, d, next).SourceTaskID)
	s.feed(t, "user_id,form_id,source\nu9,"+s.platform.Mint("wxshop", []string{"o-u9"}, 1, 0)[0].FormID+",1\n", "permit", "import", "-", "--app", "shop")
	s.run(t, "task", "send", strconv.FormatInt(next, 10))
	require.Equal(t, push.Counts{Total: 1, Sent: 1}, s.ended(t, d, next).Counts)
}
