package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store/storetest"
)

const (
	testTemplate = "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0"
	testYAML     = `
template_id: ` + testTemplate + `
channel: form_id
name: 活动加入成功提醒
page: pages/goods/detail/detail?backToHome=1&&goodsId={{product.code}}
fields:
  - {key: keyword1, label: 活动主题, value: "{{topic}}", color: "#EE0000"}
  - {key: keyword4, label: 商品金额, value: "{{product.price}}海贝", color: "#EE0000"}
`
)

// stage is a database with an app on it, the platform of that app, and a token that may do everything.
type stage struct {
	program
	databaseURL string
	platform    *sim.Sim
	token       string
}

func newStage(t *testing.T, faults sim.Faults, env ...string) *stage {
	t.Helper()
	platform, err := sim.New(sim.Config{Faults: faults})
	require.NoError(t, err)
	ln, err := sim.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, hangUp := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- platform.Serve(ctx, ln) }()
	t.Cleanup(func() { hangUp(); require.NoError(t, <-ended) })

	url := storetest.URL(t)
	s := &stage{program: onDatabase(t, url, env...), databaseURL: url, platform: platform}
	s.feed(t, "secret\n", "app", "add", "--key", "shop", "--appid", "wxshop", "--secret-file", "-", "--base-url", "http://"+ln.Addr().String())
	s.run(t, "product", "set", "--app", "shop", "--code", "1989", "--title", "健康助利测试商品1", "--price", "250.00")
	s.feed(t, testYAML, "template", "set", "-", "--app", "shop")
	var made struct{ Token string }
	require.NoError(t, json.Unmarshal([]byte(s.run(t, "token", "create", "--name", "test", "--role", "admin", "--output", "json")), &made))
	s.token = made.Token
	return s
}

// feed runs a command that must succeed and reads standard input.
func (s *stage) feed(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, stdout, stderr := s.try(t, stdin, args...)
	require.Zero(t, code, "minipush %s: %s", strings.Join(args, " "), stderr)
	return stdout
}

// people reports n users of whom each left one formId, and returns their ids.
func (s *stage) people(t *testing.T, prefix string, n int) []string {
	t.Helper()
	ids, openIDs := make([]string, n), make([]string, n)
	var users, formIDs strings.Builder
	users.WriteString("user_id,openid\n")
	formIDs.WriteString("user_id,form_id,source\n")
	for i := range n {
		ids[i], openIDs[i] = prefix+strconv.Itoa(i), "o-"+prefix+strconv.Itoa(i)
		fmt.Fprintf(&users, "%s,%s\n", ids[i], openIDs[i])
	}
	for i, p := range s.platform.Mint("wxshop", openIDs, 1, 0) {
		fmt.Fprintf(&formIDs, "%s,%s,%d\n", ids[i], p.FormID, i%7+1)
	}
	s.feed(t, users.String(), "user", "import", "-", "--app", "shop")
	s.feed(t, formIDs.String(), "permit", "import", "-", "--app", "shop")
	return ids
}

// draft makes a task for the users, by the API of a daemon.
func (s *stage) draft(t *testing.T, d *daemon, users []string) int64 {
	t.Helper()
	var task push.Task
	spec := map[string]string{"app": "shop", "template_id": testTemplate, "topic": "健康助利", "product_code": "1989", "audience": "list"}
	require.Equal(t, http.StatusCreated, call(t, http.MethodPost, d.url+"/api/v1/tasks", s.token, spec, &task))
	list := "user_id\n" + strings.Join(users, "\n") + "\n"
	url := fmt.Sprintf("%s/api/v1/tasks/%d/audience?filename=users.csv", d.url, task.ID)
	require.Equal(t, http.StatusOK, call(t, http.MethodPut, url, s.token, list, nil))
	return task.ID
}

func (s *stage) task(t *testing.T, d *daemon, id int64) push.Task {
	t.Helper()
	var task push.Task
	require.Equal(t, http.StatusOK, call(t, http.MethodGet, fmt.Sprintf("%s/api/v1/tasks/%d", d.url, id), s.token, nil, &task))
	return task
}

// ended waits until a task is done.
func (s *stage) ended(t *testing.T, d *daemon, id int64) push.Task {
	t.Helper()
	require.Eventually(t, func() bool { return s.task(t, d, id).State == push.TaskDone }, patience, 50*time.Millisecond, "task %d does not end", id)
	return s.task(t, d, id)
}

// received says how many messages each openid has got.
func (s *stage) received() map[string]int {
	n := map[string]int{}
	for m := range s.platform.Ledger(sim.Filter{}) {
		n[m.OpenID]++
	}
	return n
}

// requireOneEach checks the platform's ledger: one message to each of the users, and none to anybody else.
func (s *stage) requireOneEach(t *testing.T, users []string) {
	t.Helper()
	want := map[string]int{}
	for _, u := range users {
		want["o-"+u] = 1
	}
	require.Equal(t, want, s.received())
}

// count runs a query that answers one number.
func (s *stage) count(t *testing.T, query string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, storetest.Connect(t, s.databaseURL).QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}
