package web_test

import (
	"testing"

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
