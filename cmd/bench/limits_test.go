package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

func TestJudgeArrivals_SecondsThatTouchAStallAreSetApart(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var arrived []time.Time
	for ms := 0; ms <= 10_000; ms += 100 {
		arrived = append(arrived, at(ms))
	}
	even := judgeArrivals(arrived, nil)
	require.Equal(t, limitResult{Calls: 101, Average: 10, Worst: 10, WorstOfAll: 10}, even)

	burst := append([]time.Time{}, arrived[:50]...)
	for range 10 { // what came while it stood still bears the time at which it went on
		burst = append(burst, at(4900))
	}
	burst = append(burst, arrived[50:]...)
	require.Equal(t, 20, judgeArrivals(burst, nil).Worst)
	apart := judgeArrivals(burst, []sim.Stall{{From: at(4850), To: at(4900)}})
	require.Equal(t, 10, apart.Worst)
	require.Equal(t, 20, apart.WorstOfAll)
	require.Positive(t, apart.Apart)
	require.Equal(t, limitResult{Calls: 1}, judgeArrivals(arrived[:1], nil))
}

func TestLimitResult_AllowsTwoPerCentOrOneCallMore(t *testing.T) {
	t.Parallel()
	for rate, most := range map[int]int{1: 2, 50: 51, 1000: 1020, 5000: 5100} {
		require.Equal(t, most, limitResult{Rate: rate}.allowed())
	}
}

func TestBench_MeasuresLimitsOverServeProcesses(t *testing.T) {
	t.Parallel()
	r := measured(t, "limits", "--rates", "100", "--daemons", "2", "--work", "2s", "--minipush", built(t))
	require.Len(t, r.Limits, 1)
	require.Equal(t, 200, r.Limits[0].Calls)
	require.LessOrEqual(t, r.Limits[0].Worst, 102, "invariant 9")
	require.Len(t, r.Figures, 2)
}
