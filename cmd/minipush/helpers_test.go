package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/config"
	"minipush/internal/push"
	"minipush/internal/sim"
)

func TestTable_ChineseIsTwoWide_ColumnsStayAligned(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	table(&b, []string{"名称", "N"}, [][]string{{"abcd", "1"}, {"活动", "22"}, {"", "3"}})
	require.Equal(t, "名称  N\nabcd  1\n活动  22\n      3\n", b.String())
}

func TestClock_ReadsWhatPeopleType_InTheZone(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	k := clock{shanghai}
	want := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-12-01 10:00", "2026-12-01 10:00:00", "2026-12-01T10:00:00+08:00", "2026-12-01T02:00:00Z"} {
		got, err := k.read("at", text)
		require.NoError(t, err)
		require.True(t, want.Equal(got), "%s is %s", text, got)
	}
	_, err = k.read("at", "tomorrow")
	require.ErrorAs(t, err, &usageError{})
	require.ErrorContains(t, err, "2026-12-01 10:00")
	require.Equal(t, "2026-12-01 10:00:00", k.minute(want))
	require.Equal(t, "–", k.maybe(nil))
}

func TestStartTime_InAndAt(t *testing.T) {
	t.Parallel()
	k := clock{time.UTC}
	at, err := startTime(k, 0, "")
	require.NoError(t, err)
	require.Nil(t, at, "now")
	at, err = startTime(k, 2*time.Minute, "")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(2*time.Minute), *at, time.Second)
	_, err = startTime(k, -time.Minute, "")
	require.ErrorAs(t, err, &usageError{})
}

func TestProblems_SayFieldRuleAndWayOut_EachOfAJoin(t *testing.T) {
	t.Parallel()
	c := &cli{running: true}
	err := errors.Join(&push.InvalidError{Field: "topic", Rule: "too_long", Message: "has 11 characters"}, fmt.Errorf("send: %w", &push.Refusal{Code: push.RefusedAlreadySent, TaskID: 98}))
	got := c.problems(err)
	require.Len(t, got, 2)
	require.Equal(t, problem{Code: "too_long", Field: "topic", Message: "topic has 11 characters (too_long)"}, got[0])
	require.Equal(t, "此任务已发送id=98", got[1].ZH)
	require.Contains(t, got[1].Hint, "minipush task show 98")
	paused := c.problems(&push.Refusal{Code: push.RefusedAlreadySent, TaskID: 98, State: push.TaskPaused})
	require.Contains(t, paused[0].Hint, "minipush task resume 98")
	require.Equal(t, "not_found", c.problems(fmt.Errorf("task 7: %w", push.ErrNotFound))[0].Code)
}

func TestExitCode_BeforeTheCommandRunsEverythingIsWrongUse(t *testing.T) {
	t.Parallel()
	require.Equal(t, 0, (&cli{}).exitCode(nil))
	require.Equal(t, 2, (&cli{}).exitCode(errors.New("unknown flag")))
	require.Equal(t, 1, (&cli{running: true}).exitCode(errors.New("refused")))
	require.Equal(t, 2, (&cli{running: true}).exitCode(fmt.Errorf("send: %w", usageError{"--in"})))
}

func TestReadRows_HeaderIsHeldToTheKnownColumns(t *testing.T) {
	t.Parallel()
	collect := func(text string) (rows []row, err error) {
		err = readRows(strings.NewReader(text), []string{"user_id", "openid"}, []string{"note"}, func(r row) error {
			rows = append(rows, r)
			return nil
		}, func(bad *csv.ParseError) error {
			rejection, err := badRecord(bad)
			rows = append(rows, row{rejection.Index, map[string]string{"rejected": rejection.Code}})
			return err
		})
		return rows, err
	}
	rows, err := collect("\ufeffOpenID, user_id\no1,42\n\n\"o\n2\",43\n")
	require.NoError(t, err)
	require.Equal(t, []row{{2, map[string]string{"user_id": "42", "openid": "o1"}}, {4, map[string]string{"user_id": "43", "openid": "o\n2"}}}, rows)
	for text, wrong := range map[string]string{
		"":                                "read the first line",
		"user_id\n1\n":                    `the column "openid" is missing`,
		"user_id,open_id\n1,2\n":          `"open_id" is not a column`,
		"user_id,openid\n\"1,2\n3,4\n5,6": "line 2",
	} {
		_, err := collect(text)
		require.ErrorContains(t, err, wrong, "%q", text)
	}
}

func TestReadRows_AMalformedRecordIsRejectedWithItsLine_AndTheNextIsRead(t *testing.T) {
	t.Parallel()
	got := map[int]string{}
	err := readRows(strings.NewReader("user_id,openid\n1\n2,b\n3,c,x,y\n4,\"d\"e\n5,f\"g\n\"6\",h\n"), []string{"user_id", "openid"}, nil,
		func(r row) error { got[r.line] = r.fields["user_id"]; return nil },
		func(bad *csv.ParseError) error {
			rejection, err := badRecord(bad)
			got[rejection.Index] = rejection.Code
			return err
		})
	require.NoError(t, err)
	require.Equal(t, map[int]string{2: "column_count", 3: "2", 4: "column_count", 5: "broken_quote", 6: "broken_quote", 7: "6"}, got)
}

func TestOpsURL_OfADaemonThatListensEverywhere_IsLoopback(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[config.HTTP]string{
		{Addr: "0.0.0.0:8080"}: "http://127.0.0.1:8080/readyz",
		{Addr: ":8080"}:        "http://127.0.0.1:8080/readyz",
		{Addr: "[::]:8080"}:    "http://127.0.0.1:8080/readyz",
		{Addr: "10.0.0.1:80", OpsAddr: "127.0.0.1:9090"}: "http://127.0.0.1:9090/readyz",
	} {
		require.Equal(t, want, opsURL(cfg))
	}
}

func TestKeepKey_MadeOnceAndAgreedOn(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/secret_key"
	keys := make(chan string, 8)
	for range cap(keys) {
		go func() {
			key, err := keepKey(path)
			if err != nil {
				key = err.Error()
			}
			keys <- key
		}()
	}
	first := <-keys
	for range cap(keys) - 1 {
		require.Equal(t, first, <-keys)
	}
}

func TestDemoUsers_AreTheMix_InAnOrderOfTheSeed(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	users := demoUsers(now, 1)
	require.Len(t, users, 638)
	n := map[fate]int{}
	ids := map[string]bool{}
	for _, u := range users {
		n[u.fate]++
		ids[u.id] = true
	}
	require.Equal(t, map[fate]int{fateSent: 530, fateSecond: 30, fateNoPermit: 30, fateNoOpenID: 20, fateUnknown: 8, fateDead: 20}, n)
	require.Len(t, ids, 638)
	require.Equal(t, users, demoUsers(now, 1))
	require.NotEqual(t, users, demoUsers(now, 2))
}

func TestPlay_WrongMessage_NoticesEveryDifference(t *testing.T) {
	t.Parallel()
	values, page := formIDPlay().values, demoPage
	good := func() sim.Message {
		m := sim.Message{TemplateID: demoTemplate(demoApp).TemplateID, Page: page}
		for _, f := range demoTemplate(demoApp).Fields {
			m.Data = append(m.Data, sim.Field{Key: f.Key, Value: values[f.Key], Color: f.Color})
		}
		return m
	}
	require.Empty(t, formIDPlay().wrongMessage(good()))
	for name, spoil := range map[string]func(*sim.Message){
		"page":     func(m *sim.Message) { m.Page = strings.ReplaceAll(m.Page, "&&", "&") },
		"template": func(m *sim.Message) { m.TemplateID = "other" },
		"value":    func(m *sim.Message) { m.Data[3].Value = "250.00海贝" },
		"colour":   func(m *sim.Message) { m.Data[0].Color = "" },
		"missing":  func(m *sim.Message) { m.Data = m.Data[:4] },
	} {
		m := good()
		spoil(&m)
		require.NotEmpty(t, formIDPlay().wrongMessage(m), name)
	}
}

// Where the platform reports deliveries, whoever was sent to has one, and a msgid, and nobody else.
func TestPlay_WrongDelivery(t *testing.T) {
	t.Parallel()
	id, delivered, failed := int64(1), "delivered", "failed"
	for _, tc := range []struct {
		play  play
		r     push.Recipient
		wrong bool
	}{
		{subscribePlay(), push.Recipient{State: push.Sent, MsgID: &id, Delivery: &delivered}, false},
		{subscribePlay(), push.Recipient{State: push.Unknown}, false},
		{subscribePlay(), push.Recipient{State: push.Sent, MsgID: &id}, true},
		{subscribePlay(), push.Recipient{State: push.Sent, MsgID: &id, Delivery: &failed}, true},
		{subscribePlay(), push.Recipient{State: push.Sent, Delivery: &delivered}, true},
		{subscribePlay(), push.Recipient{State: push.Failed, Delivery: &delivered}, true},
		{formIDPlay(), push.Recipient{State: push.Sent}, false},
	} {
		require.Equal(t, tc.wrong, tc.play.wrongDelivery(tc.r) != "", "%+v", tc.r)
	}
}

func TestDemoDir_OfASecondDemo_IsAnother(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first, release, err := demoDir(data)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(data, "demo"), first)
	second, releaseSecond, err := demoDir(data)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(data, "demo-2"), second)
	require.NoError(t, release())
	again, release, err := demoDir(data)
	require.NoError(t, err)
	require.Equal(t, first, again, "what is free is used again")
	require.NoError(t, errors.Join(release(), releaseSecond()))
}

func TestSettled_ACanceledTaskWithOpenRecipients_IsNot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state push.TaskState
		open  push.Counts
		want  bool
	}{
		{push.TaskDone, push.Counts{}, true},
		{push.TaskCanceled, push.Counts{}, true},
		{push.TaskCanceled, push.Counts{Pending: 1}, false},
		{push.TaskCanceled, push.Counts{Waiting: 1}, false},
		{push.TaskCanceled, push.Counts{Sending: 1}, false},
		{push.TaskDraft, push.Counts{Pending: 1}, true},
		{push.TaskMissed, push.Counts{Pending: 1}, true},
		{push.TaskSending, push.Counts{}, false},
	} {
		require.Equal(t, test.want, settled(push.Task{State: test.state, Counts: test.open}), "%+v", test)
	}
	err := (&cli{}).watched(push.Task{ID: 7, State: push.TaskCanceled, Counts: push.Counts{Total: 9, Sending: 3}})
	require.ErrorContains(t, err, "3 recipients are still under way")
}

func TestUnderWay_SaysHowManyAreSkippedAndHowManyCallsAreFinished(t *testing.T) {
	t.Parallel()
	for text, counts := range map[string]push.Counts{
		"1360 recipients are being skipped, 4 calls are being finished; ": {Pending: 1300, Waiting: 60, Sending: 4},
		"1 recipient is being skipped; ":                                  {Pending: 1},
		"1 call is being finished; ":                                      {Sending: 1},
	} {
		require.Equal(t, text+"the final figures: minipush task watch 7", underWay(push.Task{ID: 7, State: push.TaskCanceled, Counts: counts}))
	}
}

func TestWorkers_OnlyAFreshHeartbeatIsRunning(t *testing.T) {
	t.Parallel()
	require.Equal(t, "2 running, last heartbeat 400ms ago", workers{live: 2, age: 400 * time.Millisecond}.text())
	require.Contains(t, workers{stale: 1, age: 3100 * time.Millisecond}.text(), "0 running, last heartbeat 3.1s ago")
	require.Contains(t, workers{}.text(), "minipush serve")
}
