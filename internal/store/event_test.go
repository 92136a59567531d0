package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
)

// read counts the rows that fn reads of the tables, in one transaction.
func (b *bundle) read(fn func(ctx context.Context), tables ...string) (rows int) {
	b.t.Helper()
	require.NoError(b.t, b.st.InTx(b.t.Context(), func(ctx context.Context) error {
		sum := func() (n int) {
			require.NoError(b.t, store.Tx(ctx).QueryRow(ctx, `
				SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables WHERE relname = ANY ($1)`, tables).Scan(&n))
			return n
		}
		before := sum()
		fn(ctx)
		rows = sum() - before
		return nil
	}))
	return rows
}

// Events that are about no message of ours cost the rows of their own people, whatever the statistics say: not the tasks, nor the recipients.
func TestUnclaimedEvents_ReadTheirOwnPeopleOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tables := []string{"task", "recipient", "app_user", "openid_move", "openid_call"}
	for _, table := range append(tables, "sent_event") {
		b.exec(`ALTER TABLE ` + table + ` SET (autovacuum_enabled = off)`)
	}
	b.task("first")
	b.exec(`INSERT INTO task (app_id, template_id, audience, created_by) SELECT app_id, template_id, 'list', 'test' FROM task, generate_series(1, 10000)`)
	b.exec(`INSERT INTO audience (task_id, created_by, state) SELECT id, 'test', 'ready' FROM task WHERE audience_id IS NULL`)
	b.exec(`UPDATE task t SET audience_id = l.id FROM audience l WHERE l.task_id = t.id AND t.audience_id IS NULL`)
	b.exec(`INSERT INTO recipient (audience_id, seq, user_id, state, openid)
		SELECT l.id, s, 'u' || u, 2, 'O' || u FROM audience l, generate_series(1, 20) s, LATERAL (SELECT (l.id * 20 + s) % 20000 AS u) n`)
	b.exec(`INSERT INTO app_user (app_id, user_id, openid) SELECT $1, 'u' || n, 'O' || n FROM generate_series(0, 19999) n`, b.app.ID)
	b.exec(`INSERT INTO sent_event (msgid, app_id, openid, template_id, code, at) SELECT n, $1, 'O' || n, 'T', 0, now() FROM generate_series(1, 1000) n`, b.app.ID)
	for _, statistics := range []string{"none", "fresh"} {
		if statistics == "fresh" {
			b.exec(`ANALYZE`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			rows := b.read(func(ctx context.Context) {
				_, err := store.Tx(ctx).Exec(ctx, `SELECT set_config('plan_cache_mode', $1, true)`, mode)
				require.NoError(t, err)
				list, err := b.st.UnclaimedEvents(ctx, 0, time.Minute, time.Minute, 1000)
				require.NoError(t, err)
				require.Len(t, list, 1000)
				require.False(t, list[0].Found)
			}, tables...)
			require.Less(t, rows, 40_000, "%s statistics, %s", statistics, mode)
		}
	}
}
