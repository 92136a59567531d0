package dispatch_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// The queries of docs/operating.md run on the schema as it is, after a task of which one user could not be reached.
func TestOperatingQueries_RunAndAnswer(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	queries := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.GreaterOrEqual(t, len(queries), 10)

	b := setup(t, nil)
	users := b.users(3, 2)
	task := b.draft(append(users, "nobody"))
	b.work(b.d)
	_, err = b.d.Send(t.Context(), "test", task.ID, nil)
	require.NoError(t, err)
	b.wait(task.ID, push.TaskDone)

	// How many rows each query answers here; -1 is any number.
	want := []int{1, 0, -1, 0, 0, 0, 1, 1, -1, 0, -1, 0}
	require.Len(t, queries, len(want))
	for i, q := range queries {
		rows, err := b.st.Pool().Query(t.Context(), q[1])
		require.NoError(t, err)
		n := 0
		for rows.Next() {
			n++
		}
		require.NoError(t, rows.Err(), "query %d:\n%s", i+1, q[1])
		if want[i] >= 0 {
			require.Equal(t, want[i], n, "query %d:\n%s", i+1, q[1])
		}
	}
}
