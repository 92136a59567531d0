package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// Problem is the answer to a call that failed: RFC 9457. Programs look at Code, people read Detail and MessageZH.
type Problem struct {
	// Type is "about:blank": the problem has no page of its own, Code tells it apart.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is stable.
	Code string `json:"code"`
	// MessageZH is the text for marketing, where there is one.
	MessageZH string `json:"message_zh,omitempty"`
	// Errors names each field that is wrong.
	Errors []FieldError `json:"errors,omitempty"`
	// Errcode is what the platform answered to a call that was made for this one.
	Errcode int `json:"errcode,omitempty"`
	// Line and Column say where in a file or a body, counted from 1.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// RequestID finds the call in the log.
	RequestID string `json:"request_id,omitempty"`
}

// FieldError is one field that is wrong, with the path of the field as the caller wrote it.
type FieldError struct {
	Field   string `json:"field"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// Error makes a Problem an error, so that a handler may return one.
func (p *Problem) Error() string { return fmt.Sprintf("%s (%s)", p.Detail, p.Code) }

// problem makes a Problem with a formatted detail.
func problem(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// internalCode is the code of an error that is ours.
const internalCode = "internal"

// problemOf is the one table from errors to answers. An error that is in no row is ours: 500, and its text stays in the log.
func problemOf(err error) *Problem {
	var (
		ready    *Problem
		refusal  *push.Refusal
		file     *intake.FileError
		platform *push.CallError
		tooLarge *http.MaxBytesError
	)
	fields, invalid := fieldErrors(err)
	switch {
	case errors.As(err, &ready):
		return ready
	case invalid:
		return &Problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: sentence(fields), Errors: fields}
	case errors.As(err, &refusal):
		return &Problem{Status: refusalStatus(refusal.Code), Code: string(refusal.Code), Detail: refusal.EN(), MessageZH: refusal.ZH()}
	case errors.As(err, &file):
		return &Problem{
			Status: http.StatusUnprocessableEntity, Code: string(file.Code), Detail: file.Error(), MessageZH: file.Code.ZH(), Line: file.Line, Column: file.Column,
		}
	case errors.As(err, &platform):
		return &Problem{Status: http.StatusBadGateway, Code: string(platform.Code), Detail: platform.Error(), MessageZH: platform.ZH, Errcode: platform.Errcode}
	case errors.Is(err, push.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "there is no such thing, or not for this token")
	case errors.Is(err, push.ErrUnstorable):
		return problem(http.StatusUnprocessableEntity, "unstorable", "a text holds a NUL or is not UTF-8, or a number is out of range")
	case errors.Is(err, auth.ErrUnauthenticated):
		return &Problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: err.Error()}
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge, "too_large", "the body has more than %d bytes", tooLarge.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusServiceUnavailable, "timeout", "the call took too long and was given up; look before you try it again, or use an Idempotency-Key")
	case errors.Is(err, context.Canceled):
		return problem(http.StatusBadRequest, "canceled", "the client broke the call off")
	}
	return problem(http.StatusInternalServerError, internalCode, "something went wrong on our side; the log has it under the request id")
}

// refusalStatus says which refusals are about the state of the thing (409), and which about what was asked of it (422).
func refusalStatus(code push.RefusalCode) int {
	switch code {
	case push.RefusedAlreadySent, push.RefusedAlreadyScheduled, push.RefusedWrongState, push.RefusedInUse, push.RefusedScheduleRuns, push.RefusedSourceDisabled,
		push.RefusedNotApproved, push.RefusedContentChanged, push.RefusedNotUnknown, push.RefusedListGone:
		return http.StatusConflict
	case push.RefusedEmptyAudience, push.RefusedNoPermit, push.RefusedProductOffShelf, push.RefusedUnknownVariable, push.RefusedAppPaused:
		return http.StatusUnprocessableEntity
	case push.RefusedOwnTask, push.RefusedNotATester:
		return http.StatusForbidden
	case push.RefusedTooManyRequests:
		return http.StatusTooManyRequests
	}
	return http.StatusConflict
}

// fieldErrors are the invalid fields of err. ok is false if there are none, or if something else is joined with them.
func fieldErrors(err error) (fields []FieldError, ok bool) {
	invalid, ok := push.InvalidFields(err)
	for _, e := range invalid {
		fields = append(fields, FieldError{Field: e.Field, Rule: e.Rule, Message: e.Message})
	}
	return fields, ok
}

func sentence(fields []FieldError) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Field + " " + f.Message
	}
	return strings.Join(parts, "; ")
}

// WriteProblem answers with what problemOf says about err, and logs it if it is ours. Headers of an answer that was begun
// otherwise are taken back.
func WriteProblem(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	p := *problemOf(err)
	p.Type, p.Title, p.RequestID = "about:blank", http.StatusText(p.Status), RequestID(r.Context())
	if p.Code == internalCode {
		log.ErrorContext(r.Context(), "call failed", slog.String("request_id", p.RequestID), slog.String("route", r.Pattern), slog.Any("err", err))
	}
	h := w.Header()
	h.Del("Content-Disposition")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", `Bearer realm="minipush"`)
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	if r.Method == http.MethodHead {
		return
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // the client is gone
}

type requestIDKey struct{}

// WithRequestID puts the id of a request into its context, for the log and for problems.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the id that WithRequestID put there; empty if none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
