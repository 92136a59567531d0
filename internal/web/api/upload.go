package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	"minipush/internal/dispatch"
	"minipush/internal/export"
	"minipush/internal/push"
	"minipush/internal/web/auth"
	"minipush/internal/web/patient"
)

// audienceAnswer is a version of a list and where its refused rows are found.
type audienceAnswer struct {
	push.Audience
	RejectsURL string `json:"rejects_url"`
	// FirstRejects are the first of the refused rows.
	FirstRejects []rejectedRow `json:"first_rejects"`
}

// rejectedRow is a row of a list that was refused: where, and why.
type rejectedRow struct {
	Line int    `json:"line"`
	ID   string `json:"id"`
	Code string `json:"code"`
	// Field and Rule are of a field of the template that a value of the row does not fit.
	Field     string `json:"field,omitempty"`
	Rule      string `json:"rule,omitempty"`
	Message   string `json:"message"`
	MessageZH string `json:"message_zh"`
}

// maxFirstRejects is how many refused rows an answer shows.
const maxFirstRejects = 10

func (a *API) answerOf(ctx context.Context, c *call, audience push.Audience) (*audienceAnswer, error) {
	out := &audienceAnswer{Audience: audience, RejectsURL: fmt.Sprintf("/api/v1/tasks/%d/rejects.csv", audience.TaskID), FirstRejects: []rejectedRow{}}
	if audience.Rejected == 0 {
		return out, nil
	}
	rows, err := a.store.Rejects(ctx, audience.ID, 0, maxFirstRejects)
	for _, row := range rows {
		bad := dispatch.RejectedRow(row, c.maskRejects())
		out.FirstRejects = append(out.FirstRejects, rejectedRow{
			Line: bad.Line, ID: bad.Raw, Code: string(bad.Code), Field: bad.Field, Rule: bad.Rule, Message: bad.EN(), MessageZH: bad.ZH(),
		})
	}
	return out, err
}

func (a *API) showAudience(ctx context.Context, c *call, _ *none) (*audienceAnswer, error) {
	audience, err := a.store.Audience(ctx, c.task.ID)
	if err != nil {
		return nil, err
	}
	return a.answerOf(ctx, c, audience)
}

// uploadAudience streams the body into a new version of the task's list, or copies a saved list there. It may take long: only standing
// still ends it.
func (a *API) uploadAudience(w http.ResponseWriter, r *http.Request, c *call) error {
	up := dispatch.Upload{
		Filename: c.text("filename"), ContentType: r.Header.Get("Content-Type"), IDColumn: c.text("user_id_column"),
		ExcludeTask: c.number("exclude_task", 0, 1, math.MaxInt64), Limit: int(c.number("limit", 0, 1, math.MaxInt32)),
	}
	if err := errors.Join(c.err(), push.CheckText("filename", up.Filename, 255)); err != nil {
		return err
	}
	if up.ExcludeTask != 0 {
		if _, err := a.visibleTask(r.Context(), c.principal, up.ExcludeTask); err != nil {
			return fmt.Errorf("exclude_task: %w", err)
		}
	}
	body, err := a.openUpload(w, r)
	if err != nil {
		return err
	}
	up.Body, up.Done = body, a.noteList(c)
	var audience push.Audience
	if c.given("list") {
		body.Done()
		audience, err = a.d.TakeList(r.Context(), c.principal.Name, c.task.ID, c.text("list"), up)
	} else {
		audience, err = a.d.UploadAudience(r.Context(), c.principal.Name, c.task.ID, up)
	}
	body.Done()
	if err != nil {
		return err
	}
	shown, err := a.answerOf(r.Context(), c, audience)
	if err != nil {
		return err
	}
	out, err := encode(a, http.StatusOK, shown)
	if err != nil {
		return err
	}
	out.write(w)
	return nil
}

// openUpload makes the reader of the body of an upload.
func (a *API) openUpload(w http.ResponseWriter, r *http.Request) (*uploadBody, error) {
	body, err := patient.NewBody(w, r, a.cfg.MaxUpload, a.cfg.Stall, a.cfg.Stall)
	return &uploadBody{body}, err
}

// uploadBody says of a body that breaks off that the client did.
type uploadBody struct{ *patient.Body }

func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.Body.Read(p)
	if tooLarge := (*http.MaxBytesError)(nil); err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &tooLarge) {
		err = unreadable()
	}
	return n, err
}

// downloadRejects streams the refused rows of the list in force: the line, what stood there, the code and its text.
func (a *API) downloadRejects(w http.ResponseWriter, r *http.Request, c *call) error {
	audience, err := a.store.Audience(r.Context(), c.task.ID)
	if err != nil {
		return err
	}
	return a.streamRejects(w, r, c, audience.ID, fmt.Sprintf("task-%d-rejects.csv", c.task.ID))
}

// streamRejects writes the refused rows of a version of a list as a file.
func (a *API) streamRejects(w http.ResponseWriter, r *http.Request, c *call, audienceID int64, name string) error {
	return a.stream(w, r, "text/csv; charset=utf-8", name, func(out io.Writer) error {
		return a.d.WriteRejects(r.Context(), out, audienceID, c.maskRejects())
	})
}

// maskRejects hides the middle of the openids that were refused from those who do not see openids in the console either; nil hides nothing.
func (c *call) maskRejects() func(string) string {
	if c.principal.Role.May(auth.Operator, auth.Read) {
		return nil
	}
	return export.Mask
}

// stream answers with a file. It may take long: only a client that stands still ends it. An error before its first byte is the caller's to answer.
func (a *API) stream(w http.ResponseWriter, r *http.Request, contentType, name string, write func(out io.Writer) error) error {
	return patient.Download(w, a.cfg.Stall, contentType, name, write, func(err error) { a.abort(r, err) })
}
