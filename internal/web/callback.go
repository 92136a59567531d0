package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/web/api"
	"minipush/internal/wechat/callback"
)

// callbackPath is the address of an app's message push, set on the platform's page.
const callbackPath = "/callbacks/wechat/{app}"

// callbackPatience is how long a message push may take: the platform gives up after 5 s, and comes again.
const callbackPatience = 4 * time.Second

// maxPushes is how many message pushes are read and kept at a time. Who calls the address without being the platform is refused before: nobody who
// has not signed holds one of the places, however slowly he sends.
const maxPushes = 16

// errBusy says that more message pushes come than are read at a time.
var errBusy = errors.New("too many message pushes at a time")

// echoCallback answers the platform's verification of the address. A plain signature does not cover the text that goes back.
func (s *Server) echoCallback(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callbackPatience)
	defer cancel()
	echo, err := s.d.EchoCallback(ctx, r.PathValue("app"), r.URL.Query())
	if err != nil {
		s.refuseCallback(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, echo) // the platform has gone: nothing to do
}

// takeCallback takes a message push in. "success" says that it is kept; anything else makes the platform send it again.
func (s *Server) takeCallback(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callbackPatience)
	defer cancel()
	if err := s.d.AdmitCallback(ctx, r.PathValue("app"), r.URL.Query()); err != nil {
		w.Header().Set("Connection", "close") // or the server would wait for the body before it answers
		s.refuseCallback(w, r, err)
		return
	}
	if !s.pushes.TryAcquire(1) {
		s.refuseCallback(w, r, errBusy)
		return
	}
	defer s.pushes.Release(1)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(callbackPatience)) // where it cannot be set, the server's own holds
	body, err := io.ReadAll(io.LimitReader(r.Body, callback.MaxBodyBytes+1))
	if err == nil {
		err = s.d.TakeCallback(ctx, r.PathValue("app"), r.URL.Query(), body)
	}
	if err != nil {
		s.refuseCallback(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "success")
}

// refuseCallback answers a push that was not taken in. Who sent it is told no more than that.
func (s *Server) refuseCallback(w http.ResponseWriter, r *http.Request, err error) {
	p := &api.Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "it was not kept; send it again"}
	switch {
	case errors.Is(err, push.ErrNotFound), errors.Is(err, dispatch.ErrNoCallback):
		p = &api.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "no message push is taken at this path"}
	case errors.Is(err, callback.ErrTooLarge):
		p = &api.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "the body is too large"}
	case errors.Is(err, callback.ErrSignature), errors.Is(err, callback.ErrStale), errors.Is(err, callback.ErrAppID), errors.Is(err, callback.ErrDamaged),
		errors.Is(err, callback.ErrEncrypted), errors.Is(err, callback.ErrNotEncrypted), errors.Is(err, callback.ErrMalformed):
		p = &api.Problem{Status: http.StatusForbidden, Code: "refused", Detail: err.Error()}
	}
	api.WriteProblem(w, r, s.log, p)
}
