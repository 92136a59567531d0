package web_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
)

// sendAll runs a task of four users on the simulator to its end: 1 and 2 are sent, 3 has no permit, 4 is not known.
func (b *bundle) sendAll(t *testing.T) (path string) {
	t.Helper()
	platform, err := sim.New(sim.Config{})
	require.NoError(t, err)
	phone := httptest.NewServer(platform)
	t.Cleanup(phone.Close)
	_, err = b.d.SetApp(t.Context(), dispatch.AppSpec{Key: "health", BaseURL: phone.URL, Secret: "s3cret"})
	require.NoError(t, err)
	b.stocked(t)
	platform.Preload(b.health.AppID, []sim.Permit{{OpenID: "oAa1", FormID: formID(1)}, {OpenID: "oBb2", FormID: formID(2)}})
	_, path = b.draft(t, "user_id,name,formula", "1,小明,=1+1", "2,小红,+2", "3,小刚,x", "4,小强,y")

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	require.NoError(t, b.d.Start(ctx))
	t.Cleanup(func() {
		require.NoError(t, b.d.Stop(ctx))
		cancel()
	})
	b.admin(t, 202, "POST", path+"/send", "")
	require.Eventually(t, func() bool { return b.task(t, path).State == push.TaskDone }, 20*time.Second, 50*time.Millisecond)
	// The queue notes the end of its jobs a moment later: tests that compare the tables wait for it.
	require.Eventually(t, func() bool {
		var open int
		err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM river.river_job WHERE finalized_at IS NULL`).Scan(&open)
		return err == nil && open == 0
	}, 20*time.Second, 50*time.Millisecond)
	return path
}

func TestResults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := b.sendAll(t)

	t.Run("TheTaskSaysHowManyAndWhy", func(t *testing.T) {
		task := b.task(t, path)
		require.Equal(t, push.Counts{Total: 4, Sent: 2, Skipped: 2}, task.Counts)
		require.Equal(t, "总发送数量=4,发送成功数量=2,发送失败数量=2", task.Counts.Summary())
		codes := map[string]int{}
		for _, r := range task.Reasons {
			codes[r.Code] = r.Count
		}
		require.Equal(t, map[string]int{"no_permit": 1, "no_user": 1}, codes)
	})
	t.Run("RecipientsAreListedByStateReasonAndUser", func(t *testing.T) {
		users := func(query string) string {
			var page struct {
				Recipients []push.Recipient `json:"recipients"`
			}
			b.admin(t, 200, "GET", path+"/recipients"+query, "").json(t, &page)
			ids := []string{}
			for _, r := range page.Recipients {
				ids = append(ids, r.UserID)
			}
			return strings.Join(ids, " ")
		}
		require.Equal(t, "1 2 3 4", users(""))
		require.Equal(t, "1 2", users("?state=sent"))
		require.Equal(t, "3", users("?reason=no_permit"))
		require.Equal(t, "4", users("?user_id=4"))
		require.Empty(t, users("?state=failed"))
		_, err := b.pool.Exec(t.Context(), `UPDATE recipient SET msgid = 9007199254740993 WHERE user_id = '1'`)
		require.NoError(t, err)
		require.Contains(t, b.admin(t, 200, "GET", path+"/recipients?user_id=1", "").body, `"msgid":"9007199254740993"`, "an id of the platform is a string")
		require.Regexp(t, `"next_cursor":"`, b.admin(t, 200, "GET", path+"/recipients?limit=3", "").body)
		b.refused(t, 422, "invalid", func() reply { return b.admin(t, 422, "GET", path+"/recipients?state=gone&reason=why", "") })
	})
	t.Run("TheCSVIsSafeAndCanBeUploadedAgain", func(t *testing.T) {
		r := b.admin(t, 200, "GET", path+"/results?format=csv", "")
		require.Contains(t, r.header.Get("Content-Disposition"), "results.csv")
		require.True(t, strings.HasPrefix(r.body, "\ufeffuser_id,seq,openid,state,inferred,form_id,reason,platform_code,rid,note,msgid,delivery,updated_at,name,formula\r\n"), r.body)
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(r.body, "\ufeff"))).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 5)
		require.Equal(t, []string{"小明", "'=1+1"}, rows[1][13:], "no cell is run as a formula")
		require.Contains(t, rows[1][12], "+08:00")

		_, again := b.draft(t)
		b.admin(t, 200, "PUT", again+"/audience?filename=again.csv", r.body)
		require.Contains(t, b.admin(t, 200, "GET", again+"/results", "").body, "=1+1")
		require.Equal(t, 4, b.task(t, again).Counts.Total)
	})
	t.Run("TheWorkbookHoldsTheSameRows", func(t *testing.T) {
		r := b.admin(t, 200, "GET", path+"/results?format=xlsx&state=sent", "")
		book, err := excelize.OpenReader(bytes.NewReader([]byte(r.body)))
		require.NoError(t, err)
		rows, err := book.GetRows(book.GetSheetName(0))
		require.NoError(t, err)
		require.Len(t, rows, 3)
		require.Equal(t, "user_id", rows[0][0])
		require.Equal(t, "=1+1", rows[1][14])
		kind, err := book.GetCellType(book.GetSheetName(0), "O2")
		require.NoError(t, err)
		require.NotEqual(t, excelize.CellTypeFormula, kind)

		_, again := b.draft(t)
		b.admin(t, 200, "PUT", again+"/audience?filename=again.xlsx", r.body)
		require.Equal(t, 2, b.task(t, again).Counts.Total)
	})
	t.Run("TheMetricsCountThem", func(t *testing.T) {
		_, err := b.store.Sweep(t.Context(), "test", func(context.Context) error { return nil })
		require.NoError(t, err)
		text := b.admin(t, 200, "GET", "/metrics", "").body
		for _, line := range []string{
			`minipush_recipients{state="sent"} 2`, `minipush_permits{app="health",channel="form_id",state="used"} 2`, `minipush_tables_up{part="queue"} 1`,
			`minipush_http_request_duration_seconds_count{route="POST /api/v1/tasks/{id}/send",status="202"} 1`,
		} {
			require.True(t, strings.Contains(text, line+"\n"), line)
		}
		for _, name := range []string{"\ngo_goroutines ", "\nprocess_", "\nminipush_sends_total{", "\nminipush_sweeper_last_success_timestamp_seconds{sweeper=\"test\"} 1"} {
			require.True(t, strings.Contains(text, name), name)
		}
	})
	t.Run("ASentTaskRefusesToBeSent", func(t *testing.T) {
		require.Contains(t, b.admin(t, 409, "POST", path+"/send", "").body, "此任务已发送id=")
	})
}

func TestResults_OfManyPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	lines := make([]string, 2501)
	lines[0] = "user_id"
	for i := range 2500 {
		lines[i+1] = fmt.Sprintf("u%d", i)
	}
	_, path := b.draft(t, lines...)
	body := b.admin(t, 200, "GET", path+"/results", "").body
	require.Equal(t, 2501, strings.Count(body, "\r\n"))
	require.Contains(t, body, "u2499,2499,")
}
