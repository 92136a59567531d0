package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

// demoRun is one task of the demo.
type demoRun struct {
	cli      *cli
	s        *session
	platform *platform
	play     play
	// address is where the daemon answers.
	address string
	users   []demoUser
	task    push.Task
	// delivered and failed are what the platform's events have said.
	delivered, failed int
}

// send sets everything up by the calls that the API makes too, sends the task, and follows it to its end.
func (r *demoRun) send(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	task, err := r.s.dispatch.CreateTask(ctx, r.s.actor, demoSpec(demoApp, r.play.template.TemplateID))
	if err != nil {
		return fmt.Errorf("create task: %w", err)
	}
	up := dispatch.Upload{Body: strings.NewReader(demoList(r.users)), Filename: "users.txt"}
	audience, err := r.s.dispatch.UploadAudience(ctx, r.s.actor, task.ID, up)
	if err != nil {
		return fmt.Errorf("upload list: %w", err)
	}
	reach, err := r.s.dispatch.CountReach(ctx, task.ID, time.Time{})
	if err != nil {
		return fmt.Errorf("count reach: %w", err)
	}
	r.cli.say("task %d: %d users uploaded, %d of them can be reached", task.ID, audience.Accepted, reach.Reachable)
	if _, err := r.s.dispatch.Send(ctx, r.s.actor, task.ID, nil); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if r.task, err = r.cli.follow(ctx, r.s, task.ID); err != nil {
		return err
	}
	if r.play.events {
		if err := r.awaitEvents(ctx); err != nil {
			return err
		}
	}
	if err := r.cli.watched(r.task); err != nil {
		return err
	}
	if !r.cli.json() { // a program has had the task as it was followed
		reasonTable(r.cli.stdout, r.task.Reasons)
		if r.play.events {
			r.deliveryTable()
		}
		r.cli.say("")
	}
	return nil
}

// prepare registers app, product and template, sets the faults, and reports users and permits.
func (r *demoRun) prepare(ctx context.Context) error {
	spec := dispatch.AppSpec{Key: demoApp, AppID: demoAppID, Secret: "demo", BaseURL: r.platform.url}
	_, err := r.s.dispatch.AddApp(ctx, spec)
	if _, known := r.s.store.App(ctx, demoApp); err != nil && known == nil {
		_, err = r.s.dispatch.SetApp(ctx, spec) // an earlier run has made it
	}
	if err != nil {
		return fmt.Errorf("register app: %w", err)
	}
	if err := r.resetApp(ctx); err != nil {
		return err
	}
	if err := r.clearOld(ctx); err != nil {
		return err
	}
	if _, err := r.s.dispatch.PutProduct(ctx, demoProduct(demoApp)); err != nil {
		return fmt.Errorf("set product: %w", err)
	}
	if _, err := r.s.dispatch.PutTemplate(ctx, r.s.actor, r.play.template); err != nil {
		return fmt.Errorf("set template: %w", err)
	}
	faults := r.platform.Faults()
	faults.Rules = r.play.rules(r.users)
	if err := r.platform.SetFaults(faults); err != nil {
		return fmt.Errorf("set faults: %w", err)
	}
	got, err := r.s.dispatch.ReportUsers(ctx, demoApp, demoReports(r.users))
	if err != nil || len(got.Rejected) > 0 {
		return fmt.Errorf("report users: %d rejected: %w", len(got.Rejected), err)
	}
	return r.play.collect(ctx, r)
}

// resetApp takes back what somebody has set at the demo's app since: approval, a budget, quiet hours or a pause would keep the task from
// ending as it must.
func (r *demoRun) resetApp(ctx context.Context) error {
	app, err := r.s.dispatch.SetAppSettings(ctx, r.s.actor, demoApp, func(s *push.AppSettings) error {
		*s = push.AppSettings{PermitSource: push.PermitsFromClient, Testers: []string{}}
		return nil
	})
	if err == nil && app.PausedAt != nil {
		_, err = r.s.dispatch.ResumeApp(ctx, demoApp)
	}
	if err != nil {
		return fmt.Errorf("reset app: %w", err)
	}
	return nil
}

// clearOld cancels what a run that was killed has left under way: its platform is gone.
func (r *demoRun) clearOld(ctx context.Context) error {
	tasks, err := r.s.store.Tasks(ctx, store.TaskFilter{Limit: 100})
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if t.State.Final() || t.State == push.TaskDraft || t.State == push.TaskMissed {
			continue
		}
		if _, err := r.s.dispatch.Cancel(ctx, r.s.actor, t.ID); err != nil {
			return fmt.Errorf("cancel task %d of an earlier run: %w", t.ID, err)
		}
	}
	return nil
}
