package dispatch

import (
	"context"
	"errors"
	"io"

	"minipush/internal/intake"
	"minipush/internal/store"
)

// rejectsPage is how many refused rows are read at a time.
const rejectsPage = 1000

// RejectedRow is a refused row as the reject file has it. mask hides what stood there where that is an openid; nil hides nothing.
func RejectedRow(r store.Reject, mask func(string) string) *intake.RowError {
	if r.OpenID && mask != nil {
		r.Value = mask(r.Value)
	}
	return &intake.RowError{Line: r.Line, Code: intake.Code(r.Code), Raw: r.Value, Field: r.Field, Rule: r.Rule, FieldZH: r.ZH, FieldEN: r.EN}
}

// WriteRejects writes the refused rows of a version of a list as the reject file: the same for the console, the API and the commands. mask is as
// of [RejectedRow]. If the rows cannot be read at all, nothing has been written.
func (d *Dispatcher) WriteRejects(ctx context.Context, w io.Writer, audienceID int64, mask func(string) string) error {
	rows, err := d.st.Rejects(ctx, audienceID, 0, rejectsPage)
	if err != nil {
		return err
	}
	file := intake.NewRejectWriter(w)
	err = file.Header()
	for err == nil && len(rows) > 0 {
		for _, row := range rows {
			err = errors.Join(err, file.Write(RejectedRow(row, mask)))
		}
		if err = errors.Join(err, file.Flush()); err == nil {
			rows, err = d.st.Rejects(ctx, audienceID, rows[len(rows)-1].Line, rejectsPage)
		}
	}
	return errors.Join(err, file.Flush())
}
