package web

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// wrapped serves a handler behind the layers of every request, without a database.
func wrapped(t *testing.T, h http.HandlerFunc) (url string, logged *bytes.Buffer) {
	t.Helper()
	logged = &bytes.Buffer{}
	s := &Server{
		log:     slog.New(slog.NewJSONHandler(logged, nil)),
		metrics: &metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "x"}, []string{"route", "status"})},
	}
	server := httptest.NewServer(s.wrap(h))
	t.Cleanup(server.Close)
	return server.URL, logged
}

func get(t *testing.T, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

func TestWrap_APanicIsAnOpaque500(t *testing.T) {
	t.Parallel()
	url, logged := wrapped(t, func(http.ResponseWriter, *http.Request) { panic("the password is hunter2") })
	resp, err := get(t, url)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	require.NoError(t, err)
	require.NotContains(t, body.String(), "hunter2")
	require.Contains(t, body.String(), resp.Header.Get("X-Request-Id"))
	require.Contains(t, logged.String(), "middleware_test.go", "the log has the stack")
}

func TestWrap_AnAnswerThatCannotBeFinishedIsCutOff(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"Aborted": http.ErrAbortHandler, "Panicked": "late"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, logged := wrapped(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
				panic(value)
			})
			resp, err := get(t, url)
			require.NoError(t, err)
			var body bytes.Buffer
			_, err = body.ReadFrom(resp.Body)
			require.Error(t, err, "the client sees that it is not all")
			require.Contains(t, logged.String(), `"msg":"request"`)
		})
	}
}
