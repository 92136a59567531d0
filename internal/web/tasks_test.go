package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web"
	"minipush/internal/web/auth"
)

func configWithoutTokenCache() web.Config {
	return web.Config{Tokens: auth.Config{CacheFor: -1}}
}

func TestCollect_OneBadItemNeverFailsTheBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := fmt.Sprintf(`{"form_ids":[
		{"user_id":"1","form_id":%q,"source":4},
		{"user_id":"1","form_id":"the formId is a mock one","source":4},
		42,
		{"user_id":1,"form_id":"x","source":4},
		{"user_id":"1","formid":"x","source":4},
		{"user_id":"1","form_id":%q,"source":99},
		{"user_id":"1","form_id":%q,"source":4}]}`, formID(1), formID(2), formID(1))
	var got struct {
		Accepted  int `json:"accepted"`
		Duplicate int `json:"duplicate"`
		Rejected  []struct {
			Index     int    `json:"index"`
			Code      string `json:"code"`
			Message   string `json:"message"`
			MessageZH string `json:"message_zh"`
		} `json:"rejected"`
	}
	b.admin(t, 200, "POST", "/api/v1/apps/health/form-ids", body).json(t, &got)
	require.Equal(t, 1, got.Accepted)
	require.Equal(t, 1, got.Duplicate)
	codes := map[int]string{}
	for _, r := range got.Rejected {
		codes[r.Index] = r.Code
		require.NotEmpty(t, r.Message)
		require.NotEmpty(t, r.MessageZH)
	}
	require.Equal(t, map[int]string{1: "mock_form_id", 2: "bad_item", 3: "bad_item", 4: "bad_item", 5: "unknown_source"}, codes)

	require.Contains(t, b.admin(t, 200, "POST", "/api/v1/apps/health/users", `{"users":[7]}`).body, `"bad_item"`)
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/apps/health/permits", "").body, `"collected":1`)
}

func TestCollect_AMalformedBodyNamesThePlaceAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, want := range map[string]string{
		"":                                     "empty_body",
		"{\"users\":[{\"user_id\":\"1\"}":      "bad_json",
		"{\"users\":[\n{\"user_id\":\"1\"},]}": "bad_json",
		`{"users":{}}`:                         "wrong_type",
		`{"user":[]}`:                          "unknown_field",
		`{"users":[{"user_id":"1"}]} x`:        "trailing_data",
		"{\"users\":[{\"user_id\":\"\xff\"}]}": "not_utf8",
	} {
		r := b.refused(t, 400, want, func() reply { return b.call(t, b.tokens[auth.Collector], "POST", "/api/v1/apps/health/users", body) })
		require.Contains(t, r.body, `"line":`)
		require.Contains(t, r.body, `"column":`)
	}
	b.refused(t, 422, "invalid", func() reply {
		return b.call(t, b.tokens[auth.Collector], "POST", "/api/v1/apps/health/users", `{"users":[]}`)
	})
	b.refused(t, 413, "too_large", func() reply {
		return b.call(t, b.tokens[auth.Collector], "POST", "/api/v1/apps/health/users", `{"users":["`+strings.Repeat("x", 9<<20)+`"]}`)
	})
}

func TestCollect_TakesTenThousandAndNotOneMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := func(n int) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"user_id":"u%d","openid":"oOpen%d"}`, i, i)
		}
		return `{"users":[` + strings.Join(items, ",") + `]}`
	}
	require.JSONEq(t, `{"accepted":10000,"rejected":[]}`, b.admin(t, 200, "POST", "/api/v1/apps/health/users", batch(10_000)).body)
	b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "POST", "/api/v1/apps/health/users", batch(10_001)) })
}

func TestUpload_ByTheToolsThatPeopleUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	for _, contentType := range []string{"", "text/csv", "text/csv; charset=utf-8", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"} {
		_, path := b.draft(t)
		var audience push.Audience
		b.admin(t, 200, "PUT", path+"/audience", "1\n2\n", header("Content-Type", contentType)).json(t, &audience)
		require.Equal(t, 2, audience.Accepted, contentType)
	}
	_, first := b.draft(t, "user_id", "1")
	_, path := b.draft(t)
	var audience push.Audience
	id := strings.TrimPrefix(first, "/api/v1/tasks/")
	b.admin(t, 200, "PUT", path+"/audience?limit=1&user_id_column=who&filename=a.csv&exclude_task="+id, "n,who\n1,1\n2,2\n3,3\n").json(t, &audience)
	require.Equal(t, 1, audience.Accepted)
	require.Contains(t, b.admin(t, 200, "GET", path+"/recipients", "").body, `"user_id":"2"`)
}

// Invariant 1: one request moves the task, whoever else asks at the same instant.
func TestSend_TwentyAtTheSameInstantToTwoDaemons(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	id, path := b.draft(t, "user_id", "1", "2", "3")
	second, err := web.New(web.Config{Addr: "127.0.0.1:0"}, b.d, b.store, discard())
	require.NoError(t, err)
	serve(t, second)

	answers, begin := make(chan reply, 20), make(chan struct{})
	for i := range cap(answers) {
		addr := []string{b.server.Addr(), second.Addr()}[i%2]
		go func() {
			<-begin
			answers <- call(t, addr, b.tokens[auth.Approver], "POST", path+"/send", "{}")
		}()
	}
	close(begin)
	statuses := map[int]int{}
	for range cap(answers) {
		r := <-answers
		statuses[r.status]++
		if r.status != 202 {
			require.Equal(t, "already_sent", r.code(t))
		}
	}
	require.Equal(t, map[int]int{202: 1, 409: 19}, statuses)
	var jobs int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM river.river_job WHERE kind = 'start_task' AND args->>'task_id' = $1::text`, strconv.FormatInt(id, 10)).Scan(&jobs))
	require.Equal(t, 1, jobs)
}

func TestCatalog_IsWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	var product push.Product
	b.admin(t, 200, "GET", "/api/v1/apps/health/products/1989", "").json(t, &product)
	require.Equal(t, push.Price(250_00), product.Price)
	require.True(t, product.OnShelf)
	r := b.admin(t, 200, "GET", "/api/v1/apps/health/templates/T1", "")
	require.Contains(t, r.body, "backToHome=1&&goodsId={{product.code}}", "text is not escaped")
	require.Contains(t, r.body, "+08:00", "times have the offset of the configured zone")
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/apps/health/users/1", "").body, `"openid":"oAa1"`)

	b.refused(t, 422, "invalid", func() reply {
		return b.call(t, b.tokens[auth.Collector], "PUT", "/api/v1/apps/health/products/1", `{"title":"x","price":"1.00"}`)
	})
	r = b.refused(t, 422, "invalid", func() reply {
		return b.call(t, b.tokens[auth.Operator], "PUT", "/api/v1/apps/health/templates/T2", strings.Replace(templateJSON, "{{topic}}", "{{subject}}", 1))
	})
	require.Contains(t, r.body, `"field":"fields[0].value","rule":"unknown_variable"`)
}

func TestTask_FromDraftToSchedule(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	_, path := b.draft(t)

	var task push.Task
	b.admin(t, 200, "PATCH", path, `{"topic":"双十二","not_after":"2031-01-01T00:00:00+08:00"}`).json(t, &task)
	require.Equal(t, "双十二", task.Topic)
	require.Equal(t, "c", task.Caption, "what the body does not have stays")
	require.NotNil(t, task.NotAfter)
	b.admin(t, 200, "PATCH", path, `{"not_after":null}`).json(t, &task)
	require.Nil(t, b.task(t, path).NotAfter)

	var audience struct {
		push.Audience
		RejectsURL string `json:"rejects_url"`
	}
	b.admin(t, 200, "PUT", path+"/audience?filename=a.csv", "user_id,name\n1,小明\n2,小红\n1,again\n,blank\n3,小刚\n", header("Content-Type", "text/csv")).json(t, &audience)
	require.Equal(t, [4]int{5, 3, 1, 1}, [4]int{audience.Total, audience.Accepted, audience.Duplicate, audience.Rejected})
	rejects := b.admin(t, 200, "GET", audience.RejectsURL, "")
	require.Contains(t, rejects.header.Get("Content-Disposition"), "rejects.csv")
	require.True(t, strings.HasPrefix(rejects.body, "\ufeff"))
	require.Equal(t, 2, strings.Count(rejects.body, "\r\n"))
	require.Equal(t, rejects.body, b.admin(t, 200, "GET", path+"/audience/rejects.csv", "").body)
	require.Contains(t, b.admin(t, 200, "GET", path+"/audience", "").body, `"columns":["name"]`)

	const stranger = "oABCDEFGHIJKLMNOPQRSTUVWXYZ9"
	_, other := b.draft(t, "user_id", "1")
	b.admin(t, 200, "PUT", other+"/audience?filename=a.csv", "openid\noAa1\n"+stranger+"\n", header("Content-Type", "text/csv"))
	for _, file := range []string{"/audience", "/rejects.csv"} {
		require.Contains(t, b.admin(t, 200, "GET", other+file, "").body, stranger)
		shown := b.call(t, b.tokens[auth.Author], "GET", other+file, "").body
		require.Contains(t, shown, "oABC****XYZ9", "as in the console")
		require.NotContains(t, shown, stranger)
	}

	var reach push.Reach
	b.admin(t, 200, "GET", path+"/reach", "").json(t, &reach)
	require.Equal(t, [3]int{3, 2, 1}, [3]int{reach.Total, reach.Reachable, reach.NoPermit})
	require.NotNil(t, reach.AsOf)
	b.admin(t, 202, "POST", path+"/reach", "").json(t, &reach)
	require.Equal(t, [3]int{3, 2, 1}, [3]int{reach.Total, reach.Reachable, reach.NoPermit}, "a short list is counted for either")
	preview := b.admin(t, 200, "GET", path+"/preview?seq=1", "").body
	require.Contains(t, preview, `"value":"250海贝"`)
	require.Contains(t, preview, `"user_id":"2"`)

	at := time.Now().Add(time.Hour).Truncate(time.Second)
	b.admin(t, 202, "POST", path+"/send", fmt.Sprintf(`{"at":%q}`, at.Format(time.RFC3339))).json(t, &task)
	require.Equal(t, push.TaskScheduled, task.State)
	require.Equal(t, "admin", *task.SentBy)
	b.refused(t, 409, "already_scheduled", func() reply { return b.call(t, b.tokens[auth.Approver], "POST", path+"/send", "{}") })
	b.admin(t, 202, "POST", path+"/send", fmt.Sprintf(`{"at":%q}`, at.Add(time.Hour).Format(time.RFC3339))).json(t, &task)
	require.WithinDuration(t, at.Add(time.Hour), *task.StartAt, 0)
	b.admin(t, 200, "POST", path+"/unschedule", "")
	require.Equal(t, push.TaskDraft, b.task(t, path).State)
	b.admin(t, 202, "POST", path+"/send", "").json(t, &task)
	require.Equal(t, push.TaskSending, task.State)
	b.admin(t, 200, "POST", path+"/pause", "").json(t, &task)
	require.Equal(t, []push.Cause{push.CauseOperator}, task.Causes)
	b.admin(t, 200, "POST", path+"/resume", "{}").json(t, &task)
	require.Equal(t, push.TaskSending, task.State)
	b.admin(t, 200, "POST", path+"/cancel", "")
	require.Equal(t, push.TaskCanceled, b.task(t, path).State)

	_, draft := b.draft(t)
	require.Empty(t, b.admin(t, 204, "DELETE", draft, "").body)
	b.admin(t, 404, "GET", draft, "")
}

func (b *bundle) task(t *testing.T, path string) (task push.Task) {
	t.Helper()
	b.admin(t, 200, "GET", path, "").json(t, &task)
	return task
}

func TestTask_ARefusedCallChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.admin(t, 200, "PUT", "/api/v1/apps/health/products/off", `{"title":"x","price":"1.00","on_shelf":false}`)
	_, empty := b.draft(t)
	_, unreachable := b.draft(t, "user_id", "3")
	_, sent := b.draft(t, "user_id", "1")
	b.admin(t, 202, "POST", sent+"/send", "")
	edit := func(old, with string) string { return strings.Replace(taskJSON, old, with, 1) }
	for name, tc := range map[string]struct {
		status             int
		code               string
		method, path, body string
	}{
		"EmptyAudience":    {422, "empty_audience", "POST", empty + "/send", ""},
		"NoPermit":         {422, "no_permit", "POST", unreachable + "/send", ""},
		"AlreadySent":      {409, "already_sent", "POST", sent + "/send", ""},
		"SentIsNoDraft":    {409, "wrong_state", "PATCH", sent, `{"topic":"x"}`},
		"SentIsNotDeleted": {409, "wrong_state", "DELETE", sent, ""},
		"SentKeepsItsList": {409, "wrong_state", "PUT", sent + "/audience", "2\n"},
		"OverLongTopic":    {422, "invalid", "POST", "/api/v1/tasks", edit("双十一", strings.Repeat("双", 11))},
		"OverLongPatch":    {422, "invalid", "PATCH", empty, `{"topic":"` + strings.Repeat("双", 11) + `"}`},
		"OffShelf":         {422, "product_off_shelf", "POST", "/api/v1/tasks", edit("1989", "off")},
		"NoProduct":        {422, "invalid", "POST", "/api/v1/tasks", edit("1989", "nope")},
		"NoTemplate":       {422, "invalid", "POST", "/api/v1/tasks", edit("T1", "T9")},
		"NoApp":            {422, "invalid", "POST", "/api/v1/tasks", edit(`"app":"health",`, "")},
		"UnknownField":     {400, "unknown_field", "POST", "/api/v1/tasks", edit("topic", "topik")},
		"UnknownPatch":     {400, "unknown_field", "PATCH", empty, `{"topik":"x"}`},
		"OtherApp":         {422, "invalid", "PATCH", empty, `{"app":"other"}`},
		"PastTime":         {422, "invalid", "POST", unreachable + "/send", `{"at":"2020-01-01T00:00:00+08:00"}`},
		"NoTime":           {400, "bad_time", "POST", unreachable + "/send", `{"at":"10:00"}`},
		"UnknownParameter": {400, "unknown_parameter", "GET", "/api/v1/tasks?stat=sent", ""},
		"BadCursor":        {422, "invalid", "GET", "/api/v1/tasks?cursor=zzz", ""},
		"BadLimit":         {422, "invalid", "GET", "/api/v1/tasks?limit=1001", ""},
		"BadFile":          {422, "broken_quote", "PUT", unreachable + "/audience?filename=a.csv", "user_id,name\n1,\"x\n2,y\n"},
		"EmptyFile":        {422, "empty_file", "PUT", unreachable + "/audience", ""},
		"NoColumn":         {422, "no_id_column", "PUT", unreachable + "/audience?filename=a.csv&user_id_column=nope", "user_id\n1\n"},
		"BadFormat":        {422, "invalid", "GET", empty + "/results?format=pdf", ""},
		"PauseOfADraft":    {409, "wrong_state", "POST", empty + "/pause", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b.refused(t, tc.status, tc.code, func() reply { return b.call(t, b.tokens[auth.Admin], tc.method, tc.path, tc.body) })
		})
	}
}

func TestUpload_ThatBreaksOffLeavesTheTaskAsItWas(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{MaxUpload: 1 << 20})
	b.stocked(t)
	id, path := b.draft(t, "user_id", "1", "2")
	before := b.dump(t)

	conn, err := net.Dial("tcp", b.server.Addr()) //nolint:noctx // a connection to break
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "PUT %s/audience HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\nuser_id\n3\n", path, b.tokens[auth.Author])
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Contains(t, string(answer), "HTTP/1.1 400")

	b.refused(t, 413, "too_large", func() reply {
		return b.call(t, b.tokens[auth.Author], "PUT", path+"/audience", strings.Repeat("1234567\n", 1<<18))
	})
	require.Equal(t, before, b.dump(t), "task %d", id)
}

func TestUpload_ThatStandsStillIsGivenUp(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{Stall: 200 * time.Millisecond})
	b.stocked(t)
	_, path := b.draft(t, "user_id", "1", "2")
	body, write := pipe()
	go write("user_id\n3\n")
	before := b.dump(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+b.server.Addr()+path+"/audience", body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+b.tokens[auth.Author])
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 400, resp.StatusCode)
	require.Equal(t, before, b.dump(t))
}

func TestCall_ThatTakesTooLongIsGivenUp(t *testing.T) {
	t.Parallel()
	b := setupWith(t, web.Config{CallTimeout: time.Nanosecond})
	for _, change := range [][]request{nil, {header("Idempotency-Key", "k")}} {
		r := b.refused(t, 503, "timeout", func() reply {
			return b.call(t, b.tokens[auth.Collector], "POST", "/api/v1/apps/health/users", `{"users":[{"user_id":"1"}]}`, change...)
		})
		require.Equal(t, "1", r.header.Get("Retry-After"))
	}
}

func TestTasks_ArePagedByKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	want := []int64{}
	for range 5 {
		id, _ := b.draft(t)
		want = append([]int64{id}, want...)
	}
	got, cursor := []int64{}, ""
	for {
		var page struct {
			Tasks      []push.Task `json:"tasks"`
			NextCursor *string     `json:"next_cursor"`
		}
		b.admin(t, 200, "GET", "/api/v1/tasks?app=health&state=draft&limit=2&cursor="+cursor, "").json(t, &page)
		require.LessOrEqual(t, len(page.Tasks), 2)
		for _, task := range page.Tasks {
			got = append(got, task.ID)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	require.Equal(t, want, got)
	require.JSONEq(t, `{"tasks":[],"next_cursor":null}`, b.admin(t, 200, "GET", "/api/v1/tasks?state=done", "").body)
	from := b.task(t, fmt.Sprintf("/api/v1/tasks/%d", want[0])).CreatedAt.Format(time.RFC3339Nano)
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/tasks?from="+from, "").body, fmt.Sprintf(`"id":%d,`, want[0]))
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	key := header("Idempotency-Key", "k-1")

	t.Run("TheSameRequestAgainGetsTheSameAnswerAndChangesNothing", func(t *testing.T) {
		first := b.admin(t, 201, "POST", "/api/v1/tasks", taskJSON, key)
		require.Empty(t, first.header.Get("Idempotency-Replayed"))
		before := b.dump(t)
		again := b.admin(t, 201, "POST", "/api/v1/tasks", taskJSON, key)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		require.Equal(t, first.body, again.body)
		require.Equal(t, before, b.dump(t))
	})
	t.Run("AnotherRequestWithTheKeyIsRefused", func(t *testing.T) {
		b.refused(t, 422, "idempotency_key_reused", func() reply {
			return b.call(t, b.tokens[auth.Admin], "POST", "/api/v1/tasks", strings.Replace(taskJSON, "双十一", "x", 1), key)
		})
	})
	t.Run("AKeyBelongsToItsToken", func(t *testing.T) {
		r := b.call(t, b.tokens[auth.Author], "POST", "/api/v1/tasks", taskJSON, key)
		require.Equal(t, 201, r.status)
		require.Empty(t, r.header.Get("Idempotency-Replayed"))
	})
	t.Run("ARefusalIsNotKept", func(t *testing.T) {
		key := header("Idempotency-Key", "k-2")
		_, path := b.draft(t)
		b.refused(t, 422, "empty_audience", func() reply { return b.call(t, b.tokens[auth.Admin], "POST", path+"/send", "", key) })
		b.admin(t, 200, "PUT", path+"/audience", "1\n")
		b.admin(t, 202, "POST", path+"/send", "", key)
		require.Equal(t, "true", b.admin(t, 202, "POST", path+"/send", "", key).header.Get("Idempotency-Replayed"), "no already_sent for a client that asks again")
	})
	t.Run("AtTheSameMomentOneIsDone", func(t *testing.T) {
		key := header("Idempotency-Key", "k-3")
		answers := make(chan reply, 8)
		for range cap(answers) {
			go func() { answers <- b.call(t, b.tokens[auth.Admin], "POST", "/api/v1/tasks", taskJSON, key) }()
		}
		bodies, replayed := map[string]bool{}, 0
		for range cap(answers) {
			r := <-answers
			require.Equal(t, 201, r.status, r.body)
			bodies[r.body] = true
			if r.header.Get("Idempotency-Replayed") != "" {
				replayed++
			}
		}
		require.Len(t, bodies, 1)
		require.Equal(t, cap(answers)-1, replayed)
	})
	t.Run("AnUnusableKeyIsRefused", func(t *testing.T) {
		for _, bad := range []string{"", strings.Repeat("k", 256), "käy"} {
			b.refused(t, 400, "bad_idempotency_key", func() reply {
				return b.call(t, b.tokens[auth.Admin], "POST", "/api/v1/tasks", taskJSON, header("Idempotency-Key", bad))
			})
		}
	})
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, "not_found", b.admin(t, 404, "GET", "/api/v1/nope", "").code(t))
	require.Equal(t, "not_found", b.admin(t, 404, "POST", "/api/v1/tasks/1/clone", "").code(t))
	r := b.admin(t, 405, "PUT", "/api/v1/tasks", "")
	require.Equal(t, "method_not_allowed", r.code(t))
	require.Equal(t, "GET, HEAD, POST", r.header.Get("Allow"))
	head := b.admin(t, 200, http.MethodHead, "/api/v1/tasks", "")
	require.Empty(t, head.body)
	var doc json.RawMessage
	require.Error(t, json.Unmarshal([]byte(b.admin(t, 200, "GET", "/api/v1/openapi.yaml", "").body), &doc), "it is YAML")
}

func TestReport_AddsTasksUpForTheAppsOfTheToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.draft(t, "user_id", "1", "2", "3")
	r := b.call(t, b.tokens[auth.Viewer], "GET", "/api/v1/reports/daily", "")
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.body, `"lines":[]`, "a draft did not start")
	for query, status := range map[string]int{"by=product": 200, "by=x": 422, "from=2020-01-01T00:00:00Z": 422, "app=nowhere": 404, "app=health": 200} {
		require.Equal(t, status, b.call(t, b.tokens[auth.Viewer], "GET", "/api/v1/reports/daily?"+query, "").status, query)
	}
	require.Equal(t, 404, b.call(t, b.othersToken, "GET", "/api/v1/reports/daily?app=health", "").status)
}
