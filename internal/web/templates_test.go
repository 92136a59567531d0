package web_test

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/web/auth"
)

// account gives the app a platform of its own, whose account has one template.
func (b *bundle) account(t *testing.T) *sim.Sim {
	t.Helper()
	platform, err := sim.New(sim.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(platform)
	t.Cleanup(server.Close)
	_, err = b.d.SetApp(t.Context(), dispatch.AppSpec{Key: "health", BaseURL: server.URL, Secret: "s3cret"})
	require.NoError(t, err)
	require.NoError(t, platform.AddTemplates("wx1", []sim.Template{{ID: "S1", Title: "状态通知", Type: sim.OneTime, Fields: []sim.TemplateField{
		{Key: "thing1", Label: "主题"}, {Key: "enum2", Label: "状态", Enum: []string{"进行中", "已结束"}}}}}))
	return platform
}

const syncPath = "/api/v1/apps/health/templates/sync"

// From the account to a task whose rows are checked: the sync names what lacks a value, and the upload its rows by line, field and rule.
func TestTemplates_FromTheAccountToAList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.account(t)
	operator := func(status int, method, path, body string, change ...request) reply {
		r := b.call(t, b.tokens[auth.Operator], method, path, body, change...)
		require.Equal(t, status, r.status, r.body)
		return r
	}
	key := header("Idempotency-Key", "once")
	require.JSONEq(t, `{"added":1,"changed":0,"unchanged":0,"gone":0,"refused":0,"templates":[{"template_id":"S1","name":"状态通知","outcome":"added","unfilled":["thing1","enum2"]}]}`,
		operator(200, "POST", syncPath, "", key).body)
	require.Contains(t, operator(200, "POST", syncPath, "", key).body, `"added":1`, "the answer is kept")
	require.Contains(t, operator(200, "POST", syncPath, "").body, `"unchanged":1`)
	require.Contains(t, operator(200, "GET", "/api/v1/apps/health/templates/S1", "").body, `"enum":["进行中","已结束"]`)

	task := strings.Replace(taskJSON, `"T1"`, `"S1"`, 1)
	r := b.refused(t, 422, "invalid", func() reply { return b.call(t, b.tokens[auth.Author], "POST", "/api/v1/tasks", task) })
	require.Contains(t, r.body, `"field":"template_id","rule":"no_value"`)
	require.Contains(t, r.body, "enum2 (状态)")
	operator(200, "PUT", "/api/v1/apps/health/templates/S1",
		`{"name":"状态通知","channel":"subscribe","fields":[{"key":"thing1","label":"主题","value":"{{topic}}"},{"key":"enum2","label":"状态","value":"{{recipient.状态}}"}]}`)
	var made push.Task
	b.admin(t, 201, "POST", "/api/v1/tasks", task).json(t, &made)
	path := "/api/v1/tasks/" + strconv.FormatInt(made.ID, 10)
	r = b.admin(t, 200, "PUT", path+"/audience?filename=list.csv", "user_id,状态\n1,已结束\n2,结束\n3,进行中\n")
	require.Contains(t, r.body, `"total":3,"accepted":2,"duplicate":0,"rejected":1`)
	const row = `"first_rejects":[{"line":3,"id":"2","code":"field_invalid","field":"enum2","rule":"not_listed","message":"field \"状态\" (enum2) must be one of: 进行中, 已结束","message_zh":"字段“状态”(enum2)只能是以下之一：进行中, 已结束"}]`
	require.Contains(t, r.body, row)
	require.Contains(t, b.admin(t, 200, "GET", path+"/audience", "").body, row)
	require.Contains(t, b.admin(t, 200, "GET", path+"/rejects.csv", "").body, "\n3,,2,field_invalid,\"字段“状态”(enum2)只能是以下之一：进行中, 已结束\",\"field \"\"状态\"\" (enum2) must be one of: 进行中, 已结束\",enum2,not_listed\r\n")
}

// A platform that refuses, or does not answer, is 502 with a stable code, and nothing is changed.
func TestTemplates_SyncFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	platform := b.account(t)
	for code, rule := range map[string]sim.Rule{
		"platform_credentials": {Kind: sim.ErrCode, Code: 40001, On: sim.OnTemplates},
		"platform_refused":     {Kind: sim.ErrCode, Code: 48001, On: sim.OnTemplates}, "platform_unreachable": {Kind: sim.Unavailable, On: sim.OnTemplates},
	} {
		require.NoError(t, platform.SetFaults(sim.Faults{Rules: []sim.Rule{rule}}))
		r := b.call(t, b.tokens[auth.Operator], "POST", syncPath, "", header("Idempotency-Key", "again"))
		require.Equal(t, 502, r.status, r.body)
		require.Equal(t, code, r.code(t))
		require.Contains(t, r.body, `"message_zh"`)
		if rule.Code != 0 {
			require.Contains(t, r.body, `"errcode":`+strconv.Itoa(rule.Code))
		}
	}
	require.NoError(t, platform.SetFaults(sim.Faults{}))
	b.admin(t, 200, "POST", "/api/v1/apps/health/pause", "")
	b.refused(t, 422, "app_paused", func() reply { return b.call(t, b.tokens[auth.Operator], "POST", syncPath, "") })
}
