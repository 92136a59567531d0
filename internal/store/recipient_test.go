package store_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// manyRecipients makes a task of n recipients in chunks of 1,000, beside the rows of another list, all sent.
func (b *bundle) manyRecipients(n int) int64 {
	b.t.Helper()
	id := b.sending(1, "first")
	b.exec(`DELETE FROM recipient`)
	b.exec(`DELETE FROM chunk`)
	b.exec(`INSERT INTO chunk (task_id, no, lo, hi, pending, sent)
		SELECT $1, c, c * 1000, (c + 1) * 1000, 0, 1000 FROM generate_series(0, $2::int / 1000 - 1) c ORDER BY random()`, id, n)
	b.exec(`INSERT INTO recipient (audience_id, seq, user_id, state)
		SELECT l.id, s, 'u' || s, 2 FROM (SELECT audience_id AS id FROM task WHERE id = $1 UNION SELECT 99) l, generate_series(0, $2::int - 1) s
		 ORDER BY random()`, id, n)
	return id
}

// plan is what explain says of the page of 100 after seq 5,000, and how many blocks were read for it.
func (b *bundle) plan(task int64, mode string) (plan string, buffers int) {
	b.t.Helper()
	conn, err := b.st.Pool().Acquire(b.t.Context())
	require.NoError(b.t, err)
	defer conn.Release()
	_, err = conn.Exec(b.t.Context(), `SET plan_cache_mode = `+mode)
	require.NoError(b.t, err)
	_, err = conn.Exec(b.t.Context(), `PREPARE page (bigint, int, smallint, smallint, text, bigint) AS `+store.RecipientPage())
	require.NoError(b.t, err)
	var text []byte
	err = conn.QueryRow(b.t.Context(), fmt.Sprintf(`EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE page (%d, 5000, -1::smallint, 0::smallint, '', 100)`, task)).Scan(&text)
	require.NoError(b.t, err)
	_, err = conn.Exec(b.t.Context(), `DEALLOCATE page`)
	require.NoError(b.t, err)
	_, err = conn.Exec(b.t.Context(), `RESET plan_cache_mode`)
	require.NoError(b.t, err)
	var root []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		} `json:"Plan"`
	}
	require.NoError(b.t, json.Unmarshal(text, &root))
	return string(text), root[0].Plan.Hit + root[0].Plan.Read
}

// A page reads the chunks that it lies in, and not the list (100,000 rows in no order), whatever the statistics say.
func TestRecipients_ReadsThePageOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`ALTER TABLE recipient SET (autovacuum_enabled = off)`)
	b.exec(`ALTER TABLE chunk SET (autovacuum_enabled = off)`)
	task := b.manyRecipients(50_000)
	for _, statistics := range []string{"none", "fresh"} {
		if statistics == "fresh" {
			b.exec(`ANALYZE`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan, buffers := b.plan(task, mode)
			require.Less(t, buffers, 3000, "%s statistics, %s: %s", statistics, mode, plan)
		}
	}
	for _, after := range []int32{-1, 998, 5000} {
		page, err := b.st.Recipients(t.Context(), task, store.RecipientFilter{After: after, Limit: 1500})
		require.NoError(t, err)
		require.Len(t, page, 1500)
		for i, r := range page {
			require.Equal(t, after+1+int32(i), r.Seq)
		}
	}
}

// However the rows lie and whatever plan is taken, pages are in the order of seq.
func TestRecipients_OrderDoesNotHangOnThePlan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.manyRecipients(5_000)
	for _, setting := range []string{"enable_nestloop", "enable_indexscan", "enable_sort"} {
		b.exec(`ALTER ROLE CURRENT_USER IN DATABASE ` + b.strings(`SELECT current_database()::text`)[0] + ` SET ` + setting + ` = off`)
	}
	b.st.Pool().Reset() // the settings are those of new connections
	require.Equal(t, []string{"off"}, b.strings(`SELECT current_setting('enable_nestloop')`))
	page, err := b.st.Recipients(t.Context(), task, store.RecipientFilter{After: -1, Limit: 2500})
	require.NoError(t, err)
	require.Len(t, page, 2500)
	for i, r := range page {
		require.Equal(t, int32(i), r.Seq)
	}
}

// Every object says since when it is there, and when it changed last.
func TestRecipients_HaveTheTimeOfTheirList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.users(1, "a", "X")
	task := b.sending(10, "a", "b")
	list, err := b.st.Audience(t.Context(), task)
	require.NoError(t, err)
	run := b.run(task, 0)
	b.record(run, sent(b.claim(run, 0, 1).Sending[0]))
	rows, err := b.st.Recipients(t.Context(), task, store.RecipientFilter{After: -1, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, list.CreatedAt, rows[0].CreatedAt)
	require.Equal(t, list.CreatedAt, rows[1].CreatedAt)
	require.Equal(t, push.Sent, rows[0].State)
	require.Equal(t, "a-0", *rows[0].FormID)
	require.True(t, rows[0].UpdatedAt.After(list.CreatedAt))
	require.Equal(t, list.CreatedAt, *rows[1].UpdatedAt)
}

// The largest keys that a cursor may hold are numbers like others.
func TestLists_AfterTheLargestKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.task("a")
	rows, err := b.st.Recipients(t.Context(), task, store.RecipientFilter{After: math.MaxInt32 - 1, Limit: 10})
	require.NoError(t, err)
	require.Empty(t, rows)
	tasks, err := b.st.Tasks(t.Context(), store.TaskFilter{Before: math.MaxInt64, Limit: 10})
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	list, err := b.st.Audience(t.Context(), task)
	require.NoError(t, err)
	added, err := b.st.AddRecipients(t.Context(), list.ID, 1, math.MaxInt64, []store.NewRecipient{{UserID: "b"}})
	require.NoError(t, err)
	require.Equal(t, 1, added)
}

// The codes of Postgres do not leave the package: what it cannot hold has a name of its own.
func TestUser_TextThatPostgresCannotHold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, bad := range []string{"\x00", "\xff"} {
		_, err := b.st.User(t.Context(), b.app.ID, bad)
		require.ErrorIs(t, err, push.ErrUnstorable)
		require.NotContains(t, err.Error(), "SQLSTATE")
	}
}
