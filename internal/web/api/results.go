package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"minipush/internal/export"
)

// resultFormat is a form in which results are handed out.
type resultFormat struct {
	contentType string
	write       func(export.Results, context.Context, io.Writer) (int, error)
}

func resultFormats() map[string]resultFormat {
	return map[string]resultFormat{
		"csv":  {"text/csv; charset=utf-8", export.Results.CSV},
		"xlsx": {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", export.Results.XLSX},
	}
}

// downloadResults streams who got the message, who did not and why. It may take long: only a client that stands still ends it.
func (a *API) downloadResults(w http.ResponseWriter, r *http.Request, c *call) error {
	name := c.text("format")
	if name == "" {
		name = "csv"
	}
	format, known := resultFormats()[name]
	if !known {
		c.reject("format", "unknown_value", `must be "csv" or "xlsx"`)
	}
	results := export.Results{Store: a.store, TaskID: c.task.ID, State: recipientState(c), Location: a.cfg.Location}
	if err := c.err(); err != nil {
		return err
	}
	if err := a.note(r.Context(), c, map[string]any{"format": name, "masked": false}); err != nil {
		return err
	}
	return a.stream(w, r, format.contentType, fmt.Sprintf("task-%d-results.%s", c.task.ID, name), func(out io.Writer) error {
		_, err := format.write(results, r.Context(), out)
		if errors.Is(err, export.ErrTooManyRows) {
			return problem(http.StatusUnprocessableEntity, "too_many_rows", "%v", err)
		}
		return err
	})
}
