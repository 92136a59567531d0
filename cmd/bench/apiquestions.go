package main

import (
	"strconv"
	"time"
)

// api are the questions of the calls that change nothing, by their rows.
func (at places) api() map[string][]question {
	const path = "/api/v1"
	app, task := path+"/apps/"+theApp, path+"/tasks/%d"
	done := at.tasks["done"]
	all := map[string][]question{
		path + "/openapi.yaml": {plainly(path + "/openapi.yaml")},
		path + "/apps":         {plainly(path + "/apps")},
		path + "/apps/{app}/users/{user_id}": {
			plainly(app+"/users/10000000", app+"/users/10000077"),
		},
		path + "/apps/{app}/permits":                  {plainly(app + "/permits")},
		path + "/apps/{app}/products":                 {plainly(app + "/products"), of("1,000", app+"/products?limit=1000")},
		path + "/apps/{app}/products/{code}":          {plainly(app + "/products/1001")},
		path + "/apps/{app}/templates":                {plainly(app + "/templates")},
		path + "/apps/{app}/templates/{template_id}":  {plainly(app + "/templates/T001")},
		path + "/suppressions":                        {plainly(path + "/suppressions"), of("a user", path+"/suppressions?user_id=left1"), of("nobody", path+"/suppressions?openid=nobody"), of("1,000 of an app", path+"/suppressions?limit=1000&app=market")},
		path + "/tasks":                               {plainly(path + "/tasks"), of("20 paused", path+"/tasks?state=paused&limit=20")},
		path + "/tasks/{id}":                          {each("", task, done)},
		path + "/apps/{app}/lists":                    {plainly(app + "/lists")},
		path + "/apps/{app}/lists/{name}":             {plainly(app + "/lists/会员001")},
		path + "/apps/{app}/lists/{name}/rejects.csv": {download(plainly(app + "/lists/会员001/rejects.csv"))},
		path + "/audit":                               {plainly(path + "/audit"), of("an action", path+"/audit?action=task.pause"), of("an action that nobody took", path+"/audit?action=app.add"), of("an app", path+"/audit?app=market")},
		path + "/accounts":                            {plainly(path + "/accounts")},
		path + "/tokens":                              {plainly(path + "/tokens")},
		path + "/schedules":                           {plainly(path + "/schedules")},
		path + "/schedules/{schedule}":                {each("", path+"/schedules/%d", at.schedules)},
		path + "/schedules/{schedule}/ticks":          {each("", path+"/schedules/%d/ticks", at.schedules)},
		path + "/tasks/{id}/audience":                 {each("", task+"/audience", done)},
		path + "/tasks/{id}/rejects.csv":              {download(each("", task+"/rejects.csv", done))},
		path + "/tasks/{id}/audience/rejects.csv":     {download(each("", task+"/audience/rejects.csv", done))},
		path + "/tasks/{id}/reach":                    {each("draft", task+"/reach", at.tasks["draft"]), each("short list", task+"/reach", at.short)},
		path + "/tasks/{id}/preview":                  {each("", task+"/preview?seq=500", at.tasks["draft"])},
		path + "/tasks/{id}/testers":                  {each("", task+"/testers", at.tasks["draft"])},
		path + "/tasks/{id}/dry-run":                  {each("", task+"/dry-run", at.tasks["draft"])},
		path + "/tasks/{id}/results":                  {download(each("", task+"/results", done)), download(each("failed", task+"/results?state=failed", done))},
		path + "/reports/daily":                       reportQuestionsOfAPI(path + "/reports/daily"),
		path + "/tasks/{id}/recipients":               at.recipientsOfAPI(task + "/recipients"),
	}
	return all
}

func reportQuestionsOfAPI(path string) []question {
	long := time.Now().AddDate(0, 0, -91).Format(time.RFC3339)
	list := []question{plainly(path)}
	for _, by := range []string{"day", "product", "template"} {
		list = append(list, of("92 days by "+by, path+query("by", by, "from", long)))
	}
	return list
}

func (at places) recipientsOfAPI(path string) []question {
	done := at.tasks["done"]
	return []question{
		each("", path, done), each("1,000", path+"?limit=1000", done), each("1,000 failed", path+"?limit=1000&state=failed", done), each("a reason", path+"?reason=refused", done),
		each("a user", path+"?user_id="+strconv.Itoa(10_000_000), done),
	}
}
