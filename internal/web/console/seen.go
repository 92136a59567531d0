package console

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// A form of something that exists is written over what is stored, all of it. So it takes along, in the hidden field "seen", what was stored
// when it was opened, and a handler holds that against what is stored now, under the lock of the row: what somebody else changed meanwhile is
// not written over by one who has not seen it. The form is then shown again as it was sent, with what was changed, and by whom.

// formState is what a page with such a form has: the dot of the partials seen and stale.
type formState struct {
	// Seen is what the form was made from.
	Seen string
	// Stale is what was changed since it was opened; nil where nothing was.
	Stale *stale
}

// stale is what somebody changed while a form was open.
type stale struct {
	// By and At are who changed it last, and when, as the audit log has it; By is empty where it does not say.
	By string
	At time.Time
	// Fields are those that differ, as they are now.
	Fields []field
}

// errStale says that a form was not made from what is stored. It rolls back, and becomes the form again.
type errStale struct { //nolint:errname // it is told apart by its type
	// names are those of the fields that differ; none where the form does not say what it was made from.
	names []string
}

func (e *errStale) Error() string { return "changed meanwhile: " + strings.Join(e.names, ", ") }

// seenOf writes what a form is made from: an object of JSON. It holds no secret.
func seenOf(v any) string {
	text, _ := json.Marshal(v) // what is stored always marshals
	return string(text)
}

// checkSeen holds what a form was made from against what is stored; the caller has the lock of the row. An error is an *errStale.
func (c *call) checkSeen(stored any) error {
	var seen map[string]any
	if json.Unmarshal([]byte(c.value("seen")), &seen) != nil || len(seen) == 0 {
		return &errStale{}
	}
	if now := store.ChangedTo(seen, stored); len(now) > 0 {
		return &errStale{names: slices.Sorted(maps.Keys(now))}
	}
	return nil
}

// staleOf says of an error of checkSeen what was changed: now are the fields as they are stored, object and app those of the audit log. Of
// another error there is nothing to say.
func (k *Console) staleOf(ctx context.Context, err error, appID int32, object string, now ...*field) (*stale, error) {
	changed, ok := errors.AsType[*errStale](err)
	if !ok {
		return nil, nil //nolint:nilnil // nothing was changed
	}
	s := &stale{}
	for _, f := range now {
		if slices.Contains(changed.names, f.Name) && f.Label != "" {
			s.Fields = append(s.Fields, *f)
		}
	}
	entries, err := k.store.AuditLog(ctx, store.AuditFilter{AppIDs: []int32{appID}, Object: object, Limit: 20})
	for _, e := range entries {
		if slices.Contains(editActions(), e.Action) {
			s.By, s.At = e.Actor, e.At
			break
		}
	}
	return s, err
}

// specSeen is a spec as its form sees it: its times in one zone, so that they compare.
func specSeen(s push.TaskSpec) push.TaskSpec {
	for _, at := range []**time.Time{&s.NotAfter, &s.WaitForPermitUntil} {
		if *at != nil {
			utc := (*at).UTC()
			*at = &utc
		}
	}
	return s
}
