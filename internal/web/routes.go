package web

import (
	"net/http"
	"strings"

	"minipush/internal/web/api"
	"minipush/internal/web/auth"
)

// Routes is the whole route table: what is served, by which method, and the weakest role that may. The rows of the API are in
// package api, those of the pages in package console; the job pages stand once for each method, for what they may change is theirs.
func (s *Server) Routes() []api.Route { return append(s.serviceRoutes(), s.opsRoutes()...) }

// serviceRoutes are the rows that are always served at Addr.
func (s *Server) serviceRoutes() []api.Route {
	routes := s.api.Routes()
	for _, r := range s.console.Routes() {
		routes = append(routes, api.Route{Method: r.Method, Pattern: r.Pattern, Role: r.Role, Own: r.Own, Handler: r.Handler})
	}
	jobs := s.guardJobs(s.jobs)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch} {
		routes = append(routes, api.Route{Method: method, Pattern: jobsPrefix + "/", Role: jobsRole(method), Handler: jobs})
	}
	return append(routes,
		api.Route{Method: http.MethodGet, Pattern: callbackPath, Role: auth.NoRole, Handler: http.HandlerFunc(s.echoCallback)},
		api.Route{Method: http.MethodPost, Pattern: callbackPath, Role: auth.NoRole, Handler: http.HandlerFunc(s.takeCallback)})
}

// opsRoutes are the rows that are bound apart where OpsAddr is set.
func (s *Server) opsRoutes() []api.Route {
	get := func(pattern string, h http.Handler) api.Route {
		return api.Route{Method: http.MethodGet, Pattern: pattern, Role: auth.NoRole, Handler: h}
	}
	return []api.Route{
		get("/healthz", http.HandlerFunc(s.healthz)),
		get("/readyz", http.HandlerFunc(s.readyz)),
		get("/metrics", s.metrics.handler()),
	}
}

// mux serves a route table. What is in no row is a problem too, and not the plain text of http.ServeMux.
func (s *Server) mux(routes []api.Route) http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.Handle(route.Method+" "+route.Pattern, route.Handler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, pattern := mux.Handler(r); pattern == "" {
			s.notRouted(w, r, h)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// notRouted answers a request for which the table has no row: a method that is not there (405), or no such path (404).
func (s *Server) notRouted(w http.ResponseWriter, r *http.Request, h http.Handler) {
	plain := &headerOnly{header: http.Header{}}
	h.ServeHTTP(plain, r)
	if isPage(r) {
		s.console.NotRouted(w, r, plain.status)
		return
	}
	allow := plain.header.Get("Allow")
	if plain.status != http.StatusMethodNotAllowed {
		api.WriteProblem(w, r, s.log, &api.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "there is nothing at this path"})
		return
	}
	w.Header().Set("Allow", allow)
	api.WriteProblem(w, r, s.log, &api.Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "here only " + strings.ToUpper(allow) + " are served",
	})
}

// isPage says whether a person's browser asks for a page of the console, and is answered with one whatever becomes of it.
func isPage(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/console/") }

// headerOnly takes the status and the header of an answer and drops its body.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(b []byte) (int, error) { return len(b), nil }
