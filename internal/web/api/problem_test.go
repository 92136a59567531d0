package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/intake"
	"minipush/internal/push"
	"minipush/internal/web/auth"
)

func TestProblemOf_IsOneTableFromErrorsToAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"Invalid":           {&push.InvalidError{Field: "topic", Rule: "too_long", Message: "…"}, 422, "invalid"},
		"InvalidWrapped":    {fmt.Errorf("create: %w", &push.InvalidError{Field: "topic"}), 422, "invalid"},
		"AlreadySent":       {&push.Refusal{Code: push.RefusedAlreadySent, TaskID: 98}, 409, "already_sent"},
		"AlreadyScheduled":  {&push.Refusal{Code: push.RefusedAlreadyScheduled}, 409, "already_scheduled"},
		"WrongState":        {&push.Refusal{Code: push.RefusedWrongState}, 409, "wrong_state"},
		"InUse":             {&push.Refusal{Code: push.RefusedInUse}, 409, "in_use"},
		"ScheduleRuns":      {&push.Refusal{Code: push.RefusedScheduleRuns}, 409, "schedule_runs"},
		"EmptyAudience":     {&push.Refusal{Code: push.RefusedEmptyAudience}, 422, "empty_audience"},
		"NoPermit":          {&push.Refusal{Code: push.RefusedNoPermit}, 422, "no_permit"},
		"ProductOffShelf":   {&push.Refusal{Code: push.RefusedProductOffShelf}, 422, "product_off_shelf"},
		"UnknownVariable":   {&push.Refusal{Code: push.RefusedUnknownVariable}, 422, "unknown_variable"},
		"AppPaused":         {&push.Refusal{Code: push.RefusedAppPaused}, 422, "app_paused"},
		"TooManyRequests":   {&push.Refusal{Code: push.RefusedTooManyRequests}, 429, "too_many_requests"},
		"NotFound":          {fmt.Errorf("task 7: %w", push.ErrNotFound), 404, "not_found"},
		"Unstorable":        {fmt.Errorf("user: %w: 0x00 in SELECT", push.ErrUnstorable), 422, "unstorable"},
		"File":              {fmt.Errorf("import: %w", &intake.FileError{Code: "bad_quote", Line: 3, Column: 2}), 422, "bad_quote"},
		"Unauthenticated":   {fmt.Errorf("%w: no token", auth.ErrUnauthenticated), 401, "unauthenticated"},
		"TooLarge":          {fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 8}), 413, "too_large"},
		"Timeout":           {fmt.Errorf("query: %w", context.DeadlineExceeded), 503, "timeout"},
		"ClientGone":        {fmt.Errorf("query: %w", context.Canceled), 400, "canceled"},
		"Ours":              {errors.New("password=hunter2 is wrong"), 500, "internal"},
		"OursBesideInvalid": {errors.Join(&push.InvalidError{Field: "a"}, errors.New("disk full")), 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := problemOf(tc.err)
			require.Equal(t, tc.status, p.Status)
			require.Equal(t, tc.code, p.Code)
			require.NotContains(t, p.Detail, "hunter2")
		})
	}
}

func TestProblemOf_NamesEveryFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	spec := push.TaskSpec{TemplateID: "t", Topic: strings.Repeat("双", 11), Tips: strings.Repeat("x", 31)}
	spec.Normalize()
	p := problemOf(fmt.Errorf("create task: %w", spec.Validate()))
	require.Equal(t, 422, p.Status)
	require.Len(t, p.Errors, 2)
	require.Equal(t, FieldError{Field: "topic", Rule: "too_long", Message: "has 11 characters; at most 10 are allowed"}, p.Errors[0])
	require.Equal(t, "tips", p.Errors[1].Field)
}

func TestProblemOf_ARefusalHasTheTextOfTheOriginal(t *testing.T) {
	t.Parallel()
	p := problemOf(&push.Refusal{Code: push.RefusedAlreadySent, TaskID: 98})
	require.Equal(t, "此任务已发送id=98", p.MessageZH)
}

func TestWriteProblem(t *testing.T) {
	t.Parallel()
	write := func(err error) (*httptest.ResponseRecorder, map[string]any, string) {
		var logged strings.Builder
		w := httptest.NewRecorder()
		w.Header().Set("Content-Disposition", "attachment")
		r := httptest.NewRequestWithContext(WithRequestID(t.Context(), "req-1"), http.MethodGet, "/x", http.NoBody)
		WriteProblem(w, r, slog.New(slog.NewJSONHandler(&logged, nil)), err)
		var body map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		return w, body, logged.String()
	}
	w, body, logged := write(push.ErrNotFound)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Empty(t, w.Header().Get("Content-Disposition"))
	require.Equal(t, "about:blank", body["type"])
	require.Equal(t, "Not Found", body["title"])
	require.Equal(t, "req-1", body["request_id"])
	require.Empty(t, logged)

	_, body, logged = write(errors.New("connection refused to secret-host"))
	require.Equal(t, "internal", body["code"])
	require.NotContains(t, fmt.Sprint(body), "secret-host")
	require.Contains(t, logged, "secret-host")
	require.Contains(t, logged, "req-1")

	w, _, _ = write(auth.ErrUnauthenticated)
	require.Contains(t, w.Header().Get("WWW-Authenticate"), "Bearer")
	w, _, _ = write(context.DeadlineExceeded)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}
