package web_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

func TestApproval_ByTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	require.Contains(t, b.admin(t, 200, "PATCH", "/api/v1/apps/health", `{"approval":true}`).body, `"approval":true`)
	_, path := b.draft(t, "user_id", "1", "2")
	var task push.Task
	b.admin(t, 200, "GET", path, "").json(t, &task)
	require.Equal(t, push.Approval{State: push.ApprovalNone, Required: true, Awaited: true}, task.Approval)
	require.Len(t, task.ContentHash, 64)
	judgment := func(hash, note string) string {
		body, err := json.Marshal(map[string]string{"hash": hash, "note": note})
		require.NoError(t, err)
		return string(body)
	}
	approver := b.tokens[auth.Approver]
	b.refused(t, 409, "not_approved", func() reply { return b.call(t, approver, "POST", path+"/send", `{}`) })
	b.refused(t, 403, "own_task", func() reply {
		return b.call(t, b.tokens[auth.Admin], "POST", path+"/approve", judgment(task.ContentHash, ""))
	})
	b.refused(t, 409, "content_changed", func() reply { return b.call(t, approver, "POST", path+"/approve", judgment("0123456789abcdef", "")) })
	b.refused(t, 422, "invalid", func() reply { return b.call(t, approver, "POST", path+"/approve", `{}`) })
	b.refused(t, 422, "invalid", func() reply { return b.call(t, approver, "POST", path+"/reject", judgment(task.ContentHash, "")) })

	require.Equal(t, 200, b.call(t, approver, "POST", path+"/reject", judgment(task.ContentHash, "错别字")).status)
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/tasks?approval=rejected", "").body, "错别字")
	b.call(t, approver, "POST", path+"/approve", judgment(task.ContentHash[:12], "")).json(t, &task)
	require.Equal(t, push.Approved, task.Approval.State)
	require.Equal(t, "approver", *task.Approval.By)
	require.JSONEq(t, `{"tasks":[],"next_cursor":null}`, b.admin(t, 200, "GET", "/api/v1/tasks?approval=void", "").body)
	b.admin(t, 200, "PATCH", path, `{"topic":"双十二"}`)
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/tasks?approval=void", "").body, "双十二", "who approved it finds it again")
	b.refused(t, 409, "not_approved", func() reply { return b.call(t, approver, "POST", path+"/send", `{}`) })
}
