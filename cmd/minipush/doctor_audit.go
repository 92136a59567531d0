package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"minipush/internal/store"
)

// audit holds tasks, or all of them, against the rules of the ledger.
func (c *cli) audit(ctx context.Context, s *session, tasks []int64) error {
	all := len(tasks) == 0
	found := []store.Violation{}
	if all {
		var err error
		if tasks, err = s.store.AuditedTasks(ctx); err != nil {
			return err
		}
		if found, err = s.store.AuditPermits(ctx); err != nil {
			return err
		}
	}
	for _, id := range tasks {
		v, err := s.store.AuditTask(ctx, id)
		if err != nil {
			return err
		}
		found = append(found, v...)
	}
	err := c.answer(map[string]any{"tasks": len(tasks), "violations": found}, func(w io.Writer) {
		rows := make([][]string, len(found))
		for i, v := range found {
			rows[i] = []string{strconv.FormatInt(v.TaskID, 10), v.Check, strconv.FormatInt(v.Count, 10), strings.Join(v.Examples, "; ")}
		}
		if len(rows) > 0 {
			table(w, []string{"TASK", "VIOLATION", "ROWS", "EXAMPLES"}, rows)
		}
		fmt.Fprintf(w, "%s audited, %s broken\n", plural(len(tasks), "task", "tasks"), plural(len(found), "rule", "rules"))
	})
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%s broken", plural(len(found), "rule of the ledger is", "rules of the ledger are"))
	}
	return nil
}
