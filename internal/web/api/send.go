package api

import (
	"context"
	"errors"
	"math"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// reach answers how many can be reached, now or at a time: by asks the dispatcher.
func (a *API) reach(by func(ctx context.Context, id int64, at time.Time) (push.Reach, error)) func(context.Context, *call, *none) (*push.Reach, error) {
	return func(ctx context.Context, c *call, _ *none) (*push.Reach, error) {
		var at time.Time
		given := c.moment("at")
		if given != nil {
			at = *given
		}
		if err := errors.Join(c.err(), push.CheckTime("at", given)); err != nil {
			return nil, err
		}
		reach, err := by(ctx, c.task.ID, at)
		return &reach, err
	}
}

// preview renders the message of one recipient, the first if none is named.
func (a *API) preview(ctx context.Context, c *call, _ *none) (*dispatch.Preview, error) {
	seq := c.number("seq", 0, 0, math.MaxInt32)
	if err := c.err(); err != nil {
		return nil, err
	}
	preview, err := a.d.Preview(ctx, c.task.ID, int32(seq))
	return &preview, err
}

// sendBody says when to send; without a time it is now.
type sendBody struct {
	At *time.Time `json:"at"`
}

func (sendBody) mayBeEmpty() {}

// sendTask sends or schedules a task; a scheduled one is moved to a new time.
func (a *API) sendTask(ctx context.Context, c *call, body *sendBody) (*push.Task, error) {
	if err := push.CheckTime("at", body.At); err != nil {
		return nil, err
	}
	task, err := a.d.Send(ctx, c.principal.Name, c.task.ID, body.At)
	return &task, err
}

// moveTask makes a call of one of the dispatcher's transitions.
func (a *API) moveTask(move func(ctx context.Context, actor string, id int64) (push.Task, error)) func(context.Context, *call, *none) (*push.Task, error) {
	return func(ctx context.Context, c *call, _ *none) (*push.Task, error) {
		task, err := move(ctx, c.principal.Name, c.task.ID)
		return &task, err
	}
}
