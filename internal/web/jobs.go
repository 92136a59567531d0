package web

import (
	"errors"
	"log/slog"
	"net/http"

	"riverqueue.com/riverui"

	"minipush/internal/dispatch"
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

// jobsCaller finds who is logged in to the console, or else whose token the password of HTTP basic authentication is.
func (s *Server) jobsCaller(r *http.Request) (auth.Principal, error) {
	session, err := s.sessions.Of(r)
	if errors.Is(err, auth.ErrUnauthenticated) {
		return s.tokens.Basic(r)
	}
	return session.Principal, err
}
