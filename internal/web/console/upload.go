package console

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"minipush/internal/dispatch"
	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/web/patient"
)

// The bounds of a form with a file, beside the file.
const (
	maxUploadFields = 20
	maxUploadField  = 4 << 10
	maxFilename     = 255
)

// sentHeader is set by the page's script, which shows how much of a file was sent: it is told where to go in a header, for a redirect it
// would follow itself.
const sentHeader = "X-Minipush-Upload"

// uploadForm is a form with a file at its end, read as it comes: the fields before the file, then the file itself.
type uploadForm struct {
	url.Values
	// filename and contentType are those of the file; file is nil where none was chosen.
	filename, contentType string
	file                  io.Reader
	body                  *patient.Body
}

// readUpload reads the form up to its file. The request may take long: only standing still ends it.
func (k *Console) readUpload(w http.ResponseWriter, r *http.Request) (*uploadForm, error) {
	limit := k.cfg.MaxUpload + maxUploadFields*maxUploadField
	body, err := patient.NewBody(w, r, limit, k.cfg.Stall, k.cfg.Stall+time.Hour)
	if err != nil {
		return nil, err
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadForm, err)
	}
	f := &uploadForm{Values: url.Values{}, body: body}
	for range maxUploadFields {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			body.Done()
			return f, nil
		}
		if err != nil {
			return nil, badUpload(err)
		}
		if part.FormName() == "file" {
			return f, f.open(part)
		}
		value, err := io.ReadAll(io.LimitReader(part, maxUploadField+1))
		if err != nil {
			return nil, badUpload(err)
		}
		if len(value) > maxUploadField || !utf8.Valid(value) || strings.ContainsRune(string(value), 0) {
			return nil, fmt.Errorf("%w: the field %q", errBadForm, part.FormName())
		}
		f.Add(part.FormName(), strings.TrimSpace(string(value)))
	}
	return nil, fmt.Errorf("%w: too many fields", errBadForm)
}

// open begins the file. A browser sends one without a name where none was chosen.
func (f *uploadForm) open(part *multipart.Part) error {
	if part.FileName() == "" {
		return nil
	}
	f.filename, f.contentType = part.FileName(), part.Header.Get("Content-Type")
	f.file = uploadReader{part}
	return push.CheckText("file", f.filename, maxFilename)
}

// finish reads what is left of the request, as far as that may be: a browser that is still sending would not read the answer.
func (f *uploadForm) finish() {
	_, _ = io.Copy(io.Discard, f.body) // what fails here was answered for already
	f.body.Done()
}

// uploadReader tells a body that breaks off from a file that ends.
type uploadReader struct{ part io.Reader }

func (u uploadReader) Read(b []byte) (int, error) {
	n, err := u.part.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badUpload(err)
	}
	return n, err
}

// badUpload is what is wrong with a body that cannot be read: that it is too large, or that it broke off.
func badUpload(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge
	}
	return fmt.Errorf("%w: %w", errBadForm, err)
}

// answer writes what an upload led to. A redirect is told to the page's script in a header.
func (k *Console) answer(w http.ResponseWriter, r *http.Request, c *call, out reply) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(k.cfg.Stall))
	if out.to != "" && r.Header.Get(sentHeader) != "" {
		w.Header().Set("X-Location", out.to)
		out.status = http.StatusNoContent
		if out.flash.Key != "" {
			http.SetCookie(w, c.cookie(flashCookie, out.flash.encode(), 60))
		}
		w.WriteHeader(out.status)
		return
	}
	k.write(w, c, out)
}

// uploadView is the part of a page that takes a file: the dot of the partial upload.
type uploadView struct {
	// Action is where the file is sent.
	Action string
	// Name is the name of a saved list; zero where the file is the list of a task.
	Name field
	// Exclude and Limit narrow the list of a task; zero of a saved list.
	Exclude, Limit field
	// What is wrong: with the file itself, or a rule.
	Failed both
	Wrong  string
	// Ask asks which column holds the ids.
	Ask *columnChoice
}

// columnChoice is the columns of a file of which nobody can tell which one holds the user ids.
type columnChoice struct {
	Columns []columnOption
	// Header: the first row was found to be a header, which then is not asked.
	Header bool
}

// columnOption is a column with its first cells. No is its number from 1; Name is empty where the first row is taken for data.
type columnOption struct {
	No       int
	Name     string
	Cells    []string
	Selected bool
}

// upload is what the form says of the file.
func (f *uploadForm) upload() (dispatch.Upload, error) {
	up := dispatch.Upload{Body: f.file, Filename: f.filename, ContentType: f.contentType, IDColumn: f.Get("user_id_column"), Header: f.Get("header") != "", AskColumn: true}
	err := narrow(&up, f.Values)
	if err == nil && f.file == nil {
		err = &push.InvalidError{Field: "file", Rule: "required", Message: "must be chosen"}
	}
	return up, err
}

// refuse puts into the form what is wrong with the file or a field; it is false if the error is none of a person's.
func (v *uploadView) refuse(err error) bool {
	if unsure, ok := errors.AsType[*dispatch.UnsureColumnError](err); ok {
		v.Ask = newColumnChoice(unsure.Sample)
		return true
	}
	if file, ok := errors.AsType[*intake.FileError](err); ok {
		v.Failed = both{file.Code.ZH(), file.Code.EN()}
		if at := fileLine(file); at != "" {
			v.Failed = both{v.Failed.ZH + " (" + at + ")", file.Error()}
		}
		return true
	}
	if refusal, ok := errors.AsType[*push.Refusal](err); ok && refusal.Code == push.RefusedEmptyAudience {
		v.Wrong = "no_good_row"
		return true
	}
	wrong, ok := push.InvalidFields(err)
	if !ok {
		return false
	}
	for _, w := range wrong {
		switch w.Field {
		case v.Exclude.Name, v.Limit.Name, v.Name.Name:
			for _, f := range []*field{&v.Exclude, &v.Limit, &v.Name} {
				if f.Name == w.Field {
					f.Rules = append(f.Rules, w.Rule)
				}
			}
		case "file", "list":
			v.Wrong = "file_" + w.Rule
		default:
			return false
		}
	}
	return true
}

// fileLine says where in a file something is wrong, in figures: the line, and the column in it.
func fileLine(e *intake.FileError) string {
	switch {
	case e.Line == 0:
		return e.Detail
	case e.Column == 0:
		return fmt.Sprintf("%d", e.Line)
	}
	return fmt.Sprintf("%d:%d", e.Line, e.Column)
}

func newColumnChoice(s intake.Sample) *columnChoice {
	a := &columnChoice{Header: s.Names != nil}
	for i := range s.Width {
		o := columnOption{No: i + 1, Selected: i+1 == s.ID}
		if a.Header {
			o.Name = s.Names[i]
		}
		for _, row := range s.Rows {
			if i < len(row) {
				o.Cells = append(o.Cells, row[i])
			}
		}
		a.Columns = append(a.Columns, o)
	}
	return a
}
