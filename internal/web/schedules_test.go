package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

const scheduleJSON = `{"app":"health","name":"每周会员日","cron":"0 10 * * 4","template_id":"T1","topic":"会员日","product_code":"1989","list":"vip"}`

// schedule makes a schedule that sends to the saved list vip, which it uploads.
func (b *bundle) schedule(t *testing.T) push.Schedule {
	t.Helper()
	b.admin(t, 200, "PUT", "/api/v1/apps/health/lists/vip?filename=vip.csv", "user_id,city\n1,上海\n2,杭州\n2,杭州\nbad id,x\n", header("Content-Type", "text/csv"))
	var s push.Schedule
	b.admin(t, 201, "POST", "/api/v1/schedules", scheduleJSON).json(t, &s)
	return s
}

// An author writes a schedule, an approver lets it run; while it runs nobody changes what it sends.
func TestSchedules_LifeByRoles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.schedule(t)
	var s push.Schedule
	r := b.call(t, b.tokens[auth.Author], "POST", "/api/v1/schedules", strings.Replace(scheduleJSON, "每周会员日", "x", 1), header("Idempotency-Key", "k"))
	require.Equal(t, 201, r.status, r.body)
	r.json(t, &s)
	again := b.call(t, b.tokens[auth.Author], "POST", "/api/v1/schedules", strings.Replace(scheduleJSON, "每周会员日", "x", 1), header("Idempotency-Key", "k"))
	require.Equal(t, r.body, again.body)
	require.False(t, s.Enabled)
	require.Equal(t, push.AudienceList, s.Audience)
	require.Equal(t, "Asia/Shanghai", s.TimeZone)
	require.Equal(t, "author", s.CreatedBy)
	require.Len(t, s.NextRuns, 5)
	for _, run := range s.NextRuns {
		at, err := time.Parse(time.RFC3339, run)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(run, "T10:00:00+08:00"))
		require.Equal(t, time.Thursday, at.Weekday())
	}
	path := fmt.Sprintf("/api/v1/schedules/%d", s.ID)
	b.call(t, b.tokens[auth.Approver], "POST", path+"/resume", "").json(t, &s)
	require.True(t, s.Enabled)
	require.Equal(t, "approver", *s.EnabledBy)
	require.Equal(t, s.NextRuns[0], s.NextAt.In(shanghai(t)).Format(time.RFC3339))
	b.refused(t, 409, "schedule_runs", func() reply { return b.call(t, b.tokens[auth.Author], "PATCH", path, `{"topic":"别的"}`) })
	b.refused(t, 409, "schedule_runs", func() reply { return b.call(t, b.tokens[auth.Author], "DELETE", path, "") })
	b.call(t, b.tokens[auth.Approver], "POST", path+"/pause", "").json(t, &s)
	require.False(t, s.Enabled)
	b.call(t, b.tokens[auth.Author], "PATCH", path, `{"topic":"别的","cron":"30 2 * * *","time_zone":"America/New_York"}`).json(t, &s)
	require.Equal(t, "别的", s.Topic)
	require.Regexp(t, `T02:30:00-0[45]:00$`, s.NextRuns[0])
	require.Contains(t, b.admin(t, 200, "GET", path+"/ticks", "").body, `"ticks":[]`)

	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/schedules?app=health", "").body, `"cron":"30 2 * * *"`)
	require.NotContains(t, b.call(t, b.othersToken, "GET", "/api/v1/schedules", "").body, "30 2")
	require.Equal(t, 404, b.call(t, b.othersToken, "GET", "/api/v1/schedules?app=health", "").status)
	require.Equal(t, 404, b.call(t, b.othersToken, "POST", "/api/v1/schedules", scheduleJSON).status)
	require.Equal(t, 404, b.admin(t, 404, "GET", "/api/v1/schedules/abc", "").status)
	b.admin(t, 204, "DELETE", path, "")
	b.admin(t, 404, "GET", path, "")
}

// Every trap of a cron spec is a 422 that names the field and says what to write.
func TestSchedules_BadSpecNamesTheField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.schedule(t)
	for cron, message := range map[string]string{
		"0 10 * * 7": "Sunday is 0", "@every 10m": "drifts", "TZ=UTC 0 10 * * *": "time_zone", "0 0 10 * * *": "seconds", "0 10 30 2 *": "no date ever", "0 10 ? * *": "write *",
	} {
		r := b.refused(t, 422, "invalid", func() reply {
			return b.admin(t, 422, "POST", "/api/v1/schedules", fmt.Sprintf(`{"app":"health","name":"n","cron":%q,"template_id":"T1","topic":"t","product_code":"1989"}`, cron))
		})
		require.Contains(t, r.body, message)
		require.Contains(t, r.body, `"field":"cron"`)
	}
	r := b.admin(t, 422, "POST", "/api/v1/schedules", strings.Replace(scheduleJSON, `"list":"vip"`, `"list":"nope"`, 1))
	require.Contains(t, r.body, `"field":"list"`)
	require.Equal(t, "unknown_field", b.admin(t, 400, "POST", "/api/v1/schedules", `{"enabled":true}`).code(t))
}

func TestSchedules_TicksArePaged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	s := b.schedule(t)
	_, err := b.pool.Exec(t.Context(), `INSERT INTO schedule_tick (schedule_id, tick, at, note)
		SELECT $1, 'tick ' || n, date_trunc('hour', now()) - interval '1 h' * (n / 2), 'n' FROM generate_series(1, 25) n`, s.ID)
	require.NoError(t, err)
	var seen []string
	for cursor := ""; ; {
		var page struct {
			Ticks []push.ScheduleTick
			Next  *string `json:"next_cursor"`
		}
		b.admin(t, 200, "GET", fmt.Sprintf("/api/v1/schedules/%d/ticks?limit=4%s", s.ID, cursor), "").json(t, &page)
		for _, tick := range page.Ticks {
			require.NotContains(t, seen, tick.Tick)
			seen = append(seen, tick.Tick)
		}
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + *page.Next
	}
	require.Len(t, seen, 25)
	require.Equal(t, "tick 1", seen[0])
	require.Equal(t, "bad_cursor", func() string {
		r := b.admin(t, 422, "GET", fmt.Sprintf("/api/v1/schedules/%d/ticks?cursor=dGlja3M6eA", s.ID), "")
		require.Contains(t, r.body, "bad_cursor")
		return "bad_cursor"
	}())
}

// A saved list is uploaded once, shows its versions and refused rows, and is taken by a task.
func TestLists_UploadShowTakeDelete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	s := b.schedule(t)
	var list struct {
		push.SavedList
		Versions   []push.ListVersion `json:"versions"`
		RejectsURL string             `json:"rejects_url"`
	}
	b.call(t, b.tokens[auth.Author], "PUT", "/api/v1/apps/health/lists/vip?filename=b.csv", "user_id\n1\n2\n3\n").json(t, &list)
	require.Equal(t, 2, list.Newest.Version)
	b.call(t, b.tokens[auth.Viewer], "GET", "/api/v1/apps/health/lists/vip", "").json(t, &list)
	require.Len(t, list.Versions, 2)
	require.Equal(t, []int{3, 2, 1, 1}, []int{list.Versions[0].Accepted, list.Versions[1].Accepted, list.Versions[1].Duplicate, list.Versions[1].Rejected})
	require.NotContains(t, b.admin(t, 200, "GET", list.RejectsURL, "").body, "bad id")
	require.Contains(t, b.admin(t, 200, "GET", list.RejectsURL+"?version=1", "").body, "bad id")
	b.admin(t, 404, "GET", list.RejectsURL+"?version=3", "")
	b.admin(t, 404, "GET", "/api/v1/apps/health/lists/nope", "")
	require.Contains(t, b.admin(t, 200, "GET", "/api/v1/apps/health/lists", "").body, `"name":"vip"`)
	require.Equal(t, 422, b.admin(t, 422, "PUT", "/api/v1/apps/health/lists/"+strings.Repeat("x", 65), "1\n").status)

	_, path := b.draft(t)
	var audience struct {
		push.Audience
		RejectsURL string `json:"rejects_url"`
	}
	b.admin(t, 200, "PUT", path+"/audience?list=vip&limit=2", "").json(t, &audience)
	require.Equal(t, 2, audience.Accepted)
	require.Equal(t, "vip (version 2)", audience.Filename)
	require.Contains(t, b.admin(t, 422, "PUT", path+"/audience?list=nope", "").body, `"field":"list"`)

	b.refused(t, 409, "in_use", func() reply { return b.admin(t, 409, "DELETE", "/api/v1/apps/health/lists/vip", "") })
	b.admin(t, 204, "DELETE", fmt.Sprintf("/api/v1/schedules/%d", s.ID), "")
	b.admin(t, 204, "DELETE", "/api/v1/apps/health/lists/vip", "")
	b.admin(t, 404, "GET", "/api/v1/apps/health/lists/vip", "")
	b.admin(t, 200, "GET", path+"/audience", "")
}
