package storetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

func TestPool_DatabasesAreMigratedAndApart(t *testing.T) {
	t.Parallel()
	t0 := time.Now()
	a := storetest.Pool(t)
	t.Log(time.Since(t0))
	t0 = time.Now()
	b := storetest.Pool(t)
	t.Log(time.Since(t0))
	require.NoError(t, store.CheckSchema(t.Context(), a))
	_, err := a.Exec(t.Context(), "CREATE TABLE only_here ()")
	require.NoError(t, err)
	_, err = b.Exec(t.Context(), "CREATE TABLE only_here ()")
	require.NoError(t, err)
}
