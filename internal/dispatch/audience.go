package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/store"
)

// Codes of rows that the tables refuse, beside those of package intake.
const codeUnknownOpenID = "unknown_openid"

// Upload is a list on its way in.
type Upload struct {
	Body io.Reader
	// Filename, ContentType, IDColumn and Header are as in intake.Options.
	Filename, ContentType, IDColumn string
	Header                          bool
	// AskColumn refuses a file of which nobody can tell which column holds the ids, with an [UnsureColumnError].
	AskColumn bool
	// ExcludeTask leaves out who is in that task; 0 is none.
	ExcludeTask int64
	// Limit takes the first so many recipients; 0 is all.
	Limit int
	// Progress is told how many rows were read, now and then; may be nil.
	Progress func(rows int)
	// Done is run in the transaction that puts the list in force; may be nil.
	Done func(ctx context.Context, a push.Audience) error
}

// UploadAudience replaces the list of a draft as a whole. The body is streamed into a new version of the list, a short transaction a
// batch; the task moves to it in one statement at the end. Whatever goes wrong, the task is as it was. A fault of the file is an
// *intake.FileError; a list without a single good row is the refusal empty_audience.
func (d *Dispatcher) UploadAudience(ctx context.Context, actor string, id int64, up Upload) (push.Audience, error) {
	t, exclude, err := d.takesList(ctx, id, up)
	if err != nil {
		return push.Audience{}, err
	}
	reader, err := d.openList(up)
	if err != nil {
		return push.Audience{}, err
	}
	defer func() { _ = reader.Close() }() // only temporary files
	a, err := d.st.BeginAudience(ctx, id, up.Filename, reader.Columns(), actor)
	if err != nil {
		return push.Audience{}, err
	}
	l := &loader{d: d, appID: t.AppID, up: up, reader: reader, exclude: exclude, a: a}
	if l.rows, err = newRowCheck(ctx, d.st, id, reader.Columns()); err != nil {
		return push.Audience{}, errors.Join(err, d.st.DropAudience(context.WithoutCancel(ctx), a.ID))
	}
	return d.putInForce(ctx, t, l, l.read)
}

// putInForce fills a version of a task's list and moves the task to it, or gives the version up.
func (d *Dispatcher) putInForce(ctx context.Context, t push.Task, l *loader, read func(context.Context) error) (push.Audience, error) {
	err := l.load(ctx, read)
	if err == nil {
		err = d.st.InTx(ctx, func(ctx context.Context) error { return l.up.done(ctx, l.a, d.flip(ctx, t.ID, l.a)) })
	}
	if err != nil {
		return push.Audience{}, errors.Join(err, d.st.DropAudience(context.WithoutCancel(ctx), l.a.ID))
	}
	d.log.InfoContext(ctx, "audience uploaded", slog.Any("task_id", t.ID), slog.Any("accepted", l.a.Accepted), slog.Any("duplicate", l.a.Duplicate), slog.Any("rejected", l.a.Rejected))
	return d.st.Audience(ctx, t.ID)
}

// flip moves a task to a version of its list that is whole.
func (d *Dispatcher) flip(ctx context.Context, taskID int64, a push.Audience) error {
	_, err := d.changeContent(ctx, a.CreatedBy, taskID, func(ctx context.Context, t push.Task) error {
		if err := moved(t)(d.st.FlipAudience(ctx, a)); err != nil {
			return err
		}
		if a.Accepted > d.cfg.ReachAtOnce {
			return d.insertCountJob(ctx, t.ID)
		}
		return nil
	})
	return err
}

// takesList finds the task of an upload, which must be a draft for a list, and the list to leave out.
func (d *Dispatcher) takesList(ctx context.Context, id int64, up Upload) (t push.Task, exclude int64, err error) {
	if t, err = d.st.Task(ctx, id); err != nil {
		return t, 0, err
	}
	if t.State != push.TaskDraft {
		return t, 0, wrongState(t)
	}
	if t.Audience != push.AudienceList {
		return t, 0, &push.InvalidError{Field: "audience", Rule: "not_a_list", Message: `is "all": the task takes no list`}
	}
	exclude, err = d.excluded(ctx, t, up.ExcludeTask)
	return t, exclude, err
}

// options is how the file is to be read.
func (up Upload) options(limits intake.Limits) intake.Options {
	return intake.Options{Filename: up.Filename, ContentType: up.ContentType, IDColumn: up.IDColumn, Header: up.Header, Limits: limits}
}

// done runs Done, where there is one, after a list was put in force without an error.
func (up Upload) done(ctx context.Context, a push.Audience, err error) error {
	if err != nil || up.Done == nil {
		return err
	}
	return up.Done(ctx, a)
}

// UnsureColumnError says that nobody can tell which column of a file holds the ids: a person is to look at its first rows.
type UnsureColumnError struct{ Sample intake.Sample }

func (*UnsureColumnError) Error() string {
	return "the file has several columns, and none has a known name: say which one holds the user ids"
}

// sampleRows is how many rows a person is shown.
const sampleRows = 5

// openList begins to read the file of an upload.
func (d *Dispatcher) openList(up Upload) (*intake.Reader, error) {
	reader, err := intake.Open(up.Body, up.options(d.cfg.Import))
	if err == nil && up.AskColumn && !reader.Sure() {
		err = errors.Join(&UnsureColumnError{reader.Sample(sampleRows)}, reader.Close())
	}
	return reader, err
}

// excluded finds the list of the task to leave out.
func (d *Dispatcher) excluded(ctx context.Context, t push.Task, exclude int64) (int64, error) {
	if exclude == 0 {
		return 0, nil
	}
	other, err := d.st.Task(ctx, exclude)
	if errors.Is(err, push.ErrNotFound) || err == nil && other.AppID != t.AppID {
		return 0, &push.InvalidError{Field: "exclude_task", Rule: "unknown_task", Message: "is not a task of this app"}
	}
	return other.AudienceID, err
}

// loader streams one upload into a version of the list.
type loader struct {
	d       *Dispatcher
	appID   int32
	up      Upload
	reader  *intake.Reader
	exclude int64
	a       push.Audience
	// rows holds the rows against the template of the task; nil where there is nothing to hold.
	rows *rowCheck
	// first is the first row that was refused, for whoever gets no file of them.
	first *store.Reject

	batch   []store.NewRecipient
	lines   []int
	rejects []store.Reject
	full    bool
}

// load fills the version. One without a single good row is refused.
func (l *loader) load(ctx context.Context, read func(context.Context) error) error {
	if err := read(ctx); err != nil {
		return err
	}
	if l.a.Accepted == 0 {
		return &push.Refusal{
			Code: push.RefusedEmptyAudience, TaskID: l.a.TaskID,
			Detail: fmt.Sprintf("of %d rows %d were refused and %d were duplicates or left out", l.a.Total, l.a.Rejected, l.a.Duplicate) + l.firstReject(),
		}
	}
	return nil
}

// firstReject says what stood against the first row that was refused: a list without a good row has no file of them.
func (l *loader) firstReject() string {
	if l.first == nil {
		return ""
	}
	bad := RejectedRow(*l.first, nil)
	text := "; " + bad.Error()
	if bad.Rule != "" {
		text += " (" + bad.Rule + ")"
	}
	return text
}

func (l *loader) read(ctx context.Context) error {
	for !l.full {
		row, err := l.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad, ok := errors.AsType[*intake.RowError](err); ok {
			l.reject(store.Reject{Line: bad.Line, Code: string(bad.Code), Value: bad.Raw})
			err = nil
		} else if err == nil {
			err = l.add(row)
		}
		if err != nil {
			return err
		}
		if len(l.batch)+len(l.rejects) >= l.d.cfg.BatchRows {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
	}
	return l.flush(ctx)
}

func (l *loader) add(row intake.Row) error {
	if bad := l.check(row.ID); bad != nil {
		l.reject(store.Reject{Line: row.Line, Code: string(bad.Code), Value: row.ID})
		return nil //nolint:nilerr // a refused row is in the reject file; reading goes on
	}
	if l.rows != nil && !l.checksLater() {
		if bad := l.rows.row(row.ID, row.Vars); bad != nil {
			bad.Line, bad.Value = row.Line, row.ID
			l.reject(*bad)
			return nil
		}
	}
	r := store.NewRecipient{UserID: row.ID}
	if len(row.Vars) > 0 {
		vars, err := json.Marshal(row.Vars)
		if err != nil {
			return fmt.Errorf("write columns of line %d: %w", row.Line, err)
		}
		r.Vars = vars
	}
	l.batch, l.lines = append(l.batch, r), append(l.lines, row.Line)
	return nil
}

// checksLater says that the fields can be looked at only when the openid of a row has become a user id.
func (l *loader) checksLater() bool {
	return l.rows != nil && l.rows.byUser && l.ofOpenIDs()
}

// ofOpenIDs says that the rows of the list name openids.
func (l *loader) ofOpenIDs() bool { return l.reader != nil && l.reader.IDKind() == intake.OpenIDs }

func (l *loader) check(id string) *intake.Rejection {
	if l.reader.IDKind() == intake.OpenIDs {
		return intake.CheckOpenID(id)
	}
	return intake.CheckUserID(id)
}

func (l *loader) reject(r store.Reject) {
	const longest = 64
	value := r.Value
	value = strings.ReplaceAll(strings.ToValidUTF8(value, "\uFFFD"), "\x00", "\uFFFD") // what a text of Postgres cannot hold
	if len(value) > longest {
		value = string([]rune(value)[:min(longest, len([]rune(value)))])
	}
	l.a.Total, l.a.Rejected = l.a.Total+1, l.a.Rejected+1
	r.Value, r.OpenID = value, l.ofOpenIDs()
	if l.first == nil || r.Line < l.first.Line {
		l.first = &r
	}
	l.rejects = append(l.rejects, r)
}

// flush writes what was read since the last one, in one short transaction.
func (l *loader) flush(ctx context.Context) error {
	if l.ofOpenIDs() {
		if err := l.resolve(ctx); err != nil {
			return err
		}
	}
	slices.SortFunc(l.rejects, func(a, b store.Reject) int { return a.Line - b.Line })
	err := l.d.st.InTx(ctx, func(ctx context.Context) error {
		if len(l.rejects) > 0 {
			if err := l.d.st.AddRejects(ctx, l.a.ID, l.rejects); err != nil {
				return err
			}
		}
		return l.insert(ctx)
	})
	l.batch, l.lines, l.rejects = l.batch[:0], l.lines[:0], l.rejects[:0]
	if l.up.Progress != nil {
		l.up.Progress(l.a.Total)
	}
	return err
}

// insert writes the batch. With a limit it goes on only as far as the limit needs, so that it counts recipients and not rows.
func (l *loader) insert(ctx context.Context) error {
	rest := l.batch
	for len(rest) > 0 && !l.full {
		part := rest
		if l.up.Limit > 0 {
			part = rest[:min(len(rest), l.up.Limit-l.a.Accepted)]
		}
		added, err := l.d.st.AddRecipients(ctx, l.a.ID, l.a.Accepted, l.exclude, part)
		if err != nil {
			return err
		}
		l.a.Total += len(part)
		l.a.Accepted += added
		l.a.Duplicate += len(part) - added
		l.full = l.up.Limit > 0 && l.a.Accepted >= l.up.Limit
		rest = rest[len(part):]
	}
	return nil
}

// resolve turns the openids of the batch into user ids; those that nobody has are refused.
func (l *loader) resolve(ctx context.Context) error {
	openIDs := make([]string, len(l.batch))
	for i, r := range l.batch {
		openIDs[i] = r.UserID
	}
	users, err := l.d.st.UserIDsOf(ctx, l.appID, openIDs)
	if err != nil {
		return err
	}
	known, lines := l.batch[:0], l.lines[:0]
	for i, user := range users {
		if user == "" {
			l.reject(store.Reject{Line: l.lines[i], Code: codeUnknownOpenID, Value: openIDs[i]})
			continue
		}
		r := store.NewRecipient{UserID: user, Vars: l.batch[i].Vars}
		if l.checksLater() {
			bad, err := l.rows.packed(r)
			if err != nil {
				return err
			}
			if bad != nil {
				bad.Line, bad.Value = l.lines[i], openIDs[i]
				l.reject(*bad)
				continue
			}
		}
		known, lines = append(known, r), append(lines, l.lines[i])
	}
	l.batch, l.lines = known, lines
	return nil
}
