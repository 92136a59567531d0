package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// call is a request that was admitted: who makes it, and what its path names.
type call struct {
	*params
	principal auth.Principal
	// app is what {app} names; zero where the path has none.
	app push.App
	// task is what {id} names; zero where the path has none.
	task push.Task
	// schedule is what {schedule} names; zero where the path has none.
	schedule push.Schedule
	// audit is what the audit log will say of the change; a handler may add to it. Its Action is empty where nothing is noted.
	audit store.AuditEntry
	// noted: the entry is written by the handler.
	noted bool
	// body is the JSON body as it came; nil where the handler reads it itself.
	body []byte
	// path reads a part of the path by its name in the pattern.
	path func(name string) string
}

// handler serves an admitted call. It returns an error only as long as it has written nothing.
type handler func(w http.ResponseWriter, r *http.Request, c *call) error

// none is a request without a body, or an answer without one (204).
type none struct{}

// mayBeEmpty is a request whose body may be left out.
type mayBeEmpty interface{ mayBeEmpty() }

func (none) mayBeEmpty() {}

// answer is an answer before it is written.
type answer struct {
	status      int
	contentType string
	body        []byte
}

var errTimeout = fmt.Errorf("%w: the call's time is over", context.DeadlineExceeded)

// handle makes a handler of a function from request to answer: it reads and decodes the body, bounds the time, honours the
// Idempotency-Key of a POST, and encodes.
func handle[Req, Resp any](a *API, status int, fn func(ctx context.Context, c *call, req *Req) (*Resp, error)) handler {
	return func(w http.ResponseWriter, r *http.Request, c *call) error {
		ctx, cancel := context.WithTimeoutCause(r.Context(), a.cfg.Timeout, errTimeout)
		defer cancel()
		req := new(Req)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if err := readRequest(w, r, c, req); err != nil {
				return err
			}
		}
		run := func(ctx context.Context) (answer, error) {
			resp, err := audited(ctx, a, c, func(ctx context.Context) (*Resp, error) { return fn(ctx, c, req) })
			if err != nil {
				return answer{}, timedOut(ctx, err)
			}
			return encode(a, status, resp)
		}
		out, err := a.once(ctx, w, r, c, run)
		if err != nil {
			return timedOut(ctx, err)
		}
		out.write(w)
		return nil
	}
}

// readRequest reads the body into c.body and decodes it into req.
func readRequest(w http.ResponseWriter, r *http.Request, c *call, req any) (err error) {
	if c.body, err = readBody(w, r); err != nil {
		return err
	}
	if _, ok := req.(mayBeEmpty); ok && len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	return decode(c.body, req)
}

// timedOut makes err a timeout if that is what it comes from, whatever the database driver made of it.
func timedOut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func encode[Resp any](a *API, status int, resp *Resp) (answer, error) {
	if _, empty := any(resp).(*none); empty {
		return answer{status: http.StatusNoContent}, nil
	}
	inZone(resp, a.cfg.Location)
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(resp); err != nil {
		return answer{}, fmt.Errorf("encode answer: %w", err)
	}
	return answer{status: status, contentType: "application/json", body: body.Bytes()}, nil
}

func (out answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if out.contentType != "" {
		h.Set("Content-Type", out.contentType)
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body) // the client is gone
}
