package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// auditEntry is an entry of the audit log. It is never changed: both times are the same.
type auditEntry struct {
	ID      int64  `json:"id"`
	Actor   string `json:"actor"`
	ActorID string `json:"actor_id"`
	Action  string `json:"action"`
	// App is the app that it is about; nil where it is about none.
	App       *string        `json:"app"`
	Object    string         `json:"object"`
	Address   string         `json:"address"`
	Detail    map[string]any `json:"detail"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

type auditList struct {
	Entries    []auditEntry `json:"entries"`
	NextCursor *string      `json:"next_cursor"`
}

// listAudit lists who changed what, newest first: of the apps that the token sees, where it is limited to some.
func (a *API) listAudit(ctx context.Context, c *call, _ *none) (*auditList, error) {
	limit := c.limit()
	filter := store.AuditFilter{
		Actor: c.text("actor"), Action: c.text("action"), Object: c.text("object"), From: c.moment("from"), To: c.moment("to"), Limit: limit + 1,
	}
	if key := c.after("audit"); key != "" {
		micros, number, _ := strings.Cut(key, " ")
		at, err := strconv.ParseInt(micros, 10, 64)
		id, err2 := strconv.ParseInt(number, 10, 64)
		if err != nil || err2 != nil || at < 0 || at > time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() {
			c.reject("cursor", "bad_cursor", "must be a next_cursor of this list")
		}
		filter.Before = &store.AuditPlace{At: time.UnixMicro(at), ID: id}
	}
	var err error
	if filter.AppIDs, err = a.listedApps(ctx, c); err != nil {
		return nil, err
	}
	rows, err := a.store.AuditLog(ctx, filter)
	if err != nil {
		return nil, err
	}
	apps, err := a.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, "audit", func(e store.AuditEntry) string { return fmt.Sprintf("%d %d", e.At.UnixMicro(), e.ID) })
	list := auditList{Entries: make([]auditEntry, len(rows)), NextCursor: next}
	for i, e := range rows {
		list.Entries[i] = auditEntry{
			ID: e.ID, Actor: e.Actor, ActorID: e.ActorID, Action: e.Action, Object: e.Object, Address: e.Address, Detail: e.Detail, CreatedAt: e.At, UpdatedAt: e.At,
		}
		if e.AppID != nil {
			if keys := auth.AppKeys(apps, []int32{*e.AppID}); len(keys) > 0 {
				list.Entries[i].App = &keys[0]
			}
		}
	}
	return &list, nil
}

type accountList struct {
	Accounts   []auth.AccountInfo `json:"accounts"`
	NextCursor *string            `json:"next_cursor"`
}

// forAll refuses a token that is limited to some apps: accounts and tokens are of all.
func forAll(c *call) error {
	if !c.principal.SeesAll() {
		return problem(http.StatusForbidden, "forbidden", "the token is for some apps; accounts and tokens need one for all")
	}
	return nil
}

func (a *API) listAccounts(ctx context.Context, c *call, _ *none) (*accountList, error) {
	limit, after := c.limit(), c.after("accounts")
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := forAll(c); err != nil {
		return nil, err
	}
	rows, err := auth.AccountInfos(ctx, a.store)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r auth.AccountInfo) bool { return after != "" && r.Login <= after })
	slices.SortFunc(rows, func(x, y auth.AccountInfo) int { return strings.Compare(x.Login, y.Login) })
	rows, next := cut(rows, limit, "accounts", func(r auth.AccountInfo) string { return r.Login })
	return &accountList{Accounts: rows, NextCursor: next}, nil
}

type tokenList struct {
	Tokens     []auth.TokenInfo `json:"tokens"`
	NextCursor *string          `json:"next_cursor"`
}

func (a *API) listTokens(ctx context.Context, c *call, _ *none) (*tokenList, error) {
	limit, before := c.limit(), c.afterNumber("tokens", math.MaxInt64, math.MaxInt64)
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := forAll(c); err != nil {
		return nil, err
	}
	rows, err := auth.TokenInfos(ctx, a.store)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r auth.TokenInfo) bool { return r.ID >= before })
	rows, next := cut(rows, limit, "tokens", func(r auth.TokenInfo) string { return strconv.FormatInt(r.ID, 10) })
	return &tokenList{Tokens: rows, NextCursor: next}, nil
}

// revokeToken ends the live token of a name.
func (a *API) revokeToken(ctx context.Context, c *call, _ *none) (*none, error) {
	if err := forAll(c); err != nil {
		return nil, err
	}
	name := c.path("token")
	c.audit.Object = "token:" + name
	return &none{}, a.store.RevokeAPIToken(ctx, name)
}
