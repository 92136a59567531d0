package web_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web"
	"minipush/internal/web/auth"
)

func TestTest_ByTheAPI(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{CallTimeout: 4_000_000_000}) // nothing works its jobs: the call waits for half of it
	b.stocked(t)
	b.admin(t, 200, "PATCH", "/api/v1/apps/health", `{"testers":["1","3"]}`)
	for _, body := range []string{`{"testers":["1","1"]}`, `{"testers":[""]}`} {
		b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "PATCH", "/api/v1/apps/health", body) })
	}
	_, path := b.draft(t, "user_id", "1", "2")
	author := b.tokens[auth.Author]
	var list struct{ Testers []push.Tester }
	b.call(t, author, "GET", path+"/testers", "").json(t, &list)
	require.Equal(t, "1", list.Testers[0].UserID)
	require.Equal(t, int64(1), list.Testers[0].Permits)
	require.NotEmpty(t, list.Testers[1].ZH, "what to do where there is no permit")
	b.refused(t, 403, "not_a_tester", func() reply { return b.call(t, author, "POST", path+"/test", `{"user_id":"2"}`) })
	b.refused(t, 422, "no_permit", func() reply { return b.call(t, author, "POST", path+"/test", `{"user_id":"3"}`) })
	b.refused(t, 422, "invalid", func() reply { return b.call(t, author, "POST", path+"/test", `{}`) })

	var first, again push.Trial
	r := b.call(t, author, "POST", path+"/test", `{"user_id":"1"}`, header("Idempotency-Key", "k"))
	require.Equal(t, 200, r.status, r.body)
	r.json(t, &first)
	require.Equal(t, push.Canceled, first.Reason, "no daemon is up")
	b.call(t, author, "POST", path+"/test", `{"user_id":"1"}`, header("Idempotency-Key", "k")).json(t, &again)
	require.Equal(t, first, again, "the same test, and no second one")
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/tasks", "").body, `"test_of":null`)
	require.NotContains(t, b.admin(t, 200, "GET", "/api/v1/tasks", "").body, `"test_of":`+string(path[len("/api/v1/tasks/"):]))
}
