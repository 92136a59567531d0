package api

import (
	"net/http"

	"minipush/internal/web/auth"
)

// Paths that many rows share, and the methods of rows that change something.
const (
	post, put, patch, del = http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete

	appPath      = "/api/v1/apps/{app}"
	taskPath     = "/api/v1/tasks/{id}"
	listPath     = appPath + "/lists/{name}"
	schedulePath = "/api/v1/schedules/{schedule}"
)

// Routes is the route table of the API: every call there is, the weakest role that may make it, under which action it is noted, and its
// parameters.
func (a *API) Routes() []Route {
	t := &table{a: a}
	t.read("/api/v1/openapi.yaml", auth.NoRole, serveOpenAPI)
	a.appRoutes(t)
	a.setRoutes(t)
	a.taskRoutes(t)
	t.read("/api/v1/reports/daily", auth.Viewer, handle(a, http.StatusOK, a.daily), "app", "from", "to", "by")
	return t.routes
}

// table collects rows.
type table struct {
	a      *API
	routes []Route
}

func (t *table) row(r Route, h handler) {
	r.Handler = t.a.guard(r, h)
	t.routes = append(t.routes, r)
}

// read adds a call that changes nothing.
func (t *table) read(pattern string, role auth.Role, h handler, query ...string) {
	t.row(Route{Method: http.MethodGet, Pattern: pattern, Role: role, Query: query}, h)
}

// change adds a call that changes something: it runs in one transaction with its entry in the audit log under the action.
func (t *table) change(method, pattern string, role auth.Role, action string, h handler, query ...string) {
	t.row(Route{Method: method, Pattern: pattern, Role: role, Audit: action, Query: query}, h)
}

// noted adds a call whose entry is written by what the handler calls.
func (t *table) noted(method, pattern string, role auth.Role, action string, h handler, query ...string) {
	t.row(Route{Method: method, Pattern: pattern, Role: role, Audit: action, Noted: true, Query: query}, h)
}

// collect adds a call that takes in what programs report, which is not noted: it comes thousands of times a minute, and its rows bear their
// own times.
func (t *table) collect(pattern string, h handler) {
	t.row(Route{Method: post, Pattern: pattern, Role: auth.Collector, Unaudited: "reported by programs"}, h)
}

// appRoutes are the apps: what they are, what is collected for them, what their tasks are made of.
func (a *API) appRoutes(t *table) {
	t.read("/api/v1/apps", auth.Viewer, handle(a, http.StatusOK, a.listApps), "limit", "cursor")
	t.change(patch, appPath, auth.Admin, "app.settings", handle(a, http.StatusOK, a.changeApp))
	t.change(post, appPath+"/pause", auth.Operator, "app.pause", handle(a, http.StatusOK, a.pauseApp))
	t.change(post, appPath+"/resume", auth.Operator, "app.resume", handle(a, http.StatusOK, a.resumeApp))

	t.collect(appPath+"/users", handle(a, http.StatusOK, a.reportUsers))
	t.read(appPath+"/users/{user_id}", auth.Viewer, handle(a, http.StatusOK, a.showUser))
	t.collect(appPath+"/form-ids", handle(a, http.StatusOK, a.reportFormIDs))
	t.collect(appPath+"/subscriptions", handle(a, http.StatusOK, a.reportSubscriptions))
	t.read(appPath+"/permits", auth.Viewer, handle(a, http.StatusOK, a.showPermits))
	t.noted(post, appPath+"/permits/retry", auth.Operator, "permit.retry", handle(a, http.StatusOK, a.retryPermits))

	t.read(appPath+"/products", auth.Collector, handle(a, http.StatusOK, a.listProducts), "limit", "cursor")
	t.read(appPath+"/products/{code}", auth.Collector, handle(a, http.StatusOK, a.showProduct))
	t.change(put, appPath+"/products/{code}", auth.Collector, "product.set", handle(a, http.StatusOK, a.putProduct))
	t.read(appPath+"/templates", auth.Operator, handle(a, http.StatusOK, a.listTemplates), "limit", "cursor")
	t.noted(post, appPath+"/templates/sync", auth.Operator, "template.sync", handle(a, http.StatusOK, a.syncTemplates))
	t.read(appPath+"/templates/{template_id}", auth.Operator, handle(a, http.StatusOK, a.showTemplate))
	t.change(put, appPath+"/templates/{template_id}", auth.Operator, "template.set", handle(a, http.StatusOK, a.putTemplate))
}

// setRoutes are what is set up beside the tasks: saved lists, schedules, the suppression list; and who did what.
func (a *API) setRoutes(t *table) {
	t.read("/api/v1/suppressions", auth.Viewer, handle(a, http.StatusOK, a.listSuppressions), "app", "user_id", "openid", "limit", "cursor")
	t.change(post, "/api/v1/suppressions", auth.Author, "suppression.add", handle(a, http.StatusOK, a.addSuppressions))
	t.change(del, "/api/v1/suppressions/{suppression_id}", auth.Operator, "suppression.remove", handle(a, http.StatusNoContent, a.removeSuppression))

	t.read(appPath+"/lists", auth.Viewer, handle(a, http.StatusOK, a.listLists), "limit", "cursor")
	t.noted(put, listPath, auth.Author, "list.upload", a.uploadList, "filename", "user_id_column", "limit")
	t.read(listPath, auth.Viewer, handle(a, http.StatusOK, a.showList))
	t.change(del, listPath, auth.Author, "list.delete", handle(a, http.StatusNoContent, a.deleteList))
	t.read(listPath+"/rejects.csv", auth.Viewer, a.downloadListRejects, "version")

	t.read("/api/v1/audit", auth.Admin, handle(a, http.StatusOK, a.listAudit), "app", "actor", "action", "object", "from", "to", "limit", "cursor")
	t.read("/api/v1/accounts", auth.Admin, handle(a, http.StatusOK, a.listAccounts), "limit", "cursor")
	t.read("/api/v1/tokens", auth.Admin, handle(a, http.StatusOK, a.listTokens), "limit", "cursor")
	t.change(del, "/api/v1/tokens/{token}", auth.Admin, "token.revoke", handle(a, http.StatusNoContent, a.revokeToken))

	t.read("/api/v1/schedules", auth.Viewer, handle(a, http.StatusOK, a.listSchedules), "app", "limit", "cursor")
	t.change(post, "/api/v1/schedules", auth.Author, "schedule.create", handle(a, http.StatusCreated, a.createSchedule))
	t.read(schedulePath, auth.Viewer, handle(a, http.StatusOK, a.showSchedule))
	t.change(patch, schedulePath, auth.Author, "schedule.change", handle(a, http.StatusOK, a.changeSchedule))
	t.change(del, schedulePath, auth.Author, "schedule.delete", handle(a, http.StatusNoContent, a.deleteSchedule))
	t.change(post, schedulePath+"/pause", auth.Approver, "schedule.pause", handle(a, http.StatusOK, a.turnSchedule(a.d.PauseSchedule)))
	t.change(post, schedulePath+"/resume", auth.Approver, "schedule.resume", handle(a, http.StatusOK, a.turnSchedule(a.d.ResumeSchedule)))
	t.read(schedulePath+"/ticks", auth.Viewer, handle(a, http.StatusOK, a.listTicks), "limit", "cursor")
}

// taskRoutes are the tasks, up to what came of them.
func (a *API) taskRoutes(t *table) {
	t.read("/api/v1/tasks", auth.Viewer, handle(a, http.StatusOK, a.listTasks), "app", "state", "approval", "from", "to", "limit", "cursor")
	t.change(post, "/api/v1/tasks", auth.Author, "task.create", handle(a, http.StatusCreated, a.createTask))
	t.read(taskPath, auth.Viewer, handle(a, http.StatusOK, a.showTask))
	t.change(patch, taskPath, auth.Author, "task.change", handle(a, http.StatusOK, a.changeTask))
	t.change(del, taskPath, auth.Author, "task.delete", handle(a, http.StatusNoContent, a.deleteTask))
	t.change(post, taskPath+"/product", auth.Author, "task.product", handle(a, http.StatusOK, a.refreshProduct))

	t.noted(put, taskPath+"/audience", auth.Author, "task.audience", a.uploadAudience, "list", "filename", "user_id_column", "exclude_task", "limit")
	t.read(taskPath+"/audience", auth.Viewer, handle(a, http.StatusOK, a.showAudience))
	t.read(taskPath+"/rejects.csv", auth.Viewer, a.downloadRejects)
	t.read(taskPath+"/audience/rejects.csv", auth.Viewer, a.downloadRejects) // the contract can be read either way
	t.read(taskPath+"/reach", auth.Viewer, handle(a, http.StatusOK, a.reach(a.d.Reach)), "at")
	t.change(post, taskPath+"/reach", auth.Author, "task.reach", handle(a, http.StatusAccepted, a.reach(a.d.AskReach)), "at")
	t.read(taskPath+"/preview", auth.Author, handle(a, http.StatusOK, a.preview), "seq")

	t.read(taskPath+"/testers", auth.Author, handle(a, http.StatusOK, a.listTesters))
	t.change(post, taskPath+"/test", auth.Author, "task.test", a.testTask)
	t.noted(post, taskPath+"/dry-run", auth.Author, "task.dry_run", handle(a, http.StatusOK, a.dryRun))
	t.read(taskPath+"/dry-run", auth.Viewer, handle(a, http.StatusOK, a.showDryRun))
	t.change(post, taskPath+"/send", auth.Approver, "task.send", handle(a, http.StatusAccepted, a.sendTask))
	t.noted(post, taskPath+"/approve", auth.Approver, "task.approve", handle(a, http.StatusOK, a.judgeTask(a.d.Approve)))
	t.noted(post, taskPath+"/reject", auth.Approver, "task.reject", handle(a, http.StatusOK, a.judgeTask(a.d.Reject)))
	t.change(post, taskPath+"/unschedule", auth.Approver, "task.unschedule", handle(a, http.StatusOK, a.moveTask(a.d.Unschedule)))
	t.change(post, taskPath+"/pause", auth.Operator, "task.pause", handle(a, http.StatusOK, a.moveTask(a.d.Pause)))
	t.change(post, taskPath+"/resume", auth.Approver, "task.resume", handle(a, http.StatusOK, a.moveTask(a.d.Resume)))
	t.change(post, taskPath+"/cancel", auth.Operator, "task.cancel", handle(a, http.StatusOK, a.moveTask(a.d.Cancel)))

	t.change(post, taskPath+"/clone", auth.Author, "task.clone", handle(a, http.StatusCreated, a.cloneTask))
	t.change(post, taskPath+"/resend", auth.Author, "task.resend", handle(a, http.StatusCreated, a.resendTask))
	t.noted(post, taskPath+"/resolve", auth.Operator, "task.resolve", handle(a, http.StatusOK, a.resolveTask))

	t.read(taskPath+"/recipients", auth.Viewer, handle(a, http.StatusOK, a.listRecipients), "state", "reason", "user_id", "limit", "cursor")
	t.noted(http.MethodGet, taskPath+"/results", auth.Viewer, "task.export", a.downloadResults, "format", "state") // what leaves the house, and with whom
}
