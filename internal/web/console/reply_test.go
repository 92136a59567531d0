package console

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A page that cannot be made is the page of a problem, whole, and never the half that was made of it.
func TestWrite_ATemplateThatFails_IsAPageThatNamesTheRequest(t *testing.T) {
	t.Parallel()
	texts, err := readCatalogues()
	require.NoError(t, err)
	files, err := newAssets()
	require.NoError(t, err)
	cfg := Config{Location: time.UTC, Now: time.Now}
	var log bytes.Buffer
	k := &Console{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil)), assets: files}
	k.templates, err = newTemplates(texts, files, cfg)
	require.NoError(t, err)
	for _, out := range []reply{page("accounts", "no page of accounts"), part("permits", "stock", 7), page("nowhere", nil)} {
		log.Reset()
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-Id", "req-4711")
		k.write(w, newCall(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/accounts", nil)), out)
		require.Equal(t, http.StatusInternalServerError, w.Code)
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
		require.Contains(t, w.Body.String(), texts[chinese]["problem.internal"])
		require.Contains(t, w.Body.String(), "req-4711")
		require.Equal(t, 1, bytes.Count(w.Body.Bytes(), []byte("<html")))
		require.Contains(t, log.String(), "req-4711")
		require.Contains(t, log.String(), "render "+out.name)
	}
}
