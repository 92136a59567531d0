package sim

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStalls_TickOver10msLate_IsNotedWithItsTimes(t *testing.T) {
	t.Parallel()
	s, err := New(Config{})
	require.NoError(t, err)
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	s.ticked(at, at.Add(watchTick+stallAfter))
	require.Empty(t, s.Stalls())
	late := at.Add(watchTick + stallAfter + time.Microsecond)
	s.ticked(at, late)
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest("GET", "/sim/stalls", nil))
	var got struct {
		Stalls []Stall `json:"stalls"`
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &got))
	require.Equal(t, []Stall{{From: at, To: late}}, got.Stalls)
	s.Reset()
	require.Empty(t, s.Stalls())
}
