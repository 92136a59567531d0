package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/push"
)

// watchEvery is how often a watched task is read: one indexed row and its chunks' counts.
const watchEvery = 500 * time.Millisecond

// settleWithin bounds how long an ended task is followed while nothing of it changes: longer than a call can take and a dead
// daemon's chunks need to find another.
const settleWithin = 30 * time.Second

func (c *cli) taskWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch ID", Short: "Follow a task until it has ended", Args: cobra.ExactArgs(1),
		Long: `Follows a task until it is done, canceled or missed, and ends with the summary line. Of a canceled task it waits for the
recipients that are still under way, so that the figures are final; where none of them moves for 30s it says how many are left.
With --output json it writes the task, one object a line, each time something changed.`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error { return c.watch(ctx, s, id) }),
	}
}

// watch shows a task until it has ended, and how it ended.
func (c *cli) watch(ctx context.Context, s *session, id int64) error {
	task, err := c.follow(ctx, s, id)
	if err != nil {
		return err
	}
	return c.watched(task)
}

// follow shows a task until it has ended, and returns it as it is then. What it shows is read from the rows (invariant 8).
func (c *cli) follow(ctx context.Context, s *session, id int64) (push.Task, error) {
	if w, err := findWorkers(ctx, s.store); err == nil && w.live == 0 {
		fmt.Fprintln(c.stderr, "minipush: no worker runs on this database, so nothing is sent; start one: minipush serve")
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last push.Task
	var b *bar
	changed := time.Now()
	for {
		task, err := s.store.Task(ctx, id)
		if err != nil {
			return task, err
		}
		if task.State != last.State || task.Counts != last.Counts {
			changed = time.Now()
			if err := c.showProgress(s, task, last); err != nil {
				return task, err
			}
		}
		if task.State == push.TaskSending && b == nil {
			b = c.bar(int64(task.Counts.Total), "sending")
			defer b.finish()
		}
		if b != nil {
			b.set(int64(task.Counts.Total - task.Counts.Open()))
		}
		if settled(task) || stopped(task) && time.Since(changed) > settleWithin {
			return task, nil
		}
		last = task
		select {
		case <-ctx.Done():
			return task, hintError{ctx.Err(), fmt.Sprintf("The task goes on. Come back with: minipush task watch %d", id)}
		case <-tick.C:
		}
	}
}

// stopped says whether nothing new of a task is sent.
func stopped(t push.Task) bool {
	return t.State.Final() || t.State == push.TaskMissed || t.State == push.TaskDraft
}

// settled says whether nothing of a task will change by itself. The chunks of a canceled task are settled after it was canceled:
// its figures are final once no recipient is open.
func settled(t push.Task) bool {
	return stopped(t) && (!t.State.Final() || t.Counts.Open() == 0)
}

// showProgress says what changed: an object a line for a program, each new state for a person; the counts between are the bar's.
func (c *cli) showProgress(s *session, task, last push.Task) error {
	if c.json() {
		enc := json.NewEncoder(c.stdout)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(task); err != nil {
			return fmt.Errorf("write task: %w", err)
		}
		return nil
	}
	if task.State == last.State {
		return nil
	}
	line := fmt.Sprintf("task %d is %s", task.ID, stateText(task))
	if task.State == push.TaskScheduled {
		line += " for " + s.clock.maybe(task.StartAt)
	}
	if all := notes(task); len(all) > 0 {
		line += ": " + strings.Join(all, " · ")
	}
	fmt.Fprintln(c.stderr, line)
	return nil
}

// watched is the end: the original's summary line for a task that was sent, an error for one that was not.
func (c *cli) watched(task push.Task) error {
	if task.State != push.TaskDone && task.State != push.TaskCanceled {
		return hintError{fmt.Errorf("task %d is %s: it is not being sent", task.ID, stateText(task)), fmt.Sprintf("Send it: minipush task send %d", task.ID)}
	}
	if n := task.Counts.Open(); n > 0 {
		return hintError{
			fmt.Errorf("task %d is %s, but %s still under way: its figures are not final", task.ID, stateText(task), plural(n, "recipient is", "recipients are")),
			fmt.Sprintf("A worker settles them (minipush serve). Come back with: minipush task watch %d", task.ID),
		}
	}
	if doubt := task.Counts.Doubt(); doubt != "" && !c.json() {
		fmt.Fprintf(c.stderr, "%s\nSettle them by hand: minipush task resolve %d --as sent|failed --seq …\n", doubt, task.ID)
	}
	c.say("%s", task.Counts.Summary())
	return nil
}
