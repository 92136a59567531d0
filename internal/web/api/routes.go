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
	add := func(method, pattern string, role auth.Role, h handler, query ...string) {
		r := Route{Method: method, Pattern: pattern, Role: role, Query: query}
		r.Handler = a.guard(r, h)
		routes = append(routes, r)
	}

	add(get, "/api/v1/openapi.yaml", auth.NoRole, serveOpenAPI)

	add(get, "/api/v1/apps", auth.Viewer, handle(a, http.StatusOK, a.listApps), "limit", "cursor")
	add(patch, app, auth.Admin, handle(a, http.StatusOK, a.changeApp))
	add(post, app+"/pause", auth.Operator, handle(a, http.StatusOK, a.pauseApp))
	add(post, app+"/resume", auth.Operator, handle(a, http.StatusOK, a.resumeApp))

	add(post, app+"/users", auth.Collector, handle(a, http.StatusOK, a.reportUsers))
	add(get, app+"/users/{user_id}", auth.Viewer, handle(a, http.StatusOK, a.showUser))
	add(post, app+"/form-ids", auth.Collector, handle(a, http.StatusOK, a.reportFormIDs))
	add(post, app+"/subscriptions", auth.Collector, handle(a, http.StatusOK, a.reportSubscriptions))
	add(get, app+"/permits", auth.Viewer, handle(a, http.StatusOK, a.showPermits))
	add(post, app+"/permits/retry", auth.Operator, handle(a, http.StatusOK, a.retryPermits))

	add(get, app+"/products", auth.Collector, handle(a, http.StatusOK, a.listProducts), "limit", "cursor")
	add(get, app+"/products/{code}", auth.Collector, handle(a, http.StatusOK, a.showProduct))
	add(put, app+"/products/{code}", auth.Collector, handle(a, http.StatusOK, a.putProduct))
	add(get, app+"/templates", auth.Operator, handle(a, http.StatusOK, a.listTemplates), "limit", "cursor")
	add(post, app+"/templates/sync", auth.Operator, handle(a, http.StatusOK, a.syncTemplates))
	add(get, app+"/templates/{template_id}", auth.Operator, handle(a, http.StatusOK, a.showTemplate))
	add(put, app+"/templates/{template_id}", auth.Operator, handle(a, http.StatusOK, a.putTemplate))

	add(get, "/api/v1/suppressions", auth.Viewer, handle(a, http.StatusOK, a.listSuppressions), "app", "user_id", "openid", "limit", "cursor")
	add(post, "/api/v1/suppressions", auth.Author, handle(a, http.StatusOK, a.addSuppressions))
	add(del, "/api/v1/suppressions/{suppression_id}", auth.Operator, handle(a, http.StatusNoContent, a.removeSuppression))

	add(get, "/api/v1/tasks", auth.Viewer, handle(a, http.StatusOK, a.listTasks), "app", "state", "approval", "from", "to", "limit", "cursor")
	add(post, "/api/v1/tasks", auth.Author, handle(a, http.StatusCreated, a.createTask))
	add(get, task, auth.Viewer, handle(a, http.StatusOK, a.showTask))
	add(patch, task, auth.Author, handle(a, http.StatusOK, a.changeTask))
	add(del, task, auth.Author, handle(a, http.StatusNoContent, a.deleteTask))
	add(post, task+"/product", auth.Author, handle(a, http.StatusOK, a.refreshProduct))

	add(get, app+"/lists", auth.Viewer, handle(a, http.StatusOK, a.listLists), "limit", "cursor")
	add(put, list, auth.Author, a.uploadList, "filename", "user_id_column", "limit")
	add(get, list, auth.Viewer, handle(a, http.StatusOK, a.showList))
	add(del, list, auth.Author, handle(a, http.StatusNoContent, a.deleteList))
	add(get, list+"/rejects.csv", auth.Viewer, a.downloadListRejects, "version")

	add(get, "/api/v1/audit", auth.Admin, handle(a, http.StatusOK, a.listAudit), "app", "actor", "action", "object", "from", "to", "limit", "cursor")
	add(get, "/api/v1/accounts", auth.Admin, handle(a, http.StatusOK, a.listAccounts), "limit", "cursor")
	add(get, "/api/v1/tokens", auth.Admin, handle(a, http.StatusOK, a.listTokens), "limit", "cursor")
	add(del, "/api/v1/tokens/{token}", auth.Admin, handle(a, http.StatusNoContent, a.revokeToken))

	add(get, "/api/v1/schedules", auth.Viewer, handle(a, http.StatusOK, a.listSchedules), "app", "limit", "cursor")
	add(post, "/api/v1/schedules", auth.Author, handle(a, http.StatusCreated, a.createSchedule))
	add(get, schedule, auth.Viewer, handle(a, http.StatusOK, a.showSchedule))
	add(patch, schedule, auth.Author, handle(a, http.StatusOK, a.changeSchedule))
	add(del, schedule, auth.Author, handle(a, http.StatusNoContent, a.deleteSchedule))
	add(post, schedule+"/pause", auth.Approver, handle(a, http.StatusOK, a.turnSchedule(a.d.PauseSchedule)))
	add(post, schedule+"/resume", auth.Approver, handle(a, http.StatusOK, a.turnSchedule(a.d.ResumeSchedule)))
	add(get, schedule+"/ticks", auth.Viewer, handle(a, http.StatusOK, a.listTicks), "limit", "cursor")

	add(put, task+"/audience", auth.Author, a.uploadAudience, "list", "filename", "user_id_column", "exclude_task", "limit")
	add(get, task+"/audience", auth.Viewer, handle(a, http.StatusOK, a.showAudience))
	add(get, task+"/rejects.csv", auth.Viewer, a.downloadRejects)
	add(get, task+"/audience/rejects.csv", auth.Viewer, a.downloadRejects) // the contract can be read either way
	add(get, task+"/reach", auth.Viewer, handle(a, http.StatusOK, a.reach(a.d.Reach)), "at")
	add(post, task+"/reach", auth.Author, handle(a, http.StatusAccepted, a.reach(a.d.AskReach)), "at")
	add(get, task+"/preview", auth.Author, handle(a, http.StatusOK, a.preview), "seq")

	add(get, task+"/testers", auth.Author, handle(a, http.StatusOK, a.listTesters))
	add(post, task+"/test", auth.Author, a.testTask)
	add(post, task+"/dry-run", auth.Author, handle(a, http.StatusOK, a.dryRun))
	add(get, task+"/dry-run", auth.Viewer, handle(a, http.StatusOK, a.showDryRun))
	add(post, task+"/send", auth.Approver, handle(a, http.StatusAccepted, a.sendTask))
	add(post, task+"/approve", auth.Approver, handle(a, http.StatusOK, a.judgeTask(a.d.Approve)))
	add(post, task+"/reject", auth.Approver, handle(a, http.StatusOK, a.judgeTask(a.d.Reject)))
	add(post, task+"/unschedule", auth.Approver, handle(a, http.StatusOK, a.moveTask(a.d.Unschedule)))
	add(post, task+"/pause", auth.Operator, handle(a, http.StatusOK, a.moveTask(a.d.Pause)))
	add(post, task+"/resume", auth.Approver, handle(a, http.StatusOK, a.moveTask(a.d.Resume)))
	add(post, task+"/cancel", auth.Operator, handle(a, http.StatusOK, a.moveTask(a.d.Cancel)))

	add(post, task+"/clone", auth.Author, handle(a, http.StatusCreated, a.cloneTask))
	add(post, task+"/resend", auth.Author, handle(a, http.StatusCreated, a.resendTask))
	add(post, task+"/resolve", auth.Operator, handle(a, http.StatusOK, a.resolveTask))

	add(get, task+"/recipients", auth.Viewer, handle(a, http.StatusOK, a.listRecipients), "state", "reason", "user_id", "limit", "cursor")
	add(get, task+"/results", auth.Viewer, a.downloadResults, "format", "state")

	add(get, "/api/v1/reports/daily", auth.Viewer, handle(a, http.StatusOK, a.daily), "app", "from", "to", "by")
	return routes
}
