package web_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a text of the database cannot hold is refused by the name of the parameter, wherever it stands, and never ours (500).
func TestCalls_RefuseTextThatCannotBeStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.draft(t, "1", "2")
	cursor := func(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
	for _, bad := range []string{"\x00", "\xff"} {
		escaped := url.QueryEscape("a" + bad)
		for _, tc := range []struct{ method, path, name, body string }{
			{"GET", "/api/v1/apps/" + escaped + "/permits", "app", ""},
			{"POST", "/api/v1/apps/" + escaped + "/pause", "app", ""},
			{"GET", "/api/v1/apps/health/users/" + escaped, "user_id", ""},
			{"GET", "/api/v1/apps/health/products/" + escaped, "code", ""},
			{"PUT", "/api/v1/apps/health/products/" + escaped, "code", `{"title":"t","price":"1.00","on_shelf":true}`},
			{"GET", "/api/v1/apps/health/templates/" + escaped, "template_id", ""},
			{"PUT", "/api/v1/apps/health/templates/" + escaped, "template_id", templateJSON},
			{"GET", "/api/v1/tasks?app=" + escaped, "app", ""},
			{"GET", path + "/recipients?user_id=" + escaped, "user_id", ""},
			{"PUT", path + "/audience?filename=" + escaped, "filename", "1"},
		} {
			r := b.refused(t, 400, "bad_text", func() reply { return b.admin(t, 400, tc.method, tc.path, tc.body) })
			require.Contains(t, r.body, `"field":"`+tc.name+`"`, tc.path)
		}
		for _, list := range []string{"products", "templates"} {
			r := b.admin(t, 422, "GET", "/api/v1/apps/health/"+list+"?cursor="+cursor(list+":"+bad), "")
			require.Contains(t, r.body, `"rule":"bad_cursor"`)
		}
	}
	for field, body := range map[string]string{
		"app":          strings.Replace(taskJSON, `"health"`, `"a\u0000"`, 1),
		"template_id":  strings.Replace(taskJSON, `"T1"`, `"T\u0000"`, 1),
		"product_code": strings.Replace(taskJSON, `"1989"`, `"1\u0000"`, 1),
	} {
		r := b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "POST", "/api/v1/tasks", body) })
		require.Contains(t, r.body, `"field":"`+field+`"`)
	}
	// a batch goes on without the item
	require.Contains(t, b.admin(t, 200, "POST", "/api/v1/apps/health/users", `{"users":[{"user_id":"9\u0000","openid":"oX"},{"user_id":"9","openid":"oX9"}]}`).body, `"accepted":1`)
	require.NotContains(t, b.log.String(), `"level":"ERROR"`)
}

// Numbers at the end of their range are numbers, and times that no list could show are refused.
func TestCalls_AtTheEndOfTheRange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.draft(t, "1")
	cursor := func(key string) string { return "?cursor=" + base64.RawURLEncoding.EncodeToString([]byte(key)) }
	b.admin(t, 200, "GET", path+"/recipients"+cursor("recipients:2147483646"), "")
	b.admin(t, 422, "GET", path+"/recipients"+cursor("recipients:2147483647"), "")
	b.admin(t, 200, "GET", "/api/v1/tasks"+cursor("tasks:9223372036854775807"), "")
	b.admin(t, 404, "GET", "/api/v1/tasks/9223372036854775807", "")
	b.admin(t, 404, "GET", path+"/preview?seq=2147483647", "")
	for _, at := range []string{"9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z"} {
		b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "PATCH", path, `{"not_after":"`+at+`"}`) })
		b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "POST", path+"/send", `{"at":"`+at+`"}`) })
		b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "GET", path+"/reach?at="+at, "") })
		b.admin(t, 200, "GET", "/api/v1/tasks?from="+at, "")
	}
}
