package web

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"minipush/internal/web/api"
	"minipush/internal/web/auth"
)

// spareTime is what the reading and the writing of a request may take beyond CallTimeout, where it sets no bounds of its own.
const spareTime = 30 * time.Second

// wrap puts the layers around every request, the outermost first.
func (s *Server) wrap(next http.Handler) http.Handler {
	known := regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		deadline := time.Now().Add(s.cfg.CallTimeout + spareTime)
		_ = conn.SetReadDeadline(deadline) // a connection without deadlines is a test's
		_ = conn.SetWriteDeadline(deadline)

		id := r.Header.Get("X-Request-Id")
		if !known.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		ctx, principal := auth.WithNote(api.WithRequestID(r.Context(), id))
		r = r.WithContext(ctx)
		out := &watched{ResponseWriter: w}
		started := time.Now()
		defer func() { s.finish(out, r, *principal, time.Since(started), recover()) }()
		next.ServeHTTP(out, r)
	})
}

// finish answers for a handler that panicked, and notes the request in log and metrics.
func (s *Server) finish(out *watched, r *http.Request, principal string, took time.Duration, panicked any) {
	cutOff := panicked == http.ErrAbortHandler //nolint:errorlint // a panic value, which net/http compares so too
	if panicked != nil && !cutOff {
		s.log.ErrorContext(r.Context(), "handler panicked", slog.String("request_id", api.RequestID(r.Context())), slog.String("route", r.Pattern),
			slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())))
		if out.status == 0 && isPage(r) {
			s.console.Failed(out, r, fmt.Errorf("panic: %v", panicked))
		} else if out.status == 0 {
			api.WriteProblem(out, r, s.log, fmt.Errorf("panic: %v", panicked))
		}
	}
	if out.status == 0 {
		out.status = http.StatusOK // net/http writes it for a handler that wrote nothing
	}
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	s.metrics.observe(route, out.status, took)
	level := slog.LevelInfo
	if slices.Contains([]string{"GET /healthz", "GET /readyz", "GET /metrics", "GET " + jobsPrefix + "/", "POST " + callbackPath,
		"GET /console/static/{file}", "GET /console/tasks/{id}/progress"}, route) {
		level = slog.LevelDebug // these are asked for every few seconds
	}
	s.log.LogAttrs(r.Context(), level, "request", slog.String("request_id", api.RequestID(r.Context())), slog.String("method", r.Method),
		slog.String("route", route), slog.Int("status", out.status), slog.Duration("duration", took), slog.String("principal", principal),
		slog.Bool("cut_off", cutOff))
	if panicked != nil && (cutOff || out.status != http.StatusInternalServerError) {
		panic(http.ErrAbortHandler) // the answer was begun: only a broken connection tells the client
	}
}

// watched remembers the status of an answer.
type watched struct {
	http.ResponseWriter
	status int
}

func (o *watched) WriteHeader(status int) {
	if o.status == 0 && status >= http.StatusOK { // 1xx come before the answer
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *watched) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return o.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (o *watched) Unwrap() http.ResponseWriter { return o.ResponseWriter }
