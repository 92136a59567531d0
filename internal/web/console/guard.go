package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// maxForm bounds the body of a form, in bytes; uploads are streams.
const maxForm = 1 << 20

// policy is the Content-Security-Policy of every page: only files of this host, no inline script or style. Tabler draws marks as data: images.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

var (
	errForbidden = errors.New("the role is too weak")
	errCrossSite = errors.New("the request comes from another site")
	errNoLogin   = errors.New("not logged in")
)

// call is a request that was admitted: who makes it, in which language, and what its path names.
type call struct {
	r *http.Request
	// requestID finds the request in the log.
	requestID string
	preferences
	// session is who is logged in; zero where the route is open to everybody.
	session auth.Session
	// apps are the apps that the account sees, by their key.
	apps []push.App
	// app is what {app} names, task what {id} names; zero where the path has none.
	app  push.App
	task push.Task
	// form is what was posted; nil of a GET.
	form url.Values
	// audit is what the audit log will say of the change; a handler may add to its Object and Detail.
	audit store.AuditEntry
}

// newCall is the call of a request of which nothing is known yet. Package web has put the id of the request into the answer.
func newCall(w http.ResponseWriter, r *http.Request) *call {
	return &call{r: r, requestID: w.Header().Get("X-Request-Id"), preferences: readPreferences(r)}
}

// handler answers an admitted call with a page or a redirect.
type handler func(ctx context.Context, c *call) (reply, error)

// streamHandler serves an admitted call itself. It returns an error only as long as it has written nothing.
type streamHandler func(w http.ResponseWriter, r *http.Request, c *call) error

// may says whether the one who is logged in may use a row for which lowest is the weakest role and that changes something.
func (c *call) may(lowest auth.Role) bool { return c.session.Principal.Role.May(lowest, auth.Write) }

// actor is who is written down for what is changed.
func (c *call) actor() string { return c.session.Principal.Name }

// appIDs are the apps to show: the one that was chosen in the header, or all that the account sees; nil is all.
func (c *call) appIDs() []int32 {
	if chosen, ok := c.chosenApp(); ok {
		return []int32{chosen.ID}
	}
	return c.session.Principal.AppIDs
}

// chosenApp is the app that was chosen in the header; false for all.
func (c *call) chosenApp() (push.App, bool) {
	i := slices.IndexFunc(c.apps, func(a push.App) bool { return a.Key == c.appKey })
	if i < 0 {
		return push.App{}, false
	}
	return c.apps[i], true
}

// value is a field of the form, or of the query of a GET, without spaces around it.
func (c *call) value(name string) string {
	if c.form != nil {
		return strings.TrimSpace(c.form.Get(name))
	}
	return strings.TrimSpace(c.r.URL.Query().Get(name))
}

// guard lets a request through to its handler if the route table allows it, and answers it.
func (k *Console) guard(route Route, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), k.cfg.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		secure(w)
		c, err := k.admit(w, r, route)
		if err == nil {
			err = k.readForm(w, r, c)
		}
		var out reply
		if err == nil {
			out, err = k.run(store.WithCaller(ctx, c.session.Principal.Caller()), route, c, h)
		}
		if err != nil {
			out = k.problem(c, err)
		}
		k.write(w, c, out)
	})
}

// stream is guard for handlers that read the body or write the answer themselves.
func (k *Console) stream(route Route, h streamHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		c, err := k.admit(w, r, route)
		if err == nil {
			err = h(w, r.WithContext(store.WithCaller(r.Context(), c.session.Principal.Caller())), c)
		}
		if err != nil {
			k.write(w, c, k.problem(c, err))
		}
	})
}

// run runs a handler, and the entry in the audit log with it: both are there or neither. A refused form is no change.
func (k *Console) run(ctx context.Context, route Route, c *call, h handler) (out reply, err error) {
	if route.Audit == "" {
		return h(ctx, c)
	}
	c.audit = c.entry(route.Audit)
	err = k.store.InTx(ctx, func(ctx context.Context) error {
		if out, err = h(ctx, c); err != nil {
			return err
		}
		if out.status >= http.StatusBadRequest {
			return errUnchanged
		}
		return k.store.InsertAuditEntry(ctx, c.audit)
	})
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return out, err
}

// entry is what the audit log says of an action upon what the path names.
func (c *call) entry(action string) store.AuditEntry {
	e := store.AuditEntry{Action: action}
	if c.task.ID != 0 {
		e.AboutTask(c.task)
	} else if c.app.ID != 0 {
		e.AboutApp(c.app)
	}
	return e
}

// errUnchanged rolls back what a handler did before it refused the form.
var errUnchanged = errors.New("nothing was changed")

// admit decides who calls, and whether they may, and resolves what the path names. The call is there also beside an error, for the page that says it.
func (k *Console) admit(w http.ResponseWriter, r *http.Request, route Route) (*call, error) {
	c := newCall(w, r)
	if err := k.origin.Check(r); err != nil {
		return c, errCrossSite
	}
	session, err := k.sessions.Of(r)
	if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
		return c, err
	}
	if err != nil {
		if route.Role == auth.NoRole {
			return c, nil
		}
		return c, errNoLogin
	}
	c.session = session
	auth.Note(r.Context(), session.Principal)
	if err := k.readApps(r.Context(), c); err != nil {
		return c, err
	}
	access := auth.Write
	if route.Own || r.Method == http.MethodGet || r.Method == http.MethodHead {
		access = auth.Read
	}
	if route.Role != auth.NoRole && !session.Principal.Role.May(route.Role, access) {
		return c, errForbidden
	}
	return c, k.resolve(r, route, c)
}

// readApps reads the apps that the account sees.
func (k *Console) readApps(ctx context.Context, c *call) error {
	apps, err := k.store.Apps(ctx)
	c.apps = slices.DeleteFunc(apps, func(a push.App) bool { return !c.session.Principal.Sees(a.ID) })
	return err
}

// resolve finds what {app} and {id} name. What the account must not see is not there.
func (k *Console) resolve(r *http.Request, route Route, c *call) error {
	if strings.Contains(route.Pattern, "{app}") {
		i := slices.IndexFunc(c.apps, func(a push.App) bool { return a.Key == r.PathValue("app") })
		if i < 0 {
			return fmt.Errorf("app: %w", push.ErrNotFound)
		}
		c.app = c.apps[i]
	}
	if !strings.Contains(route.Pattern, "{id}") {
		return nil
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return fmt.Errorf("task: %w", push.ErrNotFound)
	}
	task, err := k.store.Task(r.Context(), id)
	if err == nil && !c.session.Principal.Sees(task.AppID) {
		err = fmt.Errorf("task %d: %w", id, push.ErrNotFound)
	}
	if err == nil {
		c.task = task
	}
	return err
}

// readForm reads what was posted.
func (k *Console) readForm(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("%w: %w", errBadForm, err)
	}
	c.form = r.PostForm
	return nil
}

// secure sets the headers that every page has.
func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}
