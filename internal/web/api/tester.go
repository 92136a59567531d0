package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

// testWait is how long a call waits for the outcome of a test.
const testWait = 10 * time.Second

type testerList struct {
	Testers []push.Tester `json:"testers"`
}

func (a *API) listTesters(ctx context.Context, c *call, _ *none) (*testerList, error) {
	list, err := a.d.Testers(ctx, c.task.ID)
	if list == nil {
		list = []push.Tester{}
	}
	return &testerList{list}, err
}

// testTask sends a test and waits for its outcome. An Idempotency-Key covers the sending, which is committed before the wait begins: the same
// call again sends nothing, and is answered with how the test stands by then.
func (a *API) testTask(w http.ResponseWriter, r *http.Request, c *call) error {
	ctx, cancel := context.WithTimeoutCause(r.Context(), a.cfg.Timeout, errTimeout)
	defer cancel()
	var spec dispatch.TestSpec
	if err := readRequest(w, r, c, &spec); err != nil {
		return err
	}
	if err := push.RequireText("user_id", spec.UserID, push.MaxUserID); err != nil {
		return err
	}
	out, err := a.once(ctx, w, r, c, func(ctx context.Context) (answer, error) {
		trial, err := audited(ctx, a, c, func(ctx context.Context) (push.Trial, error) {
			trial, err := a.d.StartTest(ctx, c.principal.Name, c.task.ID, spec)
			c.audit.Detail = map[string]any{"test": trial.ID}
			return trial, err
		})
		if err != nil {
			return answer{}, timedOut(ctx, err)
		}
		return encode(a, http.StatusOK, &trial)
	})
	if err != nil {
		return timedOut(ctx, err)
	}
	var begun push.Trial
	if err := json.Unmarshal(out.body, &begun); err != nil {
		return fmt.Errorf("read the test that was begun: %w", err)
	}
	trial, err := a.d.AwaitTest(ctx, begun.ID, min(testWait, a.cfg.Timeout/2))
	if err != nil {
		return timedOut(ctx, err)
	}
	if out, err = encode(a, http.StatusOK, &trial); err != nil {
		return err
	}
	out.write(w)
	return nil
}
