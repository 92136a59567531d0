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
	code := execute(t.Context(), append(args, "--json", "--timeout", "60s"), strings.NewReader(""), &out, &errOut)
	require.Zero(t, code, errOut.String())
	var r report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Equal(t, "on", r.Settings["fsync"])
	require.Equal(t, "on", r.Settings["synchronous_commit"])
	return r
}

func TestBench_MeasuresEveryVariantOnce(t *testing.T) {
	t.Parallel()
	r := measured(t, "--recipients", "200", "--per-job-recipients", "50", "--pairs", "1", "--in-flight", "50", "--only", "0,a,b,c")
	require.Len(t, r.Pairs, 1)
	for _, v := range []variant{constantLoop, simLoop, theOriginal, jobEach} {
		require.Positive(t, r.Pairs[0].Rates[v], "(%s)", v)
	}
}
