package web_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

func TestDryRun_ByTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.draft(t, "user_id", "1", "2", "3")
	require.Equal(t, 404, b.admin(t, 404, "GET", path+"/dry-run", "").status)
	author := b.tokens[auth.Author]
	r := b.call(t, author, "POST", path+"/dry-run", "", header("Idempotency-Key", "k"))
	require.Equal(t, 200, r.status, r.body)
	var found, again push.DryRun
	r.json(t, &found)
	require.Equal(t, push.DryDone, found.State)
	require.Equal(t, 2, found.WouldSend)
	require.Equal(t, "no_permit", found.Reasons[0].Code)
	require.Equal(t, "3", found.Examples[0].UserID)
	require.Equal(t, r.body, b.call(t, author, "POST", path+"/dry-run", "", header("Idempotency-Key", "k")).body)
	b.call(t, b.tokens[auth.Viewer], "GET", path+"/dry-run", "").json(t, &again)
	require.Equal(t, found, again)
}
