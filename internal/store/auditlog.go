package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/push"
)

// Caller is who changes something: by which way it was asked for is told by ID, or by a command's name.
type Caller struct {
	// Name is what people read, ID tells callers apart for ever: "account:7", "token:3"; empty for a command.
	Name, ID string
	// Address is where the request came from: the address of a remote end, or FromCommand.
	Address string
}

// FromCommand is the address of what a command changes.
const FromCommand = "cli"

type callerKey struct{}

// WithCaller makes what is written into the audit log under ctx say who the caller is, and where the request came from.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// AuditEntry is one change: who made it, when, and what was changed.
type AuditEntry struct {
	ID int64
	At time.Time
	// Actor and ActorID are those of the [Caller]; filled in from the context where they are empty.
	Actor, ActorID string
	// Action is stable: "account.add", "task.pause".
	Action string
	// AppID is the app that it is about; nil where it is about none.
	AppID *int32
	// Object names what was changed, such as "task:98" or "account:ann".
	Object string
	// Detail says more; no secret and no personal data. Nil is nothing.
	Detail map[string]any
	// Address is where the request came from; filled in from the context where it is empty.
	Address string
}

const auditColumns = `id, at, actor, actor_id, action, app_id, object, detail, address`

// AboutTask says that the entry is about a task.
func (e *AuditEntry) AboutTask(t push.Task) { e.about("task", strconv.FormatInt(t.ID, 10), t.AppID) }

// AboutApp says that the entry is about an app.
func (e *AuditEntry) AboutApp(a push.App) { e.about("app", a.Key, a.ID) }

// AboutSchedule says that the entry is about a schedule.
func (e *AuditEntry) AboutSchedule(s push.Schedule) {
	e.about("schedule", strconv.FormatInt(s.ID, 10), s.AppID)
}

func (e *AuditEntry) about(kind, key string, appID int32) { e.Object, e.AppID = kind+":"+key, &appID }

// InsertAuditEntry writes an entry. It belongs into the transaction of the change. Who and from where are the caller's, if ctx has one and the
// entry does not name somebody else.
func (s *Store) InsertAuditEntry(ctx context.Context, e AuditEntry) error {
	if e.Detail == nil {
		e.Detail = map[string]any{}
	}
	by, _ := ctx.Value(callerKey{}).(Caller)
	if e.Actor == "" || e.Actor == by.Name {
		e.Actor, e.ActorID, e.Address = by.Name, cmp.Or(e.ActorID, by.ID), cmp.Or(e.Address, by.Address)
	}
	_, err := s.db(ctx).Exec(ctx, `INSERT INTO audit_log (actor, actor_id, action, app_id, object, detail, address) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.Actor, e.ActorID, e.Action, e.AppID, e.Object, e.Detail, e.Address)
	return wrap(err, "write audit log")
}

// Audited runs a change in one transaction with its entry in the audit log: both are there or neither. What is changed and how, change may add
// to the entry; one that it leaves without an Action is not written, for nothing was changed.
func (s *Store) Audited(ctx context.Context, e AuditEntry, change func(ctx context.Context, e *AuditEntry) error) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := change(ctx, &e); err != nil || e.Action == "" {
			return err
		}
		return s.InsertAuditEntry(ctx, e)
	})
}

// unaudited are fields that differ without anybody's doing: when a row was written, and what came of it.
func unaudited() []string {
	return []string{"created_at", "updated_at", "counts", "reasons", "next_runs"}
}

// Changed is the Detail of an entry: what differs between two values, before and after, as JSON names it. Nil is nothing: of what is made there
// is no before, of what is removed no after.
func Changed(before, after any) map[string]any {
	old, now := differing(before, after)
	return map[string]any{"before": old, "after": now}
}

// ChangedTo are the fields of after that differ from those of before, by the rules of Changed.
func ChangedTo(before, after any) map[string]any {
	_, now := differing(before, after)
	return now
}

func differing(before, after any) (old, now map[string]any) {
	old, now = fieldsOf(before), fieldsOf(after)
	for name := range old {
		if slices.Contains(unaudited(), name) || reflect.DeepEqual(old[name], now[name]) {
			delete(old, name)
			delete(now, name)
		}
	}
	for _, name := range unaudited() {
		delete(now, name)
	}
	return old, now
}

// Existing is what was found, for Changed; nil where nothing is there.
func Existing[T any](found T, err error) (any, error) {
	if errors.Is(err, push.ErrNotFound) {
		return nil, nil //nolint:nilnil // nothing is there, which is no error
	}
	return found, err
}

// Same says whether the Detail that Changed made is of a change that changed nothing.
func Same(detail map[string]any) bool {
	before, _ := detail["before"].(map[string]any)
	after, _ := detail["after"].(map[string]any)
	return len(before)+len(after) == 0
}

func fieldsOf(v any) map[string]any {
	fields := map[string]any{}
	if v == nil {
		return fields
	}
	text, err := json.Marshal(v)
	if err == nil {
		_ = json.Unmarshal(text, &fields) // what is no object has no fields
	}
	return fields
}

// AuditEntries lists entries, newest first: those with an id below before (0: from the newest).
func (s *Store) AuditEntries(ctx context.Context, before int64, limit int) ([]AuditEntry, error) {
	rows, _ := s.db(ctx).Query(ctx, `
		SELECT `+auditColumns+` FROM audit_log
		 WHERE $1::bigint = 0 OR id < $1::bigint ORDER BY id DESC LIMIT $2`, before, limit)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditEntry])
	return entries, wrap(err, "list audit log")
}

// AuditFilter narrows the audit log. Zero values narrow nothing.
type AuditFilter struct {
	// AppIDs are the apps whose entries are shown; what is about no app is then left out. Nil is everything.
	AppIDs []int32
	// Actor, Action and Object are exact.
	Actor, Action, Object string
	// From is the first moment, To the first one after it.
	From, To *time.Time
	// Before is the entry after which the page begins.
	Before *AuditPlace
	Limit  int
}

// AuditPlace is where a page of the audit log ends.
type AuditPlace struct {
	At time.Time
	ID int64
}

// AuditLog lists entries, newest first.
func (s *Store) AuditLog(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	var c conditions
	if f.AppIDs != nil {
		c.where = append(c.where, "app_id = ANY ("+c.arg(f.AppIDs)+")")
	}
	c.add(f.Actor != "", "actor = ", f.Actor)
	c.add(f.Action != "", "action = ", f.Action)
	c.add(f.Object != "", "object = ", f.Object)
	c.add(f.From != nil, "at >= ", f.From)
	c.add(f.To != nil, "at < ", f.To)
	if f.Before != nil {
		c.where = append(c.where, "(at, id) < ("+c.arg(f.Before.At)+", "+c.arg(f.Before.ID)+")")
	}
	sql := `SELECT ` + auditColumns + ` FROM audit_log` + c.sql() + ` ORDER BY at DESC, id DESC LIMIT ` + c.arg(f.Limit)
	rows, _ := s.db(ctx).Query(ctx, sql, c.args...)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditEntry])
	return entries, wrap(err, "list audit log")
}
