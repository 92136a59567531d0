package api

import (
	"net/http"

	"minipush/internal/web/auth"
)

// Routes is the route table of the API: every call there is, the weakest role that may make it, and its parameters.
func (a *API) Routes() []Route {
	const (
		get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
		app                        = "/api/v1/apps/{app}"
		task                       = "/api/v1/tasks/{id}"
		list                       = app + "/lists/{name}"
		schedule                   = "/api/v1/schedules/{schedule}"
	)
	var routes []Route
	row := func(r Route, h handler) {
		r.Handler = a.guard(r, h)
		routes = append(routes, r)
	}
	// read is a call that changes nothing.
	read := func(pattern string, role auth.Role, h handler, query ...string) {
		row(Route{Method: get, Pattern: pattern, Role: role, Query: query}, h)
	}
	// change is a call that changes something: it runs in one transaction with its entry in the audit log under the action.
	change := func(method, pattern string, role auth.Role, action string, h handler, query ...string) {
		row(Route{Method: method, Pattern: pattern, Role: role, Audit: action, Query: query}, h)
	}
	// noted is a change whose entry is written by what the handler calls.
	noted := func(method, pattern string, role auth.Role, action string, h handler, query ...string) {
		row(Route{Method: method, Pattern: pattern, Role: role, Audit: action, Noted: true, Query: query}, h)
	}
	// collect takes in what programs report, which is not noted: it comes thousands of times a minute, and its rows bear their own times.
	collect := func(pattern string, h handler) {
		row(Route{Method: post, Pattern: pattern, Role: auth.Collector, Unaudited: "reported by programs"}, h)
	}

	read("/api/v1/openapi.yaml", auth.NoRole, serveOpenAPI)

	read("/api/v1/apps", auth.Viewer, handle(a, http.StatusOK, a.listApps), "limit", "cursor")
	change(patch, app, auth.Admin, "app.settings", handle(a, http.StatusOK, a.changeApp))
	change(post, app+"/pause", auth.Operator, "app.pause", handle(a, http.StatusOK, a.pauseApp))
	change(post, app+"/resume", auth.Operator, "app.resume", handle(a, http.StatusOK, a.resumeApp))

	collect(app+"/users", handle(a, http.StatusOK, a.reportUsers))
	read(app+"/users/{user_id}", auth.Viewer, handle(a, http.StatusOK, a.showUser))
	collect(app+"/form-ids", handle(a, http.StatusOK, a.reportFormIDs))
	collect(app+"/subscriptions", handle(a, http.StatusOK, a.reportSubscriptions))
	read(app+"/permits", auth.Viewer, handle(a, http.StatusOK, a.showPermits))
	noted(post, app+"/permits/retry", auth.Operator, "permit.retry", handle(a, http.StatusOK, a.retryPermits))

	read(app+"/products", auth.Collector, handle(a, http.StatusOK, a.listProducts), "limit", "cursor")
	read(app+"/products/{code}", auth.Collector, handle(a, http.StatusOK, a.showProduct))
	change(put, app+"/products/{code}", auth.Collector, "product.set", handle(a, http.StatusOK, a.putProduct))
	read(app+"/templates", auth.Operator, handle(a, http.StatusOK, a.listTemplates), "limit", "cursor")
	noted(post, app+"/templates/sync", auth.Operator, "template.sync", handle(a, http.StatusOK, a.syncTemplates))
	read(app+"/templates/{template_id}", auth.Operator, handle(a, http.StatusOK, a.showTemplate))
	change(put, app+"/templates/{template_id}", auth.Operator, "template.set", handle(a, http.StatusOK, a.putTemplate))

	read("/api/v1/suppressions", auth.Viewer, handle(a, http.StatusOK, a.listSuppressions), "app", "user_id", "openid", "limit", "cursor")
	change(post, "/api/v1/suppressions", auth.Author, "suppression.add", handle(a, http.StatusOK, a.addSuppressions))
	change(del, "/api/v1/suppressions/{suppression_id}", auth.Operator, "suppression.remove", handle(a, http.StatusNoContent, a.removeSuppression))

	read("/api/v1/tasks", auth.Viewer, handle(a, http.StatusOK, a.listTasks), "app", "state", "approval", "from", "to", "limit", "cursor")
	change(post, "/api/v1/tasks", auth.Author, "task.create", handle(a, http.StatusCreated, a.createTask))
	read(task, auth.Viewer, handle(a, http.StatusOK, a.showTask))
	change(patch, task, auth.Author, "task.change", handle(a, http.StatusOK, a.changeTask))
	change(del, task, auth.Author, "task.delete", handle(a, http.StatusNoContent, a.deleteTask))
	change(post, task+"/product", auth.Author, "task.product", handle(a, http.StatusOK, a.refreshProduct))

	read(app+"/lists", auth.Viewer, handle(a, http.StatusOK, a.listLists), "limit", "cursor")
	noted(put, list, auth.Author, "list.upload", a.uploadList, "filename", "user_id_column", "limit")
	read(list, auth.Viewer, handle(a, http.StatusOK, a.showList))
	change(del, list, auth.Author, "list.delete", handle(a, http.StatusNoContent, a.deleteList))
	read(list+"/rejects.csv", auth.Viewer, a.downloadListRejects, "version")

	read("/api/v1/audit", auth.Admin, handle(a, http.StatusOK, a.listAudit), "app", "actor", "action", "object", "from", "to", "limit", "cursor")
	read("/api/v1/accounts", auth.Admin, handle(a, http.StatusOK, a.listAccounts), "limit", "cursor")
	read("/api/v1/tokens", auth.Admin, handle(a, http.StatusOK, a.listTokens), "limit", "cursor")
	change(del, "/api/v1/tokens/{token}", auth.Admin, "token.revoke", handle(a, http.StatusNoContent, a.revokeToken))

	read("/api/v1/schedules", auth.Viewer, handle(a, http.StatusOK, a.listSchedules), "app", "limit", "cursor")
	change(post, "/api/v1/schedules", auth.Author, "schedule.create", handle(a, http.StatusCreated, a.createSchedule))
	read(schedule, auth.Viewer, handle(a, http.StatusOK, a.showSchedule))
	change(patch, schedule, auth.Author, "schedule.change", handle(a, http.StatusOK, a.changeSchedule))
	change(del, schedule, auth.Author, "schedule.delete", handle(a, http.StatusNoContent, a.deleteSchedule))
	change(post, schedule+"/pause", auth.Approver, "schedule.pause", handle(a, http.StatusOK, a.turnSchedule(a.d.PauseSchedule)))
	change(post, schedule+"/resume", auth.Approver, "schedule.resume", handle(a, http.StatusOK, a.turnSchedule(a.d.ResumeSchedule)))
	read(schedule+"/ticks", auth.Viewer, handle(a, http.StatusOK, a.listTicks), "limit", "cursor")

	noted(put, task+"/audience", auth.Author, "task.audience", a.uploadAudience, "list", "filename", "user_id_column", "exclude_task", "limit")
	read(task+"/audience", auth.Viewer, handle(a, http.StatusOK, a.showAudience))
	read(task+"/rejects.csv", auth.Viewer, a.downloadRejects)
	read(task+"/audience/rejects.csv", auth.Viewer, a.downloadRejects) // the contract can be read either way
	read(task+"/reach", auth.Viewer, handle(a, http.StatusOK, a.reach(a.d.Reach)), "at")
	change(post, task+"/reach", auth.Author, "task.reach", handle(a, http.StatusAccepted, a.reach(a.d.AskReach)), "at")
	read(task+"/preview", auth.Author, handle(a, http.StatusOK, a.preview), "seq")

	read(task+"/testers", auth.Author, handle(a, http.StatusOK, a.listTesters))
	change(post, task+"/test", auth.Author, "task.test", a.testTask)
	change(post, task+"/dry-run", auth.Author, "task.dry_run", handle(a, http.StatusOK, a.dryRun))
	read(task+"/dry-run", auth.Viewer, handle(a, http.StatusOK, a.showDryRun))
	change(post, task+"/send", auth.Approver, "task.send", handle(a, http.StatusAccepted, a.sendTask))
	noted(post, task+"/approve", auth.Approver, "task.approve", handle(a, http.StatusOK, a.judgeTask(a.d.Approve)))
	noted(post, task+"/reject", auth.Approver, "task.reject", handle(a, http.StatusOK, a.judgeTask(a.d.Reject)))
	change(post, task+"/unschedule", auth.Approver, "task.unschedule", handle(a, http.StatusOK, a.moveTask(a.d.Unschedule)))
	change(post, task+"/pause", auth.Operator, "task.pause", handle(a, http.StatusOK, a.moveTask(a.d.Pause)))
	change(post, task+"/resume", auth.Approver, "task.resume", handle(a, http.StatusOK, a.moveTask(a.d.Resume)))
	change(post, task+"/cancel", auth.Operator, "task.cancel", handle(a, http.StatusOK, a.moveTask(a.d.Cancel)))

	change(post, task+"/clone", auth.Author, "task.clone", handle(a, http.StatusCreated, a.cloneTask))
	change(post, task+"/resend", auth.Author, "task.resend", handle(a, http.StatusCreated, a.resendTask))
	change(post, task+"/resolve", auth.Operator, "task.resolve", handle(a, http.StatusOK, a.resolveTask))

	read(task+"/recipients", auth.Viewer, handle(a, http.StatusOK, a.listRecipients), "state", "reason", "user_id", "limit", "cursor")
	noted(get, task+"/results", auth.Viewer, "task.export", a.downloadResults, "format", "state") // what leaves the house, and with whom

	read("/api/v1/reports/daily", auth.Viewer, handle(a, http.StatusOK, a.daily), "app", "from", "to", "by")
	return routes
}
