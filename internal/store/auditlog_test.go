package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

func TestAuditLog_IsPagedByTimeAndNarrowed(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	st := store.New(pool)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO audit_log (at, actor, action, object, address)
		SELECT now() - make_interval(hours => n / 2), CASE WHEN n % 10 = 0 THEN 'ann' ELSE 'bob' END, 'task.pause', 'task:' || n % 7, '10.0.0.1' FROM generate_series(1, 100) n`)
	require.NoError(t, err)
	seen := map[int64]bool{}
	var before *store.AuditPlace
	for range 10 {
		page, err := st.AuditLog(t.Context(), store.AuditFilter{Before: before, Limit: 13})
		require.NoError(t, err)
		for i, e := range page {
			require.False(t, seen[e.ID], "an entry is on one page, also of those of the same time")
			require.True(t, i == 0 || !e.At.After(page[i-1].At), "newest first")
			seen[e.ID] = true
			before = &store.AuditPlace{At: e.At, ID: e.ID}
		}
	}
	require.Len(t, seen, 100)

	from := time.Now().Add(-10*time.Hour - time.Minute)
	for name, tc := range map[string]struct {
		f    store.AuditFilter
		want int
	}{
		"actor":           {store.AuditFilter{Actor: "ann"}, 10},
		"object":          {store.AuditFilter{Object: "task:3"}, 14},
		"action":          {store.AuditFilter{Action: "task.send"}, 0},
		"since":           {store.AuditFilter{From: &from}, 21},
		"until":           {store.AuditFilter{To: &from}, 79},
		"apps":            {store.AuditFilter{AppIDs: []int32{1}}, 0},
		"actor and since": {store.AuditFilter{Actor: "ann", From: &from}, 2},
	} {
		tc.f.Limit = 1000
		page, err := st.AuditLog(t.Context(), tc.f)
		require.NoError(t, err, name)
		require.Len(t, page, tc.want, name)
	}
}

func TestAuditLog_IsOnlyAddedTo(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	st := store.New(pool)
	require.NoError(t, st.InsertAuditEntry(t.Context(), store.AuditEntry{Actor: "ann", Action: "task.pause", Address: "10.0.0.1"}))
	for _, sql := range []string{`UPDATE audit_log SET actor = 'bob'`, `DELETE FROM audit_log`, `TRUNCATE audit_log`} {
		_, err := pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "only added to", sql)
	}
	entries, err := st.AuditEntries(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Equal(t, "ann", entries[0].Actor)
	require.Equal(t, "10.0.0.1", entries[0].Address)
}
