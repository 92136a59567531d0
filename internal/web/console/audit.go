package console

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// auditPage is who changed what, newest first. There is nothing to change on it.
type auditPage struct {
	Actor, Object, From, To field
	Filtered                bool
	Entries                 []auditRow
	Pager                   pager
}

// auditRow is one entry.
type auditRow struct {
	store.AuditEntry
	// Known: the action has a text in the catalogue.
	Known bool
	// Changes are what was before and after, by field; Facts what else the entry says.
	Changes []auditChange
	Facts   []auditFact
}

// auditChange is a field of what was changed.
type auditChange struct{ Field, Before, After string }

// auditFact is something else that an entry says.
type auditFact struct{ Field, Value string }

func (k *Console) auditRoutes(t *table) {
	t.page("/console/audit", auth.Admin, k.showAudit)
}

func (k *Console) showAudit(ctx context.Context, c *call) (reply, error) {
	p := auditPage{
		Actor:  field{Name: "actor", Label: "audit.actor", Type: "search", Value: c.value("actor")},
		Object: field{Name: "object", Label: "audit.object", Type: "search", Value: c.value("object")},
		From:   field{Name: "from", Label: "audit.from", Type: "date", Value: c.value("from")},
		To:     field{Name: "to", Label: "audit.to", Type: "date", Value: c.value("to")},
	}
	filter := store.AuditFilter{
		AppIDs: c.appIDs(), Actor: p.Actor.Value, Object: p.Object.Value, From: k.day(&p.From, 0), To: k.day(&p.To, 1), Before: auditPlace(c.value("before")), Limit: listed + 1,
	}
	p.Filtered = p.Actor.Value+p.Object.Value+p.From.Value+p.To.Value != ""
	rows, err := k.store.AuditLog(ctx, filter)
	if err != nil {
		return reply{}, err
	}
	p.Pager = k.pageLinks(c, len(rows) > listed, func() string {
		last := rows[listed-1]
		return fmt.Sprintf("%d-%d", last.At.UnixMicro(), last.ID)
	})
	known := families()["audit.action_"]
	for _, e := range rows[:min(len(rows), listed)] {
		row := auditRow{AuditEntry: e, Known: slices.Contains(known, e.Action)}
		if e.Address == store.FromCommand {
			row.Address = "" // which the page calls a command
		}
		row.Changes, row.Facts = detailOf(e.Detail)
		p.Entries = append(p.Entries, row)
	}
	return page("audit", p).under(manage()), nil
}

// auditPlace reads where a page begins; what is none is the first page.
func auditPlace(text string) *store.AuditPlace {
	micros, number, _ := strings.Cut(text, "-")
	at, err := strconv.ParseInt(micros, 10, 64)
	id, err2 := strconv.ParseInt(number, 10, 64)
	if err != nil || err2 != nil || at < 0 || at > latest {
		return nil
	}
	return &store.AuditPlace{At: time.UnixMicro(at), ID: id}
}

// detailOf takes the detail of an entry apart.
func detailOf(detail map[string]any) (changes []auditChange, facts []auditFact) {
	before, _ := detail["before"].(map[string]any)
	after, _ := detail["after"].(map[string]any)
	all := maps.Clone(before)
	if all == nil {
		all = after
	}
	maps.Copy(all, after)
	for _, name := range sorted(all) {
		changes = append(changes, auditChange{Field: name, Before: plain(before[name]), After: plain(after[name])})
	}
	for _, name := range sorted(detail) {
		if name != "before" && name != "after" {
			facts = append(facts, auditFact{Field: name, Value: plain(detail[name])})
		}
	}
	return changes, facts
}

func sorted(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// plain is a value of JSON as a person reads it; empty for nothing.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
