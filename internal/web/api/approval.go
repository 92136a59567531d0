package api

import (
	"context"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// judgeTask makes a call of what a second person says of a task.
func (a *API) judgeTask(judge func(ctx context.Context, actor string, id int64, j dispatch.Judgment) (push.Task, error)) func(context.Context, *call, *dispatch.Judgment) (*push.Task, error) {
	return func(ctx context.Context, c *call, j *dispatch.Judgment) (*push.Task, error) {
		task, err := judge(ctx, c.principal.Name, c.task.ID, *j)
		return &task, err
	}
}
