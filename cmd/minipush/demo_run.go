package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// demoRun is one task of the demo.
type demoRun struct {
	cli      *cli
	s        *session
	platform *platform
	users    []demoUser
	task     push.Task
}

// send sets everything up by the calls that the API makes too, sends the task, and follows it to its end.
func (r *demoRun) send(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	task, err := r.s.dispatch.CreateTask(ctx, r.s.actor, demoSpec(demoApp))
	if err != nil {
		return fmt.Errorf("create task: %w", err)
	}
	up := dispatch.Upload{Body: strings.NewReader(demoList(r.users)), Filename: "users.txt"}
	audience, err := r.s.dispatch.UploadAudience(ctx, r.s.actor, task.ID, up)
	if err != nil {
		return fmt.Errorf("upload list: %w", err)
	}
	reach, err := r.s.dispatch.Reach(ctx, task.ID, time.Time{})
	if err != nil {
		return fmt.Errorf("count reach: %w", err)
	}
	r.cli.say("task %d: %d users uploaded, %d of them can be reached", task.ID, audience.Accepted, reach.Reachable)
	if _, err := r.s.dispatch.Send(ctx, r.s.actor, task.ID, nil); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := r.cli.watch(ctx, r.s, task.ID); err != nil {
		return err
	}
	if r.task, err = r.s.store.Task(ctx, task.ID); err != nil {
		return err
	}
	if !r.cli.json() { // a program has had the task from watch
		reasonTable(r.cli.stdout, r.task.Reasons)
		r.cli.say("")
	}
	return nil
}

// prepare registers app, product and template, reports users and formIds, and sets the faults. The formIds whose answer never
// comes are reported last: their time is short.
func (r *demoRun) prepare(ctx context.Context) error {
	spec := dispatch.AppSpec{Key: demoApp, AppID: demoAppID, Secret: "demo", BaseURL: r.platform.url}
	_, err := r.s.dispatch.AddApp(ctx, spec)
	if _, known := r.s.store.App(ctx, demoApp); err != nil && known == nil {
		_, err = r.s.dispatch.SetApp(ctx, spec) // an earlier run has made it
	}
	if err != nil {
		return fmt.Errorf("register app: %w", err)
	}
	if err := r.clearOld(ctx); err != nil {
		return err
	}
	if _, err := r.s.dispatch.PutProduct(ctx, demoProduct(demoApp)); err != nil {
		return fmt.Errorf("set product: %w", err)
	}
	if _, err := r.s.dispatch.PutTemplate(ctx, demoTemplate(demoApp)); err != nil {
		return fmt.Errorf("set template: %w", err)
	}
	if err := r.platform.SetFaults(r.faults()); err != nil {
		return fmt.Errorf("set faults: %w", err)
	}
	got, err := r.s.dispatch.ReportUsers(ctx, demoApp, demoReports(r.users))
	if err != nil || len(got.Rejected) > 0 {
		return fmt.Errorf("report users: %d rejected: %w", len(got.Rejected), err)
	}
	mint := func(openid string) string { return r.platform.Mint(demoAppID, []string{openid}, 1, 0)[0].FormID }
	got, err = r.s.dispatch.ReportFormIDs(ctx, demoApp, demoFormIDs(r.users, time.Now(), r.s.cfg.Send.PermitMargin, mint))
	if err != nil || len(got.Rejected) > 0 {
		return fmt.Errorf("report formIds: %d rejected: %w", len(got.Rejected), err)
	}
	r.cli.say("%d users reported, %d formIds collected", len(r.users), got.Accepted)
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

// faults spoil every answer about the users whose outcome is to stay unknown: for every other one after the message was delivered.
func (r *demoRun) faults() sim.Faults {
	faults := r.platform.Faults()
	rules := []sim.Rule{{Kind: sim.Drop}, {Kind: sim.Drop, AfterDelivery: true}}
	n := 0
	for _, u := range r.users {
		if u.fate == fateUnknown {
			rules[n%2].OpenIDs = append(rules[n%2].OpenIDs, u.openid)
			n++
		}
	}
	faults.Rules = rules
	return faults
}
