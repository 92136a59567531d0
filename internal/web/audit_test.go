package web_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
	"minipush/internal/web/auth"
)

func TestAudit_IsListedPagedAndNarrowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 5 {
		e := store.AuditEntry{Actor: "ann", ActorID: "account:1", Action: "task.pause", Object: fmt.Sprintf("task:%d", i), AppID: &b.health.ID, Address: "10.0.0.1"}
		if i == 4 {
			e.Actor, e.AppID = "bob", &b.other.ID
		}
		require.NoError(t, b.store.InsertAuditEntry(t.Context(), e))
	}
	type list struct {
		Entries []struct {
			Actor, Object, Address string
			App                    *string
		} `json:"entries"`
		NextCursor *string `json:"next_cursor"`
	}
	get := func(token, query string) (l list) {
		r := b.call(t, token, "GET", "/api/v1/audit"+query, "")
		require.Equal(t, 200, r.status, r.body)
		require.NoError(t, json.Unmarshal([]byte(r.body), &l))
		return l
	}
	all := get(b.tokens[auth.Admin], "")
	require.Len(t, all.Entries, 5)
	require.Equal(t, "task:4", all.Entries[0].Object)
	require.Equal(t, "other", *all.Entries[0].App)
	require.Equal(t, "10.0.0.1", all.Entries[0].Address)
	first := get(b.tokens[auth.Admin], "?limit=3")
	require.Len(t, first.Entries, 3)
	require.Len(t, get(b.tokens[auth.Admin], "?limit=3&cursor="+*first.NextCursor).Entries, 2)
	require.Len(t, get(b.tokens[auth.Admin], "?actor=bob").Entries, 1)
	require.Len(t, get(b.tokens[auth.Admin], "?object=task:2").Entries, 1)
	require.Len(t, get(b.tokens[auth.Admin], "?app=health").Entries, 4)
	require.Len(t, get(b.othersToken, "").Entries, 1, "what is about other apps is not there")
	require.Equal(t, 404, b.call(t, b.othersToken, "GET", "/api/v1/audit?app=health", "").status)
}

func TestAccountsAndTokens_AreListed_AndATokenIsRevoked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "ann", auth.Viewer, nil)
	r := b.admin(t, 200, "GET", "/api/v1/accounts", "")
	require.Contains(t, r.body, `"login":"ann"`)
	require.NotContains(t, r.body, "argon2")
	r = b.admin(t, 200, "GET", "/api/v1/tokens?limit=2", "")
	require.Contains(t, r.body, `"next_cursor":"`)
	require.NotContains(t, r.body, "mp_")
	for _, path := range []string{"/api/v1/accounts", "/api/v1/tokens"} {
		require.Equal(t, 403, b.call(t, b.othersToken, "GET", path, "").status, "they are of all apps")
	}
	require.Equal(t, 403, b.call(t, b.othersToken, "DELETE", "/api/v1/tokens/viewer", "").status)
	b.admin(t, 204, "DELETE", "/api/v1/tokens/viewer", "")
	b.admin(t, 404, "DELETE", "/api/v1/tokens/viewer", "")
	entries, err := b.store.AuditEntries(t.Context(), 0, 1)
	require.NoError(t, err)
	require.Equal(t, "token:viewer", entries[0].Object)
}
