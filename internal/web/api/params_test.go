package api

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func query(t *testing.T, raw string, allowed ...string) (*params, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x?"+raw, http.NoBody)
	return readParams(r, allowed)
}

func TestReadParams_RefusesWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	for raw, code := range map[string]string{"stat=sent": "unknown_parameter", "state=a&state=b": "repeated_parameter", "state=%zz": "bad_query"} {
		_, err := query(t, raw, "state", "limit")
		require.Equal(t, code, problemOf(err).Code, raw)
		require.Equal(t, http.StatusBadRequest, problemOf(err).Status)
	}
}

func TestParams_CollectAllThatIsWrong(t *testing.T) {
	t.Parallel()
	p, err := query(t, "limit=0&cursor=eHg&from=yesterday", "limit", "cursor", "from")
	require.NoError(t, err)
	p.limit()
	p.after("tasks")
	p.moment("from")
	fields, ok := fieldErrors(p.err())
	require.True(t, ok)
	require.Len(t, fields, 3)
}

func TestParams_Moment_ForgivesAPlusSignThatWasNotEscaped(t *testing.T) {
	t.Parallel()
	p, err := query(t, "from=2026-12-01T10:00:00+08:00", "from")
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC), p.moment("from").UTC())
	require.NoError(t, p.err())
}

func TestCut_PagesThroughAListExactlyOnce(t *testing.T) {
	t.Parallel()
	all := make([]int, 250)
	for i := range all {
		all[i] = i
	}
	var seen []int
	cursor, pages := "", 0
	for {
		p, err := query(t, "limit=100&cursor="+cursor, "limit", "cursor")
		require.NoError(t, err)
		after := int(p.afterNumber("n", -1, 1000))
		require.NoError(t, p.err())
		limit := p.limit()
		rest := all[after+1:]
		page, next := cut(rest[:min(limit+1, len(rest))], limit, "n", strconv.Itoa)
		seen = append(seen, page...)
		pages++
		if next == nil {
			break
		}
		cursor = *next
	}
	require.Equal(t, all, seen)
	require.Equal(t, 3, pages)
}

func TestCursor_BelongsToItsList(t *testing.T) {
	t.Parallel()
	_, next := cut([]int{1, 2}, 1, "products", strconv.Itoa)
	p, err := query(t, "cursor="+*next, "cursor")
	require.NoError(t, err)
	p.after("templates")
	require.Error(t, p.err())
}

func TestCut_AnEmptyListIsAnEmptyArray(t *testing.T) {
	t.Parallel()
	page, next := cut[int](nil, 10, "n", strconv.Itoa)
	require.NotNil(t, page)
	require.Nil(t, next)
}

func TestInZone_ShowsEveryTimeWithTheOffset(t *testing.T) {
	t.Parallel()
	type inner struct{ At *time.Time }
	type outer struct {
		inner
		Created time.Time
		List    []inner
		None    *time.Time
	}
	shanghai := time.FixedZone("", 8*3600)
	at := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	v := outer{inner: inner{At: &at}, Created: at, List: []inner{{At: new(at)}}}
	inZone(&v, shanghai)
	require.Equal(t, "2026-12-01T10:00:00+08:00", v.Created.Format(time.RFC3339))
	require.Equal(t, "2026-12-01T10:00:00+08:00", v.List[0].At.Format(time.RFC3339))
	require.Nil(t, v.None)
}
