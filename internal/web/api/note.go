package api

import (
	"context"

	"minipush/internal/push"
	"minipush/internal/store"
)

// audited runs a change, and its entry in the audit log with it, in one transaction: both are there or neither. What changes nothing, and
// what writes its own entry, just runs.
func audited[T any](ctx context.Context, a *API, c *call, change func(ctx context.Context) (T, error)) (after T, err error) {
	if c.audit.Action == "" || c.noted {
		return change(ctx)
	}
	err = a.store.Audited(ctx, c.audit, func(ctx context.Context, e *store.AuditEntry) error {
		if after, err = change(ctx); err != nil {
			return err
		}
		c.describe(after)
		*e = c.audit
		return nil
	})
	return after, err
}

// about says what an entry is about, by what the path names.
func (c *call) about() {
	switch {
	case c.task.ID != 0:
		c.audit.AboutTask(c.task)
	case c.schedule.ID != 0:
		c.audit.AboutSchedule(c.schedule)
	case c.app.ID != 0:
		c.audit.AboutApp(c.app)
	}
}

// describe says what was before and after, where the handler has not, by what the path names and what became of it.
func (c *call) describe(after any) {
	if c.audit.Detail != nil {
		return
	}
	switch now := after.(type) {
	case *push.App:
		c.audit.Detail = store.Changed(c.app, now)
	case *push.Task:
		if c.task.ID == 0 {
			c.audit.AboutTask(*now)
			c.audit.Detail = store.Changed(nil, now.TaskSpec)
			return
		}
		c.audit.Detail = store.Changed(c.task, now)
	case *push.Schedule:
		if c.schedule.ID == 0 {
			c.audit.AboutSchedule(*now)
			c.audit.Detail = store.Changed(nil, now.ScheduleSpec)
			return
		}
		c.audit.Detail = store.Changed(c.schedule, now)
	}
}

// note writes the entry of a call that writes its own, with that detail, in the transaction that ctx carries.
func (a *API) note(ctx context.Context, c *call, detail map[string]any) error {
	e := c.audit
	e.Detail = detail
	return a.store.InsertAuditEntry(ctx, e)
}

// noteList is note for a list that is put in force.
func (a *API) noteList(c *call) func(context.Context, push.Audience) error {
	return func(ctx context.Context, list push.Audience) error {
		detail := list.Figures()
		if c.task.ID == 0 {
			detail["list"] = c.path("name")
		}
		return a.note(ctx, c, detail)
	}
}
