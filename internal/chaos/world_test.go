package chaos_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
)

const (
	appKey     = "health"
	templateID = "895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0"
	perUser    = 3 // permits: with one, nobody can be sent twice
	batch      = 5000
	template   = `{"name":"活动加入成功提醒","channel":"form_id","page":"pages/goods/detail/detail?goodsId={{product.code}}","fields":[
		{"key":"keyword1","label":"活动主题","value":"{{topic}}","color":"#EE0000"},
		{"key":"keyword4","label":"商品金额","value":"{{product.price}}海贝","color":"#EE0000"}]}`
)

// world is everything that a round needs: a platform, a database, daemons, and a token to talk to them.
type world struct {
	dir      string
	env      []string
	pg       *postgres
	platform *platform
	daemons  []*daemon
	token    string
	// unheard are the acceptances that came before the platform had an address to tell of them.
	unheard int64
}

// newWorld starts the platform, the database and n daemons. settings are further ones of the daemons.
func newWorld(t *testing.T, n int, base sim.Faults, settings ...string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "chaos-")
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs are kept in %s", dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	w := &world{dir: dir, pg: startPostgres(t, dir)}
	w.platform = startPlatform(t, w.open(t, "sim"), base)
	w.env = append([]string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "USER=chaos", "MINIPUSH_DATA_DIR=" + dir, "MINIPUSH_DATABASE_URL=" + w.pg.url,
		"MINIPUSH_SECRET_KEY=" + strings.Repeat("c4a0", 16), "MINIPUSH_HTTP_ADDR=127.0.0.1:0", "MINIPUSH_LOG_FORMAT=json",
		// A call that hangs is given up soon, so that a round does not wait for it.
		"MINIPUSH_SEND_CALL_TIMEOUT=2s",
	}, settings...)
	_, code := run(t, w.env, strings.NewReader("s3cret\n"), "app", "add", "--key", appKey, "--appid", appID, "--secret-file", "-", "--base-url", w.platform.url)
	require.Zero(t, code)
	out, code := run(t, w.env, nil, "token", "create", "--name", "chaos", "--role", "admin", "--output", "json")
	require.Zero(t, code)
	var made struct{ Token string }
	require.NoError(t, json.Unmarshal(out, &made))
	w.token = made.Token
	for i := range n {
		w.daemon(t, fmt.Sprint("daemon", i))
	}
	w.call(t, http.MethodPut, "/api/v1/apps/"+appKey+"/products/1989", `{"title":"健康助利测试商品1","price":"250.00","on_shelf":true}`, nil)
	w.call(t, http.MethodPut, "/api/v1/apps/"+appKey+"/templates/"+templateID, template, nil)
	return w
}

func (w *world) open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(w.dir, name+".log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// daemon starts one more daemon, which is killed when the test ends.
func (w *world) daemon(t *testing.T, name string) *daemon {
	t.Helper()
	d := &daemon{name: name, env: w.env, log: w.open(t, name)}
	require.NoError(t, d.start(t.Context()))
	t.Cleanup(func() {
		life, _, _ := d.now()
		life.kill()
	})
	w.daemons = append(w.daemons, d)
	return d
}

// call makes a call of the API, to the first daemon that answers, and reads its answer into out.
func (w *world) call(t *testing.T, method, path string, body, out any) {
	t.Helper()
	text, contentType := "", "application/json"
	switch b := body.(type) {
	case string:
		text = b
		if !strings.HasPrefix(b, "{") {
			contentType = "text/csv"
		}
	case nil:
	default:
		encoded, err := json.Marshal(b)
		require.NoError(t, err)
		text = string(encoded)
	}
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, d := range w.daemons {
			_, _, url := d.now()
			answer, err := w.try(method, url+path, contentType, text)
			if err != nil {
				last = err
				continue
			}
			if out != nil {
				require.NoError(t, json.Unmarshal(answer, out), "%s", answer)
			}
			return
		}
	}
	t.Fatalf("%s %s: %v", method, path, last)
}

func (w *world) try(method, url, contentType, body string) ([]byte, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader([]byte(body))) //nolint:noctx // the client has a time limit
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", contentType)
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, nil
}

// draft makes a task for n users of its own, who have three permits each.
func (w *world) draft(t *testing.T, prefix string, n int) int64 {
	t.Helper()
	list := strings.Builder{}
	list.WriteString("user_id\n")
	for from := 0; from < n; from += batch {
		w.people(t, prefix, from, min(from+batch, n), &list)
	}
	var task push.Task
	w.call(t, http.MethodPost, "/api/v1/tasks", map[string]string{
		"app": appKey, "template_id": templateID, "topic": "健康助利", "product_code": "1989", "audience": "list"}, &task)
	w.call(t, http.MethodPut, fmt.Sprintf("/api/v1/tasks/%d/audience?filename=users.csv", task.ID), list.String(), nil)
	return task.ID
}

// people reports the users [from, to) and their permits, as phones would have yielded them.
func (w *world) people(t *testing.T, prefix string, from, to int, list *strings.Builder) {
	t.Helper()
	type user struct {
		UserID string `json:"user_id"`
		OpenID string `json:"openid"`
	}
	type permit struct {
		UserID string `json:"user_id"`
		FormID string `json:"form_id"`
		Source int    `json:"source"`
	}
	var users []user
	var openIDs []string
	byOpenID := map[string]string{}
	for i := from; i < to; i++ {
		u := user{fmt.Sprintf("%s-%d", prefix, i), openID(prefix, i)}
		users, openIDs = append(users, u), append(openIDs, u.OpenID)
		byOpenID[u.OpenID] = u.UserID
		list.WriteString(u.UserID + "\n")
	}
	var minted struct {
		FormIDs []sim.Permit `json:"form_ids"`
	}
	require.NoError(t, w.platform.post("/sim/form-ids", map[string]any{"appid": appID, "openids": openIDs, "per_user": perUser}, &minted))
	w.call(t, http.MethodPost, "/api/v1/apps/"+appKey+"/users", map[string]any{"users": users}, nil)
	for part := range slices.Chunk(minted.FormIDs, batch) {
		permits := make([]permit, len(part))
		for i, p := range part {
			permits[i] = permit{byOpenID[p.OpenID], p.FormID, 4}
		}
		var got struct{ Accepted, Duplicate int }
		w.call(t, http.MethodPost, "/api/v1/apps/"+appKey+"/form-ids", map[string]any{"form_ids": permits}, &got)
		require.Equal(t, len(part), got.Accepted+got.Duplicate)
	}
}

func openID(prefix string, i int) string { return fmt.Sprintf("o-%s-%d", prefix, i) }

// send sends a task, now or after a while.
func (w *world) send(t *testing.T, task int64, in time.Duration) {
	t.Helper()
	body := map[string]any{}
	if in > 0 {
		body["at"] = time.Now().Add(in).Format(time.RFC3339Nano)
	}
	w.call(t, http.MethodPost, fmt.Sprintf("/api/v1/tasks/%d/send", task), body, nil)
}
