package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

// auditActions says under which action a command is noted in the audit log; every command that changes something is here.
func auditActions() map[string]string {
	return map[string]string{
		"account add": "account.add", "account link": "account.link", "account passwd": "account.password", "account totp-remove": "account.totp_remove",
		"account unlink": "account.unlink",
		"app add":        "app.add", "app callback": "app.callback", "app pause": "app.pause", "app resume": "app.resume", "app set": "app.settings",
		"list delete": "list.delete", "list upload": "list.upload",
		"permit import": "permit.import", "permit retry": "permit.retry",
		"product import": "product.import", "product set": "product.set",
		"schedule create": "schedule.create", "schedule delete": "schedule.delete", "schedule pause": "schedule.pause", "schedule resume": "schedule.resume",
		"suppression add": "suppression.add", "suppression import": "suppression.import", "suppression remove": "suppression.remove",
		"task approve": "task.approve", "task audience": "task.audience", "task cancel": "task.cancel", "task clone": "task.clone", "task create": "task.create",
		"task delete": "task.delete", "task dry-run": "task.dry_run", "task export": "task.export", "task pause": "task.pause", "task rate": "task.rate",
		"task reject": "task.reject", "task resend": "task.resend", "task resolve": "task.resolve", "task resume": "task.resume", "task send": "task.send",
		"task set": "task.change", "task test": "task.test", "task unschedule": "task.unschedule",
		"template set": "template.set", "template sync": "template.sync",
		"token create": "token.create", "token revoke": "token.revoke",
		"user import": "user.import",
	}
}

// auditAction is the action of a command; empty where it changes nothing.
func auditAction(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	return auditActions()[path]
}

// change makes what a command changes, in one transaction with its entry in the audit log: both are there or neither. fn may add to the entry.
func change[T any](ctx context.Context, s *session, fn func(ctx context.Context, e *store.AuditEntry) (T, error)) (after T, err error) {
	err = s.store.Audited(ctx, store.AuditEntry{Action: s.action}, func(ctx context.Context, e *store.AuditEntry) error {
		after, err = fn(ctx, e)
		return err
	})
	return after, err
}

// changeTask is change for a task, of which the entry says what was before and after.
func changeTask(ctx context.Context, s *session, id int64, fn func(ctx context.Context) (push.Task, error)) (push.Task, error) {
	return aboutTask(ctx, s, id, func(ctx context.Context, before push.Task, e *store.AuditEntry) (push.Task, error) {
		after, err := fn(ctx)
		e.Detail = store.Changed(before, after)
		return after, err
	})
}

// aboutTask is change for what is done with a task.
func aboutTask[T any](ctx context.Context, s *session, id int64, fn func(ctx context.Context, t push.Task, e *store.AuditEntry) (T, error)) (T, error) {
	return change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (done T, err error) {
		t, err := s.store.Task(ctx, id)
		if err != nil {
			return done, err
		}
		e.AboutTask(t)
		return fn(ctx, t, e)
	})
}

// changeSchedule is changeTask for a schedule.
func changeSchedule(ctx context.Context, s *session, id int64, fn func(ctx context.Context) (push.Schedule, error)) (push.Schedule, error) {
	return change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (push.Schedule, error) {
		before, err := s.dispatch.Schedule(ctx, id)
		if err != nil {
			return before, err
		}
		after, err := fn(ctx)
		e.AboutSchedule(before)
		e.Detail = store.Changed(before, after)
		return after, err
	})
}

// put is change for a thing of an app that is made or written over: find reads the one that is there, write writes it.
func put[T any](ctx context.Context, s *session, app, object string, find func(ctx context.Context, appID int32) (T, error),
	write func(ctx context.Context) (T, error),
) (after T, err error) {
	return change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (T, error) {
		a, err := s.store.App(ctx, app)
		if err != nil {
			return after, err
		}
		before, err := store.Existing(find(ctx, a.ID))
		if err != nil {
			return after, err
		}
		after, err := write(ctx)
		e.Object, e.AppID, e.Detail = object, &a.ID, store.Changed(before, after)
		return after, err
	})
}

// note writes an entry of what a command does in several transactions.
func (s *session) note(ctx context.Context, e store.AuditEntry) error {
	e.Action = s.action
	return s.store.InsertAuditEntry(ctx, e)
}

// noteList writes the entry of a list in the transaction that puts it in force.
func (s *session) noteList(about func(ctx context.Context, e *store.AuditEntry) error) func(context.Context, push.Audience) error {
	return func(ctx context.Context, list push.Audience) error {
		e := store.AuditEntry{Detail: list.Figures()}
		if err := about(ctx, &e); err != nil {
			return err
		}
		return s.note(ctx, e)
	}
}

// noteApp writes an entry about an app, by its key, or about all of them.
func (s *session) noteApp(ctx context.Context, key string, detail map[string]any) error {
	e := store.AuditEntry{Object: "app:" + key, Detail: detail}
	if key != push.AllApps {
		app, err := s.store.App(ctx, key)
		if err != nil {
			return err
		}
		e.AppID = &app.ID
	}
	return s.note(ctx, e)
}

// noting writes the entry of an import before the first batch of its file.
func noting[T any](s *session, app, path string, report func(context.Context, []T) (dispatch.Received, error)) func(context.Context, []T) (dispatch.Received, error) {
	noted := false
	return func(ctx context.Context, batch []T) (dispatch.Received, error) {
		if !noted {
			if err := s.noteApp(ctx, app, map[string]any{"file": filepath.Base(path)}); err != nil {
				return dispatch.Received{}, err
			}
			noted = true
		}
		return report(ctx, batch)
	}
}
