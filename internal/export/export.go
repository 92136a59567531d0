// Package export writes what became of the recipients of a task, as CSV or XLSX: who got the message, who did not and why.
// The API and the CLI hand out the same file.
//
// Rows are read page after page by seq, one short query each: an export of a million rows holds neither memory nor a snapshot.
// A row that changes meanwhile is shown as it is when its page is read.
//
// The first column is the one that an upload is read by, and the columns of the upload itself come last, so that a result can
// be uploaded again.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/store"
)

// pageRows is how many rows one query reads.
const pageRows = 1000

// Results are the rows to write. The fields without "may be" are required.
type Results struct {
	Store  *store.Store
	TaskID int64
	// State narrows to one state; may be nil, which is all.
	State *push.RecipientState
	// Location is the time zone of the times in the file.
	Location *time.Location
	// Masked hides the middle of openids and formIds, for one who need not see them.
	Masked bool
	// BeforePage is called before each page is read, for one who renews a deadline or shows progress; may be nil.
	BeforePage func(rows int)
}

// Columns are the names of the columns before those of the upload.
func Columns() []string {
	return []string{"user_id", "seq", "openid", "state", "inferred", "form_id", "reason", "platform_code", "rid", "note", "msgid", "delivery", "updated_at"}
}

// CSV writes the rows as [intake.SafeCSV] does, and returns how many there were. A task that is not there is push.ErrNotFound,
// and nothing has been written then.
func (r Results) CSV(ctx context.Context, w io.Writer) (int, error) {
	own, err := r.uploadColumns(ctx)
	if err != nil {
		return 0, err
	}
	out := intake.NewSafeCSV(w)
	if err := out.Write(header(own)...); err != nil {
		return 0, fmt.Errorf("write results: %w", err)
	}
	n := 0
	for row, err := range r.rows(ctx, len(own)) {
		if err != nil {
			return n, err
		}
		if err := out.Write(row...); err != nil {
			return n, fmt.Errorf("write results: %w", err)
		}
		n++
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("write results: %w", err)
	}
	return n, nil
}

// uploadColumns are the further columns of the list in force; none where there is no list yet.
func (r Results) uploadColumns(ctx context.Context) ([]string, error) {
	if _, err := r.Store.Task(ctx, r.TaskID); err != nil {
		return nil, err
	}
	audience, err := r.Store.Audience(ctx, r.TaskID)
	if err != nil && !errors.Is(err, push.ErrNotFound) {
		return nil, err
	}
	return audience.Columns, nil
}

// header names the columns. A column of the upload that is called like one of ours is marked.
func header(own []string) []string {
	names := Columns()
	for _, name := range own {
		for slices.Contains(names, name) {
			name += " (upload)"
		}
		names = append(names, name)
	}
	return names
}

// rows yields the rows, each with as many columns of the upload as the header has. After an error it yields nothing more.
func (r Results) rows(ctx context.Context, own int) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		filter := store.RecipientFilter{State: r.State, After: -1, Limit: pageRows}
		for n := 0; ; {
			if r.BeforePage != nil {
				r.BeforePage(n)
			}
			page, err := r.Store.Recipients(ctx, r.TaskID, filter)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page {
				if !yield(r.row(&page[i], own), nil) {
					return
				}
			}
			if len(page) < filter.Limit {
				return
			}
			filter.After = page[len(page)-1].Seq
			n += len(page)
		}
	}
}

func (r Results) row(p *push.Recipient, own int) []string {
	updated := ""
	if p.UpdatedAt != nil {
		updated = p.UpdatedAt.In(r.Location).Format(time.RFC3339)
	}
	openID, formID := text(p.OpenID), text(p.FormID)
	if r.Masked {
		openID, formID = Mask(openID), Mask(formID)
	}
	row := []string{
		p.UserID, strconv.Itoa(int(p.Seq)), openID, p.State.String(), strconv.FormatBool(p.Inferred), formID, p.Reason.String(),
		number(p.PlatformCode), text(p.RID), text(p.Note), number(p.MsgID), text(p.Delivery), updated,
	}
	for i := range own {
		value := ""
		if i < len(p.Vars) {
			value = p.Vars[i]
		}
		row = append(row, value)
	}
	return row
}

// Mask hides the middle of an openid or a formId: enough is left to tell two apart, too little to use it.
func Mask(id string) string {
	r := []rune(id)
	if len(r) <= 8 {
		return strings.Repeat("*", len(r))
	}
	return string(r[:4]) + "****" + string(r[len(r)-4:])
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number[N int32 | int64](n *N) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(int64(*n), 10)
}
