package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// errBadForm says that a form cannot be read.
var errBadForm = errors.New("the form cannot be read")

// problemPage is a request that failed.
type problemPage struct {
	// Code chooses the texts: "problem.<code>" and "problem.<code>_hint".
	Code string
	// Said is what the refusal says; empty for the text of the code.
	Said both
	// Errors are fields that are wrong, of a request without a form to show them in.
	Errors []*push.InvalidError
	// RequestID finds the request in the log.
	RequestID string
	// Back is where to go from here.
	Back string
}

// problemCodes are the codes of a problem page, with their status.
func problemCodes() map[string]int {
	return map[string]int{
		"forbidden": http.StatusForbidden, "cross_site": http.StatusForbidden, "not_found": http.StatusNotFound,
		"method_not_allowed": http.StatusMethodNotAllowed, "refused": http.StatusConflict, "invalid": http.StatusUnprocessableEntity,
		"too_large": http.StatusRequestEntityTooLarge, "bad_form": http.StatusBadRequest, "timeout": http.StatusServiceUnavailable,
		"throttled": http.StatusTooManyRequests, "internal": http.StatusInternalServerError,
	}
}

// problem is the one table from errors to pages. An error that is in no row is ours: its text stays in the log.
func (k *Console) problem(c *call, err error) reply {
	if errors.Is(err, errNoLogin) && c.r.Header.Get("HX-Request") != "" {
		return reply{status: http.StatusNoContent, refresh: true} // the page, loaded anew, leads to the login
	}
	if errors.Is(err, errNoLogin) {
		next := ""
		if c.r.Method == http.MethodGet {
			next = c.r.URL.RequestURI()
		}
		return redirect("/console/login?next=" + url.QueryEscape(localPath(next)))
	}
	p := problemPage{Back: home}
	var tooLarge *http.MaxBytesError
	fields, wrong := push.InvalidFields(err)
	refusal, refused := errors.AsType[*push.Refusal](err)
	file, unreadable := errors.AsType[*intake.FileError](err)
	switch {
	case errors.Is(err, errForbidden):
		p.Code = "forbidden"
	case errors.Is(err, errCrossSite):
		p.Code = "cross_site"
	case wrong:
		p.Code, p.Errors = "invalid", fields
	case refused:
		p.Code, p.Said = "refused", both{refusal.ZH(), refusal.EN()}
		p.Back = here(c.r)
	case unreadable:
		p.Code, p.Said = "invalid", both{file.Code.ZH(), file.Error()}
	case errors.Is(err, push.ErrNotFound):
		p.Code = "not_found"
	case errors.Is(err, push.ErrUnstorable):
		p.Code = "invalid"
	case errors.Is(err, auth.ErrThrottled):
		p.Code = "throttled"
	case errors.As(err, &tooLarge):
		p.Code = "too_large"
	case errors.Is(err, errBadForm):
		p.Code = "bad_form"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p.Code = "timeout"
	default:
		p.Code = "internal"
	}
	if c.task.ID != 0 {
		p.Back = taskPath(c.task.ID)
	}
	return k.problemReply(c, p, err)
}

func (k *Console) problemReply(c *call, p problemPage, err error) reply {
	if p.Code == "internal" {
		k.log.ErrorContext(c.r.Context(), "page failed", slog.String("request_id", c.requestID), slog.String("route", c.r.Pattern), slog.Any("err", err))
	}
	p.RequestID = c.requestID
	out := page("problem", p)
	out.status = problemCodes()[p.Code]
	return out
}

// NotRouted answers a path or a method below /console/ that is in no row of the route table.
func (k *Console) NotRouted(w http.ResponseWriter, r *http.Request, status int) {
	code := "not_found"
	if status == http.StatusMethodNotAllowed {
		code = "method_not_allowed"
	}
	secure(w)
	c, _ := k.admit(w, r, Route{}) // who is logged in sees the navigation
	k.write(w, c, k.problemReply(c, problemPage{Code: code, Back: home}, nil))
}

// Failed answers for a handler that panicked.
func (k *Console) Failed(w http.ResponseWriter, r *http.Request, err error) {
	secure(w)
	c := newCall(w, r)
	k.write(w, c, k.problemReply(c, problemPage{Code: "internal", Back: home}, err))
}
