package console

import (
	"net/http"

	"minipush/internal/web/auth"
)

// home is the first page.
const home = "/console/tasks"

// Route is one row of the route table.
type Route struct {
	Method string
	// Pattern is the path of http.ServeMux. {app} is the key of an app and {id} the id of a task: the guard resolves them, and the
	// account must see them.
	Pattern string
	// Role is the weakest role that may; NoRole is everybody, also without a login.
	Role auth.Role
	// Own: it changes only what belongs to the one who is logged in, which a viewer may too.
	Own bool
	// Audit is the action under which the change is noted, in its transaction; empty for what changes nothing, or notes it itself.
	Audit string
	// Handler is set by the table.
	Handler http.Handler
}

// Routes is the route table of the console: every screen there is.
func (k *Console) Routes() []Route {
	t := &table{k: k}
	t.add(Route{Method: http.MethodGet, Pattern: "/{$}"}, func(*http.Request) string { return home })
	t.add(Route{Method: http.MethodGet, Pattern: "/console/{$}"}, func(*http.Request) string { return home })
	t.routes = append(t.routes, Route{Method: http.MethodGet, Pattern: staticPrefix + "{file}", Handler: k.assets})
	k.loginRoutes(t)
	k.preferenceRoutes(t)
	k.profileRoutes(t)
	k.totpRoutes(t)
	k.taskListRoutes(t)
	k.taskRoutes(t)
	k.trialRoutes(t)
	k.sendRoutes(t)
	k.resultRoutes(t)
	k.recipientRoutes(t)
	k.userRoutes(t)
	k.reportRoutes(t)
	k.makeRoutes(t)
	k.permitRoutes(t)
	k.manageRoutes(t)
	k.appListRoutes(t)
	k.appRoutes(t)
	k.templateRoutes(t)
	k.productRoutes(t)
	k.scheduleRoutes(t)
	k.suppressionRoutes(t)
	k.accountRoutes(t)
	k.tokenRoutes(t)
	k.auditRoutes(t)
	return t.routes
}

// table collects rows.
type table struct {
	k      *Console
	routes []Route
}

// add adds a redirect that everybody may follow.
func (t *table) add(r Route, to func(*http.Request) string) {
	r.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, to(req), http.StatusSeeOther) })
	t.routes = append(t.routes, r)
}

// page adds a page: a GET that changes nothing.
func (t *table) page(pattern string, role auth.Role, h handler) {
	t.row(Route{Method: http.MethodGet, Pattern: pattern, Role: role}, h)
}

// change adds a POST that changes something. It runs in one transaction with an entry in the audit log under the action.
func (t *table) change(pattern string, role auth.Role, action string, h handler) {
	t.row(Route{Method: http.MethodPost, Pattern: pattern, Role: role, Audit: action}, h)
}

// own adds a POST that changes only what is the caller's own.
func (t *table) own(pattern string, h handler) {
	t.row(Route{Method: http.MethodPost, Pattern: pattern, Role: auth.Viewer, Own: true}, h)
}

// open adds a row that everybody may use, also without a login.
func (t *table) open(method, pattern string, h handler) {
	t.row(Route{Method: method, Pattern: pattern}, h)
}

// stream adds a row whose handler reads the body or writes the answer itself: an upload or a download. It opens its own transaction,
// and writes its own entry in the audit log.
func (t *table) stream(method, pattern string, role auth.Role, h streamHandler) {
	r := Route{Method: method, Pattern: pattern, Role: role}
	r.Handler = t.k.stream(r, h)
	t.routes = append(t.routes, r)
}

func (t *table) row(r Route, h handler) {
	r.Handler = t.k.guard(r, h)
	t.routes = append(t.routes, r)
}
