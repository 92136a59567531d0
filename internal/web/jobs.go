package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"riverqueue.com/riverui"

	"minipush/internal/dispatch"
	"minipush/internal/store"
	"minipush/internal/web/api"
	"minipush/internal/web/auth"
)

// jobsPrefix is where River's job pages are served.
const jobsPrefix = "/ops/jobs"

// newJobPages makes River's job pages. They must be started before they are served.
func newJobPages(d *dispatch.Dispatcher, log *slog.Logger) (*riverui.Handler, error) {
	return riverui.NewHandler(&riverui.HandlerOpts{Endpoints: riverui.NewEndpoints(d.River(), nil), Logger: log, Prefix: jobsPrefix})
}

// jobsRole is the weakest role that may: to look, a viewer; to retry, cancel or delete a job, an operator.
func jobsRole(method string) auth.Role {
	if method == http.MethodGet || method == http.MethodHead {
		return auth.Viewer
	}
	return auth.Operator
}

// guardJobs lets people in, viewers to look and operators to change something, who are logged in to the console, or by HTTP basic authentication, the token being the password, and keeps
// other sites out: a browser adds the login by itself, also to a request that another site makes it send, and River's handler has no guard of its own.
//
// The pages show the jobs of all apps, so a token that is limited to some apps is refused. Retrying or deleting a job there is
// harmless: a chunk's table says what is unfinished, and a job that runs twice or never changes nothing of it (invariants 1 and 6).
func (s *Server) guardJobs(pages http.Handler) http.Handler {
	crossSite := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := s.jobsCaller(r)
		if errors.Is(err, auth.ErrUnauthenticated) {
			w.Header().Set("WWW-Authenticate", `Basic realm="minipush jobs", charset="UTF-8"`)
		}
		if err == nil {
			auth.Note(r.Context(), p)
			err = api.Allow(p, r.Method, jobsRole(r.Method))
		}
		if err == nil && !p.SeesAll() {
			err = &api.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "the job pages show all apps; this token is limited to some"}
		}
		if err == nil && crossSite.Check(r) != nil {
			err = &api.Problem{Status: http.StatusForbidden, Code: "cross_site", Detail: "the request comes from another site"}
		}
		if err == nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
			err = s.noteJobs(w, r, p)
		}
		if err != nil {
			api.WriteProblem(w, r, s.log, err)
			return
		}
		h := w.Header()
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		pages.ServeHTTP(w, r)
	})
}

// maxJobsBody bounds what is asked of the job pages: the ids of a thousand jobs are a tenth of it.
const maxJobsBody = 256 << 10

// noteJobs writes into the audit log what is asked of the job pages, before River does it in a transaction of its own.
func (s *Server) noteJobs(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJobsBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return tooLarge
	}
	if err != nil {
		return &api.Problem{Status: http.StatusBadRequest, Code: "unreadable_body", Detail: "the body could not be read to its end"}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.Address = auth.Address(r)
	var asked map[string]any
	_ = json.Unmarshal(body, &asked) // what is no object River refuses
	return s.store.InsertAuditEntry(store.WithCaller(r.Context(), p.Caller()), store.AuditEntry{
		Action: "jobs.change", Object: strings.TrimPrefix(r.URL.Path, jobsPrefix+"/api/"), Detail: asked,
	})
}

// jobsCaller finds who is logged in to the console, or else whose token the password of HTTP basic authentication is.
func (s *Server) jobsCaller(r *http.Request) (auth.Principal, error) {
	session, err := s.sessions.Of(r)
	if errors.Is(err, auth.ErrUnauthenticated) {
		return s.tokens.Basic(r)
	}
	return session.Principal, err
}
