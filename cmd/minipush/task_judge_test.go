package main_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
	"minipush/internal/store/storetest"
)

// A task is tested, run dry and approved before it goes out, from the command line.
func TestTask_TestDryRunApprove(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	users := s.people(t, "u", 3)
	s.people(t, "tester", 1)
	require.Contains(t, s.run(t, "app", "set", "--key", "shop", "--approval", "on", "--testers", "tester0"), "with approval")
	d := s.serve(t)
	s.run(t, "task", "create", "--app", "shop", "--template", testTemplate, "--product", "1989", "--topic", "健康助利")
	s.feed(t, "user_id\nu0\nu1\nu2\nghost\n", "task", "audience", "1", "-")

	require.Regexp(t, `tester0 +1 `, s.run(t, "task", "testers", "1"))
	require.Regexp(t, `state +sent`, s.run(t, "task", "test", "1", "--user", "tester0"))
	code, _, stderr := s.try(t, "", "task", "test", "1", "--user", "tester0")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "tap a button")
	code, _, stderr = s.try(t, "", "task", "test", "1", "--user", "u0")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "app set --key shop --testers u0")
	out := s.run(t, "task", "dry-run", "1")
	require.Regexp(t, `would be sent +3`, out)
	require.Regexp(t, `3 +ghost +no_user`, out)
	require.Equal(t, out, s.run(t, "task", "dry-run", "1", "--last"))

	code, _, stderr = s.try(t, "", "task", "send", "1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "minipush task approve 1 --hash HASH")
	hash := regexp.MustCompile(`hash +([0-9a-f]{12})`).FindStringSubmatch(s.run(t, "task", "show", "1"))
	require.NotNil(t, hash)
	code, _, stderr = s.try(t, "", "task", "approve", "1", "--hash", hash[1])
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "another person")
	_, err := storetest.Connect(t, s.databaseURL).Exec(t.Context(), `UPDATE task SET created_by = 'ann', changed_by = 'ann', changers = '{}' WHERE kind = 'push'`)
	require.NoError(t, err)
	require.Contains(t, s.run(t, "task", "approve", "1", "--hash", hash[1], "--note", "可以"), "已审批")
	require.Regexp(t, `审批 +approved 已审批, cli:tester`, s.run(t, "task", "show", "1"))
	s.run(t, "task", "send", "1", "--wait")
	s.requireOneEach(t, append(users, "tester0"))
	require.Zero(t, d.stop(t))
}
