package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// ended makes a task over users 1, 2 and 3 that is done, with one sent, one unknown and one without a permit; nothing works its jobs, so
// the rows are written by hand.
func (b *bundle) ended(t *testing.T) (id int64, path string) {
	t.Helper()
	id, path = b.draft(t, "user_id,city", "1,上海", "2,北京", "3,广州")
	b.admin(t, 202, "POST", path+"/send", `{}`)
	for _, sql := range []string{
		`UPDATE form_id SET state = 1, audience_id = (SELECT audience_id FROM task WHERE id = $1), seq = 1 WHERE user_id = '2' AND $1 > 0`,
		`UPDATE recipient SET state = (ARRAY[2, 5, 4])[seq + 1], reason = (ARRAY[NULL, 14, 3])[seq + 1], openid = 'o', ambiguous = seq = 1,
			permit_id = CASE seq WHEN 1 THEN (SELECT id FROM form_id WHERE user_id = '2') END WHERE audience_id = (SELECT audience_id FROM task WHERE id = $1)`,
		`INSERT INTO chunk (task_id, no, lo, hi, state, pending, sent, unknown, skipped, reasons) VALUES ($1, 0, 0, 3, 'done', 0, 1, 1, 1, '{"3": 1, "14": 1}')`,
		`UPDATE task SET state = 'done', ended_at = now(), planned_at = now(), chunk_size = 1000, chunk_count = 1 WHERE id = $1`,
	} {
		_, err := b.pool.Exec(t.Context(), sql, id)
		require.NoError(t, err)
	}
	return id, path
}

func TestResolve_ByTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.ended(t)
	for body, code := range map[string]string{
		`{"as":"maybe","all":true}`: "invalid", `{"as":"sent"}`: "invalid", `{"as":"sent","seqs":[7]}`: "invalid",
	} {
		b.refused(t, 422, code, func() reply { return b.admin(t, 422, "POST", path+"/resolve", body) })
	}
	b.refused(t, 409, "not_unknown", func() reply { return b.admin(t, 409, "POST", path+"/resolve", `{"as":"failed","seqs":[1,0]}`) })
	var got struct {
		Resolved int       `json:"resolved"`
		Task     push.Task `json:"task"`
	}
	operator := b.tokens[auth.Operator]
	r := b.call(t, operator, "POST", path+"/resolve", `{"as":"failed","seqs":[1]}`, header("Idempotency-Key", "k"))
	require.Equal(t, 200, r.status, r.body)
	r.json(t, &got)
	require.Equal(t, 1, got.Resolved)
	require.Equal(t, push.Counts{Total: 3, Sent: 1, Failed: 1, Skipped: 1}, got.Task.Counts)
	again := b.call(t, operator, "POST", path+"/resolve", `{"as":"failed","seqs":[1]}`, header("Idempotency-Key", "k"))
	require.Equal(t, r.body, again.body)
	require.Contains(t, b.admin(t, 200, "GET", path+"/recipients?state=failed", "").body, "by operator")
	require.NotContains(t, b.admin(t, 200, "GET", path, "").body, "unsure")
}

func TestResendAndClone_ByTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	id, path := b.ended(t)
	author := b.tokens[auth.Author]
	b.refused(t, 422, "invalid", func() reply { return b.call(t, author, "POST", path+"/resend", `{"reasons":["because"]}`) })
	b.refused(t, 422, "invalid", func() reply { return b.call(t, author, "POST", path+"/resend", `{"reasons":[]}`) })
	b.refused(t, 422, "empty_audience", func() reply { return b.call(t, author, "POST", path+"/resend", `{"reasons":["refused"]}`) })
	_, draft := b.draft(t, "user_id", "1")
	b.refused(t, 409, "wrong_state", func() reply { return b.call(t, author, "POST", draft+"/resend", `{"reasons":["no_permit"]}`) })

	for body, users := range map[string][]string{
		`{"reasons":["no_permit"]}`: {"3"}, `{"reasons":["no_permit","unsure"]}`: {"2", "3"},
	} {
		r := b.call(t, author, "POST", path+"/resend", body, header("Idempotency-Key", body))
		require.Equal(t, 201, r.status, r.body)
		var task push.Task
		r.json(t, &task)
		require.Equal(t, id, *task.SourceTaskID)
		require.Equal(t, push.TaskDraft, task.State)
		require.Equal(t, len(users), task.Counts.Total)
		results := b.admin(t, 200, "GET", fmt.Sprintf("/api/v1/tasks/%d/results", task.ID), "").body
		for _, u := range users {
			require.Contains(t, results, "\n"+u+",")
		}
		require.Contains(t, results, "广州")
		require.Equal(t, r.body, b.call(t, author, "POST", path+"/resend", body, header("Idempotency-Key", body)).body, "the same draft again")
	}
	var whole, bare push.Task
	b.admin(t, 201, "POST", path+"/clone", "").json(t, &whole)
	b.admin(t, 201, "POST", path+"/clone", `{"list":false}`).json(t, &bare)
	require.Equal(t, 3, whole.Counts.Total)
	require.Zero(t, bare.Counts.Total)
	require.Equal(t, "双十一", bare.Topic)
}

func TestTask_WaitAndPolicyByTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	with := func(fields string) string { return strings.TrimSuffix(taskJSON, "}") + "," + fields + "}" }
	for _, fields := range []string{
		`"wait_for_permit_until":"2020-01-01T00:00:00Z"`, `"on_unknown":"guess"`,
		`"not_after":"2099-01-02T00:00:00Z","wait_for_permit_until":"2099-01-01T00:00:00Z"`,
	} {
		b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "POST", "/api/v1/tasks", with(fields)) })
	}
	var task push.Task
	b.admin(t, 201, "POST", "/api/v1/tasks", with(`"on_unknown":"resend"`)).json(t, &task)
	require.Equal(t, "resend", task.OnUnknown)
	b.admin(t, 200, "PATCH", fmt.Sprintf("/api/v1/tasks/%d", task.ID), `{"on_unknown":"leave"}`).json(t, &task)
	require.Equal(t, "leave", task.OnUnknown)
}
