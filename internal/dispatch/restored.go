package dispatch

import (
	"context"
	"errors"
	"log/slog"

	"minipush/internal/push"
)

const (
	restoredNote = "数据库似乎由备份恢复或已切换,备份之后发出的消息没有记录;请核对后逐个继续或取消 " +
		"The database is not the one that was used last: it was restored, or failed over. What was sent since the copy was made is not in it. Look at each task, then resume or cancel it."
	usedNote = "平台称多个未使用的 formId 已被使用:数据库可能由快照恢复,或有其他程序在使用这些 formId;请核对后继续或取消 " +
		"The platform says that formIds in a row which stand here as unused were used: the database may be an old snapshot, or another program spends the same formIds. Find out, then resume or cancel."
)

// checkIdentity holds every task until a person decides, if the rows were last used in another cluster, timeline or database than
// this one. It is asked before the first beat on a connection, and so before any call.
func (d *Dispatcher) checkIdentity(ctx context.Context) error {
	here, ok, err := d.st.ServerIdentity(ctx)
	if err == nil && !ok {
		d.log.WarnContext(ctx, "a restored database would not be noticed: GRANT EXECUTE ON FUNCTION pg_control_system() TO this role")
	}
	if err != nil || !ok {
		return err
	}
	return d.st.InTx(ctx, func(ctx context.Context) error {
		last, err := d.st.LockIdentity(ctx)
		if err == nil && last == here {
			return nil
		}
		if err != nil && !errors.Is(err, push.ErrNotFound) {
			return err
		}
		if err == nil {
			held, err := d.st.HoldTasks(ctx, 0, restoredNote)
			if err != nil {
				return err
			}
			d.log.ErrorContext(ctx, "the database was restored or failed over: all tasks are held until a person resumes them", slog.Any("tasks", len(held)))
			for _, id := range held {
				d.gate.close(id)
			}
		}
		return d.st.SaveIdentity(ctx, here)
	})
}

// hold holds the tasks of the app, whose unused formIds turn out to be used.
func (r *run) hold(ctx context.Context) {
	r.closed = true
	r.d.gate.close(r.TaskID)
	held, err := r.d.st.HoldTasks(ctx, r.AppID, usedNote)
	if err != nil {
		r.log.ErrorContext(ctx, "tasks not held", slog.Any("err", err))
		return
	}
	r.log.ErrorContext(ctx, "formIds in a row were used by somebody else: the app's tasks are held until a person resumes them", slog.Any("tasks", len(held)))
}
