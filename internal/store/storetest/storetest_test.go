package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"minipush/internal/store"
)

func TestPool_DatabasesAreMigratedAndApart(t *testing.T) {
	t.Parallel()
	a, b := Pool(t), Pool(t)
	require.NoError(t, store.CheckSchema(t.Context(), a))
	for _, pool := range []interface{ Ping(context.Context) error }{a, b} {
		require.NoError(t, pool.Ping(t.Context()))
	}
	_, err := a.Exec(t.Context(), "CREATE TABLE only_here ()")
	require.NoError(t, err)
	_, err = b.Exec(t.Context(), "CREATE TABLE only_here ()")
	require.NoError(t, err)
}

func TestEmpty_HasNoTables(t *testing.T) {
	t.Parallel()
	var behind *store.SchemaError
	require.ErrorAs(t, store.CheckSchema(t.Context(), Connect(t, Empty(t))), &behind)
}

func TestDatabase_DroppedAfterThePassed_KeptAfterTheFailed(t *testing.T) {
	t.Parallel()
	s := mustServer(t)

	passed := &fakeTest{TB: t}
	url := s.database(passed, s.cloneSQL())
	require.True(t, exists(t, s, nameOf(url)))
	passed.end()
	require.False(t, exists(t, s, nameOf(url)))

	failed := &fakeTest{TB: t, failed: true}
	url = s.database(failed, s.cloneSQL())
	open, err := pgx.Connect(t.Context(), url) // a connection that the test left open does not matter
	require.NoError(t, err)
	defer open.Close(t.Context())
	failed.end()
	require.False(t, exists(t, s, nameOf(url)))
	require.Len(t, failed.logs, 1)
	_, kept, found := strings.Cut(failed.logs[0], "/"+keptPrefix)
	require.True(t, found, failed.logs[0])
	kept, _, _ = strings.Cut(keptPrefix+kept, "?")
	require.True(t, exists(t, s, kept))
	require.NoError(t, s.exec(t.Context(), "DROP DATABASE "+kept))
}

func TestPrepare_DropsWhatKilledRunsLeft_AndNothingElse(t *testing.T) {
	t.Parallel()
	s := mustServer(t)
	dead := testPrefix + "7_1" // number 7 is below every process's number but for one in 300 million
	live := nameOf(Empty(t))
	for _, name := range []string{dead, keptPrefix + "1000_1_1"} {
		require.NoError(t, s.exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0"))
	}
	require.NoError(t, s.prepare(t.Context()))
	require.False(t, exists(t, s, dead))
	require.False(t, exists(t, s, keptPrefix+"1000_1_1"), "kept long enough")
	require.True(t, exists(t, s, live), "its process lives")
}

func TestPrepare_AtOnce_OneTemplate_AlsoAfterABuilderWasKilled(t *testing.T) {
	t.Parallel()
	other := *mustServer(t)
	other.template += "_of_a_test"
	require.NoError(t, other.exec(t.Context(), "CREATE DATABASE "+other.template+" TEMPLATE template0"))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, other.exec(ctx, "ALTER DATABASE "+other.template+" IS_TEMPLATE false", "DROP DATABASE "+other.template))
	})
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = other.prepare(t.Context()) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, store.CheckSchema(t.Context(), Connect(t, other.database(t, other.cloneSQL()))))
}

func exists(t *testing.T, s *server, name string) (is bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.admin.String())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&is))
	return is
}

func nameOf(url string) string {
	_, name, _ := strings.Cut(url, ":///")
	if name == "" { // with a host in it
		name = url[strings.LastIndex(url, "/")+1:]
	}
	name, _, _ = strings.Cut(name, "?")
	return name
}

// fakeTest is a test within the test, whose end and outcome the test decides.
type fakeTest struct {
	testing.TB
	failed   bool
	cleanups []func()
	logs     []string
}

func (f *fakeTest) Cleanup(fn func())          { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTest) Failed() bool               { return f.failed }
func (f *fakeTest) Logf(s string, args ...any) { f.logs = append(f.logs, fmt.Sprintf(s, args...)) }

func (f *fakeTest) end() {
	for _, fn := range f.cleanups {
		fn()
	}
}
