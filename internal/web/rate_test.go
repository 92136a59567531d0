package web_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/web/auth"
)

func TestTask_RateOfATaskThatIsSending_IsForOperatorsAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.draft(t, "user_id", "1", "2")
	b.admin(t, 200, "PATCH", path, `{"rate_per_second":5,"priority":"bulk"}`)
	b.admin(t, 202, "POST", path+"/send", "")

	before := b.dump(t)
	require.Equal(t, 403, b.call(t, b.tokens[auth.Author], "PATCH", path, `{"rate_per_second":7}`).status)
	require.Equal(t, 409, b.call(t, b.tokens[auth.Operator], "PATCH", path, `{"topic":"x"}`).status)
	require.Equal(t, 409, b.call(t, b.tokens[auth.Operator], "PATCH", path, `{"rate_per_second":7,"topic":"x"}`).status)
	require.Equal(t, 422, b.call(t, b.tokens[auth.Operator], "PATCH", path, `{"rate_per_second":-7}`).status)
	require.Equal(t, before, b.dump(t), "a refused call changes nothing")

	r := b.call(t, b.tokens[auth.Operator], "PATCH", path, `{"rate_per_second":7}`)
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.body, `"rate_per_second":7`)
	require.Contains(t, r.body, `"priority":"bulk"`)
}

func TestTask_ThatWasMissed_IsChangedAndSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.draft(t, "user_id", "1", "2")
	at := time.Now().Add(time.Hour).Format(time.RFC3339)
	b.admin(t, 202, "POST", path+"/send", `{"at":"`+at+`"}`)
	_, err := b.pool.Exec(t.Context(), `UPDATE task SET state = 'missed', not_after = now() - interval '1 s', note = 'late'`)
	require.NoError(t, err)
	require.Contains(t, b.admin(t, 422, "POST", path+"/send", "{}").body, "after_not_after")
	r := b.call(t, b.tokens[auth.Author], "PATCH", path, `{"not_after":"`+at+`","misfire":"skip","priority":"urgent"}`)
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.body, `"state":"missed"`)
	require.Contains(t, r.body, `"misfire":"skip"`)
	require.Contains(t, b.admin(t, 202, "POST", path+"/send", "{}").body, `"state":"sending"`)
	require.Equal(t, 409, b.call(t, b.tokens[auth.Author], "PATCH", path, `{"priority":"bulk"}`).status, "it is missed no more")
}
