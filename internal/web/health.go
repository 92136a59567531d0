package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"minipush/internal/store"
)

// readyTimeout bounds the look at the database; an orchestrator asks again.
const readyTimeout = 2 * time.Second

// healthz says that the process serves. It looks at nothing else: a restart cures nothing that is outside of it.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, "ok", "")
}

// readyz says whether requests can be served: Postgres answers, its schema is the one of this program, and it is not stopping.
// Nothing else is looked at: an app with a wrong secret, or a platform that is down, must not stop the intake of permits.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		writeHealth(w, http.StatusServiceUnavailable, "unready", "stopping")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	reason, err := "postgres does not answer", s.store.Pool().Ping(ctx)
	if err == nil {
		reason, err = "the schema is not the one of this program; run: minipush migrate up", s.schema.check(ctx, s.store)
	}
	if err != nil {
		s.log.WarnContext(ctx, "not ready", slog.String("reason", reason), slog.Any("err", err))
		writeHealth(w, http.StatusServiceUnavailable, "unready", reason)
		return
	}
	writeHealth(w, http.StatusOK, "ready", "")
}

func writeHealth(w http.ResponseWriter, status int, word, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // the client is gone
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}{word, reason})
}

// schemaCheck remembers for a while that the schema is current: the look takes several statements.
type schemaCheck struct {
	mu   sync.Mutex
	good time.Time
}

// schemaGoodFor is how long a schema that was found current is not looked at again.
const schemaGoodFor = 15 * time.Second

func (c *schemaCheck) check(ctx context.Context, st *store.Store) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.good) < schemaGoodFor {
		return nil
	}
	if err := store.CheckSchema(ctx, st.Pool()); err != nil {
		return errors.Join(errors.New("check schema"), err)
	}
	c.good = time.Now()
	return nil
}
