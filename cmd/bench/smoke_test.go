package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// measured runs the bench in the small and reads its report.
func measured(t *testing.T, args ...string) report {
	t.Helper()
	var out, errOut bytes.Buffer
	code := execute(t.Context(), append(args, "--json", "--timeout", "180s"), strings.NewReader(""), &out, &errOut)
	require.Zero(t, code, errOut.String())
	var r report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Equal(t, "on", r.Settings["fsync"])
	require.Equal(t, "on", r.Settings["synchronous_commit"])
	return r
}

// built is one minipush for all tests of the package.
func built(t *testing.T) string {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	return path
}

func TestBench_MeasuresEveryVariantAndEveryRegime(t *testing.T) {
	t.Parallel()
	r := measured(t, "--recipients", "200", "--per-job-recipients", "50", "--pairs", "1", "--in-flight", "50",
		"--regimes", "--regime-recipients", "200", "--settle", "10ms", "--minipush", built(t))
	require.Len(t, r.Pairs, 1)
	for _, v := range variants() {
		require.Positive(t, r.Pairs[0].Rates[v], "(%s)", v)
	}
	require.Positive(t, r.Pairs[0].PeakMemory)
	c := r.Pairs[0].Cost
	require.Equal(t, 200, c.Recipients)
	require.GreaterOrEqual(t, c.Recipient.Updated, int64(400), "each recipient is written ahead, and its outcome after")
	require.Positive(t, c.Statements)
	require.Positive(t, c.WALBytes)
	require.Len(t, r.Regimes, len(regimes()))
	for _, g := range r.Regimes {
		require.GreaterOrEqual(t, g.Cost.Recipient.Updated, int64(400), g.Regime)
	}
	require.Len(t, r.Exact, 1+len(regimes()))
}

func TestBench_MeasuresTheImport(t *testing.T) {
	t.Parallel()
	r := measured(t, "import", "--rows", "2000", "--pairs", "1", "--minipush", built(t))
	require.Len(t, r.Imports, 1)
	require.Equal(t, 1980, r.Imports[0].Distinct)
	require.Positive(t, r.Imports[0].Import)
	require.Positive(t, r.Imports[0].Copy)
	require.Positive(t, r.Imports[0].PeakMemory)
}

func TestBench_MeasuresTheReach(t *testing.T) {
	t.Parallel()
	r := measured(t, "reach", "--recipients", "6000", "--answers", "5", "--minipush", built(t))
	require.Len(t, r.Figures, 8)
	for _, f := range r.Figures {
		require.Positive(t, f.Value, f.Name)
	}
}

// A page that is new must have a question, and every page must be there over tables that hold what they hold in production.
func TestBench_AsksForEveryPage(t *testing.T) {
	t.Parallel()
	r := measured(t, "pages", "--tasks", "20", "--recipients", "1000", "--each", "1", "--viewers", "5", "--watch", "1s")
	require.NotEmpty(t, r.Pages)
	for _, p := range r.Pages {
		require.Positive(t, p.P95, p.name())
	}
	require.Len(t, r.Figures, 9)
}
