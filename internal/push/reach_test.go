package push_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// One count answers for any time of sending, and goes on being right as time passes.
func TestReachFigures_AnswerForAnyTime(t *testing.T) {
	t.Parallel()
	asOf := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	in := func(d time.Duration) int64 { return asOf.Add(d).UnixMicro() }
	f := push.ReachFigures{
		AsOf: asOf, NoUser: 1, NoOpenID: 2, DuplicateOpenID: 3, Suppressed: 4,
		Free:         push.Ends{push.NoEnd: 5, in(time.Hour): 6, in(20 * time.Hour): 7, push.EndNever: 8},
		FreeEnough:   push.Ends{push.NoEnd: 12, in(time.Hour): 6, push.EndNever: 8},
		Capped:       push.Ends{push.NoEnd: 9, in(20 * time.Hour): 10},
		CappedEnough: push.Ends{push.NoEnd: 9, in(20 * time.Hour): 10},
	}
	at := func(at, now time.Duration) push.Reach {
		r := f.At(asOf.Add(at), asOf.Add(now), 10*time.Minute, time.UTC)
		require.Equal(t, 55, r.Total)
		require.Equal(t, r.Total, r.Reachable+r.NoPermit+r.NoUser+r.NoOpenID+r.DuplicateOpenID+r.Suppressed+r.Capped)
		require.Equal(t, asOf, *r.AsOf)
		r.AsOf, r.Total, r.NoUser, r.NoOpenID, r.DuplicateOpenID, r.Suppressed = nil, 0, 0, 0, 0, 0
		return r
	}
	now := push.Reach{Reachable: 21, NoPermit: 5, Capped: 19, Contended: 7, Expiring: []push.DayCount{{Day: "2026-11-25", Count: 6}, {Day: "2026-11-26", Count: 7}}}
	require.Equal(t, now, at(0, 0))
	require.Equal(t, now, at(-time.Hour, 0), "a time that has passed is now")
	soon := push.Reach{Reachable: 15, NoPermit: 11, Capped: 19, Contended: 7, ExpiresBeforeSend: 6, Expiring: []push.DayCount{{Day: "2026-11-26", Count: 7}}}
	require.Equal(t, soon, at(50*time.Minute, 0), "the margin before the end counts")
	soon.ExpiresBeforeSend = 0
	require.Equal(t, soon, at(0, 50*time.Minute), "what has ended since the count is no permit")
	require.Equal(t, push.Reach{Reachable: 25, NoPermit: 20, Contended: 7, ExpiresBeforeSend: 6, Expiring: []push.DayCount{{Day: "2026-11-26", Count: 17}}},
		at(15*time.Hour, 0), "the cap of another day is untouched")
	require.Equal(t, push.Reach{Reachable: 8, NoPermit: 37, ExpiresBeforeSend: 23, Expiring: []push.DayCount{}}, at(30*24*time.Hour, 0))
}

func TestEnds_AreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, e := range []push.Ends{nil, {}, {push.NoEnd: 5}, {push.NoEnd: 5, 1795500000000000: 1, push.EndNever: 7}} {
		text, err := json.Marshal(e)
		require.NoError(t, err)
		var back push.Ends
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, e, back)
		var spaced push.Ends
		require.NoError(t, json.Unmarshal([]byte(strings.NewReplacer(":", " : ", ",", " , ", "{", "{ ").Replace(string(text))), &spaced))
		require.Equal(t, e, spaced, "as jsonb writes it")
	}
	for _, text := range []string{`[]`, `7`, `{"x":1}`, `{"1":"x"}`, `{"1":1.5}`, `{"1":{"2":3}}`} {
		var e push.Ends
		require.Error(t, json.Unmarshal([]byte(text), &e), text)
	}
}
