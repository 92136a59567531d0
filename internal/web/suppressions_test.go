package web_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

type suppressions struct {
	Suppressions []push.Suppression `json:"suppressions"`
	NextCursor   *string            `json:"next_cursor"`
}

func (b *bundle) suppressions(t *testing.T, token, query string) suppressions {
	t.Helper()
	r := b.call(t, token, "GET", "/api/v1/suppressions"+query, "")
	require.Equal(t, 200, r.status, r.body)
	var list suppressions
	require.NoError(t, json.Unmarshal([]byte(r.body), &list))
	return list
}

func TestSuppressions_AddListRemove(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/suppressions"
	r := b.call(t, b.tokens[auth.Author], "POST", path, `{"app":"health","suppressions":[{"user_id":"1","note":"投诉"},{"openid":"o2"},{"user_id":"1"},{},7,{"user_id":"3","openid":"o3"}]}`)
	require.Equal(t, 200, r.status, r.body)
	require.JSONEq(t, `{"accepted":2,"duplicate":1,"rejected":[
		{"index":3,"code":"one_of","message":"user_id, openid: give one of the two","message_zh":"user_id、openid: 必须二选一"},
		{"index":4,"code":"bad_item","message":"must be an object","message_zh":"格式不正确"},
		{"index":5,"code":"one_of","message":"user_id, openid: give one of the two","message_zh":"user_id、openid: 必须二选一"}]}`, r.body)
	b.admin(t, 200, "POST", path, `{"app":"*","suppressions":[{"user_id":"everywhere"}]}`)
	b.admin(t, 200, "POST", path, `{"app":"other","suppressions":[{"user_id":"elsewhere"}]}`)

	ids := func(list suppressions) (names []string) {
		for _, s := range list.Suppressions {
			name := s.App + ":"
			if s.UserID != nil {
				name += *s.UserID
			} else {
				name += *s.OpenID
			}
			names = append(names, name)
		}
		return names
	}
	viewer := b.tokens[auth.Viewer]
	all := b.suppressions(t, viewer, "")
	require.Equal(t, []string{"health:o2", "health:1", "*:everywhere", "other:elsewhere"}, ids(all))
	require.Equal(t, "author", all.Suppressions[1].AddedBy)
	require.Equal(t, "投诉", all.Suppressions[1].Note)
	require.False(t, all.Suppressions[1].CreatedAt.IsZero())
	require.Equal(t, []string{"health:o2", "health:1", "*:everywhere"}, ids(b.suppressions(t, viewer, "?app=health")))
	require.Equal(t, []string{"*:everywhere"}, ids(b.suppressions(t, viewer, "?app=*")))
	require.Equal(t, []string{"health:o2"}, ids(b.suppressions(t, viewer, "?openid=o2")))
	require.Equal(t, []string{"health:1"}, ids(b.suppressions(t, viewer, "?app=health&user_id=1")))
	require.Empty(t, b.suppressions(t, viewer, "?app=health&user_id=elsewhere").Suppressions)
	for _, of := range []string{"", "&app=health", "&app=*"} {
		var paged []string
		for query := "?limit=1" + of; ; {
			page := b.suppressions(t, viewer, query)
			paged = append(paged, ids(page)...)
			if page.NextCursor == nil {
				break
			}
			query = "?limit=1" + of + "&cursor=" + *page.NextCursor
		}
		require.Equal(t, ids(b.suppressions(t, viewer, "?"+strings.TrimPrefix(of, "&"))), paged, of)
	}

	one := path + "/" + strconv.FormatInt(all.Suppressions[1].ID, 10)
	require.Equal(t, http.StatusForbidden, b.call(t, b.tokens[auth.Author], "DELETE", one, "").status, "an author adds and does not remove")
	require.Equal(t, http.StatusNoContent, b.call(t, b.tokens[auth.Operator], "DELETE", one, "").status)
	require.Equal(t, http.StatusNotFound, b.call(t, b.tokens[auth.Operator], "DELETE", one, "").status)
	require.Equal(t, http.StatusNotFound, b.call(t, b.tokens[auth.Operator], "DELETE", path+"/x", "").status)
	require.Equal(t, []string{"health:o2", "*:everywhere"}, ids(b.suppressions(t, viewer, "?app=health")))
}

// A token of some apps sees what holds in them and changes the lists of those only; an app that is left out is not all apps.
func TestSuppressions_OfOtherApps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/suppressions"
	b.admin(t, 200, "POST", path, `{"app":"health","suppressions":[{"user_id":"1"}]}`)
	b.admin(t, 200, "POST", path, `{"app":"*","suppressions":[{"user_id":"2"}]}`)
	before := b.dump(t)
	require.Len(t, b.suppressions(t, b.othersToken, "").Suppressions, 1, "what holds in all apps holds in its own")
	require.Equal(t, 404, b.call(t, b.othersToken, "GET", path+"?app=health", "").status)
	require.Equal(t, 404, b.call(t, b.othersToken, "POST", path, `{"app":"health","suppressions":[{"user_id":"9"}]}`).status)
	require.Equal(t, 403, b.call(t, b.othersToken, "POST", path, `{"app":"*","suppressions":[{"user_id":"9"}]}`).status)
	for _, s := range b.suppressions(t, b.tokens[auth.Admin], "").Suppressions {
		r := b.call(t, b.othersToken, "DELETE", path+"/"+strconv.FormatInt(s.ID, 10), "")
		require.Contains(t, []int{403, 404}, r.status, s.App)
	}
	require.Equal(t, 422, b.call(t, b.tokens[auth.Admin], "POST", path, `{"suppressions":[{"user_id":"9"}]}`).status)
	require.Equal(t, 422, b.call(t, b.tokens[auth.Admin], "POST", path, `{"app":"health","suppressions":[]}`).status)
	require.Equal(t, before, b.dump(t))
}
