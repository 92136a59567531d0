// Package console is the web console: server-rendered pages in Chinese and English for people who know neither Postgres nor cron.
//
// # One request
//
//	route table → guard (origin, who, role, app or task, form) → handler → reply → layout and template → page
//	routes.go     guard.go                                      a screen   reply.go  page.go
//
// A handler is func(ctx, *call) (reply, error): it reads from package store, changes things only through packages dispatch and auth,
// and returns a typed page or a redirect. It never sees the ResponseWriter, but for streams (see [Console.stream]). What it returns as
// an error becomes a page in problem.go, and nowhere else. Pages work without JavaScript; htmx only refreshes parts of them.
//
// # How to add a screen
//
// A screen has a name, such as "schedules", and one file of each kind under that name:
//
//  1. schedules.go: the typed page struct, the handlers, and their rows: func (k *Console) scheduleRoutes(t *table). A page is
//     returned by page("schedules", data); of a form that is wrong, refuse(err, &p.Name, &p.Cron) puts the errors at the fields, and
//     invalid("schedules", data) shows it again (see profile.go); a change that was made is
//     redirect("/console/schedules").saying("schedules.flash_paused").
//  2. templates/schedules.html: {{define "content"}} and, where the head of the page has buttons, {{define "actions"}}. The dot is the
//     page struct. A page with a chart loads the library by {{define "head"}}<script src="{{asset "echarts.common.min.js"}}" defer></script>{{end}}. Partials are in templates/partial/*.html, each with a comment that says what its dot is.
//  3. catalog/zh-CN/schedules.json and catalog/en/schedules.json: every text, one key a line, each key beginning with "schedules."; the
//     title of the page is "schedules.title".
//     A key that code or a template makes of a prefix and a value needs its family in families.go.
//  4. routes.go: one line that calls scheduleRoutes; shell.go: one line in the nav, if it has a place there.
//     A new kind of thing in a path, such as {schedule}, is found in resolve of guard.go: what the account must not see is not there.
//  5. Tests: render it in schedules_test.go through the real handler (see tasks_test.go), and in browser_test.go where it matters
//     how it behaves. The matrix of roles, the catalogue test and, for pages in the nav, the accessibility test find it by themselves.
//
// Rules for templates: no text but by {{t "key" args…}} and {{tk "prefix." value}} (a key made of a fixed prefix and a value; the family of its values
// is listed in families.go); no inline script, style or event handler, for the Content-Security-Policy forbids them; numbers by {{num}}, times by {{template "time" .}}.
//
// # What holds for every request
//
//  1. Nobody logged in: to the login page, and back afterwards to a path of this console only. A role that is too weak: 403. What
//     belongs to an app that the account may not touch does not exist: 404. All three are decided by the guard from the route table.
//  2. A request that changes something and comes from another site is refused, by what the browser says of its origin.
//  3. A change runs in one transaction with its entry in the audit log; after it the browser is redirected.
//  4. Openids and formIds are whole for operators and administrators only (call.mask).
//  5. Progress that is watched is read once a second for all who watch (live.go), and streams end when the daemon stops.
//  6. Pages are never cached; static files are named by their content and cached for ever.
package console
