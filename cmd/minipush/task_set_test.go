package main_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
	"minipush/internal/store/storetest"
)

// A task is changed by the flags that wrote it, what is not given stays, and what it shows are the settings that somebody chose.
func TestTask_SetShowDelete(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	s.people(t, "u", 2)
	create := []string{"task", "create", "--app", "shop", "--template", testTemplate, "--product", "1989", "--topic", "健康助利"}
	code, _, stderr := s.try(t, "", append(create, "--not-after", "2020-01-01 10:00")...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "--not-after must lie in the future")
	s.run(t, create...)
	shown := s.run(t, "task", "show", "1")
	require.Regexp(t, `小程序 +shop`, shown)
	for _, usual := range []string{"priority", "rate", "misfire", "not-after", "on-unknown", "on-price-change"} {
		require.NotContains(t, shown, usual)
	}
	require.Equal(t, "task 1 is changed, draft 未发送\n", s.run(t, "task", "set", "1", "--topic", "更正", "--priority", "urgent", "--rate", "5",
		"--misfire", "skip", "--not-after", "2099-12-01 10:00", "--on-unknown", "resend", "--on-price-change", "accept"))
	shown = s.run(t, "task", "show", "1")
	for _, set := range []string{`更正`, `priority +urgent`, `rate +5/s`, `misfire +skip`, `not-after +2099-12-01 10:00:00`, `on-unknown +resend`, `on-price-change +accept`, `1989`} {
		require.Regexp(t, set, shown)
	}
	s.run(t, "task", "set", "1", "--not-after", "off", "--priority", "normal")
	shown = s.run(t, "task", "show", "1")
	require.NotContains(t, shown, "not-after")
	require.NotContains(t, shown, "urgent")
	require.Regexp(t, `misfire +skip`, shown, "what is not given stays")
	code, _, stderr = s.try(t, "", "task", "set", "1", "--rate", "-1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "--rate must be from 0")

	s.feed(t, "user_id\nu0\nu1\n", "task", "audience", "1", "-")
	s.run(t, "task", "send", "1", "--in", "1h")
	code, _, stderr = s.try(t, "", "task", "set", "1", "--topic", "x")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "minipush task unschedule 1")
	_, err := storetest.Connect(t, s.databaseURL).Exec(t.Context(), `UPDATE task SET state = 'missed', not_after = now() - interval '1 s'`)
	require.NoError(t, err)
	code, _, stderr = s.try(t, "", "task", "send", "1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "after the task's not_after, 2")
	require.Contains(t, stderr, "minipush task set 1 --not-after TIME")
	require.Contains(t, s.run(t, "task", "set", "1", "--not-after", "2099-12-01 10:00"), "next: minipush task send 1")
	require.Contains(t, s.run(t, "task", "send", "1"), "sending")
	code, _, stderr = s.try(t, "", "task", "set", "1", "--topic", "x")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "minipush task rate 1 N")

	s.run(t, create...)
	require.Equal(t, "task 2 is deleted\n", s.run(t, "task", "delete", "2"))
	for _, args := range [][]string{{"task", "show", "2"}, {"task", "delete", "1"}} {
		code, _, _ = s.try(t, "", args...)
		require.Equal(t, 1, code)
	}
}

// Whoever meets a task of a paused app is told what goes on with it: show, resume, send, and doctor.
func TestApp_PausedIsSaidWhereATaskStandsStill(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	web := s.serve(t, "--role", "web")
	id := strconv.FormatInt(s.draft(t, web, s.people(t, "u", 2)), 10)
	draft := strconv.FormatInt(s.draft(t, web, []string{"u1"}), 10)
	s.run(t, "task", "send", id)
	_, stdout, stderr := s.try(t, "", "app", "pause", "shop")
	require.Contains(t, stdout, "app shop is paused by")
	require.Empty(t, stderr, "no line of a log")
	const way = "app shop is paused; minipush app resume shop"
	require.Contains(t, s.run(t, "task", "show", id), way)
	require.Contains(t, s.run(t, "task", "resume", id), way)
	for _, task := range []string{id, draft} {
		code, _, stderr := s.try(t, "", "task", "send", task)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, way)
	}
	_, found, _ := s.try(t, "", "doctor")
	require.Regexp(t, `WARNING +paused apps +shop is paused by cli:tester; minipush app resume shop`, found)
	s.run(t, "app", "resume", "shop")
	require.NotContains(t, s.run(t, "task", "show", id), way)
	_, found, _ = s.try(t, "", "doctor")
	require.NotContains(t, found, "paused apps")
	code, _, stderr := s.try(t, "", "app", "resume", "nosuch")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `app "nosuch": not found`)
	require.NotContains(t, stderr, "pause app")

	require.Contains(t, s.run(t, "task", "cancel", id, "--yes"), "canceled")
	code, _, stderr = s.try(t, "", "task", "resend", id, "--reason", "unsure")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "none of its recipients ended as unsure: there is nobody to send to again")
	require.Contains(t, stderr, "minipush task show "+id)
	require.NotContains(t, stderr, "上传")
	unreachable := strconv.FormatInt(s.draft(t, web, []string{"u9"}), 10)
	code, _, stderr = s.try(t, "", "task", "send", unreachable, "--in", "1h")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "--wait-for-permit-until")
}

// What is refused of the limits of an app is said in flags, once, and with the flags that mend it.
func TestAppSet_RefusalsNameTheFlagsThatMendThem(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	s.run(t, "app", "set", "--key", "shop", "--rate", "1000", "--ramp", "50:10m")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--rate", "10"}, "minipush: --rate is 10, but this app ramps from 50/s: add --ramp off, or --ramp 5:10m (too_large)\n"},
		{[]string{"--rate", "0"}, "minipush: --rate is 0, but this app ramps from 50/s: add --ramp off (no_rate)\n"},
		{[]string{"--rate", "-1"}, "minipush: --rate must be from 0 to 100000 (out_of_range)\n"},
		{[]string{"--ramp", "2000:10m"}, "minipush: --ramp must be below --rate (too_large)\n"},
		{[]string{"--quiet", "9:00-8:00"}, "minipush: --quiet must be a time of day of two digits each, such as \"09:00\" or \"22:00\" (bad_time)\n"},
	} {
		code, _, stderr := s.try(t, "", append([]string{"app", "set", "--key", "shop"}, c.args...)...)
		require.Equal(t, 1, code, c.args)
		require.Equal(t, c.want, stderr, c.args)
	}
	s.run(t, "app", "set", "--key", "shop", "--rate", "10", "--ramp", "5:10m")
}
