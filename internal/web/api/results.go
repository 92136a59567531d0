package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

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
	conn := http.NewResponseController(w)
	results.BeforePage = func(int) {
		_ = conn.SetReadDeadline(time.Time{}) // a connection without deadlines is a test's
		_ = conn.SetWriteDeadline(time.Now().Add(a.cfg.Stall))
	}
	out := &begunWriter{w: w, begin: func() {
		download(w, format.contentType, fmt.Sprintf("task-%d-results.%s", c.task.ID, name))
	}}
	_, err := format.write(results, r.Context(), out)
	if errors.Is(err, export.ErrTooManyRows) {
		err = problem(http.StatusUnprocessableEntity, "too_many_rows", "%v", err)
	}
	if err != nil && out.begun {
		a.abort(r, err)
	}
	return err
}

// begunWriter knows whether the answer was begun, and sets its headers when it is.
type begunWriter struct {
	w     io.Writer
	begun bool
	begin func()
}

func (b *begunWriter) Write(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.begin()
	}
	return b.w.Write(p)
}
