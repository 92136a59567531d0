package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary builds minipush once, in a directory that TestMain removes.
var binary func() (string, error) //nolint:gochecknoglobals // set once, before the first test

// TestMain lets the test binary be started again as a helper process, as the bench starts itself.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
	}
	dir, err := os.MkdirTemp("", "minipush-bench-test-")
	if err != nil {
		panic(err)
	}
	binary = sync.OnceValues(func() (string, error) {
		path := filepath.Join(dir, "minipush")
		return path, buildMinipush(context.Background(), path)
	})
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func TestMedian_IsTheMiddle(t *testing.T) {
	t.Parallel()
	require.Zero(t, median(nil))
	require.InDelta(t, 3.0, median([]float64{9, 3, 1}), 1e-9)
	require.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 1e-9)
	values := []float64{2, 1}
	median(values)
	require.Equal(t, []float64{2, 1}, values, "the order of pairs is kept")
}

func TestRatios_DividePairByPairAndPassOverWhatDidNotRun(t *testing.T) {
	t.Parallel()
	pairs := []pair{
		{Rates: map[variant]float64{minipush: 50, simLoop: 100}},
		{Rates: map[variant]float64{minipush: 80}},
		{Rates: map[variant]float64{minipush: 120, simLoop: 200}},
	}
	require.Equal(t, []float64{0.5, 0.6}, ratios(pairs, minipush, simLoop))
	require.Empty(t, ratios(pairs, minipush, jobEach))
	require.Equal(t, []float64{50, 80, 120}, rates(pairs, minipush))
	require.InDelta(t, 200.0, perSecond(100, 500*time.Millisecond), 1e-9)
	require.Zero(t, perSecond(100, 0))
}

func TestFigure_SaysOKOrMissed(t *testing.T) {
	t.Parallel()
	require.Contains(t, atLeast("ratio", 0.5, 0.5, "%.2f").String(), "≥ 0.5     ok")
	require.Contains(t, atLeast("ratio", 0.49, 0.5, "%.2f").String(), "MISSED")
	require.Contains(t, atMost("bytes", 1501, 1500, "%.0f").String(), "≤ 1500    MISSED")
	require.NotContains(t, plain("bytes", 1, "%.0f").String(), "ok")
	encoded, err := json.Marshal(atMost("bytes", 1, 2, "%.0f"))
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"bytes","value":1,"bar":2,"sense":"at most","ok":true}`, string(encoded))
}

func TestCost_IsPerRecipient(t *testing.T) {
	t.Parallel()
	c := cost{
		Recipients: 1000, Statements: 60, BufferHits: 30_000, WALBytes: 640_000,
		Recipient: tableCost{Read: 3000, Updated: 2000, HOT: 1500}, FormID: tableCost{Read: 2000},
	}
	got := map[string]figure{}
	for _, f := range c.figures() {
		got[f.Name] = f
	}
	require.InDelta(t, 0.06, got["statements a recipient"].Value, 1e-9)
	require.False(t, *got["statements a recipient"].OK)
	require.InDelta(t, 30.0, got["buffer hits a recipient"].Value, 1e-9)
	require.InDelta(t, 640.0, got["WAL bytes a recipient, without images"].Value, 1e-9)
	require.InDelta(t, 5.0, got["tuples read a recipient"].Value, 1e-9)
	require.InDelta(t, 75.0, got["HOT share of recipient, %"].Value, 1e-9)
	require.Zero(t, got["HOT share of form_id, %"].Value, "nothing was updated")
	require.Equal(t, tableCost{Read: 1, Updated: 2, HOT: 3}, tableCost{Read: 11, Updated: 12, HOT: 13}.minus(tableCost{Read: 10, Updated: 10, HOT: 10}))
}

func TestWorkload_NamesAreDistinctAndArriveInRandomOrder(t *testing.T) {
	t.Parallel()
	w := workload{Recipients: 2000, PerUser: 3}
	seen := map[string]bool{}
	order := w.arrival()
	require.Len(t, order, 6000)
	require.Equal(t, order, w.arrival(), "the same every time")
	require.False(t, slices.IsSorted(order))
	for _, i := range order {
		seen[formID(i/w.PerUser, i%w.PerUser)] = true
		seen[openID(i/w.PerUser)] = true
	}
	require.Len(t, seen, 8000)
	require.Len(t, openID(1_999_999), 28)
}

func TestImportList_RepeatsOneRowInAHundred(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{1, 99, 100, 1001, 25_000} {
		l := newImportList(rows)
		seen := map[int]bool{}
		repeated := 0
		for i := range rows {
			user := l.user(i)
			if seen[user] {
				repeated++
			}
			seen[user] = true
		}
		require.Equal(t, rows/repeatEvery, repeated, "%d rows", rows)
		require.Len(t, seen, len(l.distinct), "%d rows", rows)
	}
}

func TestAddressFinder_FindsTheAddressInALogThatComesInPieces(t *testing.T) {
	t.Parallel()
	var passed bytes.Buffer
	a := &addressFinder{next: &passed, found: make(chan string, 1)}
	for _, piece := range []string{`{"msg":"database ready"}` + "\n" + `{"msg":"listening","ad`, `dr":"127.0.0.1:40`, `123"}` + "\n", "more\n"} {
		_, err := a.Write([]byte(piece))
		require.NoError(t, err)
	}
	require.Equal(t, "127.0.0.1:40123", <-a.found)
	require.True(t, strings.HasSuffix(passed.String(), "more\n"))
}

func TestURL_TakesAnotherDatabaseAndUser(t *testing.T) {
	t.Parallel()
	got, err := withNames("postgres:///minipush?host=%2Ftmp%2Fx&user=minipush", "pair1", "bench_serve")
	require.NoError(t, err)
	require.Equal(t, "postgres:///pair1?host=%2Ftmp%2Fx&user=bench_serve", got)
}

func TestOptions_RefuseWhatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--recipients", "0"}, {"--only", "e"}, {"--pairs", "-1"}, {"--per-user", "300"}, {"import", "--bogus"}} {
		var out, errOut bytes.Buffer
		require.Equal(t, 1, execute(t.Context(), args, strings.NewReader(""), &out, &errOut), "%v", args)
		require.NotEmpty(t, errOut.String())
	}
}
